"""Carts: found or made, locked, and priced as a pure function of what is in them today.

A cart changes under its own lock only, and is written with all its amounts in one statement: its items at today's
prices (one without a price keeps the last one, which the checkout refuses), and the sums of them.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from service import clock
from service.errors import Invalid, InvalidState, NotFound
from service.operations import events, pricing
from service.principal import Store
from service.rules.outcomes import CatalogueItem, ItemKey
from service.rules.totals import LineTotals, Totals, line_totals, totals
from service.store.pool import Connection
from sql import queries

CARTS = queries("carts")

MAX_ITEMS = 1_000
"""How many lines a cart holds."""
MAX_QUANTITY = 2**63 - 1
"""The largest quantity that the database keeps."""


@dataclass(frozen=True, slots=True)
class CartItem:
    """A line of a cart, as it is kept."""

    id: str
    sku_id: str
    source_line_item_id: str | None
    sku_code: str
    name: str
    image_url: str | None
    options: Mapping[str, Any]
    options_digest: str
    quantity: int
    unit_amount_cents: int = 0
    compare_at_amount_cents: int | None = None
    discount_cents: int = 0
    total_amount_cents: int = 0
    tax_rate: Decimal = Decimal(0)
    tax_amount_cents: int = 0

    @property
    def key(self) -> ItemKey:
        """What makes another line the same as this one."""
        return (self.sku_id, self.options_digest)


@dataclass(frozen=True, slots=True)
class Cart:
    """A locked cart with its items in the order in which they were added."""

    id: str
    session: str
    status: str
    customer_id: str | None
    customer_group_id: str | None
    currency_code: str
    tax_included: bool
    shipping_amount_cents: int
    payment_method_amount_cents: int
    subtotal_amount_cents: int
    discount_amount_cents: int
    total_tax_amount_cents: int
    total_amount_cents: int
    items: Sequence[CartItem] = ()

    @property
    def held(self) -> dict[ItemKey, int]:
        """The quantities in the cart by sku and options."""
        return {item.key: item.quantity for item in self.items}


async def lock(connection: Connection, store: Store, cart_id: str) -> Cart:
    """A cart with its items, locked until the caller's transaction ends. Raises NotFound for an unknown one."""
    row = await connection.fetchrow(CARTS["lock"], store.id, cart_id)
    if row is None:
        raise NotFound("There is no cart of this id.")
    rows = await connection.fetch(CARTS["items"], store.id, cart_id)
    items = [CartItem(**{**item, "options": orjson.loads(item["options"])}) for item in rows]
    return Cart(**row, items=items)


async def find_active(connection: Connection, store: Store, customer_id: str) -> Cart | None:
    """A customer's active cart, locked, or None: `create` makes it. One made from a repeat link is none."""
    cart_id = await connection.fetchval(CARTS["lock_active"], store.id, customer_id)
    return None if cart_id is None else await lock(connection, store, cart_id)


async def create(
    connection: Connection,
    store: Store,
    *,
    currency: str,
    at: datetime,
    actor: str,
    customer_id: str | None = None,
    repeat_link_id: str | None = None,
    browser: str | None = None,
    billing_address_id: str | None = None,
    shipping_address_id: str | None = None,
    shipping_method_id: str | None = None,
    payment_method_id: str | None = None,
) -> Cart | None:
    """An empty cart with a session of its own, locked, and its event `carts.create`.

    None when another transaction has made the one open cart of this customer, or of this link and browser, meanwhile:
    look for it again.
    """
    cart_id = await connection.fetchval(
        CARTS["create"],
        store.id,
        clock.new_id(),
        secrets.token_urlsafe(24),
        customer_id,
        currency,
        repeat_link_id,
        browser,
        billing_address_id,
        shipping_address_id,
        shipping_method_id,
        payment_method_id,
        at,
    )
    if cart_id is None:
        return None
    await events.record(connection, store, "carts.create", cart_id, actor=actor)
    return await lock(connection, store, cart_id)


async def abandon(connection: Connection, store: Store, cart: Cart, *, at: datetime, actor: str) -> None:
    """Set a locked active cart aside, with its event `carts.abandon`."""
    await connection.execute(CARTS["abandon"], store.id, cart.id, at)
    await events.record(connection, store, "carts.abandon", cart.id, actor=actor)


async def recalculate(connection: Connection, store: Store, cart_id: str) -> Cart:
    """Bring a cart to today's prices and sums; gives it locked. Raises NotFound for an unknown one."""
    cart = await lock(connection, store, cart_id)
    at = clock.now(store)
    return await save(connection, store, cart, cart.items, await catalogue(connection, store, cart, at=at), at=at)


async def catalogue(
    connection: Connection, store: Store, cart: Cart, sku_ids: Iterable[str] = (), *, at: datetime
) -> dict[str, CatalogueItem]:
    """The skus of a cart's items, and these further ones, as the cart's customer can buy them."""
    return await pricing.catalogue(
        connection,
        store,
        {item.sku_id for item in cart.items}.union(sku_ids),
        currency=cart.currency_code,
        customer_group_id=cart.customer_group_id,
        at=at,
    )


async def save(
    connection: Connection,
    store: Store,
    cart: Cart,
    items: Sequence[CartItem],
    catalogue: Mapping[str, CatalogueItem],
    *,
    at: datetime,
) -> Cart:
    """Make these the items of a locked cart, at the catalogue's prices; items that stay as they are stay untouched.

    Raises InvalidState for a cart that isn't active, Invalid when it would hold too much.
    """
    if cart.status != "active":
        raise InvalidState("The cart is {status}: nothing can be put into it.", status=cart.status)
    if len(items) > MAX_ITEMS:
        raise Invalid("A cart holds at most {max_items} lines.", max_items=MAX_ITEMS)
    if any(item.quantity > MAX_QUANTITY for item in items):
        raise Invalid("A quantity is larger than can be kept.")
    priced, sums = _priced(cart, items, catalogue)
    saved = replace(
        cart,
        items=priced,
        subtotal_amount_cents=sums.subtotal,
        discount_amount_cents=sums.discount,
        total_tax_amount_cents=sums.tax,
        total_amount_cents=sums.total,
    )
    if saved == cart:
        return cart
    before = {item.id: item for item in cart.items}
    await connection.execute(
        CARTS["save"],
        store.id,
        cart.id,
        orjson.dumps([_row(item) for item in priced if item != before.get(item.id)]).decode(),
        sorted(before.keys() - {item.id for item in priced}),
        cart.currency_code,
        sums.subtotal,
        sums.discount,
        sums.tax,
        sums.total,
        at,
    )
    return saved


def _priced(
    cart: Cart, items: Sequence[CartItem], catalogue: Mapping[str, CatalogueItem]
) -> tuple[Sequence[CartItem], Totals]:
    """Items at the prices for all pieces of their sku together, and the cart's amounts."""
    pieces: Counter[str] = Counter()
    for item in items:
        pieces[item.sku_id] += item.quantity
    priced: list[CartItem] = []
    lines: list[LineTotals] = []
    for item in items:
        sku = catalogue[item.sku_id]
        price = sku.price(pieces[item.sku_id])
        unit = item.unit_amount_cents if price is None else price.amount_cents
        line = line_totals(item.quantity, unit, sku.tax_rate, tax_included=cart.tax_included)
        lines.append(line)
        priced.append(
            replace(
                item,
                unit_amount_cents=unit,
                compare_at_amount_cents=item.compare_at_amount_cents
                if price is None
                else price.compare_at_amount_cents,
                discount_cents=line.discount,
                total_amount_cents=line.total,
                tax_rate=sku.tax_rate,
                tax_amount_cents=line.tax,
            )
        )
    return priced, totals(
        lines,
        shipping_amount_cents=cart.shipping_amount_cents,
        payment_method_amount_cents=cart.payment_method_amount_cents,
    )


def _row(item: CartItem) -> dict[str, Any]:
    """An item as the statement `save` reads it."""
    return asdict(item) | {"tax_rate": str(item.tax_rate)}
