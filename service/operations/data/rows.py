"""Rows of records written: new ones by COPY, changed ones together, with their tags, links and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson

from schemas.history import RECORDS
from schemas.relationships import ToMany
from service.errors import Invalid
from service.operations.data.records import Columns, Row
from service.operations.generic import numbers
from service.operations.generic.writing import later_version
from service.principal import Store
from service.store import bulk
from service.store.pool import Connection
from service.store.statements import Values

_LINK = Values("data/imports.link_orders", str)

NUMBERED: Final = ("skus", "orders", "order_subscriptions")
"""The types that have a running number."""

_KEPT: Final = frozenset({"store_id", "id", "created_at", "updated_at", "version"})
"""Columns that a change of a resource leaves alone, or sets itself."""


@dataclass
class RowWriter:
    """Writes the rows of one import into a store, as of one instant."""

    connection: Connection
    store: Store
    at: datetime
    version: int = field(default_factory=later_version)
    _usual: dict[str, Columns] = field(default_factory=dict)

    async def write(self, wholes: Sequence[Row]) -> tuple[int, int]:
        """Write records; returns how many were made, and how many were changed."""
        record, touched = wholes[0].record, set()
        levels: list[list[tuple[str, Row]]] = [
            [(row.id, one) for row in wholes for one in row.embedded.values()],
            [(row.id, row) for row in wholes],
            *([(row.id, part) for row in wholes for part in row.parts.get(type_, [])] for type_ in record.parts),
        ]
        for row in wholes:
            for column, whole in row.embedded.items():
                row.columns[column] = whole.id
        for level in levels:
            new = [row for _, row in level if row.before is None]
            changes = [(owner, row) for owner, row in level if row.before is not None and _differs(row)]
            await self.insert(new)
            await self._update([row for _, row in changes])
            touched |= {owner for owner, row in level if row.before is None} | {owner for owner, _ in changes}
        await self._join(wholes)
        await self._link(wholes)
        await self._use_numbers(wholes)
        made = sum(row.before is None for row in wholes)
        return made, len(touched) - made

    async def insert(self, rows: Sequence[Row]) -> None:
        """Insert rows of one type."""
        if not rows:
            return
        record, at = rows[0].record, self.at
        usual = await self.defaults(record.type_)
        own = {"store_id": self.store.id, "created_at": at, "updated_at": at, "version": self.version}
        distinct = {row.id: row for row in rows}.values()
        whole = [own | {"updated_at": row.columns.get("created_at", at)} | row.columns for row in distinct]
        await bulk.insert(self.connection, self.store.id, record.resource, whole, usual)

    async def _update(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        record = rows[0].record
        columns = sorted({name for row in rows for name in row.columns} - _KEPT)
        whole = [{"id": row.id, **{name: row.get(name) for name in columns}} for row in rows]
        at = {"updated_at": self.at}
        await bulk.update(
            self.connection,
            self.store.id,
            record.resource,
            [row | at for row in whole],
            [*columns, "updated_at"],
        )

    async def _join(self, rows: Sequence[Row]) -> None:
        tagged = {row.id: row.tag_ids for row in rows if row.tags is not None}
        relationship = rows[0].resource.relationships.get("tags")
        if tagged and isinstance(relationship, ToMany):
            await bulk.join(self.connection, self.store.id, relationship, tagged)

    async def _link(self, rows: Sequence[Row]) -> None:
        """Tell orders which subscription they came of, and which occurrence."""
        links: dict[str, tuple[str, str | None]] = {}
        for row in rows:
            links |= dict.fromkeys(row.orders, (row.id, None))
            for occurrence in row.parts.get("occurrences", []):
                links |= dict.fromkeys(occurrence.orders, (row.id, occurrence.id))
        if not links:
            return
        linked = await _LINK(
            self.connection,
            store=self.store.id,
            orders=list(links),
            subscriptions=[subscription for subscription, _ in links.values()],
            occurrences=[occurrence for _, occurrence in links.values()],
        )
        if len(linked) < len(links):
            raise Invalid("{name} - leads to no order, or to one of another subscription", name="order_ids")

    async def _use_numbers(self, rows: Sequence[Row]) -> None:
        kind = rows[0].record.type_
        used = [number for row in rows if isinstance(number := row.columns.get("number"), int)]
        if kind in NUMBERED and used:
            await numbers.use(self.connection, self.store.id, {kind: max(used)})

    async def defaults(self, type_: str) -> Columns:
        """What the columns of a type hold where nothing is given."""
        if type_ not in self._usual:
            self._usual[type_] = await bulk.defaults(self.connection, RECORDS[type_].resource)
        return self._usual[type_]


def _differs(row: Row) -> bool:
    """Whether a record says something else of a resource than what is so."""
    before = row.before or {}
    return any(not _same(before.get(name), value) for name, value in row.columns.items() if name not in _KEPT)


def _same(held: object, given: object) -> bool:
    if held == given:
        return True
    if not isinstance(held, str) or not isinstance(given, str) or held[:1] not in ("{", "["):
        return False
    try:  # JSON, which Postgres keeps in its own order
        return bool(orjson.loads(held) == orjson.loads(given))
    except orjson.JSONDecodeError:
        return False
