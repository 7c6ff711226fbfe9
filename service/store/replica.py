"""Reads from a streaming replica: only where it holds what the reader has seen, and never far behind.

A position is how many bytes the primary had written: what was committed before it was asked for lies behind it. What is
known of the replica is a moment old, and it only goes forward: it has replayed at least so much.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge

from service.errors import ApiError, StartupError
from service.store.pool import Database, is_away
from service.store.statements import OnlyValue, Value

if TYPE_CHECKING:
    from service.store.pool import _Lease

BEYOND = 2**63
"""A position that no replica has reached: only the primary answers."""
LOOK_EVERY = 0.2
"""Seconds between two looks at how far the replica is."""
LONGEST_PAUSE = 5.0
"""Seconds between two attempts to reach a replica that is away."""

reader = ContextVar("reader", default=BEYOND)
"""The position that whoever reads has seen, set for each request that may be answered by a replica."""

READS = Counter("reprise_replica_reads", "Reads that a replica may answer, by who answered.", ["by"])
LAG = Gauge(
    "reprise_replica_lag_seconds", "How far the replica is behind; -1 where it is away.", multiprocess_mode="livemax"
)
_BY_REPLICA, _BY_PRIMARY = READS.labels("replica"), READS.labels("primary")

_WRITTEN = OnlyValue("runtime/replica.written", int)
_REPLAYED = Value("runtime/replica.replayed", int)

log = structlog.get_logger(part="replica")


class Replica:
    """Chooses who answers a read, while `follow` goes on; until that has found the replica, it is the primary."""

    def __init__(
        self, primary: Database, opens: Callable[[], AbstractAsyncContextManager[Database]], longest_lag: float
    ) -> None:
        self._primary, self._opens, self._longest_lag = primary, opens, longest_lag
        self._replica: Database | None = None
        self._replayed = 0
        self._written: deque[tuple[float, int]] = deque()
        self._level_at = 0.0

    def connection(self) -> _Lease:
        """A connection for reads alone, of the replica where it has all that the reader has seen."""
        if self._replica is not None and reader.get() <= self._replayed and self.lag <= self._longest_lag:
            _BY_REPLICA.inc()
            return self._replica.connection()
        _BY_PRIMARY.inc()
        return self._primary.connection()

    @property
    def is_away(self) -> bool:
        """Whether there is no replica to read from."""
        return self._replica is None

    @property
    def lag(self) -> float:
        """Seconds since which the replica has not had all that the primary had written."""
        return monotonic() - self._level_at

    @property
    def is_behind(self) -> bool:
        """Whether it is too far behind to read from."""
        return not self.is_away and self.lag > self._longest_lag

    async def position(self) -> int:
        """How far the primary has written: what has been committed so far lies behind it."""
        async with self._primary.connection() as connection:
            return await _WRITTEN(connection)

    async def follow(self) -> None:
        """Look at the replica again and again, until cancelled; take it up anew whenever it was away."""
        pause = LOOK_EVERY
        while True:
            try:
                async with self._opens() as replica:
                    while await self._look(replica):
                        self._replica, pause = replica, LOOK_EVERY
                        await asyncio.sleep(LOOK_EVERY)
                    log.warning("the replica follows nobody: the primary answers its reads")
            except (StartupError, ApiError, TimeoutError) as error:
                log.warning("the replica is away: the primary answers its reads", error=str(error))
            except Exception as error:
                if not is_away(error):
                    raise
                log.warning("the replica is away: the primary answers its reads", error=repr(error))
            finally:
                self._replica = None
                LAG.set(-1)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _look(self, replica: Database) -> bool:
        """Learn how far both are; False where the replica is none any more."""
        at = monotonic()
        self._written.append((at, await self.position()))
        async with asyncio.timeout(LONGEST_PAUSE), replica.connection() as connection:
            replayed = await _REPLAYED(connection)
        if replayed is None:
            return False
        self._replayed = replayed
        while self._written and self._written[0][1] <= replayed:
            self._level_at = self._written.popleft()[0]
        # One that stands still for hours is far behind all the same.
        if len(self._written) > 1_000:
            self._written.pop()
        LAG.set(self.lag)
        return True
