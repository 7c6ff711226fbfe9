"""What things come to when they are bought together now: the one place that prices them.

The price of a sku is that for all its pieces; then promotions and the coupon take theirs off, taxes follow, and what
shipping and paying cost. Carts, orders and copies are quoted here, so that none of them knows another price. What was
agreed on stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from service.operations.catalogue import pricing
from service.rules.discounts import CouponStatus, Line, Promotion, discounts
from service.rules.outcomes import CatalogueItem
from service.rules.taxes import Destination, Sale, Taxable
from service.rules.totals import LineTotals, Totals, line_total, totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the amounts depend on besides what is bought; the prices are those of the ways to ship and to pay."""

    currency_code: str
    tax_included: bool
    customer_group_id: str | None
    coupon_code: str | None
    shipping_price_cents: int
    payment_price_cents: int
    destination: Destination | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """So many pieces of a sku. What has no price today keeps the unit amount that it comes with.

    `agreed` says that its unit amount was agreed on, `promoted` that promotions and coupons may take off it; else its
    discount stays.
    """

    sku_id: str
    quantity: int
    unit_amount_cents: int = 0
    compare_at_amount_cents: int | None = None
    options_amount_cents: int = 0
    discount_cents: int = 0
    agreed: bool = False
    promoted: bool = True


@dataclass(frozen=True, slots=True)
class Priced:
    """What an item comes to; the total is that of its pieces and options, before the discount (zero or less)."""

    unit_amount_cents: int
    compare_at_amount_cents: int | None
    total_amount_cents: int
    discount_cents: int = 0
    tax_rate: Decimal = Decimal(0)
    tax_amount_cents: int = 0

    @property
    def totals(self) -> LineTotals:
        """Its amounts as sums take them."""
        return LineTotals(self.total_amount_cents, self.tax_amount_cents, self.discount_cents)


@dataclass(frozen=True, slots=True)
class Quoted:
    """What the items come to, in their order, and together; the coupon's status is None without a coupon."""

    items: Sequence[Priced]
    totals: Totals
    coupon_status: CouponStatus | None


async def quoted(
    terms: Terms, items: Sequence[Item], catalogue: Mapping[str, CatalogueItem], promotions: Sequence[Promotion]
) -> Quoted:
    """What items come to by a catalogue that holds their skus. Raises Invalid for an amount too large to be kept."""
    priced = _at_prices(items, catalogue)
    promoted = [n for n, item in enumerate(items) if item.promoted]
    off = discounts(
        [Line(catalogue[items[n].sku_id].code, priced[n].total_amount_cents) for n in promoted],
        promotions,
        currency_code=terms.currency_code,
        customer_group_id=terms.customer_group_id,
        coupon_code=terms.coupon_code,
    )
    taken = dict(zip(promoted, off.lines, strict=True))
    taxable = [
        Taxable(
            catalogue[item.sku_id].code,
            max(line.total_amount_cents + taken.get(n, item.discount_cents), 0),
            catalogue[item.sku_id].tax_rate,
        )
        for n, (item, line) in enumerate(zip(items, priced, strict=True))
    ]
    taxes = await pricing.TAXES.taxes(Sale(terms.currency_code, terms.tax_included, terms.destination, taxable))
    lines = [
        Priced(
            line.unit_amount_cents,
            line.compare_at_amount_cents,
            line.total_amount_cents,
            taken.get(n, item.discount_cents),
            due.rate,
            due.amount_cents,
        )
        for n, (item, line, due) in enumerate(zip(items, priced, taxes, strict=True))
    ]
    sums = totals(
        (line.totals for line in lines),
        shipping_amount_cents=terms.shipping_price_cents if any(catalogue[i.sku_id].ships for i in items) else 0,
        payment_method_amount_cents=terms.payment_price_cents,
    )
    return Quoted(lines, sums, off.coupon_status)


def _at_prices(items: Sequence[Item], catalogue: Mapping[str, CatalogueItem]) -> list[Priced]:
    """What items cost before discounts and taxes."""
    pieces: Counter[str] = Counter()
    for item in items:
        pieces[item.sku_id] += item.quantity
    priced = []
    for item in items:
        price = None if item.agreed else catalogue[item.sku_id].price(pieces[item.sku_id])
        unit = item.unit_amount_cents if price is None else price.amount_cents
        compare_at = item.compare_at_amount_cents if price is None else price.compare_at_amount_cents
        priced.append(Priced(unit, compare_at, line_total(item.quantity, unit) + item.options_amount_cents))
    return priced
