"""How a subscription is cancelled: when its customer may, at once or with the run that comes next, and what is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schemas.kinds import render_timestamp
from service import clock
from service.errors import Invalid, InvalidState
from service.jsonapi.nearness import nearest
from service.operations.generic.change import Change
from service.operations.subscriptions import forecasts, ledgers
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Values
from service.texts import Either

AT_PERIOD_END: Final = "cancel_at_period_end"
SAID: Final = ("cancellation_reason", "cancellation_comment")
"""Columns that say why."""

_REASONS = Values("tenant/stores.cancellation_reasons", str)


@dataclass(frozen=True, slots=True)
class Commitment:
    """What keeps a customer from cancelling: `run` has to make its order first, at `at` where that is known."""

    run: int
    at: datetime | None


async def reasons(connection: Connection, store: Store) -> Sequence[str]:
    """Return the reasons that a store offers for cancelling."""
    return await _REASONS(connection, store=store.id)


async def commitment(
    connection: Connection, store: Store, subscription_id: str, *, at_period_end: bool = False
) -> Commitment | None:
    """What keeps a customer from cancelling a subscription now, or from ending it with its next run; None if nothing.

    Nothing does before it begins, and once it has no run to come any more.
    """
    terms = await ledgers.find(connection, store, subscription_id)
    if terms is None or terms.min_occurrences is None or terms.status == "draft" or terms.ended_at is not None:
        return None
    ran = await ledgers.runs(connection, store, subscription_id)
    made, under_way = ran.made, ran.under_way
    # What is paid for comes before the end, else the run that comes next.
    left = terms.paid_left(0)
    run = terms.min_occurrences - (0 if not at_period_end else 1 if left is None else left)
    if made >= run:
        return None
    # Those that have come up, and are being made, come before those that are planned.
    if run - made <= under_way:
        return Commitment(run, clock.now(store))
    last = await forecasts.date_of(connection, store, subscription_id, run - made - under_way)
    return Commitment(run, None if last is None else last.scheduled_at)


async def check(change: Change) -> None:
    """Check that a change may cancel, and what it says to that; what was said goes when it is taken back."""
    _take_back(change)
    await _check_commitment(change)
    await _check_said(change)


def _take_back(change: Change) -> None:
    if change.new or not change.sets(AT_PERIOD_END) or change.value(AT_PERIOD_END):
        return
    if change.principal.owner is not None and change.before["ended_at"] is not None:
        change.problems.append(
            InvalidState(
                "The subscription has ended: it can't go on.",
                pointer=change.draft.pointer(AT_PERIOD_END),
            )
        )
    if "cancel" not in change.done:
        change.columns |= dict.fromkeys(SAID)


async def _check_commitment(change: Change) -> None:
    """Note that a customer has to wait, who wants to cancel before the subscription has run as often as it must."""
    at_once = "cancel" in change.done
    if change.principal.owner is None or not (at_once or (change.sets(AT_PERIOD_END) and change.value(AT_PERIOD_END))):
        return
    keeps = await commitment(change.connection, change.store, change.id, at_period_end=not at_once)
    if keeps is not None:
        change.problems.append(too_early(keeps, change.draft.pointer("_cancel", AT_PERIOD_END)))


def too_early(keeps: Commitment, pointer: str | None = None) -> Invalid:
    """The refusal that names the run, and the day, from which on it can be cancelled."""
    meta = {"run": keeps.run, "allowed_at": render_timestamp(keeps.at)}
    if keeps.at is None:
        return Invalid("It can be cancelled after run {run}.", run=keeps.run, pointer=pointer, meta=meta)
    at = render_timestamp(keeps.at)
    return Invalid(
        "It can be cancelled after run {run}, from {at} on.", run=keeps.run, at=at, pointer=pointer, meta=meta
    )


async def _check_said(change: Change) -> None:
    said = [name for name in SAID if change.sets(name) and change.value(name) is not None]
    if said and not ("cancel" in change.done or change.value(AT_PERIOD_END)):
        change.problems += [
            Invalid(
                "{name} - is sent with {verb} or {flag}",
                name=name,
                verb="_cancel",
                flag=AT_PERIOD_END,
                pointer=change.draft.pointer(name),
            )
            for name in said
        ]
    elif "cancellation_reason" in said:
        await _check_reason(change)


async def _check_reason(change: Change) -> None:
    reason, known = change.value("cancellation_reason"), await reasons(change.connection, change.store)
    if reason in known:
        return
    pointer = change.draft.pointer("cancellation_reason")
    if not known:
        problem = Invalid("cancellation_reason - must be empty: the store offers no reasons", pointer=pointer)
    else:
        problem = Invalid(
            "cancellation_reason - must be one of {known}",
            known=Either(known),
            pointer=pointer,
            meta={"cancellation_reasons": list(known)},
            suggestion=nearest(reason, known),
        )
    change.problems.append(problem)
