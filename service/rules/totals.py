"""Amounts of carts and orders: a pure function of lines, in integer minor units.

Tax is rounded per line, half to even, since the lines are what papers show; a total is the plain sum of them. Where
prices include tax, the tax is the share `rate / (1 + rate)` of the line; where they don't, it is the line times the
rate and comes on top when the order is paid. Either way a cart's or order's total amount is the sum of its other
amounts (the rule of the tables carts and orders, and of sql/checks.sql).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from service.errors import Invalid

MAX_CENTS = 2**63 - 1
"""The largest amount that the database keeps."""

_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class LineTotals:
    """Amounts of a line: `total` is the quantity times the unit price, before the discount (zero or less)."""

    total: int
    tax: int
    discount: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Amounts of a cart or an order; `total` is the sum of the other amounts but the taxes.

    `prepaid` is asked for deliveries to come, or was paid for this one before (less than zero), with its tax.
    """

    subtotal: int
    discount: int
    subtotal_tax: int
    shipping: int
    payment_method: int
    total: int
    prepaid: int = 0
    prepaid_tax: int = 0

    @property
    def tax(self) -> int:
        """All tax: that of the lines, since shipping and payment methods have no rate, and of what is paid ahead."""
        return self.subtotal_tax + self.prepaid_tax

    @property
    def own(self) -> int:
        """What it comes to by itself, whenever that is paid."""
        return self.total - self.prepaid


def tax(amount_cents: int, rate: Decimal, *, included: bool) -> int:
    """The tax in (`included`) or on an amount, rounded half to even."""
    return portion(amount_cents, rate, Decimal(1) + rate if included else Decimal(1))


def portion(amount_cents: int, rate: Decimal, of: Decimal = Decimal(1)) -> int:
    """The part `rate / of` of an amount, rounded half to even."""
    share = _EXACT.divide(_EXACT.multiply(Decimal(amount_cents), rate), of)
    return int(share.quantize(Decimal(1), context=_EXACT))


def line_total(quantity: int, unit_amount_cents: int) -> int:
    """What so many pieces cost. Raises Invalid when that is larger than the database keeps."""
    return checked(quantity * unit_amount_cents)


def line_totals(
    quantity: int, unit_amount_cents: int, tax_rate: Decimal, *, tax_included: bool, discount_cents: int = 0
) -> LineTotals:
    """The amounts of one line; tax is on what is left after the discount.

    Raises Invalid when the total is larger than the database keeps.
    """
    total = line_total(quantity, unit_amount_cents)
    taxed = max(total + discount_cents, 0)
    return LineTotals(total, tax(taxed, tax_rate, included=tax_included), discount_cents)


def totals(
    lines: Iterable[LineTotals],
    *,
    shipping_amount_cents: int = 0,
    payment_method_amount_cents: int = 0,
) -> Totals:
    """The amounts of a cart or an order from its lines and costs. Raises Invalid when one is too large to be kept."""
    lines = list(lines)
    subtotal = checked(sum(line.total for line in lines))
    discount = sum(line.discount for line in lines)
    return Totals(
        subtotal=subtotal,
        discount=discount,
        subtotal_tax=sum(line.tax for line in lines),
        shipping=shipping_amount_cents,
        payment_method=payment_method_amount_cents,
        total=checked(subtotal + discount + shipping_amount_cents + payment_method_amount_cents),
    )


def checked(amount_cents: int) -> int:
    """The amount. Raises Invalid when it is larger than the database keeps."""
    if amount_cents > MAX_CENTS:
        raise Invalid("An amount is too large to be stored.")
    return amount_cents
