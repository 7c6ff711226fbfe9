"""The calendar of a subscription, as calendar programs show it: runs of the past months and of the year to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final, NamedTuple

from service import clock
from service.clock import later
from service.errors import Gone
from service.operations.copies.runs import Of, items_of, swaps_of
from service.operations.subscriptions import forecasts, ledgers
from service.principal import Store
from service.rules.named_tokens import NamedKeys
from service.store.pool import Connection
from service.store.statements import Many, One

BACK: Final = timedelta(days=180)
AHEAD: Final = timedelta(days=365)
MOST: Final = 100
"""How far back and ahead the calendar goes, and how many runs it has at most either way."""

RUNS: Final = frozenset({"planned", "due", "held", "claimed", "completed"})
"""The statuses of occurrences that take place, or may."""


@dataclass(frozen=True, slots=True)
class Date:
    """A run in a calendar: its index among the subscription's, its instant, whether it takes place, and what it orders.

    `products` are names with quantities.
    """

    index: int
    at: datetime
    takes_place: bool
    products: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Feed:
    """A calendar: whose it is, and its dates.

    `version` is the subscription's, which last changed at `changed_at`.
    """

    store: Store
    subscription_id: str
    version: int
    changed_at: datetime
    dates: Sequence[Date]


class _Subscription(NamedTuple):
    id: str
    version: int
    updated_at: datetime
    store: Store


class _Past(NamedTuple):
    occurrence_index: int
    scheduled_at: datetime
    status: str


_SUBSCRIPTION = One("subscriptions/calendars.subscription", _Subscription)
_PAST = Many("subscriptions/calendars.past", _Past)


async def open_feed(connection: Connection, keys: NamedKeys, token: str) -> Feed:
    """The calendar that a token opens; writes nothing. Raises Gone for a token that opens none, whatever the reason."""
    named = keys.verify(token)
    opened = None if named is None else await _SUBSCRIPTION(connection, store=named[0], subscription=named[1])
    if opened is None:
        raise Gone("This link doesn't work any more.")
    store, id_ = opened.store, opened.id
    at = clock.now(store)
    past = await _PAST(connection, store=store.id, subscription=id_, after=at - BACK, most=MOST)
    entries = await forecasts.dates(connection, store, id_, MOST)
    coming = list(takewhile(lambda entry: entry.scheduled_at <= later(at, AHEAD), entries))
    ids = await ledgers.ids(connection, store, id_, [entry.index for entry in coming])
    swaps = await swaps_of(connection, store, id_)
    of = {entry.index: Of.to_come(id_, ids.get(entry.index), entry.index, swaps) for entry in coming}
    items = await items_of(connection, store, [Of(id_), *of.values()])

    def products(run: Of) -> list[tuple[str, int]]:
        return [(item.name, item.quantity) for item in items.get(run, ())]

    dates = [
        *(
            Date(run.occurrence_index, run.scheduled_at, run.status in RUNS, products(Of(id_)))
            for run in reversed(past)
        ),
        *(Date(entry.index, entry.scheduled_at, entry.status in RUNS, products(of[entry.index])) for entry in coming),
    ]
    return Feed(store, id_, opened.version, opened.updated_at, dates)
