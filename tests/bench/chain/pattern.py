"""A store of the demo as text that COPY takes: made once, stamped for any number of stores, and many times into one.

Ids are a store's own, so that two stores may hold the same rows. Stamped into one store again, as another *tile*, a row
has another id, number, code and email. What a store has one of, such as its methods, comes with its first tile.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from service.demo.documents import add_fittings
from service.demo.generator import Amounts, Manner, generate
from service.demo.rows import TABLES, Row, Sheet

TILES = 1_000
"""How many tiles a store may have: their numbers have three digits."""

IN_A_TILE = 1_000_000
"""How many numbers of orders, skus and subscriptions a tile has for itself."""

_STORE, _MARKET, _TILE = "~S~", "~M~", "~~~"
_ULID = re.compile(r"01H[0-9A-Z]{23}")
_ONCE = ("customer_groups", "shipping_methods", "payment_methods", "subscription_models", "promotions", "tags")
"""Tables of which a store has the same few rows, however large it is."""


def _about_once(days: int) -> str:
    """The frequency with which a subscription of so many days has run once, or is about to."""
    for most, frequency in ((14, "weekly"), (60, "monthly"), (180, "three-month"), (365, "six-month")):
        if days < most:
            return frequency
    return "yearly"


MANNER = Manner(frequency=_about_once, oddities=False, wallets=0)
"""Every subscription can run, and is paid by hand: what is measured is this service, and no gateway."""

ACTIVE = 0.8
LINES_AN_ORDER = 19 / 7
RUNS = 0.79
"""What the demo's generator makes on average: of subscriptions active ones, lines of an order, runs that passed."""

PIECES = 1_000_000
"""How much there is of each sku."""


class Stamped(NamedTuple):
    """Rows of a table as COPY takes them."""

    table: str
    columns: Sequence[str]
    text: bytes


@dataclass(frozen=True)
class Pattern:
    """The rows of a tile, and how many of them are lines and active subscriptions."""

    rows: Sequence[Stamped]
    lines: int
    active: int
    highest: Mapping[str, int]

    def stamped(self, store: int, market: str, tile: int) -> Iterator[Stamped]:
        """The rows of a tile of a store, each table behind those it refers to."""
        for table, columns, text in self.rows:
            if tile and table in _ONCE:
                continue
            for mark, given in ((_STORE, str(store)), (_MARKET, market), (_TILE, f"{tile:03}")):
                text = text.replace(mark.encode(), given.encode())  # noqa: PLW2901 -- a step at a time
            yield Stamped(table, columns, text)

    def numbers(self, tiles: int) -> Mapping[str, int]:
        """The highest numbers of a store with so many tiles, by kind."""
        return {kind: (tiles - 1) * IN_A_TILE + highest for kind, highest in self.highest.items()}


def amounts_of(lines: float, active: float) -> Amounts:
    """What to make so that there are about so many order lines and active subscriptions."""
    subscriptions = max(round(active / ACTIVE), 1)
    orders = max(round(lines / LINES_AN_ORDER - RUNS * subscriptions), subscriptions)
    return Amounts(max(orders // 10, 3), max(min(orders // 20, 400), 40), orders, subscriptions)


def make(amounts: Amounts, at: datetime, seed: int, tell: Callable[[int], None]) -> Pattern:
    """Make a pattern; `tell` is told of orders that were made."""
    sheet = Sheet(store_id=0, market_id=_MARKET, currency_code="EUR", seed=seed, at=at)
    fittings = add_fittings(sheet)
    shared = frozenset(row["id"] for table in _ONCE for row in sheet.rows[table])
    # Orders of runs name subscriptions that name orders: they come when all of those are there.
    parts: list[dict[tuple[str, tuple[str, ...]], list[bytes]]] = [defaultdict(list), defaultdict(list)]
    lines = active = 0
    for added in generate(sheet, fittings, "Europe/Amsterdam", amounts, MANNER):
        lines += len(sheet.rows["line_items"])
        active += sum(row["status"] == "active" for row in sheet.rows["order_subscriptions"])
        part = parts["order_factories" in sheet.rows]
        for table in TABLES:
            for row in sheet.rows.pop(table, ()):
                part[table, tuple(row)].append(_line(table, row, shared))
        tell(added)
    rows = [
        Stamped(table, columns, b"".join(part[table, columns]))
        for part in parts
        for table, columns in sorted(part, key=lambda alike: TABLES.index(alike[0]))
    ]
    return Pattern(rows, lines, active, dict(sheet.highest))


def _line(table: str, row: Row, shared: frozenset[str]) -> bytes:
    stocked = {"quantity": PIECES} if table == "stock_items" else {}
    values = {**row, **stocked}.items()
    return "\t".join(_text(table, column, value, shared) for column, value in values).encode() + b"\n"


def _text(table: str, column: str, value: Any, shared: frozenset[str]) -> str:
    """A value as COPY reads it, with marks for what differs from stamp to stamp."""
    if column in ("store_id", "number"):
        return _STORE if column == "store_id" else f"{_TILE}{value:06}"
    if isinstance(value, str):
        return _word(table, column, value, shared)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return f"{{{','.join(value)}}}"
    if value is None or isinstance(value, bool | int | float | Decimal):
        return r"\N" if value is None else str(value).lower()
    raise TypeError(f"{table}.{column} is a {type(value)}")


def _word(table: str, column: str, value: str, shared: frozenset[str]) -> str:
    if _ULID.fullmatch(value):
        # In place of some of an id's time, so that a tile's ids follow on those of the tile before.
        return f"{value[:3]}{'000' if value in shared else _TILE}{value[6:]}"
    if column in ("code", "sku_code") and table not in _ONCE:
        return value + _TILE
    return value.replace("@example.", f".{_TILE}@example.").replace("\\", "\\\\")
