"""The calendar of a subscription, as calendar programs show it: runs of the past months and of the year to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from service import clock
from service.errors import Gone
from service.operations.subscriptions import forecasts, order_subscriptions
from service.operations.tenant import stores
from service.principal import Store
from service.rules import schedule
from service.rules.calendar_tokens import CalendarKeys
from service.store.pool import Connection
from sql import queries

CALENDARS = queries("subscriptions/calendars")

BACK: Final = timedelta(days=180)
AHEAD: Final = timedelta(days=365)
MOST: Final = 100
"""How far back and ahead the calendar goes, and how many runs it has at most either way."""

RUNS: Final = frozenset({"planned", "due", "held", "claimed", "completed"})
"""The statuses of occurrences that take place, or may."""


@dataclass(frozen=True, slots=True)
class Date:
    """A run in a calendar: its index among the subscription's, its instant, and whether it takes place."""

    index: int
    at: datetime
    takes_place: bool


@dataclass(frozen=True, slots=True)
class Feed:
    """A calendar: whose it is, what is ordered each time (names with quantities), and when.

    `version` is the subscription's, which last changed at `changed_at`.
    """

    store: Store
    subscription_id: str
    version: int
    changed_at: datetime
    products: Sequence[tuple[str, int]]
    dates: Sequence[Date]


async def open_feed(connection: Connection, keys: CalendarKeys, token: str) -> Feed:
    """The calendar that a token opens; writes nothing. Raises Gone for a token that opens none, whatever the reason."""
    named = keys.verify(token)
    row = None if named is None else await connection.fetchrow(CALENDARS["subscription"], *named)
    if row is None:
        raise Gone("This link doesn't work any more.")
    store, id_ = stores.from_row(row), row["id"]
    at = clock.now(store)
    past = await connection.fetch(CALENDARS["past"], store.id, id_, at - BACK, MOST)
    products = await connection.fetch(CALENDARS["products"], store.id, id_)
    standing = await order_subscriptions.standing_of(connection, store, id_)
    entries = [] if standing is None else forecasts.first(schedule.upcoming(standing), MOST)
    coming = takewhile(lambda entry: entry.scheduled_at <= at + AHEAD, entries)
    dates = [
        *(Date(one["occurrence_index"], one["scheduled_at"], one["status"] in RUNS) for one in reversed(past)),
        *(Date(entry.index, entry.scheduled_at, entry.status in RUNS) for entry in coming),
    ]
    return Feed(
        store, id_, row["version"], row["updated_at"], [(one["name"], one["quantity"]) for one in products], dates
    )
