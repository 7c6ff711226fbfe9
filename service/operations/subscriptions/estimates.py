"""What runs of a subscription would come to: by the code that makes them, from the catalogue as it will be then."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.operations.catalogue import pricing
from service.operations.copies import comparing, runs, targets
from service.operations.copies.runs import Item, Run, Terms
from service.operations.copies.targets import CopyFailed, Wanted
from service.principal import Store
from service.rules.outcomes import CatalogueItem
from service.rules.states import Messages
from service.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would come to: its lines, and the total in minor units, None where it would fail as `messages` say.

    With a total, `messages` say what its order would wait for.

    `compared_with` is what the total is held against where no other run comes before it (`comparing.compared_with`).
    """

    lines: Sequence[Wanted]
    total: int | None
    compared_with: int | None = None
    messages: Messages | None = None

    def told(self) -> list[dict[str, Any]]:
        """The lines as clients see them, amounts in minor units of the subscription's currency."""
        return [
            {
                "sku_code": one.item.sku_code,
                "name": one.item.name,
                "quantity": one.item.quantity,
                "price_mode": one.item.price_mode,
                "previous_unit_amount_cents": one.item.unit_amount_cents,
                "current_unit_amount_cents": None if one.price is None else one.price.amount_cents,
                "status": "added" if one.problem is None else "skipped",
                "code": one.problem,
                "notices": list(one.outcome.notices) if one.item.price_mode == "current" else [],
            }
            for one in self.lines
        ]


async def estimates(connection: Connection, store: Store, terms: Terms, instants: Sequence[datetime]) -> list[Estimate]:
    """What runs on these terms (`terms_of_run`) would come to at these instants, which ascend.

    The catalogue is read once, and again for each time at which something of it is known to change in between. Stock is
    not looked at: nobody knows it beforehand.
    """
    if not instants:
        return []
    subscription_id = terms.subscription_id
    items = (await runs.items_of(connection, store, [subscription_id])).get(subscription_id, [])
    sku_ids = sorted({item.sku_id for item in items if item.sku_id is not None})
    turns = await pricing.turns(connection, store, sku_ids, instants[0], instants[-1])
    catalogues: dict[int, Mapping[str, CatalogueItem]] = {}
    found = []
    for at in instants:
        since = bisect_right(turns, at)
        if since not in catalogues:
            catalogues[since] = await runs.catalogue_of(connection, store, items, terms.basis, at)
        found.append(await _estimate(items, catalogues[since], terms, at))
    return found


async def _estimate(
    items: Sequence[Item], catalogue: Mapping[str, CatalogueItem], terms: Terms, at: datetime
) -> Estimate:
    run = Run(terms, terms.place_target_order)
    lines = targets.wanted(items, catalogue, run)
    try:
        target = await targets.planned(run, items, catalogue, 0, at)
        return Estimate(lines, target.totals.total, comparing.compared_with(target, terms), target.unpaid)
    except CopyFailed as failure:
        return Estimate(lines, None, messages=failure.messages)
