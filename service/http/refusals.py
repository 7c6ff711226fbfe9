"""Who is refused for what they show, gathered in memory and written now and then: no request waits for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime

import structlog

from service import clock
from service.operations.access import refusals
from service.operations.access.refusals import NO_STORE, Refused
from service.operations.access.tokens import Refusal
from service.store.pool import Database, passes

SECONDS = 10.0
"""How often what was gathered is written."""

MOST = 100
"""How many rows an hour a process writes for each reason; whoever comes beyond that is counted with all others."""

log = structlog.get_logger(part="refusals")


class Refusals:
    """Those who were refused since the last writing, and of which rows this process has written this hour.

    Each reason has its own share of rows, so that a flood of one hides none of another.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: Counter[tuple[int, Refused]] = Counter()
        self._rows: set[tuple[int, Refused]] = set()
        self._of_kind: Counter[str] = Counter()
        self._hour: datetime | None = None

    def note(self, refusal: Refusal, network: str, at: datetime) -> None:
        """Note that somebody on a network is refused at `at`, real time."""
        minute = at.replace(second=0, microsecond=0)
        hour = minute.replace(minute=0)
        if hour != self._hour:
            self._hour, self._rows, self._of_kind = hour, set(), Counter()
        row = (refusal.store_id or NO_STORE, Refused(minute, refusal.kind, network))
        if row not in self._rows:
            if self._of_kind[refusal.kind] < MOST:
                self._of_kind[refusal.kind] += 1
            else:
                row = (NO_STORE, Refused(minute, refusal.kind, None))
            self._rows.add(row)
        self._counts[row] += 1

    async def keep_writing(self) -> None:
        """Write what is noted, again and again, until cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what is noted. What can't be written is let go of, and the log says how much that is."""
        counts, self._counts = self._counts, Counter()
        by_store: dict[int, Counter[Refused]] = {}
        for (store_id, refused), number in counts.items():
            by_store.setdefault(store_id, Counter())[refused] += number
        for store_id, of_store in by_store.items():
            try:
                await self._write(store_id, of_store)
            except Exception as error:
                if not passes(error):
                    raise
                log.warning("refusals can't be noted", store=store_id, number=of_store.total(), error=str(error))

    async def _write(self, store_id: int, refused: Counter[Refused]) -> None:
        async with self._database.connection() as connection:
            if not await refusals.record(connection, store_id, refused, clock.now()):
                await refusals.record(connection, NO_STORE, refused, clock.now())
