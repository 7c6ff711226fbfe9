"""Carts: found or made, and locked. A cart changes under its own lock only."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol, TypeVar

import orjson

from schemas.graph import graph
from schemas.kinds import due
from service import clock
from service.errors import NotFound
from service.operations.catalogue import pricing
from service.operations.catalogue.pricing import Offers
from service.operations.catalogue.quotes import Terms
from service.operations.events import outbox
from service.operations.generic import quotas
from service.principal import Owner, Principal, Store
from service.rules.discounts import CouponStatus
from service.rules.outcomes import CatalogueItem, ItemKey
from service.rules.taxes import Destination
from service.store.pool import Connection
from service.store.statements import Command, One, Value
from service.store.vault import vault_of

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
    """A locked cart with its items in the order of their ids; `session_digest` is known of a new one."""

    id: str
    version: int
    sealed_session: str
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
    session_digest: str = ""

    @property
    def due(self) -> int:
        """What has to be paid: taxes come on top of the total unless they are included."""
        return due(self.total_amount_cents, self.total_tax_amount_cents, tax_included=self.tax_included)

    @property
    def held(self) -> dict[ItemKey, int]:
        """The quantities in the cart by sku and options."""
        return {item.key: item.quantity for item in self.items}


class SealedSession(NamedTuple):
    """The session of a cart, sealed, and what the cart is found by."""

    text: str
    digest: str


class Row(NamedTuple):
    """A cart as it is stored, with what its amounts depend on; `items` is JSON, arrays in the order of `CartItem`."""

    id: str
    version: int
    sealed_session: str
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
    sku_ids: list[str] | None


class Found(NamedTuple):
    """A locked cart, the id of a sku that is wanted, and what the catalogue has for both.

    Read before the lock, the cart is of another version than the one that is held (`held_version`).
    """

    held_version: int
    cart: Row
    sku_id: str | None
    offers: Offers

    @property
    def current(self) -> bool:
        """Whether the cart was read under its lock."""
        return self.held_version == self.cart.version


class Current(Protocol):
    """What a statement has read together with a cart that it locks."""

    @property
    def current(self) -> bool:
        """Whether it is of the version that is held: what was read before the lock may be of an earlier one."""


C = TypeVar("C", bound=Current)


async def under_lock(read: Callable[[], Awaitable[C | None]]) -> C | None:
    """What a statement reads under the lock that it takes itself; None where it finds nothing.

    What it read while it waited for the lock may be of before: then it reads again, and the lock is its own by now.
    """
    found = await read()
    while found is not None and not found.current:
        found = await read()
    return found


_SEALED = "carts.session"
_LOCK = Value("carts/carts.lock", str)
_ACTIVE = Value("carts/carts.active", str)
_READ = One("carts/carts.read", Row)
_TO_CHANGE = One("carts/carts.to_change", Found)
_CREATE = Value("carts/carts.create", str)
_ABANDON = Command("carts/carts.abandon")


async def lock(connection: Connection, store: Store, cart_id: str) -> Cart:
    """A cart with its items, locked until the caller's transaction ends. Raises NotFound for an unknown one."""
    if await _LOCK(connection, store=store.id, cart=cart_id) is None:
        raise NotFound("No cart has this id.", fields=("cart",))
    return await _read(connection, store, cart_id)


async def to_change(
    connection: Connection, store: Store, cart_id: str, *, sku_code: str | None, at: datetime
) -> Found | None:
    """A cart as `lock` gives it, with all that it comes to with a sku; None for an unknown one. One statement."""
    return await under_lock(lambda: _TO_CHANGE(connection, store=store.id, cart=cart_id, sku_code=sku_code, at=at))


async def look_for_active(connection: Connection, store: Store, customer_id: str) -> Cart | None:
    """A customer's active cart with its items, not locked: to tell of, not to change. One of a repeat link is none."""
    cart_id = await _ACTIVE(connection, store=store.id, customer=customer_id)
    row = None if cart_id is None else await _READ(connection, store=store.id, cart=cart_id)
    return None if row is None else of_row(row)


def session(connection: Connection, store: Store, cart_id: str, sealed: str) -> str:
    """The session of a cart; empty where it was sealed with a key that is gone."""
    return vault_of(connection).open(_SEALED, store.id, cart_id, sealed) or ""


async def _read(connection: Connection, store: Store, cart_id: str) -> Cart:
    """A cart that is locked, and therefore there."""
    row = await _READ(connection, store=store.id, cart=cart_id)
    assert row is not None  # noqa: S101 -- nobody else can delete it
    return of_row(row)


def belongs(cart: Row, principal: Principal) -> bool:
    """Whether somebody sees a cart: the shop sees all, a customer the own ones, a guest the one of the session."""
    owner = principal.owner
    return owner is None or owner.id == (cart.id if owner.type_ == "carts" else cart.customer_id)


def of_row(row: Row) -> Cart:
    """The cart of a row."""
    destination = None if row.country_code is None else Destination(row.country_code, row.state_code, row.zip_code)
    return Cart(
        id=row.id,
        version=row.version,
        sealed_session=row.sealed_session,
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


def new(
    connection: Connection,
    store: Store,
    *,
    currency: str,
    tax_included: bool,
    customer_id: str | None,
    customer_group_id: str | None,
) -> Cart:
    """A cart that isn't written yet, empty and with a session of its own: `carts/carts.open` writes it."""
    id_ = clock.new_id()
    sealed = new_session(connection, store, id_)
    return Cart(
        id=id_,
        version=1,
        sealed_session=sealed.text,
        session_digest=sealed.digest,
        status="active",
        customer_id=customer_id,
        customer_group_id=customer_group_id,
        currency_code=currency,
        tax_included=tax_included,
        coupon_code=None,
        coupon_status=None,
        destination=None,
        shipping_price_cents=0,
        payment_price_cents=0,
        subtotal_amount_cents=0,
        shipping_amount_cents=0,
        payment_method_amount_cents=0,
        discount_amount_cents=0,
        total_tax_amount_cents=0,
        total_amount_cents=0,
    )


async def require_room(connection: Connection, store: Store, customer_id: str | None) -> None:
    """Raise QuotaExceeded for a customer who can't have one cart more, which a guest always can."""
    if customer_id is not None:
        carts, owner = graph["carts"], Owner("customers", customer_id)
        if await quotas.is_full(connection, store, owner, carts):
            raise quotas.exceeded(carts, fields=("customer", "source_order"))


def new_session(connection: Connection, store: Store, cart_id: str) -> SealedSession:
    """A name of a cart that nobody guesses, as it is kept."""
    named, vault = secrets.token_urlsafe(24), vault_of(connection)
    return SealedSession(vault.seal(_SEALED, store.id, cart_id, named), vault.digest(_SEALED, store.id, named))


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
    look for it again. Raises QuotaExceeded for a customer who has too many.
    """
    await require_room(connection, store, customer_id)
    id_ = clock.new_id()
    sealed = new_session(connection, store, id_)
    cart_id = await _CREATE(
        connection,
        store=store.id,
        id=id_,
        session=sealed.text,
        session_digest=sealed.digest,
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
