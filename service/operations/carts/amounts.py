"""What carts come to: a pure function of what is in them today, and what makes a cart another one.

A cart is written with all its amounts in one statement: its items at today's prices (one without a price keeps the last
one, which the checkout refuses), what promotions and the coupon take off, taxes, what shipping and paying cost, and
the sums of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from types import MappingProxyType

import orjson

from schemas.kinds import due
from service import clock
from service.errors import Invalid, InvalidState
from service.operations.carts import contents
from service.operations.carts.contents import MAX_QUANTITY, Cart, CartItem
from service.operations.catalogue import pricing
from service.operations.catalogue.quotes import Item, Terms, quoted
from service.principal import Store
from service.rules.discounts import CouponStatus, Promotion
from service.rules.outcomes import CatalogueItem
from service.rules.totals import Totals
from service.store.pool import Connection
from service.store.statements import Along, Command, Part

MAX_ITEMS = 1_000
"""How many lines a cart holds."""
_FILLED = ("cart", "source_order")
"""The fields by which a client fills a cart: it names the cart, or only what goes into it."""
_SAVE = Command("carts/carts.save")
_WRITE_ITEMS = Part("carts/carts.write_items")
_SET_AMOUNTS = Command("carts/carts.set_amounts")
_SET = (
    "cart",
    "currency",
    "coupon_status",
    "subtotal",
    "shipping",
    "payment_method",
    "discount",
    "tax",
    "total",
)
_KEPT = [column.name for column in fields(CartItem)]
_AMOUNTS = _KEPT[_KEPT.index("unit_amount_cents") : _KEPT.index("metadata")]


@dataclass(frozen=True, slots=True)
class Quote:
    """What a cart comes to: its items at their prices, in the order of their ids, and its amounts."""

    items: Sequence[CartItem]
    totals: Totals
    tax_included: bool
    coupon_status: CouponStatus | None

    @property
    def due(self) -> int:
        """What has to be paid: taxes come on top of the total unless they are included."""
        return due(self.totals.total, self.totals.tax, tax_included=self.tax_included)


async def recalculate(connection: Connection, store: Store, cart_id: str, *, changed: bool = False) -> Cart:
    """Bring a cart to today's prices and sums; gives it locked. Raises NotFound for an unknown one.

    `changed` says that its items have: then its version is raised in any case.
    """
    cart = await contents.lock(connection, store, cart_id)
    at = clock.now(store)
    found = await contents.catalogue(connection, store, cart, at=at)
    return await save(connection, store, cart, cart.items, found, at=at, changed=changed)


async def save(
    connection: Connection,
    store: Store,
    cart: Cart,
    items: Sequence[CartItem],
    catalogue: Mapping[str, CatalogueItem],
    *,
    at: datetime,
    changed: bool = False,
) -> Cart:
    """Make these the items of a locked cart, at the catalogue's prices; items that stay as they are stay untouched.

    Raises InvalidState for a cart that isn't active, Invalid when it would hold too much.
    """
    promotions = await pricing.promotions(connection, store, cart.coupon_code, at=at)
    saved = await priced(cart, items, catalogue, promotions)
    if changed or saved != cart:
        await _SAVE(connection, store=store.id, at=at, **changes(cart, saved) | {"cart": cart.id})
    return saved


async def priced(
    cart: Cart, items: Sequence[CartItem], catalogue: Mapping[str, CatalogueItem], promotions: Sequence[Promotion]
) -> Cart:
    """A locked cart with these items, at what they come to now. Raises as `save` does, and writes nothing."""
    if cart.status != "active":
        raise InvalidState("The cart is {status}: nothing can be added to it.", status=cart.status)
    found = await checked(cart, items, catalogue, promotions)
    return replace(
        cart,
        items=found.items,
        coupon_status=found.coupon_status,
        subtotal_amount_cents=found.totals.subtotal,
        shipping_amount_cents=found.totals.shipping,
        payment_method_amount_cents=found.totals.payment_method,
        discount_amount_cents=found.totals.discount,
        total_tax_amount_cents=found.totals.tax,
        total_amount_cents=found.totals.total,
    )


def changes(
    stored: Cart | None, saved: Cart | None, metadata: Mapping[str, object] = MappingProxyType({})
) -> dict[str, object]:
    """The arguments by which a statement makes a cart another one: it includes what `carts/carts.save` does.

    The cart has this metadata from then on, beside its own, which wins. Where nothing changes, `cart` is null.
    """
    if stored is None or saved is None:
        return {"items": "[]", "removed": [], **dict.fromkeys(_SET), "metadata": "{}"}
    kept = {item.id for item in saved.items}
    return {
        "items": _changed(stored, saved),
        "removed": [item.id for item in stored.items if item.id not in kept],
        **_amounts(saved, metadata),
        "cart": None if stored == saved and not metadata else saved.id,
    }


def parts(
    store: Store, cart: Cart, saved: Cart, *, at: datetime, but: str | None = None, converted: bool = False
) -> list[Along]:
    """What makes a cart another one, along with what changes it. It holds the same items, and maybe one more.

    `but` is the item that the caller writes, new or not; `converted` says that the cart becomes an order.
    """
    items = _changed(cart, saved, but=but)
    written = [_WRITE_ITEMS.along(store=store.id, cart=cart.id, items=items, currency=saved.currency_code, at=at)]
    converted_at = at if converted else None
    amounts = _SET_AMOUNTS.along(store=store.id, at=at, converted_at=converted_at, **_amounts(saved, {}))
    return [*(written if items != "[]" else ()), amounts]


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
    promotions = await pricing.promotions(connection, store, terms.coupon_code, at=at, counted=coupon_counted)
    return await checked(terms, items, catalogue, promotions)


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


async def checked(
    terms: Terms,
    items: Sequence[CartItem],
    catalogue: Mapping[str, CatalogueItem],
    promotions: Sequence[Promotion],
) -> Quote:
    """What items come to. Raises Invalid for more of them, or a larger amount, than a cart holds."""
    if len(items) > MAX_ITEMS:
        raise Invalid("A cart holds at most {max_items} lines.", max_items=MAX_ITEMS, fields=_FILLED)
    if any(item.quantity > MAX_QUANTITY for item in items):
        raise Invalid("A quantity is too large to be stored.", fields=_FILLED)
    try:
        return await _priced(terms, items, catalogue, promotions)
    except Invalid as error:
        raise Invalid(error.detail, fields=_FILLED) from None


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


def _changed(cart: Cart, saved: Cart, *, but: str | None = None) -> str:
    """The items that are new or other ones, as `WRITE_ITEMS` reads them."""
    before = {item.id: item for item in cart.items}
    rows = [_row(item) for item in saved.items if item.id != but and item != before.get(item.id)]
    return orjson.dumps(rows).decode()


def _amounts(saved: Cart, metadata: Mapping[str, object]) -> dict[str, object]:
    """The arguments of `_SET_AMOUNTS`, but for store and instants."""
    return {
        "cart": saved.id,
        "currency": saved.currency_code,
        "coupon_status": saved.coupon_status,
        "subtotal": saved.subtotal_amount_cents,
        "shipping": saved.shipping_amount_cents,
        "payment_method": saved.payment_method_amount_cents,
        "discount": saved.discount_amount_cents,
        "tax": saved.total_tax_amount_cents,
        "total": saved.total_amount_cents,
        "metadata": orjson.dumps(dict(metadata)).decode(),
    }


def priced_columns(item: CartItem) -> dict[str, object]:
    """The columns of an item that hold what it comes to."""
    return {name: getattr(item, name) for name in _AMOUNTS}


def _row(item: CartItem) -> dict[str, object]:
    """An item as the statement `save` reads it."""
    return {name: getattr(item, name) for name in _KEPT} | {"tax_rate": str(item.tax_rate)}
