"""Ledgers of subscriptions: read from the database as a `Standing`, and written as edits and sweeps leave them.

What they say next is worked out in `service.rules`. Who writes one holds its subscription.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple, TypeAlias

import orjson

from service import clock
from service.jsonapi.body import not_found
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.principal import Store
from service.rules import schedule
from service.rules.prepaid import left_after
from service.rules.recurrence import Calendar
from service.rules.rescheduling import Edit, reschedule
from service.rules.schedule import Advance, CatchupPolicy, Entry, Standing, Status
from service.rules.states import SUBSCRIPTIONS_THAT_RUN
from service.store.pool import Connection
from service.store.statements import Command, Many, One, Only, Values
from service.store.write import Columns

END = "end"
"""What happens to a subscription that has no run to come any more."""


class Ran(NamedTuple):
    """How many occurrences of a subscription came up to run, and how many of them made their orders.

    Those that failed don't count, and those that are held only once somebody agrees to them.
    """

    came_up: int = 0
    made: int = 0

    @property
    def under_way(self) -> int:
        """How many of them are being made."""
        return self.came_up - self.made


class Terms(NamedTuple):
    """What the occurrences of a subscription follow from."""

    id: str
    status: str
    frequency: str
    timezone: str
    last_day: bool
    anchor_at: datetime | None
    anchor_index: int
    anchor_wall: datetime | None
    phase_on: date | None
    phase_at: datetime | None
    next_index: int
    next_run_at: datetime | None
    expires_at: datetime | None
    paused_until: datetime | None
    max_occurrences: int | None
    catchup_policy: CatchupPolicy
    cutoff_hours: int
    min_days_between_runs: int | None
    parked_at: datetime | None
    ended_at: datetime | None
    cancel_at_period_end: bool
    min_occurrences: int | None
    prepaid_occurrences: int | None
    prepaid_occurrences_left: int

    @property
    def calendar(self) -> Calendar:
        """The calendar of a subscription that has an anchor. Raises LookupError or ValueError for one of none."""
        assert self.anchor_at is not None  # noqa: S101 -- only a draft has none
        return Calendar(
            self.anchor_at,
            self.timezone,
            self.frequency,
            self.anchor_index,
            last_day=self.last_day,
            wall=self.anchor_wall,
            phase_on=self.phase_on,
            phase_at=self.phase_at,
        )

    def settled_until(self, at: datetime) -> datetime | None:
        """Until when dates stay as they are at an instant; None where they may all change."""
        runs = self.status == "active" and self.next_run_at is not None
        return at + timedelta(hours=self.cutoff_hours) if runs and self.cutoff_hours else None

    @property
    def counts(self) -> bool:
        """Whether it matters how many runs there were."""
        return self.max_occurrences is not None or (self.cancel_at_period_end and self.is_prepaid)

    @property
    def ends_anyway(self) -> bool:
        """Whether the run that comes next is the last even if it fails."""
        return self.cancel_at_period_end and not self.is_prepaid

    @property
    def is_prepaid(self) -> bool:
        """Whether runs are paid for together."""
        return self.prepaid_occurrences is not None or self.prepaid_occurrences_left > 0

    def paid_left(self, under_way: int) -> int | None:
        """How many runs are paid for beside those that are being made; None where each is paid for as it comes."""
        if not self.is_prepaid:
            return None
        return left_after(self.prepaid_occurrences_left, self.prepaid_occurrences, under_way)

    def runs_left(self, ran: Ran) -> int | None:
        """How many runs are left after those; None where their number has no end."""
        return schedule.runs_left(
            self.max_occurrences,
            ran.came_up,
            ends=self.cancel_at_period_end,
            ended=self.ended_at is not None,
            paid=self.paid_left(ran.under_way),
        )

    @property
    def edit(self) -> Edit:
        """The edit that changes none of them."""
        return Edit(
            self.frequency,
            self.timezone,
            last_day=self.last_day,
            expires_at=self.expires_at,
            paused_until=self.paused_until,
            ends=self.cancel_at_period_end,
        )


class Written(NamedTuple):
    """A row that was written to a ledger."""

    id: str
    order_subscription_id: str
    status: str


class _Row(NamedTuple):
    order_subscription_id: str
    occurrence_index: int
    nominal_at: datetime
    scheduled_at: datetime
    status: Status
    reason: str | None

    @property
    def entry(self) -> Entry:
        return Entry(self.occurrence_index, self.nominal_at, self.scheduled_at, self.status, self.reason)


class _LastRun(NamedTuple):
    occurrence_index: int
    nominal_at: datetime
    scheduled_at: datetime


class _OpenRow(NamedTuple):
    id: str
    row: _Row


class _Id(NamedTuple):
    id: str
    occurrence_index: int


_SCHEDULE = One("subscriptions/ledgers.schedule", Terms)
_ENTRIES = Many("subscriptions/ledgers.entries", _OpenRow)
_ENTRIES_FROM = Many("subscriptions/ledgers.entries_from", _Row)
_IDS = Many("subscriptions/ledgers.ids", _Id)
_RUNS = Only("subscriptions/ledgers.runs", Ran)
_RAN = One("subscriptions/ledgers.ran", _LastRun)
_FORGET = Values("subscriptions/ledgers.forget", str)
_WRITE = Many("subscriptions/ledgers.write", Written)
_GO_ON = Command("subscriptions/ledgers.go_on")


_DEFAULTS: Columns = {
    "id": "",
    "status": "draft",
    "anchor_index": 0,
    "next_index": 1,
    "last_day": False,
    "catchup_policy": "run_once",
    "cutoff_hours": 0,
    "cancel_at_period_end": False,
    "prepaid_occurrences_left": 0,
}


def terms_of(columns: Columns) -> Terms:
    """The terms in the columns of a subscription; those of a new one that nothing was sent for are the table's."""
    known: Columns = {**_DEFAULTS, **columns}
    return Terms._make(known.get(name) for name in Terms._fields)


async def find(
    connection: Connection, store: Store, subscription_id: str, customer_id: str | None = None
) -> Terms | None:
    """Return the terms of a subscription, of a customer's or of any; None when there is none of this id."""
    return await _SCHEDULE(connection, store=store.id, subscription=subscription_id, customer=customer_id)


Place: TypeAlias = "tuple[str, int]"
"""Where an occurrence stands: in the ledger of which subscription, at which index."""


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The open ends of ledgers: their entries by subscription and index, and the ids of the rows that they have."""

    entries: Mapping[str, Mapping[int, Entry]]
    ids: dict[Place, str]

    def id_at(self, place: Place) -> str:
        """The id of the occurrence at a place, which is the one that it gets where it has no row yet."""
        found = self.ids.get(place)
        if found is None:
            found = self.ids[place] = clock.new_id()
        return found


async def open_ends(connection: Connection, store: Store, of: Sequence[Terms]) -> Ledgers:
    """Return the open ends of the ledgers of subscriptions of these terms."""
    entries: dict[str, dict[int, Entry]] = {}
    ids: dict[Place, str] = {}
    subscriptions, firsts = [terms.id for terms in of], [terms.next_index for terms in of]
    for id_, row in await _ENTRIES(connection, store=store.id, subscriptions=subscriptions, firsts=firsts):
        entries.setdefault(row.order_subscription_id, {})[row.occurrence_index] = row.entry
        ids[row.order_subscription_id, row.occurrence_index] = id_
    return Ledgers(entries, ids)


async def runs(connection: Connection, store: Store, subscription_id: str) -> Ran:
    """Return how often a subscription has run."""
    return await _RUNS(connection, store=store.id, subscription=subscription_id)


async def kept_apart(connection: Connection, store: Store, terms: Terms, standing: Standing) -> Standing:
    """The same with what keeps its runs apart."""
    ran = await _RAN(connection, store=store.id, subscription=terms.id)
    days = terms.min_days_between_runs
    return replace(standing, ran=ran and Entry(*ran, "due"), apart=None if days is None else timedelta(days=days))


async def standing(connection: Connection, store: Store, terms: Terms) -> Standing:
    """Return how a subscription of these terms stands. Raises LookupError or ValueError for an unreadable calendar."""
    first = terms.next_index
    rows = await _ENTRIES_FROM(connection, store=store.id, subscription=terms.id, first=first - 1)
    entries = {row.occurrence_index: row.entry for row in rows}
    ran = await runs(connection, store, terms.id) if terms.counts else Ran()
    return Standing(
        terms.calendar,
        first,
        last=entries.pop(first - 1, None),
        entries=entries,
        expires_at=terms.expires_at,
        paused_until=terms.paused_until,
        runs_left=terms.runs_left(ran),
        catchup_policy=terms.catchup_policy,
        ended=terms.ended_at is not None,
        parked=terms.parked_at is not None,
        settled_until=terms.settled_until(clock.now(store)),
        ends_anyway=terms.ends_anyway,
    )


async def running(
    connection: Connection, store: Store, subscription_id: str, customer_id: str | None = None
) -> Terms | None:
    """Return the terms of a subscription that runs; None when it doesn't run by itself now, such as a draft.

    Raises NotFound when there is none of this id, or none of the customer's.
    """
    terms = await find(connection, store, subscription_id, customer_id)
    if terms is None:
        raise not_found("order_subscriptions")
    return terms if terms.status == "active" and terms.next_run_at is not None else None


async def standing_of(
    connection: Connection, store: Store, subscription_id: str, customer_id: str | None = None
) -> Standing | None:
    """Return how a subscription that runs stands; None, and raises, as `running`."""
    terms = await running(connection, store, subscription_id, customer_id)
    return None if terms is None else await standing(connection, store, terms)


async def ids(connection: Connection, store: Store, subscription_id: str, indexes: Iterable[int]) -> dict[int, str]:
    """Return the ids of rows of a ledger, by their indexes."""
    found = await _IDS(connection, store=store.id, subscription=subscription_id, indexes=list(indexes))
    return {row.occurrence_index: row.id for row in found}


async def write(
    connection: Connection, store: Store, subscription_id: str, step: Advance, *, at: datetime, actor: str
) -> None:
    """Write what is planned for a subscription. What was said of runs that won't come any more goes with them."""
    if step.gone:
        gone = await _FORGET(connection, store=store.id, subscription=subscription_id, indexes=list(step.gone))
        happened = [Event("occurrence_items.destroy", id_) for id_ in gone]
        await outbox.record_all(connection, store, happened, actor=actor)
    if step.entries:
        await write_all(connection, store, [(subscription_id, entry) for entry in step.entries], at=at)


async def name(connection: Connection, store: Store, subscription_id: str, entry: Entry, *, at: datetime) -> str:
    """Give a run to come that has no row yet its row, and return the row's id."""
    (row,) = await write_all(connection, store, [(subscription_id, entry)], at=at)
    return row.id


async def write_all(
    connection: Connection,
    store: Store,
    entries: Sequence[tuple[str, Entry]],
    *,
    at: datetime,
    known: Ledgers | None = None,
    completed: AbstractSet[str | None] = frozenset(),
) -> Sequence[Written]:
    """Write rows of ledgers, each with its subscription's id. Returns those that were still open.

    New ones get the ids that `known` has given them. Those of the ids in `completed` are due no more: their orders are
    made in the same transaction.
    """
    rows = []
    for subscription_id, entry in entries:
        id_ = clock.new_id() if known is None else known.id_at((subscription_id, entry.index))
        rows.append(
            {
                "id": id_,
                "order_subscription_id": subscription_id,
                "occurrence_index": entry.index,
                "status": "completed" if id_ in completed else entry.status,
                "nominal_at": entry.nominal_at,
                "scheduled_at": entry.scheduled_at,
                "reason": entry.reason,
            }
        )
    return await _WRITE(connection, store=store.id, entries=orjson.dumps(rows).decode(), at=at)


async def replan(connection: Connection, store: Store, subscription_id: str, *, actor: str) -> None:
    """Bring the next run of a subscription in step with its ledger, in which something has changed."""
    at = clock.now(store)
    terms = await find(connection, store, subscription_id)
    if terms is None or terms.status not in SUBSCRIPTIONS_THAT_RUN or terms.parked_at is not None:
        return
    before = await standing(connection, store, terms)
    step = reschedule(before, replace(terms.edit, runs_left=before.runs_left), at).step
    await write(connection, store, subscription_id, step, at=at, actor=actor)
    next_run_at, ended_at = run_or_end(step, terms.ended_at, at)
    if (step.next_index, next_run_at, ended_at) == (terms.next_index, terms.next_run_at, terms.ended_at):
        return
    await _GO_ON(
        connection,
        store=store.id,
        subscription=subscription_id,
        next_index=step.next_index,
        next_run_at=next_run_at,
        ended_at=ended_at,
        at=at,
    )
    if ended_at is not None and terms.ended_at is None:
        await outbox.record(connection, store, f"order_subscriptions.{END}", subscription_id, actor=actor)


def run_or_end(step: Advance, ended_at: datetime | None, at: datetime) -> tuple[datetime | None, datetime | None]:
    """When a subscription runs next, at once where that is overdue; else when it has ended, which may be long ago."""
    if step.next_run_at is None:
        return None, ended_at or at
    return max(step.next_run_at, at), None


async def reopen(connection: Connection, store: Store, subscription_id: str, *, actor: str) -> None:
    """Plan on where a run that failed, or is held, was the last: it doesn't count, or is paid for and still to come."""
    terms = await find(connection, store, subscription_id)
    if terms is not None and terms.ended_at is not None and terms.counts:
        await replan(connection, store, subscription_id, actor=actor)
