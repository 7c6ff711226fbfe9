"""Deliveries of a subscription that are paid for together: what each was paid at, and how many are left of them.

The run that opens a period asks for what the deliveries behind it cost, at its own prices. Each of those then costs
what it was paid at, and has as much taken off as was paid for it. Deliveries are counted as they make their orders: one
that is skipped, missed or failed takes no place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from service.rules.states import PLACED_ORDERS
from service.rules.totals import Totals, checked


class Price(NamedTuple):
    """Which sku an item was, and what one piece of it cost in minor units."""

    sku_id: str
    unit_amount_cents: int


class Part(NamedTuple):
    """What was paid for each of so many deliveries that follow each other, in minor units."""

    deliveries: int
    amount_cents: int
    tax_cents: int


@dataclass(frozen=True, slots=True)
class Period:
    """Deliveries that are paid for and to come: the prices of the items by their ids, and of shipping by a method."""

    prices: Mapping[str, Price]
    shipping_method_id: str | None
    shipping_amount_cents: int
    parts: tuple[Part, ...]

    @property
    def left(self) -> int:
        """How many deliveries are left."""
        return sum(part.deliveries for part in self.parts)

    @property
    def amount_cents(self) -> int:
        """What was paid for those that are left, without taxes that come on top."""
        return sum(part.deliveries * part.amount_cents for part in self.parts)

    @property
    def tax_cents(self) -> int:
        """The tax of that."""
        return sum(part.deliveries * part.tax_cents for part in self.parts)

    def after(self, deliveries: int) -> Period | None:
        """What is left after so many deliveries; None when nothing is."""
        parts: list[Part] = []
        for part in self.parts:
            made = min(deliveries, part.deliveries)
            deliveries -= made
            if made < part.deliveries:
                parts.append(part._replace(deliveries=part.deliveries - made))
        return replace(self, parts=tuple(parts)) if parts else None

    @property
    def text(self) -> str:
        """The JSON that a subscription keeps it in."""
        kept = {
            "prices": self.prices,
            "shipping": [self.shipping_method_id, self.shipping_amount_cents],
            "parts": self.parts,
        }
        return orjson.dumps(kept, default=tuple).decode()


def period_of(text: str | bytes | None) -> Period | None:
    """The period that a subscription is in, from the JSON that it keeps it in."""
    if text is None:
        return None
    kept = orjson.loads(text)
    prices = {id_: Price(*price) for id_, price in kept["prices"].items()}
    method, amount = kept["shipping"]
    return Period(prices, method, amount, tuple(Part(*part) for part in kept["parts"]))


@dataclass(frozen=True, slots=True)
class Paid:
    """What a subscription has paid for: the period that it is in, if it is in one, and how the order that paid stands.

    `number` is that of an order that is made together with the run.
    """

    period: Period | None
    status: str | None
    number: int | None = None

    @property
    def runs_on(self) -> bool:
        """Whether the next run belongs to the period. One whose order was cancelled, or is gone, is over."""
        return self.period is not None and self.status not in (None, "cancelled")

    @property
    def is_settled(self) -> bool:
        """Whether the deliveries are paid for indeed."""
        return self.status in PLACED_ORDERS

    def by(self, status: str, number: int) -> Paid:
        """The same, paid by the order of a number, which has a status."""
        return Paid(self.period, status, number)

    def after(self, deliveries: int) -> Paid:
        """The same after so many deliveries."""
        return self if self.period is None else replace(self, period=self.period.after(deliveries))


def foreseen(paid: Paid | None) -> Paid | None:
    """What is paid for once its gateway has answered: it is taken to agree."""
    return replace(paid, status="placed") if paid is not None and paid.status == "placing" else paid


def parts_of(costs: Iterable[tuple[int, int]]) -> tuple[Part, ...]:
    """The parts of deliveries that cost so much, each an amount with its tax."""
    parts: list[Part] = []
    for amount, tax in costs:
        if parts and parts[-1][1:] == (amount, tax):
            parts[-1] = parts[-1]._replace(deliveries=parts[-1].deliveries + 1)
        else:
            parts.append(Part(1, amount, tax))
    return tuple(parts)


def cost(totals: Totals) -> tuple[int, int]:
    """What a delivery costs, with its tax: all but what paying costs, which is asked for once."""
    return totals.total - totals.payment_method, totals.tax


def opened(totals: Totals, period: Period) -> Totals:
    """What the run comes to that opens a period. Raises Invalid when that is larger than the database keeps."""
    prepaid, tax = period.amount_cents, period.tax_cents
    whole = replace(totals, prepaid=prepaid, prepaid_tax=tax, total=checked(totals.total + prepaid))
    checked(whole.total + whole.tax)
    return whole


def covered(totals: Totals, part: Part) -> Totals:
    """What a run comes to for which so much was paid, less than nothing never; without a rest paying costs nothing."""
    amount, tax = cost(totals)
    if amount <= part.amount_cents:
        return replace(totals, payment_method=0, prepaid=-amount, prepaid_tax=-tax, total=0)
    paid = part.amount_cents
    return replace(totals, prepaid=-paid, prepaid_tax=-min(part.tax_cents, tax), total=totals.total - paid)


def left_after(left: int, each: int | None, runs: int) -> int:
    """How many deliveries are left after so many runs more, where each period has so many (None: no other comes)."""
    if runs <= left or each is None:
        return max(left - runs, 0)
    return (left - runs) % each
