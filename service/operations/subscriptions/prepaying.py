"""Subscriptions that pay for several deliveries at once: what that goes with, and what is left in the end."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.kinds import due
from service.errors import Invalid
from service.operations.generic.change import Change
from service.operations.subscriptions import ledgers
from service.rules.prepaid import period_of
from service.rules.states import PLACED_ORDERS
from service.store.statements import One

OCCURRENCES: Final = "prepaid_occurrences"
_LEFT: Final = "prepaid_occurrences_left"


class _Order(NamedTuple):
    status: str
    currency_code: str
    tax_included: bool


_ORDER = One("subscriptions/subscriptions.prepaid_order", _Order)


async def check(change: Change) -> None:
    """Note where deliveries that are paid for together could not all come, or would be ordered without being paid."""
    sets, left = change.value(OCCURRENCES), 0 if change.new else change.before[_LEFT]
    if sets is None and not left:
        return
    if change.sets(OCCURRENCES, "expires_at") and change.value("expires_at") is not None:
        change.problems.append(
            Invalid(
                "{name} - can't be set together with {other}: what is paid for would not all come. Set {instead}.",
                name=OCCURRENCES,
                other="expires_at",
                instead="max_occurrences",
                pointer=change.draft.pointer(OCCURRENCES, "expires_at"),
            )
        )
    if change.sets(OCCURRENCES, "place_target_order") and change.value("place_target_order") is False:
        change.problems.append(
            Invalid(
                "{name} - needs {other}: what is paid for is ordered by itself",
                name=OCCURRENCES,
                other="place_target_order",
                pointer=change.draft.pointer(OCCURRENCES, "place_target_order"),
            )
        )
    most = change.value("max_occurrences")
    if left and most is not None and change.sets("max_occurrences"):
        fewest = (await ledgers.runs(change.connection, change.store, change.id)).made + left
        if most < fewest:
            change.problems.append(
                Invalid(
                    "max_occurrences - must be at least {fewest}: so many deliveries are paid for",
                    fewest=fewest,
                    pointer=change.draft.pointer("max_occurrences"),
                )
            )


async def told(change: Change) -> dict[str, object]:
    """What the event of a cancelled subscription says of the deliveries that are paid for and don't come any more.

    Nothing, where each was paid for as it came, or their order wasn't paid.
    """
    period = period_of(change.before["prepaid_period"])
    if period is None:
        return {}
    order_id = change.before["prepaid_order_id"]
    order = await _ORDER(change.connection, store=change.store.id, order=order_id)
    if order is None or order.status not in {*PLACED_ORDERS, "placing"}:
        return {}
    return {
        "prepaid_order_id": order_id,
        _LEFT: period.left,
        "prepaid_amount_cents": due(period.amount_cents, period.tax_cents, tax_included=order.tax_included),
        "currency_code": order.currency_code,
    }
