"""What an order comes to today: its lines at the catalogue's prices unless theirs were agreed on, and its amounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from service.errors import Invalid
from service.operations.catalogue import quotes
from service.operations.catalogue.pricing import Offers
from service.operations.ordering.facts import PRODUCTS, Amounts, Line, OrderFacts
from service.rules.discounts import CouponStatus
from service.rules.outcomes import CatalogueItem, Outcome, Policy, SourceLine, decide
from service.rules.totals import MAX_CENTS, tax


@dataclass(frozen=True, slots=True)
class Today:
    """An order as it would be made today: `outcomes` say of its lines of skus whether they can be had as they are.

    The coupon's status is None for an order without one.
    """

    lines: Sequence[Line]
    amounts: Amounts
    outcomes: Sequence[Outcome]
    coupon_status: CouponStatus | None


async def today(order: OrderFacts, offers: Offers) -> Today:
    """What an order comes to by what the catalogue has for it; reads and writes nothing.

    A line that has no price today keeps its own, and can't be had. Raises Invalid for an amount too large to be kept.
    """
    wanted = [line.source for line in order.of_skus]
    catalogue, outcomes = offered(offers.sold(order.currency_code, order.customer_group_id), wanted)
    promotions = offers.promotions
    included = order.prices_include_tax
    terms = quotes.Terms(
        currency_code=order.currency_code,
        tax_included=included,
        customer_group_id=order.customer_group_id,
        coupon_code=order.coupon_code,
        shipping_price_cents=0,
        payment_price_cents=0,
        destination=order.destination,
    )
    priced = [line for line in order.of_skus if line.sku_id in catalogue]
    quoted = await quotes.quoted(terms, [_item(line) for line in priced], catalogue, promotions)
    of_today = {line.id: _at(line, amounts) for line, amounts in zip(priced, quoted.items, strict=True) if line.follows}
    lines = [of_today.get(line.id) or _agreed(line, order, included=included) for line in order.lines]
    amounts = added_up(order, lines, fresh=True)._replace(tax_included=included)
    return Today(lines, amounts, outcomes, quoted.coupon_status)


def offered(
    sold: Mapping[str, CatalogueItem], lines: Sequence[SourceLine]
) -> tuple[Mapping[str, CatalogueItem], Sequence[Outcome]]:
    """The skus of lines as whoever buys them finds them, and what each line would come to."""
    # Whether it may come along when an order is repeated doesn't matter to who buys it.
    catalogue = {id_: replace(item, reorderable=True) for id_, item in sold.items()}
    return catalogue, decide(lines, catalogue, {}, Policy(stock="partial", merge=False))


def added_up(order: OrderFacts, lines: Sequence[Line], *, fresh: bool) -> Amounts:
    """The amounts of an order with these lines. `fresh`: its methods cost what they cost today, else what they did.

    Raises Invalid when an amount is larger than can be kept, or the total less than zero.
    """
    shipping = order.shipping_price_cents if fresh else order.amounts.shipping
    payment_method = order.payment_price_cents if fresh else order.amounts.payment_method
    return summed(order.amounts, order.lines, lines, shipping=shipping, payment_method=payment_method)


def summed(
    was: Amounts, before: Sequence[Line], lines: Sequence[Line], *, shipping: int, payment_method: int
) -> Amounts:
    """The amounts of an order that has these lines instead of those `before`, and whose methods cost so much.

    Raises as `added_up`.
    """
    amounts = was._replace(
        subtotal=sum(line.total_amount_cents for line in lines if line.item_type in PRODUCTS),
        shipping=shipping if any(line.ships for line in lines) else 0,
        payment_method=payment_method,
        # An order may have discounts that are of none of its lines.
        discount=was.discount
        + sum(line.discount_cents for line in lines)
        - sum(line.discount_cents for line in before),
        adjustment=sum(line.total_amount_cents for line in lines if line.item_type == "adjustments"),
        subtotal_tax=sum(line.tax_amount_cents for line in lines),
    )
    if any(abs(amount) > MAX_CENTS for amount in (*amounts, amounts.tax, amounts.total)):
        raise Invalid("An amount of the order would be too large to be stored.")
    if amounts.total < 0 or amounts.tax < 0:
        raise Invalid("The total of the order would be less than zero.")
    return amounts


def _item(line: Line) -> quotes.Item:
    return quotes.Item(
        line.sku_id or "",
        line.quantity,
        line.unit_amount_cents,
        line.compare_at_amount_cents,
        line.options_amount_cents,
        line.discount_cents,
        agreed=not line.follows,
        promoted=line.follows,
    )


def _at(line: Line, amounts: quotes.Priced) -> Line:
    return replace(
        line,
        unit_amount_cents=amounts.unit_amount_cents,
        compare_at_amount_cents=amounts.compare_at_amount_cents,
        discount_cents=amounts.discount_cents,
        total_amount_cents=amounts.total_amount_cents,
        tax_rate=amounts.tax_rate,
        tax_amount_cents=amounts.tax_amount_cents,
    )


def _agreed(line: Line, order: OrderFacts, *, included: bool) -> Line:
    """A line as it was agreed on; its tax follows where its store has changed whether prices include taxes."""
    if included == order.amounts.tax_included:
        return line
    taxed = max(line.total_amount_cents + line.discount_cents, 0)
    return replace(line, tax_amount_cents=tax(taxed, line.tax_rate, included=included))
