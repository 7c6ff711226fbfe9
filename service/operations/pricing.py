"""What products cost today, and whether they can be bought."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import orjson

from service.principal import Store
from service.rules.outcomes import CatalogueItem, Price
from service.store.pool import Connection
from sql import queries

PRICING = queries("pricing")


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
        )
        for row in rows
    }
