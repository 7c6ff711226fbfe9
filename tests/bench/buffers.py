"""How many shared buffers something touches in Postgres: found in memory or read, for all statements that it runs.

The database's own counters are read before and after, in a database where nothing else goes on: planning, the checks of
foreign keys and the upkeep of indexes are in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from service.store.pool import Database

_TOUCHED = """
    select blks_hit + blks_read from pg_stat_database where datname = current_database()
"""


@dataclass
class Meter:
    """Counts on a pool of two connections, which nobody else uses meanwhile."""

    database: Database
    own: int = 0

    async def calibrate(self) -> None:
        """Find out what counting itself touches."""

        async def nothing() -> None:
            """Touch nothing."""

        self.own = 0
        self.own = min([await self.touched(nothing) for _ in range(5)])

    async def touched(self, work: Callable[[], Awaitable[object]]) -> int:
        """The buffers that some work touches."""
        before = await self._count()
        await work()
        return await self._count() - before - self.own

    async def _count(self) -> int:
        # Each backend keeps its counts for a while: both are told to hand them over, in transactions of their own.
        await asyncio.gather(self._hand_over(), self._hand_over())
        async with self.database.connection() as connection:
            return int(await connection.fetchval(_TOUCHED))

    async def _hand_over(self) -> None:
        async with self.database.connection() as connection:
            await connection.execute("select pg_stat_force_next_flush()")
