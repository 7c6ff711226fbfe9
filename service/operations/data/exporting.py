"""A store as records: read in one snapshot, a page at a time, in an order in which they can be imported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from schemas.graph import PUBLIC
from schemas.history import RECORDS, WHOLES, Record, fields_of
from schemas.relationships import ToMany
from service.errors import InvalidState
from service.operations.data.records import Columns
from service.principal import Owner, Store, Viewer
from service.store import bulk
from service.store.pool import Connection
from service.store.statements import Many

AT_A_TIME: Final = 500

_ORDER: Final[Mapping[str, Sequence[str]]] = {"orders": ("number",), "order_subscriptions": ("number",)}
"""What comes first: copies have higher numbers than the orders that they are of. Other types are ordered by id."""


class _Led(NamedTuple):
    id: str
    order_subscription_id: str
    occurrence_id: str | None


_LED = Many("data/exports.led_to", _Led)


async def lines(
    connection: Connection, store: Store, types: Sequence[str] = WHOLES, customer_id: str | None = None
) -> AsyncIterator[bytes]:
    """The records of a store, or of one of its customers, as lines of JSON. The caller holds a snapshot.

    Raises InvalidState for what can't be carried over: it is just being worked on.
    """
    owner = None if customer_id is None else Owner("customers", customer_id)
    viewer = Viewer(store.id, owner, store.frozen_at)
    for type_ in types:
        record = RECORDS[type_]
        if owner is not None and record.resource.owner in (None, PUBLIC):
            continue
        by = _ORDER.get(type_, ("id",))
        after: tuple[object, ...] = ()
        while page := await bulk.page(connection, viewer, record.resource, after=after, by=by, most=AT_A_TIME):
            for line in await _written(connection, store, record, page):
                yield orjson.dumps({"type": type_} | line, option=orjson.OPT_APPEND_NEWLINE)
            after = tuple(page[-1][name] for name in by)


async def _written(
    connection: Connection, store: Store, record: Record, rows: Sequence[Columns]
) -> list[dict[str, object]]:
    """Resources of one type as records, with their tags and parts."""
    written = {str(row["id"]): _line(record, row) for row in rows}
    tags = record.resource.relationships.get("tags")
    if isinstance(tags, ToMany) and tags.through is not None:
        for id_, names in (await bulk.joined(connection, store.id, tags, written)).items():
            written[id_]["tags"] = names
    led: dict[str, list[str]] = {}
    if record.leads_to:
        for one in await _LED(connection, store=store.id, subscriptions=list(written)):
            led.setdefault(one.occurrence_id or one.order_subscription_id, []).append(one.id)
        for id_, orders in led.items():
            if id_ in written:
                written[id_][record.leads_to] = orders
    for type_ in record.parts:
        part = RECORDS[type_]
        for line in written.values():
            line[type_] = []
        for row in await bulk.held(connection, store.id, part.resource, written, by=part.within, lock=False):
            came = {part.leads_to: led[str(row["id"])][0]} if part.leads_to and str(row["id"]) in led else {}
            parts = written[str(row[part.within])][type_]
            assert isinstance(parts, list)  # noqa: S101 -- made above
            parts.append(_line(part, row) | came)
    return list(written.values())


def _line(record: Record, row: Columns) -> dict[str, object]:
    """A row's own fields; those that hold nothing are left out, but where that would say something else."""
    if record.at_rest and row["status"] not in record.at_rest:
        raise InvalidState(
            "{type} {id} is {status}: wait until that is done, and export again.",
            type=record.type_,
            id=str(row["id"]),
            status=str(row["status"]),
        )
    line: dict[str, object] = {"id": row["id"]}
    for name, found in fields_of(record.type_).items():
        value = row[found.column]
        if value is None:
            if found.column in record.inferred:
                line[name] = None
        elif found.kind.sql_type == "jsonb":
            line[name] = orjson.Fragment(str(value))
        else:
            line[name] = found.kind._serialize(value, None, None)  # noqa: SLF001 -- what `serialize` does for an attribute
    return line
