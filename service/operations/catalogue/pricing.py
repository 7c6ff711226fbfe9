"""What products cost today, whether they can be bought, and what is taken off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import orjson

from service.errors import Invalid, InvalidState, WrongGuess
from service.principal import Store
from service.rules.discounts import COUPON_PROBLEMS, Problem, Promotion
from service.rules.outcomes import CatalogueItem, Price
from service.rules.taxes import RateCalculator, TaxCalculator
from service.store.pool import Connection
from service.store.statements import Command, Many, Only, Value, Values


class Sku(NamedTuple):
    """A sku as it can be bought; `options` and `prices` are JSON, the prices as arrays in the order of `Price`."""

    id: str
    number: int
    code: str
    name: str
    image_url: str | None
    options: str
    min_quantity: int
    max_quantity: int | None
    step_quantity: int
    tax_rate: Decimal
    reorderable: bool
    published: bool
    disabled: bool
    deleted: bool
    prices: str | None
    priced_elsewhere: bool
    stock: int | None
    ships: bool


class Costs(NamedTuple):
    """Whether a store's prices include tax, and what shipping and paying cost, in minor units."""

    tax_included: bool
    shipping_price_cents: int
    payment_price_cents: int


_CATALOGUE = Many("catalogue/pricing.catalogue", Sku)
_CURRENCY = Value("catalogue/pricing.currency", str)
_TURNS = Values("catalogue/pricing.turns", datetime)
_PROMOTIONS = Many("catalogue/pricing.promotions", Promotion)
_USE_COUPON = Value("catalogue/pricing.use_coupon", str)
_GIVE_COUPON_BACK = Command("catalogue/pricing.give_coupon_back")
_COSTS = Only("catalogue/pricing.terms", Costs)

TAXES: TaxCalculator = RateCalculator()
"""What works out the taxes of carts."""


async def catalogue(
    connection: Connection,
    store: Store,
    sku_ids: Iterable[str],
    *,
    currency: str,
    customer_group_id: str | None,
    at: datetime,
) -> dict[str, CatalogueItem]:
    """The skus of these ids that exist, by id, as they can be bought at an instant: one statement.

    Every price that applies in the currency, to the customer group and at the instant comes along, for any quantity:
    `CatalogueItem.price(quantity)` picks the lowest.
    """
    found = await _CATALOGUE(
        connection,
        store=store.id,
        skus=sorted(set(sku_ids)),
        currency=currency,
        customer_group=customer_group_id,
        at=at,
    )
    return {sku.id: _item(sku, currency) for sku in found}


async def currency_of(
    connection: Connection,
    store: Store,
    sku_code: str,
    quantity: int,
    *,
    preferred: str,
    customer_group_id: str | None,
    at: datetime,
) -> str:
    """The currency in which so many pieces of a sku are sold: one that is preferred, else the store's, else another.

    It is the preferred one as well where none is.
    """
    found = await _CURRENCY(
        connection,
        store=store.id,
        sku_code=sku_code,
        quantity=quantity,
        preferred=preferred,
        customer_group=customer_group_id,
        at=at,
    )
    return preferred if found is None else found


def _item(sku: Sku, currency: str) -> CatalogueItem:
    return CatalogueItem(
        sku_id=sku.id,
        number=sku.number,
        code=sku.code,
        name=sku.name,
        currency_code=currency,
        image_url=sku.image_url,
        options=orjson.loads(sku.options),
        min_quantity=sku.min_quantity,
        max_quantity=sku.max_quantity,
        step_quantity=sku.step_quantity,
        tax_rate=sku.tax_rate,
        reorderable=sku.reorderable,
        published=sku.published,
        disabled=sku.disabled,
        deleted=sku.deleted,
        prices=[Price(*price) for price in orjson.loads(sku.prices)] if sku.prices else [],
        priced_elsewhere=sku.priced_elsewhere,
        stock=sku.stock,
        ships=sku.ships,
    )


async def costs(
    connection: Connection,
    store: Store,
    *,
    currency: str,
    shipping_method_id: str | None,
    payment_method_id: str | None,
) -> Costs:
    """What shipping and paying cost in a currency, and whether prices include tax: one statement."""
    return await _COSTS(
        connection,
        store=store.id,
        shipping_method=shipping_method_id,
        payment_method=payment_method_id,
        currency=currency,
    )


async def turns(
    connection: Connection, store: Store, sku_ids: Sequence[str], after: datetime, until: datetime
) -> Sequence[datetime]:
    """When, after one instant and up to another, the catalogue of these skus changes by itself: ascending."""
    return await _TURNS(connection, store=store.id, skus=sku_ids, after=after, until=until)


async def promotions(
    connection: Connection, store: Store, coupon_code: str | None, *, at: datetime, counted: bool = False
) -> Sequence[Promotion]:
    """The automatic promotions that run at an instant, and the one of a coupon code, if there is one: one statement.

    `counted` says that who asks is among the uses of the coupon, and so can't find it used up.
    """
    return await _PROMOTIONS(connection, store=store.id, coupon=coupon_code, at=at, counted=counted)


async def count_coupon(connection: Connection, store: Store, coupon_code: str, *, at: datetime) -> bool:
    """Count a use of a coupon. Returns False when it is used up or no longer there."""
    return await _USE_COUPON(connection, store=store.id, coupon=coupon_code, at=at) is not None


async def give_coupon_back(connection: Connection, store: Store, coupon_code: str, *, at: datetime) -> None:
    """Count an order with a coupon no more among its uses: it was never placed."""
    await _GIVE_COUPON_BACK(connection, store=store.id, coupon=coupon_code, at=at)


async def use_coupon(connection: Connection, store: Store, coupon_code: str, *, at: datetime) -> None:
    """Count that a cart with this coupon becomes an order, in the transaction in which it does.

    Of concurrent uses no more succeed than the coupon allows. Raises InvalidState, about the cart, when it is
    used up or no longer there.
    """
    if not await count_coupon(connection, store, coupon_code, at=at):
        raise InvalidState("The coupon has been used up in the meantime.", fields=("cart",), meta={"error": "used_up"})


_COUPON = ("coupon_code",)


def coupon_refused(status: Problem) -> Invalid:
    """The problem of a new coupon that doesn't apply. One that nobody knows of was a guess, and counts as one."""
    if status == "unknown":
        return WrongGuess(COUPON_PROBLEMS[status], fields=_COUPON, meta={"error": status})
    return Invalid(COUPON_PROBLEMS[status], fields=_COUPON, meta={"error": status})
