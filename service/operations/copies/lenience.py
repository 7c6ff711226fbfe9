"""Whether a run goes on without what can't be had: the `unavailable_policy` of a subscription, else of its store.

A subscription without one, in a store without one, fails the run, as Commerce Layer's do.
"""

from __future__ import annotations

from service.operations.copies.runs import Item, Run
from service.rules.outcomes import Outcome, StockPolicy


def leaves_out(run: Run) -> bool:
    """Whether a run leaves out items that can't be had as they are."""
    return run.terms.unavailable_policy in ("skip_line", "partial")


def stock_of(run: Run) -> StockPolicy:
    """What the stock decides before an order is placed; without lenience it is taken whole, or missed, by placing."""
    if not run.place:
        return "ignore"
    policies: dict[str | None, StockPolicy] = {"skip_line": "skip", "partial": "partial"}
    return policies.get(run.terms.unavailable_policy, "ignore")


def reduces(run: Run, outcome: Outcome) -> bool:
    """Whether fewer pieces than wanted are ordered; more than that never are."""
    return run.terms.unavailable_policy == "partial" and 0 < outcome.resulting_quantity < outcome.line.quantity


def told(item: Item, outcome: Outcome) -> dict[str, str | int | None]:
    """An item that wasn't ordered as it is, as the copy tells of it."""
    return {
        "order_subscription_item_id": None if item.is_added else item.id,
        **({"occurrence_item_id": item.id} if item.is_added else {}),
        "sku_code": outcome.line.sku_code,
        "status": outcome.status,
        "code": outcome.code,
        "requested_quantity": outcome.line.quantity,
        "resulting_quantity": outcome.resulting_quantity,
    }
