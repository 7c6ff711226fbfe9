"""Stock of the skus that are tracked: taken by orders that are placed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Values

_TAKE = Values("catalogue/stock.take_stock", str)


async def take(connection: Connection, store: Store, needed: Mapping[str, int], at: datetime) -> set[str]:
    """Take so many pieces of each sku out of the stock.

    Returns the ids of the skus of which there are too few; nothing is taken of those.
    """
    return set(await _TAKE(connection, store=store.id, skus=list(needed), quantities=list(needed.values()), at=at))
