"""What is known of an order that is to be priced or placed: one statement reads it, with its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Literal, NamedTuple

import orjson

from schemas.kinds import due
from service.operations.catalogue.pricing import Offers
from service.principal import Store
from service.rules.outcomes import SourceLine
from service.rules.taxes import Destination
from service.store.pool import Connection
from service.store.statements import One

PRODUCTS = frozenset({"skus", "bundles", "gift_cards"})
"""Types of lines that are sold, and make the subtotal."""


class Ways(NamedTuple):
    """Where to, and how something is shipped and paid: `available` is None where no method was chosen."""

    billing_address_id: str | None
    shipping_address_id: str | None
    shipping_method_id: str | None
    shipping_method_available: bool | None
    payment_method_id: str | None
    payment_method_available: bool | None
    gateway: str | None
    customer_payment_source_id: str | None
    payment_source_token: str | None
    payment_source_expires_at: datetime | None
    has_external_gateway: bool


class Amounts(NamedTuple):
    """The amounts of an order in minor units; discounts and gift cards are zero or less."""

    tax_included: bool
    subtotal: int
    shipping: int
    payment_method: int
    discount: int
    adjustment: int
    gift_card: int
    subtotal_tax: int
    shipping_tax: int
    prepaid: int = 0
    prepaid_tax: int = 0

    @property
    def tax(self) -> int:
        """All taxes."""
        return self.subtotal_tax + self.shipping_tax + self.prepaid_tax

    @property
    def total(self) -> int:
        """The sum of all amounts but the taxes."""
        extras = self.discount + self.adjustment + self.gift_card + self.prepaid
        return self.subtotal + self.shipping + self.payment_method + extras

    @property
    def due(self) -> int:
        """What has to be paid: taxes come on top of the total unless they are included."""
        return due(self.total, self.tax, tax_included=self.tax_included)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order; the total is the quantity times the unit amount plus the options, before the discount."""

    id: str
    item_type: str
    sku_id: str | None
    sku_code: str | None
    name: str
    options: Mapping[str, object]
    quantity: int
    currency_code: str
    unit_amount_cents: int
    compare_at_amount_cents: int | None
    options_amount_cents: int
    discount_cents: int
    total_amount_cents: int
    tax_rate: Decimal
    tax_amount_cents: int
    price_mode: Literal["current", "fixed"]
    position: int
    ships: bool

    @property
    def follows(self) -> bool:
        """Whether its price is the catalogue's until the order is placed."""
        return self.price_mode == "current" and self.item_type == "skus" and self.sku_id is not None

    @property
    def source(self) -> SourceLine:
        """The line as what somebody wants to order."""
        return SourceLine(
            id=self.id,
            item_type=self.item_type,
            sku_id=self.sku_id,
            sku_code=self.sku_code,
            name=self.name,
            options=self.options,
            quantity=self.quantity,
            currency_code=self.currency_code,
            unit_amount_cents=self.unit_amount_cents,
            agreed=not self.follows,
        )


@dataclass(frozen=True)
class OrderFacts:
    """An order as it is kept; the prices are those that its ways to ship and to pay have today.

    `awaited` says that subscriptions wait for it to be placed, `lines_json` holds the lines as arrays, in the order of
    `Line`.
    """

    id: str
    status: str
    payment_status: str
    placed_at: datetime | None
    cart_id: str | None
    repeat_link_id: str | None
    order_subscription_id: str | None
    customer_id: str | None
    customer_email: str | None
    customer_group_id: str | None
    currency_code: str
    coupon_code: str | None
    coupon_counted: bool
    prices_include_tax: bool
    expires_at: datetime | None
    fulfillment_status: str
    amounts: Amounts
    ways: Ways
    shipping_price_cents: int
    payment_price_cents: int
    has_snapshots: bool
    country_code: str | None
    state_code: str | None
    zip_code: str | None
    awaited: bool
    lines_json: str | None
    sku_ids: Sequence[str] | None

    @cached_property
    def lines(self) -> Sequence[Line]:
        """Its lines, in their order."""
        # Their tax rates are texts, since JSON's numbers aren't exact.
        return [
            Line(*[*first, Decimal(tax_rate), tax_amount_cents, price_mode, position, ships])
            for *first, tax_rate, tax_amount_cents, price_mode, position, ships in orjson.loads(self.lines_json or "[]")
        ]

    @property
    def destination(self) -> Destination | None:
        """Where it is delivered."""
        return None if self.country_code is None else Destination(self.country_code, self.state_code, self.zip_code)

    @property
    def follows(self) -> bool:
        """Whether something of it costs what the catalogue says until it is placed; else all of it was agreed on."""
        return any(line.follows for line in self.lines)

    @property
    def of_skus(self) -> Sequence[Line]:
        """The lines that are a sku."""
        return [line for line in self.lines if line.item_type == "skus"]

    @property
    def ships(self) -> bool:
        """Whether something of it is shipped."""
        return any(line.ships for line in self.lines)


class Offered(NamedTuple):
    """An order, and what the catalogue has for it."""

    order: OrderFacts
    offers: Offers


_ORDER = One("ordering/facts.order", OrderFacts)
_OFFERED = One("ordering/facts.offered", Offered)


async def of(connection: Connection, store: Store, order_id: str, *, at: datetime) -> OrderFacts:
    """The facts of an order that the caller holds, as they are at an instant."""
    found = await _ORDER(connection, store=store.id, order=order_id, at=at)
    assert found is not None  # noqa: S101 -- the caller holds it
    return found


async def offered(connection: Connection, store: Store, order_id: str, *, at: datetime) -> Offered:
    """The same with all that its skus cost at that instant, and what is taken off: one statement."""
    found = await _OFFERED(connection, store=store.id, order=order_id, at=at)
    assert found is not None  # noqa: S101 -- the caller holds it
    return found
