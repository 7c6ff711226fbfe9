"""Discounts of a cart: a pure function of its lines and of the promotions that its store runs.

Every automatic promotion that applies is taken off, one after another: percentages first, then amounts, within each the
oldest first (by id); the cart's coupon comes last. Each takes its part of what those before it left of the lines that
it covers, so that nothing ever costs less than zero; an amount is taken off once, not per line. A minimum is compared
with the cart's subtotal, before any discount. The cents of each discount are shared out over its lines by largest
remainder, so that the lines' discounts add up to the cart's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from service.rules.totals import portion
from service.texts import Phrase

Problem = Literal[
    "unknown",
    "disabled",
    "not_started",
    "expired",
    "used_up",
    "not_for_customer",
    "not_for_currency",
    "minimum_not_reached",
    "no_matching_items",
]
"""Why a promotion doesn't apply to a cart."""
CouponStatus = Literal[Problem, "applied"]
"""What becomes of a cart's coupon."""

COUPON_PROBLEMS: Mapping[Problem, Phrase] = {
    "unknown": Phrase("coupon_code - is not known"),
    "disabled": Phrase("coupon_code - is switched off"),
    "not_started": Phrase("coupon_code - is not valid yet"),
    "expired": Phrase("coupon_code - has expired"),
    "used_up": Phrase("coupon_code - has no uses left"),
    "not_for_customer": Phrase("coupon_code - is for other customers"),
    "not_for_currency": Phrase("coupon_code - is not valid in the currency of the cart"),
    "minimum_not_reached": Phrase("coupon_code - needs a higher subtotal"),
    "no_matching_items": Phrase("coupon_code - is for other products than those in the cart"),
}
"""The problems of coupons in words."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion at one instant; one of `percentage` (12.5 is an eighth) and `amount_cents` is given.

    None or empty conditions leave it open to everybody; `closed` says why nobody can have it now.
    """

    id: str
    percentage: Decimal | None = None
    amount_cents: int | None = None
    coupon_code: str | None = None
    currency_code: str | None = None
    minimum_subtotal_cents: int | None = None
    sku_codes: Sequence[str] = ()
    customer_group_id: str | None = None
    closed: Problem | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a cart: its sku's code of today, and its total before discounts."""

    sku_code: str
    total: int


@dataclass(frozen=True, slots=True)
class Discounts:
    """Each line's discount, zero or less, in the order of the lines; the coupon's status, None without a coupon."""

    lines: Sequence[int]
    coupon_status: CouponStatus | None


def discounts(
    lines: Sequence[Line],
    promotions: Sequence[Promotion],
    *,
    currency_code: str,
    customer_group_id: str | None = None,
    coupon_code: str | None = None,
) -> Discounts:
    """What the promotions take off the lines of a cart; those of other coupons than the cart's take off nothing."""
    left = [line.total for line in lines]
    coupon_status: CouponStatus | None = None if coupon_code is None else "unknown"
    for promotion in sorted(promotions, key=_turn):
        if promotion.coupon_code not in (None, coupon_code):
            continue
        covered = [n for n, line in enumerate(lines) if line.sku_code in (promotion.sku_codes or (line.sku_code,))]
        problem = _problem(promotion, currency_code, customer_group_id)
        problem = problem or _unmet(promotion, subtotal=sum(line.total for line in lines), covers=bool(covered))
        if promotion.coupon_code is not None:
            coupon_status = problem or "applied"
        if problem is None:
            bases = [left[n] for n in covered]
            for n, share in zip(covered, shares_of(_taken_off(promotion, sum(bases)), bases), strict=True):
                left[n] -= share
    return Discounts([rest - line.total for rest, line in zip(left, lines, strict=True)], coupon_status)


def _turn(promotion: Promotion) -> tuple[bool, bool, str]:
    return (promotion.coupon_code is not None, promotion.percentage is None, promotion.id)


def _problem(promotion: Promotion, currency_code: str, customer_group_id: str | None) -> Problem | None:
    """Why a promotion is nothing for this customer and currency, whatever the cart holds."""
    if promotion.closed is not None:
        return promotion.closed
    if promotion.customer_group_id not in (None, customer_group_id):
        return "not_for_customer"
    return "not_for_currency" if promotion.currency_code not in (None, currency_code) else None


def _unmet(promotion: Promotion, *, subtotal: int, covers: bool) -> Problem | None:
    """Why a promotion doesn't apply to what the cart holds. An empty cart can have a coupon without conditions."""
    if subtotal < (promotion.minimum_subtotal_cents or 0):
        return "minimum_not_reached"
    return "no_matching_items" if promotion.sku_codes and not covers else None


def _taken_off(promotion: Promotion, base: int) -> int:
    """What a promotion takes off lines that cost so much together."""
    if promotion.percentage is not None:
        return portion(base, promotion.percentage.scaleb(-2))
    return min(promotion.amount_cents or 0, base)


def shares_of(amount: int, bases: Sequence[int]) -> list[int]:
    """An amount shared out in proportion to the bases, of which it is at most the sum: none gets more than its base.

    Cents that are left over go to the largest remainders, to the earlier line where those are equal.
    """
    whole = sum(bases) or 1
    parts = [divmod(amount * base, whole) for base in bases]
    shares = [share for share, _ in parts]
    by_remainder = sorted(range(len(parts)), key=lambda n: -parts[n][1])
    for n in by_remainder[: amount - sum(shares)]:
        shares[n] += 1
    return shares
