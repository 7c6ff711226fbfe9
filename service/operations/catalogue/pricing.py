"""What products cost today, whether they can be bought, and what is taken off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson

from service.errors import InvalidState
from service.principal import Store
from service.rules.discounts import Promotion
from service.rules.outcomes import CatalogueItem, Price
from service.rules.taxes import RateCalculator, TaxCalculator
from service.store.pool import Connection
from sql import queries

PRICING = queries("catalogue/pricing")

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
    rows = await connection.fetch(PRICING["catalogue"], store.id, sorted(set(sku_ids)), currency, customer_group_id, at)
    return {
        row["id"]: CatalogueItem(
            sku_id=row["id"],
            number=row["number"],
            code=row["code"],
            name=row["name"],
            currency_code=currency,
            image_url=row["image_url"],
            options=orjson.loads(row["options"]),
            min_quantity=row["min_quantity"],
            max_quantity=row["max_quantity"],
            step_quantity=row["step_quantity"],
            tax_rate=row["tax_rate"],
            reorderable=row["reorderable"],
            published=row["published"],
            disabled=row["disabled"],
            deleted=row["deleted"],
            prices=[Price(*price) for price in row["prices"] or ()],
            priced_elsewhere=row["priced_elsewhere"],
            stock=row["stock"],
            ships=row["ships"],
        )
        for row in rows
    }


async def turns(
    connection: Connection, store: Store, sku_ids: Sequence[str], after: datetime, until: datetime
) -> Sequence[datetime]:
    """When, after one instant and up to another, the catalogue of these skus changes by itself: ascending."""
    return [row["at"] for row in await connection.fetch(PRICING["turns"], store.id, sku_ids, after, until)]


async def promotions(
    connection: Connection, store: Store, coupon_code: str | None, *, at: datetime, counted: bool = False
) -> Sequence[Promotion]:
    """The automatic promotions that run at an instant, and the one of a coupon code, if there is one: one statement.

    `counted` says that who asks is among the uses of the coupon, and so can't find it used up.
    """
    rows = await connection.fetch(PRICING["promotions"], store.id, coupon_code, at, counted)
    return [Promotion(**row) for row in rows]


async def use_coupon(
    connection: Connection, store: Store, coupon_code: str, *, at: datetime, pointer: str | None = None
) -> None:
    """Count that a cart with this coupon becomes an order, in the transaction in which it does.

    Of concurrent uses no more succeed than the coupon allows. Raises InvalidState, with the pointer, when it is used up
    or no longer there.
    """
    used = await connection.fetchval(PRICING["use_coupon"], store.id, coupon_code, at)
    if used is None:
        raise InvalidState("The coupon has been used up meanwhile.", pointer=pointer, meta={"error": "used_up"})
