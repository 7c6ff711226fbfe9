"""What a cart or an order comes to, worked out apart from the service: with exact fractions, and cent by cent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice, repeat

Window = str
"""When something is valid: `open` always, `running` now, `over`, `ahead`."""


@dataclass(frozen=True)
class Price:
    """A price of a sku; `group` says that only the group has it."""

    amount: int
    min_quantity: int = 1
    group: bool = False
    window: Window = "open"


@dataclass(frozen=True)
class Product:
    """A sku with its prices, of which the first holds always and for everybody."""

    prices: Sequence[Price]
    tax_rate: str = "0.21"
    ships: bool = True


@dataclass(frozen=True)
class Offer:
    """A promotion: a percentage, or an amount; of some products, by their place in the shop, or of all."""

    percentage: str | None = None
    amount: int | None = None
    minimum: int | None = None
    products: Sequence[int] = ()
    group: bool = False
    window: Window = "open"


@dataclass(frozen=True)
class Shop:
    """A shop with automatic promotions, perhaps one of a coupon, and the cart of one customer (product, quantity)."""

    products: Sequence[Product]
    lines: Sequence[tuple[int, int]]
    offers: Sequence[Offer] = ()
    coupon: Offer | None = None
    member: bool = False
    tax_included: bool = True
    shipping: int = 0
    paying: int = 0


@dataclass(frozen=True)
class Phase:
    """What so many runs of a subscription are offered, None for all that follow."""

    runs: int | None
    offer: Offer


@dataclass(frozen=True)
class Agreed:
    """What was agreed on of a line: the price of one, and what was taken off the line (negative)."""

    unit: int
    discount: int = 0


@dataclass(frozen=True)
class Amounts:
    """What the cart comes to: unit prices, discounts and taxes by line, and the sums; discounts are negative."""

    units: list[int]
    discounts: list[int]
    taxes: list[int]
    subtotal: int
    shipping: int
    total: int
    coupon_applies: bool


def amounts(shop: Shop, agreed: Sequence[Agreed | None] = ()) -> Amounts:
    """The amounts of the shop's cart. What was `agreed` on of a line, None for nothing, holds whatever a shop says."""
    bound = agreed or [None] * len(shop.lines)
    units = [
        today(shop, product) if binding is None else binding.unit
        for (product, _), binding in zip(shop.lines, bound, strict=True)
    ]
    totals = [unit * quantity for unit, (_, quantity) in zip(units, shop.lines, strict=True)]
    left = [total + (0 if binding is None else binding.discount) for total, binding in zip(totals, bound, strict=True)]
    automatic = [offer for offer in shop.offers if _open(offer, shop)]
    percentages = [offer for offer in automatic if offer.percentage is not None]
    fixed = [offer for offer in automatic if offer.percentage is None]
    coupon = [shop.coupon] if shop.coupon is not None and _applies(shop.coupon, shop, sum(totals)) else []
    for offer in [*percentages, *fixed, *coupon]:
        if _applies(offer, shop, sum(totals)):
            _take(offer, shop, left)
    rates = [Fraction(shop.products[product].tax_rate) for product, _ in shop.lines]
    taxes = [
        round(rest * rate / (1 + rate)) if shop.tax_included else round(rest * rate)
        for rest, rate in zip(left, rates, strict=True)
    ]
    shipping = shop.shipping if any(shop.products[product].ships for product, _ in shop.lines) else 0
    return Amounts(
        units=units,
        discounts=[rest - total for rest, total in zip(left, totals, strict=True)],
        taxes=taxes,
        subtotal=sum(totals),
        shipping=shipping,
        total=sum(left) + shipping + shop.paying,
        coupon_applies=bool(coupon),
    )


def of_run(shop: Shop, phases: Sequence[Phase], number: int) -> Shop:
    """The shop in which a run is bought, the first being 1: with what its phase offers, and no other offer."""
    runs = (repeat(phase.offer) if phase.runs is None else repeat(phase.offer, phase.runs) for phase in phases)
    return replace(shop, offers=tuple(islice(chain.from_iterable(runs), number - 1, number)), coupon=None)


def due(shop: Shop, amounts: Amounts) -> int:
    """What has to be paid, in minor units: taxes come on top unless prices include them."""
    return amounts.total + (0 if shop.tax_included else sum(amounts.taxes))


def today(shop: Shop, product: int) -> int:
    """The lowest price of one that applies to all pieces of a product together."""
    pieces = sum(quantity for other, quantity in shop.lines if other == product)
    return min(
        price.amount
        for price in shop.products[product].prices
        if price.min_quantity <= pieces and price.window in ("open", "running") and (shop.member or not price.group)
    )


def _open(offer: Offer, shop: Shop) -> bool:
    return offer.window in ("open", "running") and (shop.member or not offer.group)


def _applies(offer: Offer, shop: Shop, subtotal: int) -> bool:
    held = {product for product, _ in shop.lines}
    return (
        _open(offer, shop)
        and (offer.minimum is None or subtotal >= offer.minimum)
        and (not offer.products or not held.isdisjoint(offer.products))
    )


def _take(offer: Offer, shop: Shop, left: list[int]) -> None:
    """Take an offer off what is left of the lines, one cent at a time, from the line that is furthest behind."""
    covered = [n for n, (product, _) in enumerate(shop.lines) if not offer.products or product in offer.products]
    base = sum(left[n] for n in covered)
    if not base:
        return
    off = min(offer.amount, base) if offer.amount is not None else round(base * Fraction(offer.percentage or 0) / 100)
    behind = {n: Fraction(off * left[n], base) for n in covered}
    for _ in range(off):
        furthest = max(covered, key=lambda n: behind[n])
        behind[furthest] -= 1
        left[furthest] -= 1
