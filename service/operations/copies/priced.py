"""What a run of a subscription comes to by a catalogue: what is ordered, at which price, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from service.errors import Invalid
from service.operations.catalogue import quotes
from service.operations.catalogue.quotes import Priced
from service.operations.copies import lenience
from service.operations.copies.runs import Item, Run
from service.rules.failures import type_of
from service.rules.outcomes import CatalogueItem, Outcome, Policy, Price, decide
from service.rules.states import Messages
from service.rules.substitutes import Substitutes, substituted
from service.rules.totals import Totals


class CopyFailed(Exception):
    """The order can't be made as asked; `messages` say why by attribute, in the shape of `errors_log`.

    `codes` are those of the lines that can't be had.
    """

    def __init__(self, messages: Messages, codes: Iterable[str] = ()) -> None:
        super().__init__(messages)
        self.messages = messages
        self.failure_type = type_of(messages, codes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item of a subscription with what becomes of it: the price that it would be ordered at, or why it can't be."""

    item: Item
    outcome: Outcome
    price: Price | None
    problem: str | None

    @property
    def ordered(self) -> Item:
        """The item with as many pieces as are ordered, as the substitute where one is: that has no price agreed on."""
        pieces, substitute = self.outcome.resulting_quantity, self.outcome.substitute
        ordered = self.item._replace(quantity=pieces, options_amount_cents=self.item.options_for(pieces))
        return ordered if substitute is None else ordered._replace(sku_id=substitute.sku_id, price_mode="current")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the target order, with what it comes to.

    There may be fewer pieces than the item says, and the product may be a substitute.
    """

    item: Item
    product: CatalogueItem
    amounts: Priced
    quantity: int

    @property
    def taken(self) -> Item:
        """What it takes out of the stock."""
        return self.item._replace(sku_id=self.product.sku_id, sku_code=self.product.code, quantity=self.quantity)


@dataclass(frozen=True, slots=True)
class PricedRun:
    """What a run comes to: its lines, what they are together, and what isn't ordered as it is."""

    lines: Sequence[Line]
    totals: Totals
    left_out: Sequence[Wanted]


async def priced(
    run: Run,
    items: Sequence[Item],
    catalogue: Mapping[str, CatalogueItem],
    *,
    stocked: bool = False,
    substitutes: Substitutes = MappingProxyType({}),
) -> PricedRun:
    """What these items come to in a run by a catalogue. Raises CopyFailed.

    It fails when an item can't be had and the subscription's policy doesn't leave it out or find a substitute, or when
    none can be had. Promotions are for carts and orders: a run has its prices, those of today or those that were agreed
    on, less what the phase takes off that it is in. `stocked` says that the stock is looked at, as the policy wants it.
    """
    basis, phase = run.terms.basis, run.phase
    found = wanted(items, catalogue, run, stocked=stocked, substitutes=substitutes)
    had = [one for one in found if one.problem is None]
    messages = [f"{one.item.sku_code} - {one.problem}" for one in found if one.problem]
    if messages and (not had or not lenience.leaves_out(run)):
        raise CopyFailed({"line_items": messages}, [one.problem for one in found if one.problem])
    ordered = [one.ordered for one in had]
    try:
        asked = [item.wanted(promoted=phase is not None) for item in ordered]
        quoted = await quotes.quoted(basis.quote_terms(), asked, catalogue, () if phase is None else (phase.promotion,))
    except Invalid as error:
        raise CopyFailed({"total_amount_cents": [error.detail]}) from None
    lines = [
        Line(one.item, catalogue[item.sku_id or ""], amounts, item.quantity)
        for one, item, amounts in zip(had, ordered, quoted.items, strict=True)
    ]
    left_out = [one for one in found if one.outcome.code is not None]
    return PricedRun(lines, quoted.totals, left_out)


def lines_of(items: Sequence[Item], catalogue: Mapping[str, CatalogueItem], amounts: Sequence[Priced]) -> list[Line]:
    """The lines that items become, at what each comes to."""
    return [
        Line(item, catalogue[item.sku_id or ""], amount, item.quantity)
        for item, amount in zip(items, amounts, strict=True)
    ]


def wanted(
    items: Sequence[Item],
    catalogue: Mapping[str, CatalogueItem],
    run: Run,
    *,
    stocked: bool = False,
    substitutes: Substitutes = MappingProxyType({}),
) -> list[Wanted]:
    """What becomes of each item of a subscription, in their order.

    What a subscription agreed on binds the shop: where prices are fixed, neither prices nor quantity limits of today
    matter. Stock is looked at where `stocked` says so and the policy wants it; else it is taken, or missed, by placing.
    Where the policy replaces what can't be had, that comes from `substitutes`, whose skus are in the catalogue.
    """
    policy = Policy(stock=lenience.stock_of(run) if stocked else "ignore", merge=False)
    outcomes = decide([item.source for item in items], catalogue, {}, policy)
    if lenience.replaces(run):
        outcomes = substituted(outcomes, catalogue, substitutes, {}, policy)
    return [_wanted(item, outcome, run) for item, outcome in zip(items, outcomes, strict=True)]


def _wanted(item: Item, outcome: Outcome, run: Run) -> Wanted:
    if item.agreed and item.currency_code != run.terms.basis.currency_code:
        return _left_out(item, outcome, "currency_mismatch")
    if outcome.code is not None and outcome.substitute is None and not lenience.reduces(run, outcome):
        return _left_out(item, outcome, outcome.code)
    if item.options_for(outcome.resulting_quantity) is None or (outcome.substitute and item.options_amount_cents):
        # They are never free, and the catalogue has no price for them.
        return _left_out(item, outcome, "option_invalid")
    return Wanted(item, outcome, outcome.price, None)


def _left_out(item: Item, outcome: Outcome, code: str) -> Wanted:
    return Wanted(item, replace(outcome, status="skipped", code=code, resulting_quantity=0), None, code)
