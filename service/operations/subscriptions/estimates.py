"""What runs of a subscription would come to: by the code that makes them, from the catalogue as it will be then."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from service.operations.catalogue import pricing
from service.operations.copies import comparing, lenience, runs, targets
from service.operations.copies.runs import Item, LastRun, Market, Of, Run, Terms
from service.operations.copies.targets import CopyFailed, Wanted
from service.principal import Store
from service.rules.outcomes import CatalogueItem
from service.rules.states import Messages
from service.rules.substitutes import Substitutes
from service.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would come to: its lines, and the total in minor units, None where it would fail as `messages` say.

    With a total, `messages` say what its order would wait for, and `discount` is what its phase takes off (0 or less).

    `compared_with` is what the total is held against (`comparing.compared_with`), and `last` what the next run's is.
    """

    lines: Sequence[Wanted]
    total: int | None
    compared_with: int | None = None
    messages: Messages | None = None
    last: LastRun | None = None
    discount: int = 0

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
                "status": "skipped" if one.problem else one.outcome.status,
                "code": one.problem or one.outcome.code,
                "substitute_sku_code": None if one.outcome.substitute is None else one.outcome.substitute.code,
                "notices": list(one.outcome.notices) if one.item.price_mode == "current" else [],
            }
            for one in self.lines
        ]


class Ahead(NamedTuple):
    """A run to come: which one it is, its terms (`terms_of_runs`), when it runs, and how many are ahead of it."""

    of: Of
    terms: Terms
    at: datetime
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What runs to come are made from: what each orders, and the catalogue as it will be.

    `turns` are the instants at which something of the catalogue is known to change; the catalogues are those of a
    market from so many of them on.
    """

    items: Mapping[Of, Sequence[Item]]
    turns: Sequence[datetime]
    catalogues: Mapping[tuple[Market, int], Mapping[str, CatalogueItem]]
    substitutes: Substitutes

    async def estimate(self, run: Ahead, last: LastRun | None = None) -> Estimate:
        """What a run of those comes to; `last` is the one before it, where that is to come as well."""
        catalogue = self.catalogues[run.terms.basis.market, bisect_right(self.turns, run.at)]
        terms = run.terms if last is None else run.terms._replace(last=last)
        wanted = Run(terms, terms.place_target_order, ahead=run.ahead)
        return await _estimate(self.items.get(run.of, ()), catalogue, wanted, run.at, self.substitutes)


async def outlook(connection: Connection, store: Store, wanted: Sequence[Ahead]) -> Outlook:
    """The outlook on runs to come.

    The items are read once, the catalogue once for all that buy in the same currency and customer group, and again for
    each time at which something of it is known to change in between. Stock is not looked at: nobody knows it
    beforehand.
    """
    if not wanted:
        return Outlook({}, [], {}, {})
    items = await runs.items_of(connection, store, [run.of for run in wanted])
    ordered = [(Run(run.terms, run.terms.place_target_order), items.get(run.of, ())) for run in wanted]
    substitutes = await lenience.substitutes_of(connection, store, ordered)
    sku_ids = lenience.skus_of(ordered, substitutes)
    instants = [run.at for run in wanted]
    turns = await pricing.turns(connection, store, sorted(sku_ids), min(instants), max(instants))
    bought: dict[tuple[Market, int], tuple[datetime, set[str]]] = {}
    for run, of_run in zip(wanted, ordered, strict=True):
        _, bought_then = bought.setdefault((run.terms.basis.market, bisect_right(turns, run.at)), (run.at, set()))
        bought_then |= lenience.skus_of([of_run], substitutes)
    catalogues = {
        (market, since): await runs.catalogue(connection, store, market, then, at)
        for (market, since), (at, then) in bought.items()
    }
    return Outlook(items, turns, catalogues, substitutes)


async def _estimate(
    items: Sequence[Item], catalogue: Mapping[str, CatalogueItem], run: Run, at: datetime, substitutes: Substitutes
) -> Estimate:
    lines = targets.wanted(items, catalogue, run, substitutes=substitutes)
    try:
        target = await targets.planned(run, items, catalogue, 0, at, substitutes=substitutes)
        before, last = comparing.compared_with(target, run.terms), comparing.ran(target, run.terms, at)
        return Estimate(lines, target.totals.total, before, target.unpaid, last, target.totals.discount)
    except CopyFailed as failure:
        return Estimate(lines, None, messages=failure.messages)
