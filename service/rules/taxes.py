"""Taxes of a cart: the port of a tax calculator, and the one that is built in, which goes by the rates of the skus.

Another calculator (one that asks an outside service by the destination) takes its place in `operations.pricing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from service.rules.totals import tax


@dataclass(frozen=True, slots=True)
class Taxable:
    """A line as far as its tax depends on it: `amount_cents` is what is left after discounts, `rate` its sku's."""

    sku_code: str
    amount_cents: int
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a sale is delivered."""

    country_code: str
    state_code: str | None
    zip_code: str | None


@dataclass(frozen=True, slots=True)
class Sale:
    """What is taxed; `tax_included` says whether the amounts hold the tax already."""

    currency_code: str
    tax_included: bool
    destination: Destination | None
    lines: Sequence[Taxable]


@dataclass(frozen=True, slots=True)
class LineTax:
    """The tax in or on one line, zero or more, and the rate (0.21 is 21 percent) that is told of it."""

    rate: Decimal
    amount_cents: int


class TaxCalculator(Protocol):
    """Works out taxes. It is asked while the cart is locked, so it has to answer fast, or not at all."""

    async def taxes(self, sale: Sale) -> Sequence[LineTax]:
        """The tax of each line, in their order. Raises Unavailable when it can't tell now."""


class RateCalculator:
    """Taxes every line at its sku's rate, rounded per line, half to even."""

    async def taxes(self, sale: Sale) -> Sequence[LineTax]:
        """The tax of each line, in their order."""
        included = sale.tax_included
        return [LineTax(line.rate, tax(line.amount_cents, line.rate, included=included)) for line in sale.lines]
