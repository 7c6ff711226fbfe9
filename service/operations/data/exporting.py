"""A store as records: read in one snapshot, a page at a time, in an order in which they can be imported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from schemas.graph import PUBLIC
from schemas.history import RECORDS, WHOLES, Record
from schemas.relationships import ToMany
from service.errors import InvalidState
from service.jsonapi.filters import AllOf
from service.operations.data import shaping
from service.operations.data.records import Columns
from service.operations.data.shaping import Line
from service.principal import Owner, Store, Viewer
from service.store import bulk
from service.store.pool import Connection
from service.store.statements import Many

AT_A_TIME: Final = 500

_ORDER: Final[Mapping[str, Sequence[str]]] = {"orders": ("number",), "order_subscriptions": ("number",)}
"""What comes first: copies have higher numbers than the orders that they are of. Other types are ordered by id."""

Aside = Callable[[str, str, str], None]
"""Told the type, id and status of what is left out because it is just being worked on."""


class _Led(NamedTuple):
    id: str
    order_subscription_id: str
    occurrence_id: str | None


_LED = Many("data/exports.led_to", _Led)


def _refuse(type_: str, id_: str, status: str) -> None:
    raise InvalidState(
        "{type} {id} is {status}: wait until that is done, and export again.", type=type_, id=id_, status=status
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records are wanted: of these types, of one customer, that fulfil filters; and in which shape."""

    types: Sequence[str] = WHOLES
    customer_id: str | None = None
    filters: AllOf = field(default_factory=AllOf)
    shape: shaping.Shape = shaping.WHOLE

    def viewer(self, store: Store) -> Viewer:
        """Whose eyes they are read with."""
        owner = None if self.customer_id is None else Owner("customers", self.customer_id)
        return Viewer(store.id, owner, store.frozen_at)

    @property
    def records(self) -> list[Record]:
        """How the types are written down that there is anything of; what is everybody's is no customer's."""
        found = [RECORDS[type_] for type_ in self.types]
        return [one for one in found if self.customer_id is None or one.resource.owner not in (None, PUBLIC)]


ALL: Final = Choice()


async def count(connection: Connection, store: Store, wanted: Choice) -> int:
    """How many records are wanted."""
    viewer = wanted.viewer(store)
    return sum([await bulk.count(connection, viewer, one.resource, wanted.filters) for one in wanted.records])


async def records(
    connection: Connection, store: Store, wanted: Choice = ALL, aside: Aside = _refuse
) -> AsyncIterator[Line]:
    """The wanted records. The caller holds a snapshot.

    Raises InvalidState for what is just being worked on, unless `aside` is told of it.
    """
    viewer = wanted.viewer(store)
    for record in wanted.records:
        by = _ORDER.get(record.type_, ("id",))
        after: tuple[object, ...] = ()
        while page := await bulk.page(
            connection, viewer, record.resource, after=after, by=by, most=AT_A_TIME, filters=wanted.filters
        ):
            written = await _written(connection, store, record, page, aside)
            for line in await shaping.shaped(connection, store.id, (record, wanted.shape), page, written):
                yield line
            after = tuple(page[-1][name] for name in by)


async def lines(
    connection: Connection, store: Store, wanted: Choice = ALL, aside: Aside = _refuse
) -> AsyncIterator[bytes]:
    """The same as lines of JSON."""
    async for line in records(connection, store, wanted, aside):
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


async def _written(
    connection: Connection, store: Store, record: Record, rows: Sequence[Columns], aside: Aside
) -> dict[str, Line]:
    """Resources of one type as records by their ids, with their tags and parts, without what is being worked on."""
    moving = {str(row["id"]): (record, row) for row in rows if not _rests(record, row)}
    written = {str(row["id"]): {"type": record.type_} | shaping.line(record, row) for row in rows}
    tags = record.resource.relationships.get("tags")
    if isinstance(tags, ToMany) and tags.through is not None:
        for id_, names in (await bulk.joined(connection, store.id, tags, written)).items():
            written[id_]["tags"] = names
    led = await _led(connection, store, record, written)
    for id_ in written.keys() & led.keys():
        written[id_][record.leads_to] = led[id_]
    for part in (RECORDS[type_] for type_ in record.parts):
        held: dict[str, list[Line]] = {id_: [] for id_ in written}
        for row in await bulk.held(connection, store.id, part.resource, written, by=part.within, lock=False):
            whole = str(row[part.within])
            if not _rests(part, row):
                moving.setdefault(whole, (part, row))
            came = {part.leads_to: led[str(row["id"])][0]} if part.leads_to and str(row["id"]) in led else {}
            held[whole].append(shaping.line(part, row) | came)
        for id_, parts in held.items():
            written[id_][part.type_] = parts
    for id_, (moved, row) in moving.items():
        aside(moved.type_, str(row["id"]), str(row["status"]))
        del written[id_]
    return written


async def _led(connection: Connection, store: Store, record: Record, ids: Iterable[str]) -> dict[str, list[str]]:
    """The orders that resources led to, by the id of the occurrence, or of the subscription where it was of none."""
    led: dict[str, list[str]] = {}
    for one in await _LED(connection, store=store.id, subscriptions=list(ids)) if record.leads_to else ():
        led.setdefault(one.occurrence_id or one.order_subscription_id, []).append(one.id)
    return led


def _rests(record: Record, row: Columns) -> bool:
    """Whether a resource is in a state that can be carried over."""
    return not record.at_rest or row["status"] in record.at_rest
