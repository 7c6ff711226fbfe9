"""Rows of a store that add up, made in memory to be copied into the database.

What is made depends on the seed alone, except for instants, which all keep their distance from the instant of seeding.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode, b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from service.demo import pictures
from service.rules.order_codes import order_code
from service.rules.prepaid import Period, opened
from service.rules.totals import line_totals, totals

Row = Mapping[str, Any]

TABLES = (
    "customer_groups",
    "shipping_methods",
    "payment_methods",
    "subscription_models",
    "skus",
    "prices",
    "stock_items",
    "promotions",
    "tags",
    "sku_tags",
    "customers",
    "customer_tags",
    "addresses",
    "customer_payment_sources",
    "orders",
    "line_items",
    "order_subscriptions",
    "order_subscription_items",
    "occurrences",
    "order_factories",
    "action_links",
    "carts",
    "cart_items",
    "events",
    "webhooks",
    "event_callbacks",
)
"""The tables that are filled, each behind those it refers to."""

_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")
_FIRST_MILLISECOND = 1_704_067_200_000  # 2024-01-01


class Product(NamedTuple):
    """A sku and what it costs: `price` in minor units, `previous` until `changed_at`."""

    id: str
    code: str
    name: str
    tax_rate: Decimal
    price: int
    previous: int
    changed_at: datetime
    options: str = "{}"
    image_url: str | None = None

    def price_at(self, at: datetime) -> int:
        """The unit price of an instant, in minor units."""
        return self.price if at >= self.changed_at else self.previous


class Line(NamedTuple):
    """So many of a product, with the options chosen, as JSON text."""

    product: Product
    quantity: int


class Person(NamedTuple):
    """A customer with the columns of the home address and, maybe, a source in the wallet."""

    id: str
    email: str
    address: Row
    wallet: str | None = None


@dataclass(frozen=True, slots=True)
class Methods:
    """How an order is shipped and paid: the ids of its methods, and what shipping costs in minor units."""

    shipping: str
    shipping_cents: int
    payment: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order that was made: what a subscription or a copy of it needs to know."""

    id: str
    at: datetime
    person: Person
    lines: tuple[Line, ...]
    line_ids: tuple[str, ...]
    billing_address_id: str
    shipping_address_id: str
    methods: Methods


@dataclass
class Sheet:
    """The rows of one store, by table; `rows` is emptied whenever they have been copied."""

    store_id: int
    market_id: str
    currency_code: str
    seed: int
    at: datetime
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    highest: Counter[str] = field(default_factory=Counter)
    """The highest number used, by kind of number."""
    _made: Counter[str] = field(default_factory=Counter)
    _codes: set[str] = field(default_factory=set)

    def new_id(self, table: str) -> str:
        """The table's next id: a ULID whose bits follow from seed, table and count."""
        self._made[table] += 1
        count = self._made[table]
        digest = hashlib.blake2b(f"{self.seed}/{table}/{count}".encode(), digest_size=10).digest()
        clock = (_FIRST_MILLISECOND + count).to_bytes(10, "big")
        return (b32encode(clock)[6:] + b32encode(digest)).translate(_CROCKFORD).decode()

    def add(self, table: str, at: datetime, **columns: Any) -> str:
        """Add a row that was made at an instant; gives its id, a new one unless `id` is among the columns."""
        id_: str = columns.pop("id", None) or self.new_id(table)
        row = {"store_id": self.store_id, "id": id_, "created_at": at, "updated_at": at, **columns}
        self.rows[table].append(row)
        return id_

    def link(self, table: str, **columns: str) -> None:
        """Add a row of a join table."""
        self.rows[table].append({"store_id": self.store_id, **columns})

    def number(self, kind: str, number: int | None = None) -> int:
        """Note that a number of a kind is used, by default the next one; gives it."""
        used = self.highest[kind] + 1 if number is None else number
        self.highest[kind] = max(self.highest[kind], used)
        return used

    def product(
        self,
        at: datetime,
        code: str,
        name: str,
        *,
        price: int | None,
        previous: int | None = None,
        changed_at: datetime | None = None,
        stock: int | None = None,
        number: int | None = None,
        chosen: Mapping[str, str] | None = None,
        tax_rate: str = "0.21",
        picture: tuple[str, str] | None = None,
        **columns: Any,
    ) -> Product:
        """Add a sku made at an instant with its prices.

        It cost `previous` until `changed_at`, and costs `price` since (None: no longer sold). Without `stock` there
        is always some. `chosen` are the options with which it is ordered here. `picture` is
        the look and the thing that its picture shows.
        """
        since = changed_at or at
        number = self.number("skus", number)
        image_url = None if picture is None else pictures.path(*picture)
        columns = {"disabled_at": None, "deleted_at": None, "image_url": image_url} | columns
        id_ = self.add("skus", at, number=number, code=code, name=name, tax_rate=Decimal(tax_rate), **columns)
        price_columns = {"sku_id": id_, "currency_code": self.currency_code}
        before = previous if previous is not None else price
        if before is None:
            raise ValueError(f"{code} never had a price")
        if previous is not None:
            self.add("prices", at, amount_cents=previous, starts_at=at, expires_at=since, **price_columns)
        if price is not None:
            self.add("prices", since, amount_cents=price, starts_at=since, expires_at=None, **price_columns)
        if stock is not None:
            self.add("stock_items", at, sku_id=id_, quantity=stock)
        options = orjson.dumps(dict(chosen or {})).decode()
        return Product(id_, code, name, Decimal(tax_rate), price or before, before, since, options, image_url)

    def person(
        self,
        at: datetime,
        email: str,
        address: Row,
        *,
        wallet: Row | None = None,
        status: str = "repeat",
        customer_group_id: str | None = None,
        id: str | None = None,
    ) -> Person:
        """Add a customer, the home address in the customer's book and, where `wallet` has columns, a payment source."""
        id_ = self.add("customers", at, id=id, email=email, status=status, customer_group_id=customer_group_id)
        self.add("addresses", at, customer_id=id_, snapshot=False, **address)
        source = None if wallet is None else self.add("customer_payment_sources", at, customer_id=id_, **wallet)
        return Person(id_, email, address, source)

    def order(
        self,
        at: datetime,
        person: Person,
        lines: Iterable[Line],
        methods: Methods,
        *,
        number: int | None = None,
        code: str | None = None,
        status: str = "placed",
        prices_at: datetime | None = None,
        discount_percent: int = 0,
        billing: Row | None = None,
        pays: Period | None = None,
        id: str | None = None,
        **columns: Any,
    ) -> Order:
        """Add an order of an instant with its lines, at the prices of then or of `prices_at`, and its addresses.

        Both are the home address unless `billing` is another one. The discount falls on the lines. Without a number
        it gets the next one, without a code the one that belongs to its number. Placed orders have the event that
        says so. One that `pays` asks for those deliveries too.
        """
        lines = tuple(lines)
        amounts = [
            line_totals(
                line.quantity,
                line.product.price_at(prices_at or at),
                line.product.tax_rate,
                tax_included=True,
                discount_cents=-(line.quantity * line.product.price_at(prices_at or at) * discount_percent // 100),
            )
            for line in lines
        ]
        total = totals(amounts, shipping_amount_cents=methods.shipping_cents if lines else 0)
        total = total if pays is None else opened(total, pays)
        shipping_id = self.add("addresses", at, customer_id=person.id, snapshot=True, **person.address)
        billing_id = shipping_id
        if billing is not None:
            billing_id = self.add("addresses", at, customer_id=person.id, snapshot=True, **billing)
        number = self.number("orders", number)
        if code is None:
            while (code := order_code(number)) in self._codes:
                number = self.number("orders")
        else:
            self._codes.add(code)
        id_ = self.add(
            "orders",
            at,
            id=id,
            number=number,
            code=code,
            market_id=self.market_id,
            customer_id=person.id,
            customer_email=person.email,
            currency_code=self.currency_code,
            billing_address_id=billing_id,
            shipping_address_id=shipping_id,
            shipping_method_id=methods.shipping,
            payment_method_id=methods.payment,
            customer_payment_source_id=person.wallet,
            subtotal_amount_cents=total.subtotal,
            discount_amount_cents=total.discount,
            shipping_amount_cents=total.shipping,
            subtotal_tax_amount_cents=total.subtotal_tax,
            prepaid_amount_cents=total.prepaid,
            prepaid_tax_amount_cents=total.prepaid_tax,
            total_tax_amount_cents=total.tax,
            total_amount_cents=total.total,
            **_STATES[status],
            placed_at=at if status in ("placed", "approved") else None,
            approved_at=at if status == "approved" else None,
            cancelled_at=at if status == "cancelled" else None,
            **{"coupon_code": None, **_NO_SOURCE} | columns,
        )
        line_ids = tuple(
            self.add(
                "line_items",
                at,
                order_id=id_,
                position=position,
                sku_id=line.product.id,
                sku_code=line.product.code,
                name=line.product.name,
                image_url=line.product.image_url,
                options=line.product.options,
                quantity=line.quantity,
                currency_code=self.currency_code,
                unit_amount_cents=line.product.price_at(prices_at or at),
                discount_cents=amount.discount,
                total_amount_cents=amount.total,
                tax_rate=line.product.tax_rate,
                tax_amount_cents=amount.tax,
            )
            for position, (line, amount) in enumerate(zip(lines, amounts, strict=True), 1)
        )
        if status in ("placed", "approved"):
            self.event("orders.place", id_, at)
        return Order(id_, at, person, lines, line_ids, billing_id, shipping_id, methods)

    def event(self, name: str, resource_id: str, at: datetime) -> str:
        """Add the first event of a resource; gives its id."""
        type_ = name.partition(".")[0]
        return self.add("events", at, name=name, resource_type=type_, resource_id=resource_id, sequence=1)

    def webhook(self, topic: str, url: str, at: datetime) -> str:
        """Add a webhook that is disabled, since nobody is at its URL; gives its id."""
        secret = hashlib.blake2b(f"{self.seed}/{topic}".encode(), digest_size=32).digest()
        return self.add(
            "webhooks",
            at,
            name=f"Told of {topic}",
            topic=topic,
            topics=[topic],
            callback_url=url,
            shared_secret=f"whsec_{b64encode(secret).decode()}",
            disabled_at=at,
            health="disabled",
            health_reason="_disable",
            health_since=at,
        )


_STATES = {
    "draft": {"status": "draft", "payment_status": "unpaid", "fulfillment_status": "unfulfilled"},
    "pending": {"status": "pending", "payment_status": "unpaid", "fulfillment_status": "unfulfilled"},
    "placed": {"status": "placed", "payment_status": "authorized", "fulfillment_status": "unfulfilled"},
    "approved": {"status": "approved", "payment_status": "paid", "fulfillment_status": "fulfilled"},
    "cancelled": {"status": "cancelled", "payment_status": "voided", "fulfillment_status": "unfulfilled"},
}
_NO_SOURCE = {"source_order_id": None, "root_order_id": None, "order_subscription_id": None, "occurrence_id": None}
