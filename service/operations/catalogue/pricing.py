"""What products cost today, whether they can be bought, and what is taken off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import orjson

from service.errors import Invalid, InvalidState, WrongGuess
from service.principal import Store
from service.rules.discounts import COUPON_PROBLEMS, Problem, Promotion
from service.rules.outcomes import CatalogueItem, Option, Price
from service.rules.taxes import RateCalculator, TaxCalculator
from service.store.pool import Connection
from service.store.statements import Command, Only, Value, Values


class Sku(NamedTuple):
    """A sku as the statement `catalogue` tells of it; a price is its quantity, amounts, currency and customer group."""

    id: str
    number: int
    code: str
    name: str
    image_url: str | None
    options: Sequence[Option]
    min_quantity: int
    max_quantity: int | None
    step_quantity: int
    tax_rate: str
    reorderable: bool
    published: bool
    disabled: bool
    deleted: bool
    prices: Sequence[tuple[int, int, int | None, str, str | None]] | None
    stock: int | None
    ships: bool

    def currency(self, quantity: int, customer_group_id: str | None, preferred: Sequence[str]) -> str:
        """The currency in which so many pieces are sold to a member of a customer group (None: of none).

        That is the first preferred one, else another; the first of them as well where it is sold in none.
        """
        sold = {
            currency
            for least, _, _, currency, group in self.prices or ()
            if least <= quantity and group in (None, customer_group_id) and not self.deleted
        }
        return next((currency for currency in (*preferred, *sorted(sold)) if currency in sold), preferred[0])

    def item(self, currency: str, customer_group_id: str | None) -> CatalogueItem:
        """The sku as it can be bought in a currency by a member of a customer group (None: of none)."""
        prices = [price for price in self.prices or () if price[4] in (None, customer_group_id)]
        found = [Price(*price[:3]) for price in prices if price[3] == currency]
        return CatalogueItem(
            sku_id=self.id,
            number=self.number,
            code=self.code,
            name=self.name,
            currency_code=currency,
            image_url=self.image_url,
            options=self.options,
            min_quantity=self.min_quantity,
            max_quantity=self.max_quantity,
            step_quantity=self.step_quantity,
            tax_rate=Decimal(self.tax_rate),
            reorderable=self.reorderable,
            published=self.published,
            disabled=self.disabled,
            deleted=self.deleted,
            prices=found,
            priced_elsewhere=len(found) < len(prices),
            stock=self.stock,
            ships=self.ships,
        )


@dataclass(frozen=True, slots=True)
class Offers:
    """What a statement has read of the catalogue: skus in all currencies, and promotions; each as it is in JSON.

    Prices are those for everybody, and for the customer groups that the statement was told of.
    """

    skus_json: str | None
    promotions_json: str | None = None

    def skus(self) -> list[Sku]:
        """The skus, in no order."""
        return [Sku(*values) for values in orjson.loads(self.skus_json or "[]")]

    def sold(self, currency: str, customer_group_id: str | None) -> dict[str, CatalogueItem]:
        """The skus by id, as they can be bought in a currency by a member of a customer group (None: of none)."""
        return {sku.id: sku.item(currency, customer_group_id) for sku in self.skus()}

    @property
    def promotions(self) -> list[Promotion]:
        """The automatic promotions that run, and the one of the coupon code, if there is one."""
        return [
            Promotion(id_, None if percentage is None else Decimal(percentage), *others)
            for id_, percentage, *others in orjson.loads(self.promotions_json or "[]")
        ]


class Costs(NamedTuple):
    """Whether a store's prices include tax, and what shipping and paying cost, in minor units."""

    tax_included: bool
    shipping_price_cents: int
    payment_price_cents: int


_CATALOGUE = Value("catalogue/pricing.catalogue", str)
_TURNS = Values("catalogue/pricing.turns", datetime)
_PROMOTIONS = Value("catalogue/pricing.promotions", str)
USE_COUPON = Value("catalogue/pricing.use_coupon", str)
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
        connection, store=store.id, skus=sorted(set(sku_ids)), groups=groups(customer_group_id), at=at
    )
    return Offers(found).sold(currency, customer_group_id)


def groups(*customer_group_ids: str | None) -> list[str]:
    """Customer groups as statements are told of them."""
    return [id_ for id_ in customer_group_ids if id_ is not None]


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
    found = await _PROMOTIONS(connection, store=store.id, coupon=coupon_code, at=at, counted=counted)
    return Offers(None, found).promotions


async def count_coupon(connection: Connection, store: Store, coupon_code: str, *, at: datetime) -> bool:
    """Count a use of a coupon. Returns False when it is used up or no longer there."""
    return await USE_COUPON(connection, store=store.id, coupon=coupon_code, at=at) is not None


def coupon_used_up() -> InvalidState:
    """The problem of a cart whose coupon had no use left when the cart was to become an order."""
    return InvalidState("The coupon has been used up in the meantime.", fields=("cart",), meta={"error": "used_up"})


async def give_coupon_back(connection: Connection, store: Store, coupon_code: str, *, at: datetime) -> None:
    """Count an order with a coupon no more among its uses: it was never placed."""
    await _GIVE_COUPON_BACK(connection, store=store.id, coupon=coupon_code, at=at)


_COUPON = ("coupon_code",)


def coupon_refused(status: Problem) -> Invalid:
    """The problem of a new coupon that doesn't apply. One that nobody knows of was a guess, and counts as one."""
    if status == "unknown":
        return WrongGuess(COUPON_PROBLEMS[status], fields=_COUPON, meta={"error": status})
    return Invalid(COUPON_PROBLEMS[status], fields=_COUPON, meta={"error": status})
