"""Subscriptions that would order the same again: a second click, a request that was sent twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.errors import Conflict
from service.operations.generic.change import Change
from service.store.statements import One, Value

ALLOWED = "allow_duplicate"
"""The trigger of who wants a second one."""


class _Equal(NamedTuple):
    id: str
    number: int


_LOCK = Value("subscriptions/subscriptions.lock_source_order", str)
_EQUAL = One("subscriptions/subscriptions.equal", _Equal)


async def check(change: Change, line_ids: Sequence[str]) -> None:
    """Note that a subscription equal to a new one is there already, unless another is wanted.

    It is equal when it repeats the same items of the same order equally often; `line_ids` are the lines that the new
    one is made of. Locks the order: of several at once the first is made.
    """
    if change.draft.triggers.get(ALLOWED) or change.kept.get(ALLOWED):
        return
    order = {"store": change.store.id, "source_order": change.value("source_order_id")}
    await _LOCK(change.connection, **order)
    frequency = change.value("frequency")
    equal = await _EQUAL(change.connection, **order, frequency=frequency, lines=list(line_ids))
    if equal is not None:
        change.problems.append(
            Conflict(
                "Subscription {number} repeats the same items of this order already, equally often ({frequency})."
                " Send {allowed} to have another.",
                number=equal.number,
                frequency=frequency,
                allowed=ALLOWED,
                pointer=change.draft.pointer("source_order"),
                meta={"error": "duplicate", "order_subscription_id": equal.id},
            )
        )
