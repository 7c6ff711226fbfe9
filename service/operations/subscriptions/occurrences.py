"""Occurrences as clients write them, one by one.

They are left out, let run after all or moved as long as they are planned, approved or rejected where they are held
because they would cost too much, and tried again where they failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from service.errors import Invalid, InvalidState
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.subscriptions import ledgers, sweep
from service.rules.rescheduling import Conflicting
from service.rules.schedule import NotMovable, move
from service.rules.states import SUBSCRIPTIONS_THAT_RUN
from service.rules.verbs import VERBS

_VERBS: Final = VERBS["occurrences"]


class Occurrences(Writer):
    """Occurrences to come; their subscription's next run follows them."""

    whole = "order_subscription"

    async def before_write(self, change: Change) -> None:
        """Do what the verbs ask for, and check where it is moved to."""
        status = change.before["status"]
        skip, unskip = (change.draft.triggers.get(verb, False) for verb in ("_skip", "_unskip"))
        if (skip or unskip or change.sets("scheduled_at")) and status not in ("planned", "skipped"):
            change.problems.append(InvalidState("The occurrence is {status}: it can't be changed.", status=status))
            return
        over = change.before["occurrence_index"] < change.whole["next_index"]
        if unskip and status == "skipped" and over:
            change.problems.append(_over("/data/attributes/_unskip"))
            return
        if change.sets("scheduled_at") and over:
            change.problems.append(_over(change.draft.pointer("scheduled_at")))
            return
        if skip and status in _VERBS["skip"].sources:
            change.columns |= {"status": _VERBS["skip"].target, "reason": "asked"}
            change.happened.append("skip")
        elif unskip and status in _VERBS["unskip"].sources:
            if change.before["scheduled_at"] <= change.at:
                change.problems.append(_over("/data/attributes/_unskip"))
            change.columns |= {"status": _VERBS["unskip"].target, "reason": None}
            change.happened.append("unskip")
        if change.sets("scheduled_at"):
            change.columns["reason"] = "moved"
            change.happened.append("reschedule")
            await self._check_place(change)
        self._decide(change)
        if change.draft.triggers.get("_retry", False):
            await self._retry(change)

    async def after_write(self, change: Change) -> None:
        """Bring the next run of the subscription up to date, and order the copies of what was approved."""
        actor = outbox.actor(change.principal)
        try:
            await ledgers.replan(change.connection, change.store, change.whole["id"], actor=actor)
        except Conflicting as conflict:
            index = conflict.entries[0].index
            raise InvalidState("Occurrence {index} was moved, and would not come any more.", index=index) from None
        made = await sweep.order_missing(change.connection, change.store, change.whole["id"])
        happened = [Event("recurring_order_copies.create", id_) for id_ in made]
        await outbox.record_all(change.connection, change.store, happened, actor=actor)

    async def _retry(self, change: Change) -> None:
        """Let a failed occurrence run again."""
        status, of, pointer = change.value("status"), change.whole["status"], "/data/attributes/_retry"
        most = change.whole["max_occurrences"]
        if status not in _VERBS["retry"].sources:
            change.problems.append(
                InvalidState("The occurrence is {status}: it can't be retried.", status=status, pointer=pointer)
            )
        elif of not in SUBSCRIPTIONS_THAT_RUN:
            change.problems.append(
                InvalidState("The subscription is {status}: it doesn't run.", status=of, pointer=pointer)
            )
        elif most is not None and most <= await ledgers.runs(change.connection, change.store, change.whole["id"]):
            change.problems.append(
                InvalidState("The subscription has run {most} times, as often as it may.", most=most, pointer=pointer)
            )
        else:
            change.columns["status"] = _VERBS["retry"].target
            change.happened.append("retry")

    def _decide(self, change: Change) -> None:
        """Let a held occurrence run at what it was shown to cost, or leave it out."""
        for verb, wanted in _DECISIONS.items():
            if not change.draft.triggers.get(f"_{verb}", False):
                continue
            status, pointer = change.value("status"), f"/data/attributes/_{verb}"
            if status not in _VERBS[verb].sources:
                problem = InvalidState(
                    "The occurrence is {status}: it needs no approval.", status=status, pointer=pointer
                )
                change.problems.append(problem)
            elif verb == "approve" and change.whole["status"] not in SUBSCRIPTIONS_THAT_RUN:
                of = change.whole["status"]
                change.problems.append(
                    InvalidState("The subscription is {status}: it doesn't run.", status=of, pointer=pointer)
                )
            elif verb == "approve" and _end_of_approval(change) <= change.at:
                change.problems.append(_over(pointer))
            else:
                change.columns |= wanted(change)
                change.happened.append(verb)

    async def _check_place(self, change: Change) -> None:
        """Occurrences keep their order: each stays after the one before it and before the one after it."""
        to, index = change.value("scheduled_at"), change.before["occurrence_index"]
        pointer = change.draft.pointer("scheduled_at")
        if to <= change.at:
            change.problems.append(Invalid("scheduled_at - must be later than now", pointer=pointer))
            return
        terms = ledgers.terms_of(change.whole)
        try:
            move(await ledgers.standing(change.connection, change.store, terms), index, to)
        except NotMovable as error:
            change.problems.append(Invalid("scheduled_at - {reason}", reason=error.reason, pointer=pointer))


def _over(pointer: str) -> InvalidState:
    """What the schedule has gone past isn't planned anew, also where it was left out without having been run."""
    return InvalidState("The occurrence's time has passed: it can't run any more.", pointer=pointer)


def _end_of_approval(change: Change) -> datetime:
    """The first date of the calendar after an occurrence was held, whether or not the subscription still runs then."""
    calendar = ledgers.terms_of(change.whole).calendar
    return calendar.date(calendar.first_after(change.before["held_at"])).at


_DECISIONS: Final[Mapping[str, Callable[[Change], dict[str, Any]]]] = {
    "approve": lambda change: {
        "status": _VERBS["approve"].target,
        "approved_amount_cents": change.before["held_amount_cents"],
    },
    "reject": lambda _: {"status": _VERBS["reject"].target, "reason": "rejected"},
}
"""What is decided about a held occurrence -> the columns that it sets. Sent both, the second finds nothing held."""
