"""Rows to test with: each function inserts one thing, with sensible defaults and any column as a keyword."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from service import clock
from service.operations.generic import numbers
from service.principal import Store
from service.store import counts
from service.store.pool import Connection
from service.store.vault import vault_of
from tests.counted import counted_type

_count = itertools.count(1)


def count_from(number: int) -> None:
    """Number what is made from here on: for stores that have rows of another origin."""
    global _count  # noqa: PLW0603 -- numbers are unique within a process
    _count = itertools.count(number)


@dataclass(frozen=True)
class Sku:
    """A product as tests speak of it; `price` in minor units of the store's currency."""

    id: str
    code: str
    name: str
    price: int
    tax_rate: Decimal = Decimal("0.21")


@dataclass(frozen=True)
class Line:
    """A line of an order, a cart or a subscription; without a unit amount at the sku's price."""

    sku: Sku
    quantity: int = 1
    unit_amount_cents: int | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def unit(self) -> int:
        """What one piece costs in minor units."""
        return self.sku.price if self.unit_amount_cents is None else self.unit_amount_cents

    @property
    def total(self) -> int:
        """What all pieces cost in minor units."""
        return self.unit * self.quantity


async def insert(connection: Connection, table: str, store: Store, **columns: Any) -> str:
    """Insert a row with an id, timestamps and these columns; gives the id. Dicts become JSON."""
    at = clock.now(store)
    values = {"store_id": store.id, "id": clock.new_id(), "created_at": at, "updated_at": at} | columns
    values = dict(vault_of(connection).seal_row(table, store.id, values["id"], values))
    binds = [_bind(value) for value in values.values()]
    names = ", ".join(values)
    places = ", ".join(f"${n}" for n in range(1, len(binds) + 1))
    counted = counted_type(table, columns.get("kind"))
    placed = {name: f"${n}" for n, name in enumerate(values, 1)}
    changes = [] if counted is None else counts.more(counted, lambda name: placed.get(name, "null"))
    along = "".join(f"with counted as ({change}) " for change in changes)
    await connection.execute(f"{along}insert into {table} ({names}) values ({places})", *binds)
    return str(values["id"])


def _bind(value: Any) -> Any:
    json = isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
    return orjson.dumps(value).decode() if json else value


async def customer(connection: Connection, store: Store, **columns: Any) -> str:
    """A customer; gives the id."""
    return await insert(
        connection, "customers", store, **{"email": f"c{next(_count)}@example.com", "status": "acquired"} | columns
    )


async def address(connection: Connection, store: Store, **columns: Any) -> str:
    """An address in the Netherlands; gives the id."""
    defaults = {
        "first_name": "Sam",
        "last_name": "Rivers",
        "line_1": "Dorpsstraat 1",
        "city": "Utrecht",
        "zip_code": "3511 AA",
        "country_code": "NL",
        "phone": "+31 30 123 4567",
    }
    return await insert(connection, "addresses", store, **defaults | columns)


async def sku(
    connection: Connection, store: Store, *, price: int | None = 1000, stock: int | None = None, **columns: Any
) -> Sku:
    """A product with a price in the store's currency (None: without) and, unless None, a stock."""
    number = next(_count)
    values: dict[str, Any] = {
        "number": number,
        "code": f"SKU{number}",
        "name": f"Product {number}",
        "tax_rate": Decimal("0.21"),
    }
    values |= columns
    id_ = await insert(connection, "skus", store, **values)
    if price is not None:
        await insert(connection, "prices", store, sku_id=id_, currency_code=store.currency_code, amount_cents=price)
    if stock is not None:
        await insert(connection, "stock_items", store, sku_id=id_, quantity=stock)
    return Sku(id_, values["code"], values["name"], price or 0, values["tax_rate"])


async def set_price(connection: Connection, store: Store, sku: Sku, amount_cents: int) -> None:
    """Change what a product costs from now on."""
    await connection.execute(
        "update prices set amount_cents = $3 where store_id = $1 and sku_id = $2", store.id, sku.id, amount_cents
    )


async def stock(connection: Connection, store: Store, sku: Sku) -> int:
    """How many of a product there are."""
    found = await connection.fetchval(
        "select quantity from stock_items where store_id = $1 and sku_id = $2", store.id, sku.id
    )
    return int(found)


async def shipping_method(connection: Connection, store: Store, **columns: Any) -> str:
    """A way to ship for 4.95; gives the id."""
    defaults = {"name": "Parcel", "currency_code": store.currency_code, "price_amount_cents": 495}
    return await insert(connection, "shipping_methods", store, **defaults | columns)


async def payment_method(connection: Connection, store: Store, **columns: Any) -> str:
    """A way to pay by hand, at no cost; gives the id."""
    defaults = {
        "name": "Wire transfer",
        "payment_source_type": "wire_transfers",
        "gateway": "manual",
        "currency_code": store.currency_code,
    }
    return await insert(connection, "payment_methods", store, **defaults | columns)


async def payment_source(connection: Connection, store: Store, customer_id: str, **columns: Any) -> str:
    """What a customer pays with, from the wallet; gives the id."""
    defaults = {"customer_id": customer_id, "name": "Wallet", "gateway": "manual", "payment_source_token": "tok_1"}
    return await insert(connection, "customer_payment_sources", store, **defaults | columns)


async def order(
    connection: Connection, store: Store, lines: Sequence[Line] = (), *, customer_id: str | None = None, **columns: Any
) -> str:
    """An order that adds up, placed unless `status` says otherwise, with the next number of the store; gives the id."""
    at = clock.now(store)
    number = await numbers.TAKE(connection, store=store.id, kind="orders", number=1)
    subtotal = sum(line.total for line in lines)
    values: dict[str, Any] = {
        "number": number,
        "code": f"T{number}",
        "status": "placed",
        "payment_status": "authorized",
        "customer_id": customer_id,
        "currency_code": store.currency_code,
        "subtotal_amount_cents": subtotal,
        "total_amount_cents": subtotal + columns.get("shipping_amount_cents", 0),
    }
    values |= columns
    if values["status"] in ("placed", "approved"):
        values.setdefault("placed_at", at)
    id_ = await insert(connection, "orders", store, **values)
    for position, line in enumerate(lines, 1):
        await insert(
            connection,
            "line_items",
            store,
            order_id=id_,
            position=position,
            sku_id=line.sku.id,
            sku_code=line.sku.code,
            name=line.sku.name,
            options=line.options,
            quantity=line.quantity,
            currency_code=values["currency_code"],
            unit_amount_cents=line.unit,
            total_amount_cents=line.total,
            tax_rate=line.sku.tax_rate,
        )
    return id_


async def full_order(connection: Connection, store: Store, lines: Sequence[Line], **columns: Any) -> str:
    """A placed order with all that placing asks for: customer, addresses, shipping, payment; gives the id."""
    customer_id = columns.pop("customer_id", None) or await customer(connection, store)
    values = {
        "customer_id": customer_id,
        "customer_email": await connection.fetchval(
            "select email from customers where store_id = $1 and id = $2", store.id, customer_id
        ),
        "billing_address_id": await address(connection, store, snapshot=True, customer_id=customer_id),
        "shipping_address_id": await address(connection, store, snapshot=True, customer_id=customer_id),
        "shipping_method_id": await shipping_method(connection, store),
        "payment_method_id": await payment_method(connection, store),
        "shipping_amount_cents": 495,
    }
    return await order(connection, store, lines, **values | columns)


async def cart(connection: Connection, store: Store, *, customer_id: str | None = None, **columns: Any) -> str:
    """An empty active cart; gives the id."""
    defaults = {
        "session": f"session-of-cart-{next(_count)}-{store.id}",
        "customer_id": customer_id,
        "currency_code": store.currency_code,
    }
    return await insert(connection, "carts", store, **defaults | columns)


async def subscription(
    connection: Connection, store: Store, source_order_id: str, lines: Sequence[Line] = (), **columns: Any
) -> str:
    """A monthly, active subscription that repeats an order for its customer; gives the id.

    Without lines it has those of the source order.
    """
    source = await connection.fetchrow(
        "select customer_id, customer_email from orders where store_id = $1 and id = $2", store.id, source_order_id
    )
    assert source is not None
    at = clock.now(store)
    values: dict[str, Any] = {
        "number": await numbers.TAKE(connection, store=store.id, kind="order_subscriptions", number=1),
        "status": "active",
        "frequency": "monthly",
        "timezone": store.timezone,
        "source_order_id": source_order_id,
        "customer_id": source["customer_id"],
        "customer_email": source["customer_email"],
        "anchor_at": at,
        "starts_at": at,
    }
    values |= columns
    if values["status"] == "cancelled":
        values.setdefault("cancelled_at", at)
    id_ = await insert(connection, "order_subscriptions", store, **values)
    for line in lines:
        await insert(
            connection,
            "order_subscription_items",
            store,
            order_subscription_id=id_,
            sku_id=line.sku.id,
            sku_code=line.sku.code,
            name=line.sku.name,
            options=line.options,
            quantity=line.quantity,
            currency_code=store.currency_code,
            unit_amount_cents=line.unit,
            total_amount_cents=line.total,
        )
    if not lines:
        await connection.execute(_ITEMS_OF_THE_SOURCE_ORDER, store.id, id_, source_order_id, at)
    return id_


_ITEMS_OF_THE_SOURCE_ORDER = """
    with made as (
    insert into order_subscription_items (
        store_id, id, order_subscription_id, sku_id, source_line_item_id, sku_code, name, options, quantity,
        currency_code, unit_amount_cents, total_amount_cents, created_at, updated_at
    )
    select
        store_id, $2 || '-' || position, $2, sku_id, id, sku_code, name, options, quantity,
        currency_code, unit_amount_cents, unit_amount_cents * quantity, $4, $4
    from line_items
    where store_id = $1 and order_id = $3 and item_type = 'skus'
    returning 1
    )
    insert into collection_changes (store_id, collection, delta, customers)
    select
        $1, 'order_subscription_items', count(*),
        array_agg((select customer_id from order_subscriptions where store_id = $1 and id = $2))
    from made having count(*) > 0
"""
