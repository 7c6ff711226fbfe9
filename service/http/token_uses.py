"""Which tokens are used, gathered in memory and written now and then: no request waits for it."""

from __future__ import annotations

import asyncio
from datetime import datetime

import structlog

from service import clock
from service.operations.access import tokens
from service.principal import Principal
from service.store.pool import Database, passes

SECONDS = 10.0
"""How often what was gathered is written."""

log = structlog.get_logger(part="tokens")


class TokenUses:
    """The tokens that were used since the last writing, by their stores; each is written at most once an hour."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: dict[int, set[str]] = {}

    def note(self, principal: Principal, at: datetime) -> None:
        """Note that a token is used at `at`, real time, unless that was noted within the last hour."""
        last = principal.last_used_at
        if last is None or at - last >= tokens.NOTED_EVERY:
            self._used.setdefault(principal.store.id, set()).add(principal.token_id)

    async def keep_writing(self) -> None:
        """Write what is noted, again and again, until cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what is noted. What can't be written is let go of: the next use is noted again."""
        used, self._used = self._used, {}
        for store_id, ids in used.items():
            try:
                async with self._database.connection() as connection:
                    await tokens.note_use(connection, store_id, ids, clock.now())
            except Exception as error:
                if not passes(error):
                    raise
                log.warning("the use of tokens can't be noted", store=store_id, error=str(error))
