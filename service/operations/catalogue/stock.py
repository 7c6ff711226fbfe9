"""Stock of the skus that are tracked: taken by orders that are placed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Values

_TAKE = Values("catalogue/stock.take_stock", str)


async def take(connection: Connection, store: Store, lines: Iterable[tuple[str, int]], at: datetime) -> set[str]:
    """Take the pieces of lines, each a sku's id and a quantity, out of the stock.

    A sku is looked at once for all its lines. Returns the ids of the skus of which there are too few; nothing is taken
    of those.
    """
    needed: Counter[str] = Counter()
    for sku_id, quantity in lines:
        needed[sku_id] += quantity
    return set(await _TAKE(connection, store=store.id, skus=list(needed), quantities=list(needed.values()), at=at))
