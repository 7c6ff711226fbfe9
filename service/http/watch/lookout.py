"""What health checks and metrics look at: the database, and how the work stands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic

from service import clock
from service.operations.runtime import watching
from service.operations.runtime.watching import Situation
from service.operations.webhooks import delivering, publishing
from service.operations.webhooks.delivering import Standing
from service.store import deployment, schema
from service.store.pool import Database

REMEMBERED = 5.0
"""For how many seconds a look at the work is remembered: whoever may ask for it, may ask often."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of the database: migrations that are missing, whose it is and, if it has all, how the work stands.

    `deliveries` are those to webhooks, `stream` is what is published, if anything is. `foreign` says that it belongs to
    another installation.
    """

    pending: list[str]
    foreign: bool = False
    situation: Situation | None = None
    deliveries: Standing | None = None
    stream: publishing.Standing | None = None


@dataclass(slots=True)
class Lookout:
    """Looks at the database for one process, at most once in a while; `destination` is what is published to."""

    database: Database
    deployment_id: str = ""
    destination: str | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _migrated: bool = False
    _last: tuple[float, Look] | None = None

    async def look(self) -> Look:
        """What there is to see, seen within the last seconds. Raises whatever keeps the database from answering."""
        async with self._lock, asyncio.timeout(5), self.database.connection() as connection:
            if self._last is not None and self._last[0] > monotonic() - REMEMBERED:
                # That it answers is never remembered.
                await connection.execute("select 1")
                return self._last[1]
            # Migrations only go forward: once all were there, they are.
            pending = [] if self._migrated else await schema.pending(connection)
            if pending:
                return Look(pending)
            self._migrated = True
            here = await deployment.here(connection, self.deployment_id)
            foreign = await deployment.owner(connection) not in (None, here)
            situation = await watching.look(connection, clock.now())
            deliveries = await delivering.standing(connection)
            stream = None
            if self.destination is not None:
                stream = await publishing.standing(connection, self.destination)
            look = Look([], foreign, situation, deliveries, stream)
            self._last = monotonic(), look
            return look
