"""Carts: found or made, locked, and priced as a pure function of what is in them today.

A cart changes under its own lock only, and is written with all its amounts in one statement: its items at today's
prices (one without a price keeps the last one, which the checkout refuses), what promotions and the coupon take off,
taxes, what shipping and paying cost, and the sums of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

import orjson

from service import clock
from service.errors import Invalid, InvalidState, NotFound
from service.operations.catalogue import pricing
from service.operations.catalogue.quotes import Item, Terms, quoted
from service.operations.events import outbox
from service.principal import Store
from service.rules.discounts import CouponStatus, Promotion
from service.rules.outcomes import CatalogueItem, ItemKey
from service.rules.taxes import Destination
from service.rules.totals import Totals
from service.store.pool import Connection
from service.store.statements import Command, One, Value

MAX_ITEMS = 1_000
"""How many lines a cart holds."""
MAX_QUANTITY = 2**63 - 1
"""The largest quantity that the database keeps."""

_FILLED = ("cart", "source_order")
"""The fields by which a client fills a cart: it names the cart, or only what goes into it."""


@dataclass(frozen=True, slots=True)
class CartItem:
    """A line of a cart, as it is kept."""

    id: str
    sku_id: str
    source_line_item_id: str | None
    sku_code: str
    name: str
    image_url: str | None
    options: Mapping[str, object]
    options_digest: str
    quantity: int
    unit_amount_cents: int = 0
    compare_at_amount_cents: int | None = None
    discount_cents: int = 0
    total_amount_cents: int = 0
    tax_rate: Decimal = Decimal(0)
    tax_amount_cents: int = 0
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> ItemKey:
        """What makes another line the same as this one."""
        return (self.sku_id, self.options_digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cart(Terms):
    """A locked cart with its items in the order of their ids."""

    id: str
    session: str
    status: str
    customer_id: str | None
    coupon_status: CouponStatus | None
    subtotal_amount_cents: int
    shipping_amount_cents: int
    payment_method_amount_cents: int
    discount_amount_cents: int
    total_tax_amount_cents: int
    total_amount_cents: int
    items: Sequence[CartItem] = ()

    @property
    def held(self) -> dict[ItemKey, int]:
        """The quantities in the cart by sku and options."""
        return {item.key: item.quantity for item in self.items}


class Row(NamedTuple):
    """A cart as it is stored, with what its amounts depend on; `items` is JSON, arrays in the order of `CartItem`."""

    id: str
    session: str
    status: str
    customer_id: str | None
    customer_group_id: str | None
    currency_code: str
    tax_included: bool
    coupon_code: str | None
    coupon_status: CouponStatus | None
    country_code: str | None
    state_code: str | None
    zip_code: str | None
    shipping_price_cents: int
    payment_price_cents: int
    subtotal_amount_cents: int
    shipping_amount_cents: int
    payment_method_amount_cents: int
    discount_amount_cents: int
    total_tax_amount_cents: int
    total_amount_cents: int
    items: str | None


_LOCK = Value("carts/carts.lock", str)
_LOCK_ACTIVE = Value("carts/carts.lock_active", str)
_ACTIVE = Value("carts/carts.active", str)
_READ = One("carts/carts.read", Row)
_CREATE = Value("carts/carts.create", str)
_SAVE = Command("carts/carts.save")
_ABANDON = Command("carts/carts.abandon")
_SET_CURRENCY = Command("carts/carts.set_currency")


@dataclass(frozen=True, slots=True)
class Quote:
    """What a cart comes to: its items at their prices, in the order of their ids, and its amounts."""

    items: Sequence[CartItem]
    totals: Totals
    tax_included: bool
    coupon_status: CouponStatus | None


async def lock(connection: Connection, store: Store, cart_id: str) -> Cart:
    """A cart with its items, locked until the caller's transaction ends. Raises NotFound for an unknown one."""
    if await _LOCK(connection, store=store.id, cart=cart_id) is None:
        raise _no_cart()
    return await _read(connection, store, cart_id)


async def find_active(connection: Connection, store: Store, customer_id: str) -> Cart | None:
    """A customer's active cart, locked, or None: `create` makes it. One made from a repeat link is none."""
    cart_id = await _LOCK_ACTIVE(connection, store=store.id, customer=customer_id)
    return None if cart_id is None else await _read(connection, store, cart_id)


async def look(connection: Connection, store: Store, cart_id: str) -> Cart:
    """A cart with its items, not locked: to tell of, not to change. Raises NotFound for an unknown one."""
    row = await _READ(connection, store=store.id, cart=cart_id)
    if row is None:
        raise _no_cart()
    return _cart(row)


async def look_for_active(connection: Connection, store: Store, customer_id: str) -> Cart | None:
    """A customer's active cart as `find_active` finds it, not locked."""
    cart_id = await _ACTIVE(connection, store=store.id, customer=customer_id)
    row = None if cart_id is None else await _READ(connection, store=store.id, cart=cart_id)
    return None if row is None else _cart(row)


async def _read(connection: Connection, store: Store, cart_id: str) -> Cart:
    """A cart that is locked, and therefore there."""
    row = await _READ(connection, store=store.id, cart=cart_id)
    assert row is not None  # noqa: S101 -- nobody else can delete it
    return _cart(row)


def _no_cart() -> NotFound:
    return NotFound("No cart has this id.", fields=("cart",))


def _cart(row: Row) -> Cart:
    destination = None if row.country_code is None else Destination(row.country_code, row.state_code, row.zip_code)
    return Cart(
        id=row.id,
        session=row.session,
        status=row.status,
        customer_id=row.customer_id,
        customer_group_id=row.customer_group_id,
        currency_code=row.currency_code,
        tax_included=row.tax_included,
        coupon_code=row.coupon_code,
        coupon_status=row.coupon_status,
        destination=destination,
        shipping_price_cents=row.shipping_price_cents,
        payment_price_cents=row.payment_price_cents,
        subtotal_amount_cents=row.subtotal_amount_cents,
        shipping_amount_cents=row.shipping_amount_cents,
        payment_method_amount_cents=row.payment_method_amount_cents,
        discount_amount_cents=row.discount_amount_cents,
        total_tax_amount_cents=row.total_tax_amount_cents,
        total_amount_cents=row.total_amount_cents,
        items=_items(row.items),
    )


def _items(text: str | None) -> list[CartItem]:
    """The items of a cart's row. Their tax rates are texts, since JSON's numbers aren't exact."""
    return [
        CartItem(*[*others, Decimal(tax_rate), tax_amount_cents, metadata])
        for *others, tax_rate, tax_amount_cents, metadata in orjson.loads(text or "[]")
    ]


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
    cart_id = await _CREATE(
        connection,
        store=store.id,
        id=clock.new_id(),
        session=secrets.token_urlsafe(24),
        customer=customer_id,
        currency=currency,
        repeat_link=repeat_link_id,
        browser=browser,
        billing_address=billing_address_id,
        shipping_address=shipping_address_id,
        shipping_method=shipping_method_id,
        payment_method=payment_method_id,
        at=at,
    )
    if cart_id is None:
        return None
    await outbox.record(connection, store, "carts.create", cart_id, actor=actor)
    return await _read(connection, store, cart_id)


async def abandon(connection: Connection, store: Store, cart: Cart, *, at: datetime, actor: str) -> None:
    """Set a locked active cart aside, with its event `carts.abandon`."""
    await _ABANDON(connection, store=store.id, cart=cart.id, at=at)
    await outbox.record(connection, store, "carts.abandon", cart.id, actor=actor)


def taking(cart: Cart, currency: str) -> Cart:
    """A cart as something in a currency finds it: an empty one takes the currency of what is put into it.

    Ways to ship and to pay of another one cost nothing then; the checkout refuses them.
    """
    if cart.items or cart.currency_code == currency:
        return cart
    return replace(cart, currency_code=currency, shipping_price_cents=0, payment_price_cents=0)


async def set_currency(connection: Connection, store: Store, cart: Cart, *, at: datetime) -> None:
    """Write the currency that a locked cart has taken."""
    await _SET_CURRENCY(connection, store=store.id, cart=cart.id, currency=cart.currency_code, at=at)


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
    metadata: Mapping[str, object] = MappingProxyType({}),
) -> Cart:
    """Make these the items of a locked cart, at the catalogue's prices; items that stay as they are stay untouched.

    The cart has this metadata from now on, beside its own, which wins.

    Raises InvalidState for a cart that isn't active, Invalid when it would hold too much.
    """
    if cart.status != "active":
        raise InvalidState("The cart is {status}: nothing can be added to it.", status=cart.status)
    priced = await quote_of(connection, store, cart, items, catalogue, at=at)
    sums = priced.totals
    saved = replace(
        cart,
        items=priced.items,
        coupon_status=priced.coupon_status,
        subtotal_amount_cents=sums.subtotal,
        shipping_amount_cents=sums.shipping,
        payment_method_amount_cents=sums.payment_method,
        discount_amount_cents=sums.discount,
        total_tax_amount_cents=sums.tax,
        total_amount_cents=sums.total,
    )
    if saved == cart and not metadata:
        return cart
    before = {item.id: item for item in cart.items}
    await _SAVE(
        connection,
        store=store.id,
        cart=cart.id,
        items=orjson.dumps([_row(item) for item in saved.items if item != before.get(item.id)]).decode(),
        removed=sorted(before.keys() - {item.id for item in saved.items}),
        currency=cart.currency_code,
        at=at,
        coupon_status=priced.coupon_status,
        subtotal=sums.subtotal,
        shipping=sums.shipping,
        payment_method=sums.payment_method,
        discount=sums.discount,
        tax=sums.tax,
        total=sums.total,
        metadata=orjson.dumps(dict(metadata)).decode(),
    )
    return saved


async def quote_of(
    connection: Connection,
    store: Store,
    terms: Terms,
    items: Sequence[CartItem],
    catalogue: Mapping[str, CatalogueItem],
    *,
    at: datetime,
    coupon_counted: bool = False,
) -> Quote:
    """What a cart of these terms would come to with these items, at the catalogue's prices; writes nothing.

    `coupon_counted` says that the coupon was counted for it already. Raises Invalid when it would hold too much.
    """
    if len(items) > MAX_ITEMS:
        raise Invalid("A cart holds at most {max_items} lines.", max_items=MAX_ITEMS, fields=_FILLED)
    if any(item.quantity > MAX_QUANTITY for item in items):
        raise Invalid("A quantity is too large to be stored.", fields=_FILLED)
    promotions = await pricing.promotions(connection, store, terms.coupon_code, at=at, counted=coupon_counted)
    try:
        return await _priced(terms, items, catalogue, promotions)
    except Invalid as error:
        raise Invalid(error.detail, fields=_FILLED) from None


async def quote(
    connection: Connection,
    store: Store,
    items: Sequence[CartItem],
    *,
    currency: str,
    at: datetime,
    customer_group_id: str | None = None,
    coupon_code: str | None = None,
    coupon_counted: bool = False,
    shipping_method_id: str | None = None,
    payment_method_id: str | None = None,
) -> Quote:
    """What a cart of these items would come to at an instant; writes nothing, three reads for any number of items.

    An item without a price keeps its own. Raises Invalid when it would hold too much.
    """
    costs = await pricing.costs(
        connection,
        store,
        currency=currency,
        shipping_method_id=shipping_method_id,
        payment_method_id=payment_method_id,
    )
    terms = Terms(
        currency_code=currency,
        tax_included=costs.tax_included,
        customer_group_id=customer_group_id,
        coupon_code=coupon_code,
        shipping_price_cents=costs.shipping_price_cents,
        payment_price_cents=costs.payment_price_cents,
    )
    sku_ids = {item.sku_id for item in items}
    catalogue = await pricing.catalogue(
        connection, store, sku_ids, currency=currency, customer_group_id=customer_group_id, at=at
    )
    return await quote_of(connection, store, terms, items, catalogue, at=at, coupon_counted=coupon_counted)


async def _priced(
    terms: Terms,
    items: Sequence[CartItem],
    catalogue: Mapping[str, CatalogueItem],
    promotions: Sequence[Promotion],
) -> Quote:
    """Items at what they come to, in the order of their ids; and the sums."""
    items = sorted(items, key=lambda item: item.id)
    wanted = [Item(item.sku_id, item.quantity, item.unit_amount_cents, item.compare_at_amount_cents) for item in items]
    found = await quoted(terms, wanted, catalogue, promotions)
    priced = [
        replace(
            item,
            unit_amount_cents=line.unit_amount_cents,
            compare_at_amount_cents=line.compare_at_amount_cents,
            total_amount_cents=line.total_amount_cents,
            discount_cents=line.discount_cents,
            tax_rate=line.tax_rate,
            tax_amount_cents=line.tax_amount_cents,
        )
        for item, line in zip(items, found.items, strict=True)
    ]
    return Quote(priced, found.totals, terms.tax_included, found.coupon_status)


def _row(item: CartItem) -> dict[str, object]:
    """An item as the statement `save` reads it."""
    return {name: getattr(item, name) for name in _KEPT} | {"tax_rate": str(item.tax_rate)}


_KEPT = [column.name for column in fields(CartItem)]
