"""Subscriptions as clients write them: made from an order, begun, stopped, paused and changed.

What an edit does to the schedule is worked out by `service.rules.rescheduling`; here the ledger and the subscription
are kept in step with it, under the subscription's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar, Final

from schemas.kinds import EARLIEST, render_timestamp
from service import clock
from service.clock import later
from service.errors import Invalid, InvalidState
from service.jsonapi.body import Draft, blank
from service.operations.copies import extra_runs, recurring_order_copies
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.generic.numbers import take_number
from service.operations.parties.wallets import check_wallet
from service.operations.payments import dunning
from service.operations.subscriptions import (
    cancelling,
    duplicates,
    foreseeing,
    frequencies,
    ledgers,
    prepaying,
    prices,
    sources,
    sweep,
)
from service.operations.subscriptions.ledgers import Ran, Terms
from service.operations.subscriptions.previews import Previewed
from service.principal import Principal, Store
from service.rules.recurrence import UNCOUNTABLE
from service.rules.rescheduling import Conflicting, Rescheduled, reschedule
from service.rules.schedule import Advance, Delay, NotMovable, Standing, TooSoon
from service.rules.states import SUBSCRIPTIONS_THAT_RUN
from service.store.pool import Connection
from service.store.statements import Command, OnlyValue, Values
from service.store.write import Columns
from service.texts import Phrase

_COPY_ITEMS = Command("subscriptions/items.copy_items")
_ORDER_EXTRA_COPY = Command("subscriptions/subscriptions.order_extra_copy")
_ABORT = Values("subscriptions/subscriptions.abort", str)
_IS_OFFERED = OnlyValue("subscriptions/subscriptions.is_offered", bool)

LATEST: Final = timedelta(days=36_525)
"""Calendars are anchored from `EARLIEST` to so long from now: dates stay within what clocks and time zones can tell."""

LONGEST_PAUSE: Final = timedelta(days=731)

CARRIED = (
    "market_id",
    "billing_address_id",
    "shipping_address_id",
    "shipping_method_id",
    "customer_payment_source_id",
)
"""Columns of a subscription that are the source order's unless something else is sent."""

_CALENDAR = ("frequency", "timezone", "last_day", "anchor_at")
"""Columns that say where occurrences fall. When one changes, those to come are planned anew."""

_MOVING = ("_order_next_now", "_delay")
"""Triggers that bring the next run to another instant."""

_BOUNDS = ("expires_at", "max_occurrences", "prepaid_occurrences", cancelling.AT_PERIOD_END)
"""Columns that say how long it goes on."""


async def _activated(change: Change) -> Columns:
    begins = change.value("anchor_at") is None
    return {"anchor_at": change.value("starts_at") or change.at} if begins else {}


async def _deactivated(_: Change) -> Columns:
    return {}


async def _cancelled(change: Change) -> Columns:
    change.said |= await prepaying.told(change)
    return {"cancelled_at": change.at, "next_run_at": None}


async def _paused(change: Change) -> Columns | None:
    until: datetime = change.draft.triggers.get("_pause_until") or change.kept["pause_until"]
    if not change.at < until <= later(change.at, LONGEST_PAUSE):
        change.problems.append(
            Invalid(
                "_pause_until - must be later than now, and within two years",
                fields=("_pause_until",),
            )
        )
        return None
    return None if change.value("paused_until") == until else {"paused_until": until}


async def _resumed(change: Change) -> Columns | None:
    return None if change.value("paused_until") is None else {"paused_until": None}


async def _skipped(_: Change) -> Columns:
    return {}


async def _delayed(_: Change) -> Columns:
    return {}


async def _ordered(change: Change) -> Columns | None:
    if change.value("parked_at") is None:
        return {}
    change.problems.append(
        InvalidState("The subscription is {status}: it doesn't run.", status="parked", fields=("_order_next_now",))
    )
    return None


async def _ran(change: Change) -> Columns | None:
    if refusal := await extra_runs.too_soon(change.connection, change.principal, change.id):
        change.problems.append(refusal)
        return None
    change.said["copy_id"] = clock.new_id()
    return {}


async def _unparked(change: Change) -> Columns | None:
    if change.value("parked_at") is None:
        return None
    return {"parked_at": None, "parked_reason": None, "unparked_at": change.at}


class OrderSubscriptions(Previewed):
    """Subscriptions: they take customer, addresses and items over from the order that they repeat."""

    effects: ClassVar = {
        "activate": _activated,
        "deactivate": _deactivated,
        "cancel": _cancelled,
        "unpark": _unparked,
        "pause_until": _paused,
        "resume": _resumed,
        "skip_next": _skipped,
        "delay": _delayed,
        "order_next_now": _ordered,
        "run_now": _ran,
    }

    async def validate(self, change: Change) -> None:
        """Fill in what the source order has, and check terms and dates."""
        if change.new:
            await self._begin(change)
        elif change.before["status"] == "cancelled" and not change.only_of_the_client():
            change.problems.append(InvalidState("The subscription is cancelled: it can't be changed."))
        await check_wallet(change)
        await prepaying.check(change)
        _check_calendar(change)
        await _check_offered(change)

    async def before_write(self, change: Change) -> None:
        """Refuse a second one of the same, and keep the schedule in step."""
        if change.new:
            await duplicates.check(change, await self.lines(change))
        await cancelling.check(change)
        if not change.problems:
            await self._schedule(change)

    def writes_elsewhere(self, change: Change) -> bool:
        """Whether a run was moved: it isn't the next one where that is settled."""
        return "step" in change.kept and "next_run_at" in change.draft.attributes

    async def after_write(self, change: Change) -> None:
        """Write the ledger, the copies that were asked for and the events; a new one gets its order's items."""
        if change.new:
            await self._copy_items(change)
        step: Advance | None = change.kept.get("step")
        if step is not None:
            actor = outbox.actor(change.principal)
            await ledgers.write(change.connection, change.store, change.id, step, at=change.at, actor=actor)
        happened: list[Event] = []
        if "order_next_now" in change.done:
            made = await sweep.order_missing(change.connection, change.store, change.id)
            happened += [Event("recurring_order_copies.create", id_) for id_ in made]
        if "run_now" in change.done:
            happened += await self._run_now(change)
        if "cancel" in change.done:
            happened += await abort(change.connection, change.store, change.id, at=change.at)
            await dunning.stop(change.connection, change.store, subscription_id=change.id)
        elif not change.new and change.sets("customer_payment_source_id"):
            await dunning.hurry(change.connection, change.store, subscription_id=change.id)
        await outbox.record_all(change.connection, change.store, happened, actor=outbox.actor(change.principal))

    async def before_delete(self, change: Change) -> None:
        """Only drafts can be deleted."""
        if change.before["status"] != "draft":
            status = change.before["status"]
            change.problems.append(InvalidState("The subscription is {status}: it can't be deleted.", status=status))

    async def _begin(self, change: Change) -> None:
        """What a new subscription takes over. It is active at once when its source order was placed already."""
        columns = change.columns
        source = await sources.of(change.connection, change.store, change.value("source_order_id"))
        assert source is not None  # noqa: S101 -- linkage was checked
        columns["number"] = await take_number(change, "order_subscriptions")
        columns.setdefault("timezone", change.store.timezone)
        for column in ("customer_id", "customer_email"):
            columns[column] = getattr(source, column)
        for column in CARRIED:
            columns.setdefault(column, getattr(source, column))
        if change.principal.owner is not None:
            columns.setdefault("price_mode", "current")
        columns["anchor_at"] = columns.get("starts_at") or source.placed_at or change.at
        by_order = columns.get("activate_by_source_order", True)
        if by_order and source.placed_at is not None and source.status != "cancelled":
            columns["status"] = "active"
            change.happened.append("activate")
        elif by_order is False and "starts_at" not in columns:
            change.problems.append(blank("starts_at", "/data"))

    async def foreseen(self, connection: Connection, principal: Principal, id_: str, draft: Draft) -> Sequence[Phrase]:
        """Say why the next run could not be ordered as things are."""
        return await foreseeing.warnings(connection, principal, id_, draft)

    async def lines(self, change: Change) -> Sequence[str]:
        """The lines of its source order that a new one repeats: those that it is made of, else all of them."""
        chosen: Sequence[str] | None = change.kept.get("lines")
        if chosen is not None:
            return chosen
        source = await sources.of(change.connection, change.store, change.value("source_order_id"))
        return (source and source.line_ids) or []

    async def _copy_items(self, change: Change) -> None:
        line_ids = await self.lines(change)
        ids = [clock.new_id() for _ in line_ids]
        await _COPY_ITEMS(
            change.connection,
            store=change.store.id,
            subscription=change.id,
            ids=ids,
            lines=list(line_ids),
            at=change.at,
        )
        if change.principal.owner is not None and change.value("price_mode") == "current":
            await prices.take_todays(change.connection, change.store, change.id)

    async def _schedule(self, change: Change) -> None:
        """Work out the next occurrences where something about them changes."""
        moved = _moves(change)
        if change.value("anchor_at") is None:
            change.columns["anchor_at"] = change.at
        runs = change.value("status") in SUBSCRIPTIONS_THAT_RUN and change.value("parked_at") is None
        if moved and not self._may_move(change, runs=runs):
            return
        begins = change.new or change.before["status"] == "draft"
        if change.value("status") not in SUBSCRIPTIONS_THAT_RUN:
            return
        if not (moved or begins or change.sets(*_CALENDAR, *_BOUNDS) or change.happened):
            return
        done = await self._reschedule(change, begins=begins)
        if done is None:
            return
        calendar, step = done.standing.calendar, done.step
        next_run_at, ended_at = ledgers.run_or_end(step, change.before.get("ended_at"), change.at)
        if not runs:
            next_run_at = ended_at = None
        if ended_at is not None and change.before.get("ended_at") is None:
            change.happened.append(ledgers.END)
        change.kept["step"] = step
        change.columns |= {
            "anchor_at": calendar.anchor_at,
            "anchor_index": calendar.anchor_index,
            "anchor_wall": calendar.wall,
            "phase_on": calendar.phase_on,
            "phase_at": calendar.phase_at,
            "next_index": step.next_index,
            "next_run_at": next_run_at,
            "ended_at": ended_at,
        }

    async def _reschedule(self, change: Change, *, begins: bool) -> Rescheduled | None:
        """What the edit makes of the ledger; None where that can't be, which is noted."""
        before = ledgers.terms_of(change.columns if begins else change.before)
        after = ledgers.terms_of({**change.before, **change.columns})
        try:
            standing, begins = await self._standing(change, before if not begins else after, begins=begins)
            ran = Ran() if change.new else await ledgers.runs(change.connection, change.store, change.id)
            edit = replace(
                after.edit,
                anchor_at=change.columns["anchor_at"] if change.sets("anchor_at") and not begins else None,
                runs_left=after.runs_left(ran),
                begins=begins,
                idle=not change.new and change.before["status"] == "inactive",
                skips_next="skip_next" in change.done,
                delay=_delay(change),
                orders_next="order_next_now" in change.done,
                next_run_at=change.columns["next_run_at"] if _moves(change) else None,
            )
            return reschedule(standing, edit, change.at)
        except NotMovable as error:
            name = next((name for name in _MOVING if name.removeprefix("_") in change.done), "next_run_at")
            pointer = change.draft.pointer(name)
            change.problems.append(Invalid("{name} - {message}", name=name, message=error.reason, pointer=pointer))
        except TooSoon as error:
            change.problems.append(_too_soon(change, error.allowed_at))
        except Conflicting as error:
            change.problems.append(await self._conflict(change, error))
        except UNCOUNTABLE:
            pointer = change.draft.pointer("frequency", *frequencies.FIELDS, "timezone", "anchor_at", "starts_at")
            change.problems.append(Invalid("Its dates can't be counted: they pass the year 9999.", pointer=pointer))
        return None

    async def _standing(self, change: Change, terms: Terms, *, begins: bool) -> tuple[Standing, bool]:
        """How the subscription stands, and whether it is to be counted from its anchor."""
        if begins:
            return Standing(terms.calendar, terms.next_index, catchup_policy=terms.catchup_policy), True
        try:
            found = await ledgers.standing(change.connection, change.store, terms)
        except UNCOUNTABLE:
            # One whose calendar could not be read is counted anew, by what it is told now.
            wanted = ledgers.terms_of({**change.before, **change.columns})
            return Standing(wanted.calendar, wanted.next_index, parked=True), True
        if "delay" in change.done or "order_next_now" in change.done:
            found = await ledgers.kept_apart(change.connection, change.store, terms, found)
        return found, False

    async def _conflict(self, change: Change, conflict: Conflicting) -> InvalidState:
        """The refusal that names what was skipped or moved."""
        indexes = [entry.index for entry in conflict.entries]
        ids = await ledgers.ids(change.connection, change.store, change.id, indexes)
        named = [
            {
                "id": ids[entry.index],
                "occurrence_index": entry.index,
                "status": entry.status,
                "scheduled_at": render_timestamp(entry.scheduled_at),
            }
            for entry in conflict.entries
        ]
        return InvalidState(
            "Occurrences were skipped or moved, which this would undo: {named}. Let them run as planned first.",
            named=", ".join(f"{one['occurrence_index']} ({one['id']})" for one in named),
            pointer=change.draft.pointer(*_CALENDAR, *frequencies.FIELDS, *_BOUNDS, "next_run_at"),
            meta={"occurrences": named},
        )

    def _may_move(self, change: Change, *, runs: bool) -> bool:
        """Whether the next run can be somewhere else; what is wrong is noted."""
        to, pointer = change.columns["next_run_at"], change.draft.pointer("next_run_at")
        if to is None:
            problem = Invalid("next_run_at - can't be empty: pause, skip or deactivate instead", pointer=pointer)
        elif not runs:
            problem = Invalid("next_run_at - can't be set: the subscription doesn't run", pointer=pointer)
        elif not change.at < to <= later(change.at, LONGEST_PAUSE):
            problem = Invalid("next_run_at - must be later than now, and within two years", pointer=pointer)
        else:
            return True
        change.problems.append(problem)
        return False

    async def _run_now(self, change: Change) -> list[Event]:
        """An extra run, outside of the schedule."""
        copy_id = str(change.said["copy_id"])
        await _ORDER_EXTRA_COPY(
            change.connection, store=change.store.id, copy=copy_id, subscription=change.id, at=change.at
        )
        await recurring_order_copies.enqueue(change.connection, change.store.id, copy_id)
        return [Event("recurring_order_copies.create", copy_id)]


async def abort(connection: Connection, store: Store, subscription_id: str, *, at: datetime) -> list[Event]:
    """End what a cancelled subscription has ahead: copies that nobody is at aren't made, occurrences don't come."""
    aborted = await _ABORT(connection, store=store.id, subscription=subscription_id, at=at)
    return [Event("recurring_order_copies.abort", id_) for id_ in aborted]


def _delay(change: Change) -> Delay | None:
    """What the next run is put off by, if it is."""
    if "delay" not in change.done:
        return None
    kept: Delay | None = change.kept.get("delay")
    return kept or Delay(change.draft.triggers["_delay"], change.draft.triggers.get("_delay_unit", "day"))


def _too_soon(change: Change, allowed_at: datetime) -> InvalidState:
    """The refusal that names the first instant at which it would be allowed."""
    at = render_timestamp(allowed_at)
    pointer = change.draft.pointer(*_MOVING)
    return InvalidState(
        "That would be too soon after another run: {at} is possible.", at=at, pointer=pointer, meta={"allowed_at": at}
    )


def _moves(change: Change) -> bool:
    """Whether another next run was sent."""
    return "next_run_at" in change.draft.attributes and change.sets("next_run_at")


def _check_calendar(change: Change) -> None:
    for name in ("anchor_at", "starts_at"):
        at = change.value(name)
        if change.sets(name) and at is not None and not EARLIEST <= at <= later(change.at, LATEST):
            pointer = change.draft.pointer(name)
            change.problems.append(Invalid("{name} - is too far from today", name=name, pointer=pointer))
    frequencies.settle(change)


async def _check_offered(change: Change) -> None:
    """A subscription that a model led to changes to frequencies of that model only; what it has it may keep."""
    model_id, frequency = change.value("subscription_model_id"), change.value("frequency")
    if change.new or model_id is None or not change.sets("frequency"):
        return
    if not await _IS_OFFERED(change.connection, store=change.store.id, model=model_id, frequency=frequency):
        pointer = change.draft.pointer("frequency", *frequencies.FIELDS)
        change.problems.append(Invalid("frequency - is not offered by the subscription model", pointer=pointer))
