"""Cards that expire before the next run that they are to pay: told ahead, once for each source and end.

A source is looked at from `AHEAD` before it expires (that is a column of its table), and again when a run that it still
pays has come. Which stores have one to be looked at the sweep's global read tells. A batch is one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from schemas.kinds import render_timestamp
from service import clock
from service.clock import later
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Command, Many, Values

EXPIRING: Final = "customer_payment_sources.expiring"

BATCH: Final = 100
"""How many sources one transaction looks at."""

AGAIN: Final = timedelta(days=7)
"""After how long at most a source is looked at again: meanwhile a subscription may have come to be paid from it."""

PUT_OFF: Final = timedelta(hours=1)
"""After how long one that could not be looked at is looked at again."""


class Looked(NamedTuple):
    """How many sources a batch looked at."""

    sources: int

    @property
    def more(self) -> bool:
        """Whether more may be due."""
        return self.sources == BATCH


class _Due(NamedTuple):
    """A source, the subscriptions whose next run it doesn't live to see, and when it is to pay the next one it does."""

    id: str
    expires_at: datetime
    subscription_ids: Sequence[str] | None
    next_run_at: datetime | None
    pays_at: datetime | None


_DUE_IDS = Values("subscriptions/expiring.due_ids", str)
_DUE = Many("subscriptions/expiring.due", _Due)
_NOTE = Command("subscriptions/expiring.note")


async def due_ids(connection: Connection, store: Store) -> Sequence[str]:
    """Return the sources of a store that the next batch looks at, unless somebody holds them."""
    return await _DUE_IDS(connection, store=store.id, at=clock.now(store), most=BATCH)


async def look(connection: Connection, store: Store, *, only: str | None = None) -> Looked:
    """Look at a batch of a store's sources that expire soon, or at `only` one; tell of those that expire too soon."""
    at = clock.now(store)
    due = await _DUE(connection, store=store.id, at=at, most=BATCH, only=only)
    if due:
        # One that has expired without being used is not looked at any more.
        done = [one.expires_at if one.subscription_ids or one.expires_at <= at else None for one in due]
        again = [None if end else _again_at(one, at) for one, end in zip(due, done, strict=True)]
        await _note(connection, store, due, done, again)
        happened = [Event(EXPIRING, one.id, _payload(one)) for one in due if one.subscription_ids]
        await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    return Looked(len(due))


async def put_off(connection: Connection, store: Store, source_id: str) -> Looked:
    """Look at a source later: what was to be written of it now could not be."""
    at = clock.now(store)
    due = await _DUE(connection, store=store.id, at=at, most=BATCH, only=source_id)
    await _note(connection, store, due, [None for _ in due], [later(at, PUT_OFF) for _ in due])
    return Looked(len(due))


async def _note(
    connection: Connection,
    store: Store,
    due: Sequence[_Due],
    done: Sequence[datetime | None],
    again: Sequence[datetime | None],
) -> None:
    """Note with which end sources are done, and else when to look at them again."""
    await _NOTE(connection, store=store.id, sources=[one.id for one in due], done=list(done), again=list(again))


def _again_at(due: _Due, at: datetime) -> datetime:
    """When to look again: after the next run that it is to pay; soon where that one is late."""
    latest = later(at, AGAIN)
    return latest if due.pays_at is None else max(min(due.pays_at, latest), later(at, PUT_OFF))


def _payload(due: _Due) -> dict[str, object]:
    """What the event tells: which subscriptions are concerned, and when the first of them runs."""
    return {
        "order_subscription_ids": due.subscription_ids,
        "next_run_at": None if due.next_run_at is None else render_timestamp(due.next_run_at),
    }
