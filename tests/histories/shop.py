"""The shop that clients act on: what there is when they begin, and what they have made of it, as they know."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from service import clock
from service.operations.access import tokens
from service.operations.tenant import tenants
from service.principal import CUSTOMER_SCOPES, SCOPES, Store
from service.store.pool import Connection, connect
from tests import factories
from tests.factories import Line
from tests.support import KEYS

STORE = 1
STOCK = 1_000_000
SKUS = 4
"""How many skus have a stock, which orders of carts take from; one more is what subscriptions repeat."""
ORDERS = 3
ADDRESSES = 2

Pieces = Mapping[str, int]
"""How many of which sku, by its code."""


@dataclass
class Ordered:
    """An order that a cart became, and what clients have asked of it."""

    id: str
    cart_id: str
    pieces: Pieces
    placed: bool = False
    cancelled: bool = False


@dataclass
class Customer:
    """A customer, with what can be ordered again and what it takes to place an order."""

    id: str
    token: str
    orders: Mapping[str, Pieces]
    addresses: list[str]
    cart_id: str | None = None
    made: list[Ordered] = field(default_factory=list)
    busy: bool = False
    """Whether a client is making an order of the cart: one at a time knows what came of it."""


@dataclass
class Shop:
    """All that clients know. `presses` counts the extra runs that were asked for, by subscription."""

    integration: str
    customers: list[Customer]
    stock_items: Mapping[str, str]
    shipping_method_id: str
    payment_method_id: str
    source_id: str
    carts: dict[str, Customer] = field(default_factory=dict)
    """Those that there ever were, with their customers."""
    tags: list[str] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    occurrences: list[str] = field(default_factory=list)
    presses: Counter[str] = field(default_factory=Counter)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    positions: dict[str, int] = field(default_factory=dict)
    """Where there is a replica: how far the database had come as the last write of a token was acknowledged."""

    def tell(self, token: str, position: int) -> None:
        """Note a position that came with an answer: all who have the token know of it."""
        self.positions[token] = max(self.positions.get(token, 0), position)

    def position(self, token: str) -> int:
        """What is to be seen by whoever reads: what was written with their token, and all of it by the shop itself."""
        known = self.positions.values() if token == self.integration else (self.positions.get(token, 0),)
        return max(known, default=0)

    def enter(self, customer: Customer, cart_id: str) -> None:
        """Note the cart that a customer is known to have now."""
        customer.cart_id = cart_id
        self.carts[cart_id] = customer


async def open_shop(url: str, customers: int) -> Shop:
    """Make a store with so many customers, each with past orders of one to three skus."""
    async with connect(url, KEYS) as connection:
        store = await tenants.create(connection, store_id=STORE, name="Histories", at=clock.now())
        skus = [await factories.sku(connection, store, price=100, stock=STOCK) for _ in range(SKUS)]
        repeated = await factories.sku(connection, store, price=100)
        rows = await connection.fetch("select sku_id, id from stock_items where store_id = $1", STORE)
        items = {row[0]: row[1] for row in rows}
        return Shop(
            await _token(connection, None),
            [await _customer(connection, store, skus) for _ in range(customers)],
            {sku.code: items[sku.id] for sku in skus},
            await factories.shipping_method(connection, store),
            await factories.payment_method(connection, store),
            await factories.full_order(connection, store, [Line(repeated)]),
        )


async def _customer(connection: Connection, store: Store, skus: list[factories.Sku]) -> Customer:
    id_ = await factories.customer(connection, store)
    orders: dict[str, Pieces] = {}
    for number in range(ORDERS):
        chosen = [skus[(number + n) % SKUS] for n in range(number + 1)]
        lines = [Line(sku, 1 + n) for n, sku in enumerate(chosen)]
        order_id = await factories.full_order(connection, store, lines, customer_id=id_)
        orders[order_id] = {line.sku.code: line.quantity for line in lines}
    addresses = [await factories.address(connection, store, customer_id=id_) for _ in range(ADDRESSES)]
    return Customer(id_, await _token(connection, id_), orders, addresses)


async def _token(connection: Connection, customer_id: str | None) -> str:
    scopes = SCOPES if customer_id is None else CUSTOMER_SCOPES
    _, token = await tokens.issue(
        connection, STORE, customer_id=customer_id, scopes=scopes, name=None, expires_at=None, at=clock.now()
    )
    return token
