"""How long is kept what tells of the past: as the settings say, and then it is deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from service.store.idempotency import KEEP
from service.store.pool import Connection
from service.store.statements import Command, OnlyValue, Values

_STORES_WITH_PAST_EVENTS = Values("runtime/retaining.stores_with_past_events", int)
_DELETE_PAST_EVENTS = OnlyValue("runtime/retaining.delete_past_events", int)
_STORES_WITH_PAST_TRANSFERS = Values("runtime/retaining.stores_with_past_transfers", int)
_DELETE_PAST_TRANSFERS = Command("runtime/retaining.delete_past_transfers")

_BATCH: Final = 1_000
"""How many events one statement deletes at most."""


class Retention(NamedTuple):
    """For how long each is kept, exports as long as imports; None for good."""

    answers: timedelta = KEEP
    deliveries: timedelta = timedelta(days=30)
    events: timedelta | None = None
    imports: timedelta | None = timedelta(days=90)

    @classmethod
    def of(cls, *, answers: int, deliveries: int, events: int, imports: int) -> Retention:
        """Of the numbers of the settings: hours for answers, else days, of which none mean for good."""
        return cls(
            timedelta(hours=answers),
            timedelta(days=deliveries),
            timedelta(days=events) if events else None,
            timedelta(days=imports) if imports else None,
        )


USUAL: Final = Retention()
"""For how long each is kept where nobody says otherwise."""


async def clean(connection: Connection, at: datetime, retention: Retention) -> None:
    """Delete events, imports and exports whose time is over at an instant, real time."""
    if retention.events is not None:
        before = at - retention.events
        for store_id in await _STORES_WITH_PAST_EVENTS(connection, before=before):
            deleted = _BATCH
            while deleted == _BATCH:
                deleted = await _DELETE_PAST_EVENTS(connection, store=store_id, before=before, most=_BATCH)
    if retention.imports is not None:
        before = at - retention.imports
        for store_id in await _STORES_WITH_PAST_TRANSFERS(connection, before=before):
            await _DELETE_PAST_TRANSFERS(connection, store=store_id, before=before)
