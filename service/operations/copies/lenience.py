"""Whether a run goes on without what can't be had, or with something else: the policy of a subscription or its store.

A subscription without an `unavailable_policy`, in a store without one, fails the run, as Commerce Layer's do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from service.operations.catalogue import skus
from service.operations.copies.runs import Item, Run
from service.principal import Store
from service.rules.outcomes import Outcome, StockPolicy
from service.rules.substitutes import Substitutes
from service.store.pool import Connection


def leaves_out(run: Run) -> bool:
    """Whether a run leaves out items that can't be had as they are."""
    return run.terms.unavailable_policy in ("skip_line", "partial")


def replaces(run: Run) -> bool:
    """Whether a run orders substitutes for items that can't be had; it fails where there are none."""
    return run.terms.unavailable_policy == "substitute"


async def substitutes_of(
    connection: Connection, store: Store, ordered: Sequence[tuple[Run, Sequence[Item]]]
) -> Substitutes:
    """What may come in the place of what runs order: one statement where one of them orders substitutes, else none."""
    sku_ids = skus_of([(run, items) for run, items in ordered if replaces(run)])
    return await skus.substitutes(connection, store, sku_ids) if sku_ids else {}


def skus_of(
    ordered: Iterable[tuple[Run, Sequence[Item]]], substitutes: Substitutes = MappingProxyType({})
) -> AbstractSet[str]:
    """The ids of the skus that runs order, or may order instead."""
    found: set[str] = set()
    for run, items in ordered:
        own = [item.sku_id for item in items if item.sku_id is not None]
        found.update(own)
        if replaces(run):
            found.update(substitute for sku_id in own for substitute in substitutes.get(sku_id, ()))
    return found


def stock_of(run: Run) -> StockPolicy:
    """What the stock decides before an order is placed; without lenience it is taken whole, or missed, by placing."""
    if not run.place:
        return "ignore"
    policies: dict[str | None, StockPolicy] = {"skip_line": "skip", "partial": "partial", "substitute": "skip"}
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
        "substitute_sku_code": None if outcome.substitute is None else outcome.substitute.code,
    }
