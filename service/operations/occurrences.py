"""Occurrences as clients write them: left out, let run after all, or moved, one by one, as long as they are planned."""

from __future__ import annotations

from service.errors import Invalid, InvalidState
from service.operations import sweep
from service.operations.subscriptions import calendar_of, replan
from service.operations.writes import Change, Writer


class Occurrences(Writer):
    """Occurrences to come; their subscription's next run follows them."""

    whole = "order_subscription"

    async def complete(self, change: Change) -> None:
        """Do what the verbs ask for, and check where it is moved to."""
        status = change.before["status"]
        skip, unskip = (change.draft.triggers.get(verb, False) for verb in ("_skip", "_unskip"))
        if (skip or unskip or change.sets("scheduled_at")) and status not in ("planned", "skipped"):
            change.problems.append(InvalidState("The occurrence is {status}: it can't be changed.", status=status))
            return
        if skip and status == "planned":
            change.columns |= {"status": "skipped", "reason": "asked"}
            change.happened.append("skip")
        elif unskip and status == "skipped":
            if change.before["scheduled_at"] <= change.at:
                problem = InvalidState(
                    "The occurrence's time is over: it can't run any more.", pointer="/data/attributes/_unskip"
                )
                change.problems.append(problem)
            change.columns |= {"status": "planned", "reason": None}
            change.happened.append("unskip")
        if change.sets("scheduled_at"):
            change.columns["reason"] = "moved"
            change.happened.append("reschedule")
            await self._check_place(change)

    async def settle(self, change: Change) -> None:
        """Bring the next run of the subscription up to date."""
        await replan(change.connection, change.store, change.whole, at=change.at)

    async def _check_place(self, change: Change) -> None:
        """Occurrences keep their order: each stays after the one before it and before the one after it."""
        to, index = change.value("scheduled_at"), change.before["occurrence_index"]
        pointer = change.draft.pointer("scheduled_at")
        if to <= change.at:
            change.problems.append(Invalid("scheduled_at - must be later than now", pointer=pointer))
            return
        subscription = change.before["order_subscription_id"]
        near = await sweep.entries(change.connection, change.store, subscription, index - 1)
        earlier, later = near.get(index - 1), near.get(index + 1)
        after = later.scheduled_at if later is not None else calendar_of(change.whole).date(index + 1).at
        if (earlier is not None and to <= earlier.scheduled_at) or to >= after:
            change.problems.append(
                Invalid(
                    "scheduled_at - must be after the occurrence before it, and before the one after it",
                    pointer=pointer,
                )
            )
