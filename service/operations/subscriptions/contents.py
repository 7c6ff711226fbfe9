"""Contents of single runs: which run is meant, whether it can still be changed, and what it orders then.

They belong to a run by its index, as everything does that is said of one: another frequency, a move and ordering it
now take them along, since the row of an index stays and only its date changes. A run that is left out keeps them,
unordered, and orders them if it runs after all; nothing passes on to the next. A run that will not come any more,
because its subscription ends before, takes them with it.

Where a run has no row yet, naming it makes one. Whoever changes contents holds the subscription, as whoever makes its
orders does: a change is in the order, or finds that the run has come up and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from schemas.kinds import render_timestamp
from service.errors import ApiError, Conflict, Invalid, InvalidState
from service.operations.catalogue.selling import MAX_LINES
from service.operations.copies import runs
from service.operations.copies.runs import Of
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.subscriptions import forecasts, ledgers
from service.operations.subscriptions.forecasts import FURTHEST
from service.operations.subscriptions.ledgers import Terms
from service.principal import Store
from service.rules import schedule
from service.rules.schedule import Entry
from service.rules.states import SUBSCRIPTIONS_THAT_RUN
from service.store.pool import Connection
from service.store.statements import Command, Many, One, Values
from service.store.write import Columns


class Run(NamedTuple):
    """A run as the ledger has it."""

    id: str
    occurrence_index: int
    status: str
    scheduled_at: datetime

    @classmethod
    def of(cls, id_: str, row: Columns) -> Run:
        """The run of an occurrence that somebody has read."""
        return cls(id_, row["occurrence_index"], row["status"], row["scheduled_at"])


class Line(NamedTuple):
    """A line that a run orders. `id` is that of the subscription's item where it is one; options are JSON."""

    id: str
    sku_id: str | None
    options: str
    quantity: int


class _Draft(NamedTuple):
    id: str
    order_subscription_item_id: str | None
    sku_id: str
    options: str
    quantity: int

    @property
    def line(self) -> Line:
        return Line(self.order_subscription_item_id or self.id, self.sku_id, self.options, self.quantity)


class Item(NamedTuple):
    """An item of a subscription, with what a line of a single run takes over from it."""

    sku_id: str
    sku_code: str
    name: str
    options: str
    quantity: int
    price_mode: str | None
    currency_code: str
    unit_amount_cents: int
    priced_by_hand: bool


_RUN = One("subscriptions/contents.run", Run)
_ITEM = One("subscriptions/contents.item", Item)
_DRAFTS = Many("subscriptions/contents.drafts", _Draft)
_REPLACE = Values("subscriptions/contents.replace", str)
_COMMIT = Values("subscriptions/contents.commit", str)
_ALIKE = Values("subscriptions/contents.alike", str)
_FOLLOW = Command("subscriptions/contents.follow")
_RAISE = Command("subscriptions/contents.raise")


def closed(whole: Columns, run: Run, at: datetime, *asked: str) -> ApiError | None:
    """Why a run of a subscription can't be changed any more, about the fields `asked`; None if it can."""
    terms = ledgers.terms_of(whole)
    if terms.status not in SUBSCRIPTIONS_THAT_RUN:
        return InvalidState("The subscription is {status}: it doesn't run.", status=terms.status, fields=asked)
    if run.status not in ("planned", "skipped"):
        return InvalidState("The occurrence is {status}: it can't be changed.", status=run.status, fields=asked)
    if run.occurrence_index < terms.next_index or run.scheduled_at <= at:
        return over(*asked)
    return cut_off(terms, run.scheduled_at, at, *asked)


def over(*asked: str) -> InvalidState:
    """What the schedule has gone past isn't planned anew, also where it was left out without having been run."""
    return InvalidState("The occurrence's time has passed: it can't run any more.", fields=asked)


def cut_off(terms: Terms, scheduled_at: datetime, at: datetime, *asked: str) -> InvalidState | None:
    """Why a run of a date can't be changed where it is so near that it is settled: it says until when it could."""
    until = terms.settled_until(at)
    if until is None or scheduled_at > until or scheduled_at <= at:
        return None
    was_open = render_timestamp(scheduled_at - timedelta(hours=terms.cutoff_hours))
    return InvalidState(
        "The occurrence could be changed until {at}.", at=was_open, fields=asked, meta={"closed_at": was_open}
    )


async def find_run(change: Change) -> Run | None:
    """The run that a line is for: the one that it has or names, else the next that can still be changed.

    One without a row gets it. None where there is none, or it can't be changed any more, which is noted.
    """
    run = await _find(change) if change.new else await _kept(change, occurrence=change.before["occurrence_id"])
    refusal = None if run is None else closed(change.whole, run, change.at, "occurrence_index", "occurrence")
    return run if refusal is None else _refused(change, refusal)


async def unwritten(change: Change) -> Entry | None:
    """The run to come of the index that a change gives, which has no row yet. None, with a problem noted, for none."""
    index = change.value("occurrence_index")
    terms = _running(change)
    if terms is None:
        return None
    kept = await _kept(change, index=index)
    if kept is not None:
        there = Conflict(
            "Run {index} of the subscription is there already: change that.",
            index=index,
            fields=("occurrence_index",),
            meta={"error": "taken", "occurrence_id": kept.id},
        )
        change.problems.append(there)
        return None
    entry = await _entry(change, terms, index)
    if entry is None:
        change.problems.append(_none_to_come(change, "occurrence_index"))
    return entry


async def _find(change: Change) -> Run | None:
    occurrence_id, index = change.value("occurrence_id"), change.value("occurrence_index")
    terms = _running(change)
    if terms is None:
        return None
    if occurrence_id is not None:
        found = await _kept(change, occurrence=occurrence_id)
        if found is None or index not in (None, found.occurrence_index):
            pointer = change.draft.pointer("occurrence")
            return _refused(
                change, Invalid("occurrence - is no run of the subscription with this index", pointer=pointer)
            )
        return found
    entry = await _entry(change, terms, index)
    if entry is None:
        return _refused(change, _none_to_come(change, "occurrence_index"))
    return await _kept(change, index=entry.index) or await _named(change, entry)


async def is_to_come(change: Change, index: int, name: str) -> bool:
    """Whether the run of an index, which a field of this name says, can still be changed; why not is noted."""
    terms = _running(change)
    if terms is None:
        return False
    entry = await _entry(change, terms, index)
    if entry is None:
        change.problems.append(_none_to_come(change, name))
        return False
    refusal = closed(change.whole, Run("", entry.index, entry.status, entry.scheduled_at), change.at, name)
    change.problems += [refusal] if refusal else []
    return refusal is None


def _running(change: Change) -> Terms | None:
    """The terms of a subscription that has a run to come; None where it has none, which is noted."""
    terms = ledgers.terms_of(change.whole)
    if terms.status == "active" and terms.next_run_at is not None:
        return terms
    status = terms.status if terms.status != "active" else "parked" if terms.parked_at else "ended"
    change.problems.append(InvalidState("The subscription is {status}: it doesn't run.", status=status))
    return None


def _none_to_come(change: Change, name: str) -> Invalid:
    pointer = change.draft.pointer(name)
    return Invalid("{name} - is none of the {most} runs to come", name=name, most=FURTHEST, pointer=pointer)


def _refused(change: Change, problem: ApiError) -> Run | None:
    change.problems.append(problem)
    return None


async def _kept(change: Change, *, occurrence: str | None = None, index: int | None = None) -> Run | None:
    return await run_of(change.connection, change.store, change.whole["id"], occurrence=occurrence, index=index)


async def run_of(
    connection: Connection,
    store: Store,
    subscription_id: str,
    *,
    occurrence: str | None = None,
    index: int | None = None,
) -> Run | None:
    """The run of a subscription that has this id or index, as the ledger has it; None where there is none."""
    return await _RUN(connection, store=store.id, subscription=subscription_id, occurrence=occurrence, index=index)


async def _entry(change: Change, terms: Terms, index: int | None) -> Entry | None:
    """The run to come of an index, or the next that can still be changed; None where there is none."""
    standing = await ledgers.standing(change.connection, change.store, terms)
    most = FURTHEST if index is None else min(FURTHEST, max(index - terms.next_index + 1, 0))
    coming = forecasts.first(schedule.upcoming(standing), most)
    if index is not None:
        return next(
            (entry for entry in takewhile(lambda entry: entry.index <= index, coming) if entry.index == index), None
        )
    return next(
        (
            entry
            for entry in coming
            if entry.status == "planned"
            and entry.scheduled_at > change.at
            and not standing.is_settled(entry.scheduled_at)
        ),
        None,
    )


async def _named(change: Change, entry: Entry) -> Run:
    """Give a run to come a row in the ledger."""
    id_ = await ledgers.name(change.connection, change.store, change.whole["id"], entry, at=change.at)
    return Run(id_, entry.index, entry.status, entry.scheduled_at)


async def item_of(change: Change, item_id: str, run: Run) -> Item | None:
    """An item of the subscription that a change is about, as it is in a run; None where it has none of this id."""
    return await _ITEM(
        change.connection,
        store=change.store.id,
        item=item_id,
        subscription=change.whole["id"],
        index=run.occurrence_index,
    )


async def ordered(change: Change, run: Run, *, drafts: bool) -> dict[str, Line]:
    """What a run of the subscription orders, by the ids of its lines; with `drafts` once those are in force."""
    of = Of(change.whole["id"], run.id, run.occurrence_index)
    found = (await runs.items_of(change.connection, change.store, [of])).get(of, [])
    lines = {item.id: Line(item.id, item.sku_id, item.options, item.quantity) for item in found}
    if drafts:
        for draft in await _DRAFTS(change.connection, store=change.store.id, occurrence=run.id):
            lines[draft.line.id] = draft.line
    return {id_: line for id_, line in lines.items() if line.quantity}


def problem_of(lines: Sequence[Line], *asked: str) -> ApiError | None:
    """Why a run can't order just these lines; None if it can."""
    if not lines:
        return Invalid("The run would order nothing: skip it instead.", fields=asked)
    if len(lines) > MAX_LINES:
        return Invalid("The maximum of {most} lines has been reached.", most=MAX_LINES, fields=asked)
    return None


async def commit(change: Change) -> list[Event]:
    """Put the drafts of an occurrence into force; returns what happens to its items."""
    of = {"store": change.store.id, "occurrence": change.id}
    gone = await _REPLACE(change.connection, **of)
    kept = await _COMMIT(change.connection, **of, at=change.at)
    return [
        *(Event("occurrence_items.destroy", id_) for id_ in gone),
        *(Event("occurrence_items.update", id_) for id_ in sorted(kept)),
    ]


async def has_drafts(change: Change) -> bool:
    """Whether something of an occurrence is not in force yet."""
    return bool(await _DRAFTS(change.connection, store=change.store.id, occurrence=change.id))


async def alike(change: Change) -> Sequence[str]:
    """The lines of runs without an order that are what their item is in the same run, before that changes."""
    return await _ALIKE(
        change.connection,
        store=change.store.id,
        subscription=change.whole["id"],
        item=change.id,
    )


async def follow(change: Change, lines: Sequence[str]) -> None:
    """Let lines of runs without an order be what their item is by now in the same run."""
    await _FOLLOW(
        change.connection, store=change.store.id, subscription=change.whole["id"], lines=list(lines), at=change.at
    )


async def raise_version(change: Change) -> None:
    """Let the version of a subscription tell that one of its parts has changed, to whoever goes by it: its calendar."""
    await _RAISE(change.connection, store=change.store.id, subscription=change.whole["id"], at=change.at)
