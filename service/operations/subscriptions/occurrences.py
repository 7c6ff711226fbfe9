"""Occurrences as clients write them, one by one.

One that has no row yet is named by its index, which gives it one. They are left out, let run after all or moved as long
as they are planned, approved or rejected where they are held because they would cost too much, and tried again where
they failed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from schemas.kinds import render_timestamp
from service.errors import ApiError, Invalid, InvalidState
from service.jsonapi.body import Draft
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.generic.created import Created
from service.operations.subscriptions import contents, ledgers, sweep
from service.operations.subscriptions.contents import Run
from service.operations.subscriptions.previews import Previewed
from service.principal import Principal
from service.rules.rescheduling import Conflicting
from service.rules.schedule import NotMovable, comes, move, room
from service.rules.states import SUBSCRIPTIONS_THAT_RUN
from service.store.pool import Connection
from service.store.write import Columns


async def _skipped(change: Change) -> Columns | None:
    return {"reason": "asked"} if _is_open(change, "_skip") else None


async def _unskipped(change: Change) -> Columns | None:
    """Let it run after all, unless its subscription is over or the schedule has gone past it."""
    if not _runs(change, "_unskip") or not _is_open(change, "_unskip"):
        return None
    if _is_over(change) or change.before["scheduled_at"] <= change.at:
        change.problems.append(contents.over("_unskip"))
        return None
    index = change.before["occurrence_index"]
    standing = await ledgers.standing(change.connection, change.store, ledgers.terms_of(change.whole))
    planned = replace(standing.entries[index], status="planned")
    if not comes(replace(standing, entries={**standing.entries, index: planned}), index):
        pointer = "/data/attributes/_unskip"
        change.problems.append(InvalidState("The subscription ends before the occurrence.", pointer=pointer))
        return None
    return {"reason": None}


async def _approved(change: Change) -> Columns | None:
    """Let a held one run at what it was shown to cost, until another comes up."""
    if _runs(change, "_approve") and _end_of_approval(change) <= change.at:
        change.problems.append(contents.over("_approve"))
    elif not change.problems:
        await _check_number(change, "_approve")
    return None if change.problems else {"approved_amount_cents": change.before["held_amount_cents"]}


async def _rejected(_: Change) -> Columns:
    return {"reason": "rejected"}


async def _committed(change: Change) -> Columns | None:
    """Put its drafts into force, if that leaves something to order."""
    refusal = _is_closed(change, "_commit")
    if refusal is None and not await contents.has_drafts(change):
        return None
    if refusal is None:
        lines = await contents.ordered(change, contents.Run.of(change.id, change.before), drafts=True)
        refusal = contents.problem_of([*lines.values()], "_commit")
    change.problems += [refusal] if refusal else []
    return None if refusal else {}


async def _retried(change: Change) -> Columns | None:
    """Let a failed one run again, as long as its subscription may run at all."""
    if _runs(change, "_retry"):
        await _check_number(change, "_retry")
    return None if change.problems else {"failure_type": None}


class Occurrences(Previewed):
    """Occurrences to come; their subscription's next run follows them."""

    whole = "order_subscription"
    effects: ClassVar = {
        "skip": _skipped,
        "unskip": _unskipped,
        "approve": _approved,
        "reject": _rejected,
        "retry": _retried,
        "commit": _committed,
    }

    async def before_write(self, change: Change) -> None:
        """Check where it is moved to, and whether it may still go elsewhere. A new one is where the schedule has it."""
        if change.new:
            entry = await contents.unwritten(change)
            if entry is None:
                return
            change.columns |= {
                "nominal_at": entry.nominal_at,
                "scheduled_at": entry.scheduled_at,
                "status": entry.status,
                "reason": entry.reason,
            }
        for name in ("shipping_address", "shipping_method"):
            refusal = _is_closed(change, name) if change.sets(f"{name}_id") else None
            change.problems += [refusal] if refusal else []
        if change.new or not change.sets("scheduled_at"):
            return
        status = change.before["status"]
        if status not in ("planned", "skipped"):
            change.problems.append(InvalidState("The occurrence is {status}: it can't be changed.", status=status))
        elif _is_over(change):
            change.problems.append(contents.over("scheduled_at"))
        elif _runs(change, "scheduled_at") and _is_open(change, "scheduled_at"):
            change.columns["reason"] = "moved"
            change.happened.append("reschedule")
            await self._check_place(change)

    async def after_write(self, change: Change) -> None:
        """Bring the next run of the subscription up to date, and order the copies of what was approved."""
        actor = outbox.actor(change.principal)
        await contents.raise_version(change)
        if change.new:
            return
        if "commit" in change.done:
            happened = await contents.commit(change)
            await outbox.record_all(change.connection, change.store, happened, actor=actor)
        try:
            await ledgers.replan(change.connection, change.store, change.whole["id"], actor=actor)
        except Conflicting as conflict:
            index = conflict.entries[0].index
            raise InvalidState("Occurrence {index} was moved, and would not come any more.", index=index) from None
        made = await sweep.order_missing(change.connection, change.store, change.whole["id"])
        happened = [Event("recurring_order_copies.create", id_) for id_ in made]
        await outbox.record_all(change.connection, change.store, happened, actor=actor)

    async def _check_place(self, change: Change) -> None:
        """Occurrences keep their order: each stays after the one before it and before the one after it.

        The `meta` of a problem says between which instants it can be.
        """
        to, index = change.value("scheduled_at"), change.before["occurrence_index"]
        pointer = change.draft.pointer("scheduled_at")
        standing = await ledgers.standing(change.connection, change.store, ledgers.terms_of(change.whole))
        found = room(standing, index)
        after = change.at if found.after is None else max(found.after, change.at)
        within = {"after": render_timestamp(after), "before": render_timestamp(found.before)}
        if to <= change.at:
            change.problems.append(Invalid("scheduled_at - must be later than now", pointer=pointer, meta=within))
            return
        try:
            move(standing, index, to)
        except NotMovable as error:
            change.problems.append(
                Invalid("scheduled_at - {reason}", reason=error.reason, pointer=pointer, meta=within)
            )


async def create(connection: Connection, principal: Principal, draft: Draft) -> Created:
    """Give a run to come a row, by which it can be changed. Raises as `Writer.create`; Conflict for one that has it."""
    return Created(await Occurrences().create(connection, principal, draft))


async def _check_number(change: Change, asked: str) -> None:
    """Note a problem about the field `asked` where its subscription has run as often as it may.

    An occurrence that failed, or is held, hasn't counted so far.
    """
    most = change.whole["max_occurrences"]
    if most is not None and most <= (await ledgers.runs(change.connection, change.store, change.whole["id"])).came_up:
        change.problems.append(
            InvalidState("The subscription has run {most} times, as often as it may.", most=most, fields=(asked,))
        )


def _is_over(change: Change) -> bool:
    """Whether the schedule has gone past it."""
    return bool(change.before["occurrence_index"] < change.whole["next_index"])


def _is_closed(change: Change, asked: str) -> ApiError | None:
    """Why what it orders and where it goes can't be changed any more, about the field `asked`; None if it can."""
    row = change.before or change.columns
    return contents.closed(change.whole, Run._make(row[name] for name in Run._fields), change.at, asked)


def _runs(change: Change, asked: str) -> bool:
    """Whether its subscription runs; a problem when it doesn't, about the field `asked`."""
    of = change.whole["status"]
    if of not in SUBSCRIPTIONS_THAT_RUN:
        change.problems.append(
            InvalidState("The subscription is {status}: it doesn't run.", status=of, fields=(asked,))
        )
    return of in SUBSCRIPTIONS_THAT_RUN


def _is_open(change: Change, asked: str) -> bool:
    """Whether its date isn't cut off from edits yet; a problem when it is, about the field `asked`."""
    refusal = contents.cut_off(ledgers.terms_of(change.whole), change.before["scheduled_at"], change.at, asked)
    change.problems += [refusal] if refusal else []
    return refusal is None


def _end_of_approval(change: Change) -> datetime:
    """The first date of the calendar after an occurrence was held, whether or not the subscription still runs then."""
    calendar = ledgers.terms_of(change.whole).calendar
    return calendar.date(calendar.first_after(change.before["held_at"])).at
