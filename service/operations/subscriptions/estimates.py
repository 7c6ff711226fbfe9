"""What runs of a subscription would come to: by the code that makes them, from the catalogue as it will be then."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from schemas.failures import FailureType
from service.operations.catalogue import pricing
from service.operations.copies import comparing, lenience, prepaid, priced, runs, targets
from service.operations.copies.priced import CopyFailed, Wanted
from service.operations.copies.runs import Item, LastRun, Market, Of, Plain, Run, Terms
from service.operations.copies.turns import Turn
from service.principal import Store
from service.rules.failures import type_of
from service.rules.outcomes import CatalogueItem
from service.rules.prepaid import Paid, foreseen
from service.rules.states import EXPIRED, Messages
from service.rules.substitutes import Substitutes
from service.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would come to: its lines, and the total in minor units, None where it would fail as `messages` say.

    With a total, `messages` say what its order would wait for, `discount` is what its phase takes off (0 or less), and
    `prepaid` what it asks for deliveries behind it, or was paid for it before (less than 0). `paid` is what is paid for
    once it is made.

    `compared_with` is what the total is held against (`comparing.compared_with`), and `last` what the next run's is.

    `failure_type` says of which type what `messages` say is. `needs_stock` says that it fails where there are too few
    of what it orders: no policy of the subscription sees to that.
    """

    lines: Sequence[Wanted]
    total: int | None
    compared_with: int | None = None
    messages: Messages | None = None
    last: LastRun | None = None
    discount: int = 0
    prepaid: int = 0
    paid: Paid | None = None
    failure_type: FailureType | None = None
    needs_stock: bool = True

    @property
    def short(self) -> list[str]:
        """The codes of the skus of which there are fewer now than it orders."""
        needed: Counter[str] = Counter()
        for one in self.lines:
            if one.problem is None and one.outcome.item is not None:
                needed[one.outcome.item.sku_id] += one.outcome.resulting_quantity
        known = {one.outcome.item.sku_id: one.outcome.item for one in self.lines if one.outcome.item is not None}
        return sorted(item.code for id_, item in known.items() if item.stock is not None and needed[id_] > item.stock)

    @property
    def fails_now(self) -> FailureType | None:
        """Of which type the failure would be if it ran now, with the stock there is; None where its order is placed."""
        if self.failure_type is None and self.needs_stock and self.short:
            return "inventory"
        return self.failure_type

    @property
    def source_expires(self) -> bool:
        """Whether what it is to be paid with has expired by then."""
        return EXPIRED in (self.messages or {}).get("customer_payment_source", ())

    @property
    def own(self) -> int | None:
        """What it comes to by itself, whenever that is paid."""
        return None if self.total is None else self.total - self.prepaid

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
    """A run to come: which one it is, its terms (`terms_of_runs`), when it runs, and how many are ahead of it.

    `plain` are the terms of one that is like any other.
    """

    of: Of
    terms: Terms
    plain: Terms
    at: datetime
    ahead: int = 0

    @property
    def plain_of(self) -> Of:
        """The run like any other."""
        return Of(self.of.order_subscription_id, None, self.of.occurrence_index)

    @property
    def ofs(self) -> Sequence[Of]:
        """The runs whose items it depends on: that like any other where deliveries are paid for together."""
        return [self.of] if self.terms.paid is None else [self.of, self.plain_of]


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

    async def estimate(self, run: Ahead, last: LastRun | None = None, turn: Turn = Turn()) -> Estimate:  # noqa: B008 -- frozen
        """What a run of those comes to; `last` is the one before it, where that is to come as well.

        `turn` is what those ahead of it leave to it.
        """
        catalogue = self.catalogues[run.terms.basis.market, bisect_right(self.turns, run.at)]
        terms = run.terms if last is None else run.terms._replace(last=last)
        plain = Plain(run.plain, self.items.get(run.plain_of, ()))
        wanted = turn.paid_for(turn.counted(Run(terms, terms.place_target_order, ahead=run.ahead)), plain)
        wanted = replace(wanted, paid=foreseen(wanted.paid))
        return await _estimate(self.items.get(run.of, ()), catalogue, wanted, run.at, self.substitutes)


async def outlook(connection: Connection, store: Store, wanted: Sequence[Ahead]) -> Outlook:
    """The outlook on runs to come.

    The items are read once, the catalogue once for all that buy in the same currency and customer group, and again for
    each time at which something of it is known to change in between. Stock is not looked at: nobody knows it
    beforehand.
    """
    if not wanted:
        return Outlook({}, [], {}, {})
    items = await runs.items_of(connection, store, [of for run in wanted for of in run.ofs])
    ordered = [
        (Run(run.terms, run.terms.place_target_order), [item for of in run.ofs for item in items.get(of, ())])
        for run in wanted
    ]
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
    lines = priced.wanted(prepaid.at_its_prices(run, items)[1], catalogue, run, substitutes=substitutes)
    try:
        target = await targets.planned(run, items, catalogue, 0, at, substitutes=substitutes)
        before, last = comparing.compared_with(target, run.terms), comparing.ran(target, run.terms, at)
        totals = target.totals
        return Estimate(
            lines,
            totals.total,
            before,
            target.unpaid,
            last,
            totals.discount,
            totals.prepaid,
            target.paid,
            None if target.unpaid is None else type_of(target.unpaid),
            needs_stock=lenience.stock_of(run) == "ignore",
        )
    except CopyFailed as failure:
        return Estimate(lines, None, messages=failure.messages, failure_type=failure.failure_type)
