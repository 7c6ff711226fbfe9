"""Stock of the skus that are tracked: taken by orders that are placed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Many


class Taken(NamedTuple):
    """The ids of the skus whose pieces were taken, and of those of which there are too few. Others aren't tracked."""

    skus: AbstractSet[str]
    short: AbstractSet[str]


class _Sku(NamedTuple):
    sku_id: str
    taken: bool


_TAKE = Many("catalogue/stock.take_stock", _Sku)


async def take(connection: Connection, store: Store, lines: Iterable[tuple[str, int]], at: datetime) -> Taken:
    """Take the pieces of lines, each a sku's id and a quantity, out of the stock.

    A sku is looked at once for all its lines. Nothing is taken of those of which there are too few.
    """
    found = await _TAKE(connection, store=store.id, at=at, **needed(lines))
    return Taken({sku.sku_id for sku in found if sku.taken}, {sku.sku_id for sku in found if not sku.taken})


def needed(lines: Iterable[tuple[str, int]]) -> dict[str, object]:
    """The arguments by which a statement takes the pieces of lines: it includes `catalogue/stock.take`."""
    pieces: Counter[str] = Counter()
    for sku_id, quantity in lines:
        pieces[sku_id] += quantity
    return {"skus": list(pieces), "quantities": list(pieces.values())}
