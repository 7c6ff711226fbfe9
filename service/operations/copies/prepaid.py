"""Runs of subscriptions that pay for several deliveries at once: what they ask for, and what was paid for before.

Whoever makes a run holds its subscription, which keeps what is paid for; that is written in the transaction that makes
the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from service.errors import Invalid
from service.operations.copies import runs
from service.operations.copies.priced import CopyFailed, PricedRun, priced
from service.operations.copies.runs import Item, Of, Run, Terms
from service.principal import Store
from service.rules import prepaid
from service.rules.outcomes import CatalogueItem
from service.rules.phases import PricePhase
from service.rules.prepaid import Paid, Period, Price
from service.rules.states import UNPAID
from service.rules.substitutes import Substitutes
from service.rules.totals import Totals
from service.store.pool import Connection
from service.store.statements import Command


class Prepaid(NamedTuple):
    """What a subscription has paid for once its runs are made, and the order that pays for it, if one of them does."""

    paid: Paid
    order_id: str | None


_PREPAY = Command("copies/copies.prepay")

ORDER: Final = "prepaid_order"
"""What a run lacks that is to be delivered before it is paid for, as `errors_log` names it."""


async def plain_terms(connection: Connection, store: Store, wanted: Sequence[Run], at: datetime) -> dict[Of, Terms]:
    """The terms of runs like any other of the subscriptions of which one of these may open a period.

    One statement where there are any, else none.
    """
    left: dict[str, int] = {}
    found: dict[str, Of] = {}
    for run in wanted:
        paid = run.terms.paid
        if run.occurrence_id is None or paid is None:
            continue
        id_ = run.terms.subscription_id
        before = left.setdefault(id_, paid.period.left if paid.period is not None and paid.runs_on else 0)
        left[id_] = before - 1
        if before <= 0 and run.terms.prepaid_occurrences is not None:
            found.setdefault(id_, Of(id_, None, run.occurrence_index))
    if not found:
        return {}
    terms = await runs.terms_of(connection, store, [(of, True) for of in found.values()], at)
    return dict(zip(found.values(), terms, strict=True))


async def paid_run(
    run: Run,
    items: Sequence[Item],
    catalogue: Mapping[str, CatalogueItem],
    *,
    stocked: bool = False,
    substitutes: Substitutes = MappingProxyType({}),
) -> tuple[PricedRun, Paid | None]:
    """What these items come to in a run, and what is paid for once it is made; None where each pays for itself.

    A run that is paid for before costs what it was paid at, less that; one that opens a period asks for the deliveries
    behind it. Raises CopyFailed as `priced` does, and where what was to pay for the run isn't paid.
    """
    if run.paid is None:
        return await priced(run, items, catalogue, stocked=stocked, substitutes=substitutes), None
    if run.paid.period is not None and run.paid.runs_on:
        if not run.paid.is_settled:
            raise unpaid()
        kept, as_paid = at_its_prices(run, items)
        found = await priced(kept, as_paid, catalogue, stocked=stocked, substitutes=substitutes)
        totals = prepaid.covered(found.totals, run.paid.period.parts[0])
        return replace(found, totals=totals), run.paid.after(1)
    found = await priced(run, items, catalogue, stocked=stocked, substitutes=substitutes)
    period = await _period(run, catalogue, substitutes)
    totals = found.totals if period is None else _opened(found.totals, period)
    return replace(found, totals=totals), Paid(period, None)


async def note(connection: Connection, store_id: int, paid: Mapping[str, Prepaid]) -> None:
    """Note what subscriptions have paid for, by their ids, which the caller holds; their orders are written."""
    periods = [one.paid.period for one in paid.values()]
    await _PREPAY(
        connection,
        store=store_id,
        subscriptions=list(paid),
        left=[0 if period is None else period.left for period in periods],
        periods=[None if period is None else period.text for period in periods],
        orders=[one.order_id for one in paid.values()],
    )


def unpaid() -> CopyFailed:
    """Why a run isn't made that is to be delivered before it is paid for."""
    return CopyFailed({ORDER: [UNPAID]})


def _opened(totals: Totals, period: Period) -> Totals:
    try:
        return prepaid.opened(totals, period)
    except Invalid as error:
        raise CopyFailed({"total_amount_cents": [error.detail]}) from None


def at_its_prices(run: Run, items: Sequence[Item]) -> tuple[Run, Sequence[Item]]:
    """A run with its way to ship, and its items, at what was paid for them, where that was before."""
    period = run.paid.period if run.paid is not None and run.paid.runs_on else None
    if period is None:
        return run, items
    basis = run.terms.basis
    if basis.ways.shipping_method_id == period.shipping_method_id:
        basis = basis._replace(shipping_amount_cents=period.shipping_amount_cents)
    kept = [_at_price(item, None if item.is_added else period.prices.get(item.id)) for item in items]
    return replace(run, terms=run.terms._replace(basis=basis)), kept


def _at_price(item: Item, price: Price | None) -> Item:
    if price is None or price.sku_id != item.sku_id:
        return item
    return item._replace(unit_amount_cents=price.unit_amount_cents, price_mode="fixed")


async def _period(run: Run, catalogue: Mapping[str, CatalogueItem], substitutes: Substitutes) -> Period | None:
    """The deliveries that a run pays for beside itself, each less what its own phase takes off; None without any."""
    terms, plain = run.terms, run.plain
    if terms.prepaid_occurrences is None or plain is None:
        return None
    most = None if terms.max_occurrences is None else terms.max_occurrences - run.turn + 1
    deliveries = terms.prepaid_occurrences if most is None else min(terms.prepaid_occurrences, most)
    known: dict[PricePhase | None, PricedRun] = {}
    costs: list[tuple[int, int]] = []
    for ahead in range(1, deliveries):
        # It takes its turn behind this one; what runs like it come to is the same in the same phase.
        one = Run(plain.terms._replace(ran=terms.ran), run.place, ahead=run.ahead + ahead)
        if one.phase not in known:
            known[one.phase] = await priced(one, plain.items, catalogue, substitutes=substitutes)
        costs.append(prepaid.cost(known[one.phase].totals))
    if not costs:
        return None
    lines = next(iter(known.values())).lines
    prices = {
        line.item.id: Price(line.item.sku_id or "", line.amounts.unit_amount_cents)
        for line in lines
        if line.product.sku_id == line.item.sku_id
    }
    basis = plain.terms.basis
    return Period(prices, basis.ways.shipping_method_id, basis.shipping_amount_cents, prepaid.parts_of(costs))
