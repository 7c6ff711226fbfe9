"""What a record looks like that is taken out: whole, or some of its fields, with what it refers to, or without ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from schemas.history import RECORDS, Record, fields_of
from schemas.relationships import ToMany, ToOne
from service.jsonapi.nearness import nearest
from service.jsonapi.sight import Sight
from service.operations.data.records import Columns, Problem
from service.store import bulk
from service.store.pool import Connection
from service.texts import Phrase

Line = dict[str, object]
"""A record: field -> value, as JSON has it."""

_STAMPS: Final = frozenset({"id", "created_at", "updated_at"})


@dataclass(frozen=True, slots=True)
class Shape:
    """How records are written.

    `includes` are relationships whose resources come along whole, `fields` what is kept of each record (all where there
    are none): names, `*`, and with a dot those of what comes along. `dry` leaves out ids, instants of writing and
    blanks, and refers to others by what they are called.
    """

    includes: Sequence[str] = ()
    fields: Sequence[str] = ()
    dry: bool = False

    @property
    def included(self) -> list[str]:
        """The relationships that come along: those that were named, and those of which fields were."""
        heads = [name.partition(".")[0] for name in self.fields if "." in name]
        return list(dict.fromkeys([*self.includes, *heads]))


WHOLE: Final = Shape()


def includable(record: Record) -> dict[str, ToOne | ToMany]:
    """The relationships of a type whose resources can come along with its records, beside its parts."""
    return {
        name: found
        for name, found in record.resource.relationships.items()
        if found.type_ in RECORDS
        and name not in record.parts
        and (isinstance(found, ToOne) or bool(found.via and found.includable and not found.where))
    }


def check(record: Record, shape: Shape, types: Sight) -> Iterator[Problem]:
    """What is wrong with a shape of a type's records, for somebody who may read these types."""
    beside = {name: found.type_ for name, found in includable(record).items() if found.type_ in types}
    within = beside | {name: name for name in record.parts}
    for position, name in enumerate(shape.includes):
        if name not in within:
            reason = Phrase("is nothing that comes along with {type}", type=record.type_)
            yield Problem(f"includes/{position}", reason, nearest(name, within))
    for position, name in enumerate(shape.fields):
        head, dot, rest = name.partition(".")
        known = _names(RECORDS[within[head]]) if dot and head in within else _names(record)
        if (dot and head not in within) or (rest if dot else head) not in (*known, "*"):
            reason = Phrase("is no field of {type}", type=record.type_)
            yield Problem(f"fields/{position}", reason, nearest(rest if dot else head, known))


def _names(record: Record) -> list[str]:
    fields = fields_of(record.type_)
    lists = [*(["tags"] if fields.is_tagged else []), *([record.leads_to] if record.leads_to else [])]
    return ["type", "id", *fields, *lists, *record.parts]


def line(record: Record, row: Columns) -> Line:
    """A row's own fields; those that hold nothing are left out, but where that would say something else."""
    made: Line = {"id": row["id"]}
    for name, found in fields_of(record.type_).items():
        value = row[found.column]
        if value is None:
            if found.column in record.inferred:
                made[name] = None
        elif found.kind.sql_type == "jsonb":
            made[name] = orjson.Fragment(str(value))
        else:
            made[name] = found.kind._serialize(value, None, None)  # noqa: SLF001 -- what `serialize` does for an attribute
    return made


async def shaped(
    connection: Connection,
    store_id: int,
    of: tuple[Record, Shape],
    rows: Sequence[Columns],
    written: Mapping[str, Line],
) -> list[Line]:
    """Records of a type, by their ids, in a shape; `rows` are the rows that they were made of."""
    record, shape = of
    if shape == WHOLE:
        return list(written.values())
    dry = [*record.embedded] if shape.dry else []
    for name, relationship in includable(record).items():
        column = relationship.column if isinstance(relationship, ToOne) else ""
        if name in shape.included or column in dry:
            await _include(connection, store_id, rows, written, (name, relationship))
            if column in record.embedded:
                for one in written.values():
                    if name in one:
                        one.pop(column, None)
    if shape.dry:
        for type_ in record.parts:
            parts = [part for one in written.values() for part in _dicts(one.get(type_))]
            await _dry(connection, store_id, RECORDS[type_], parts)
        await _dry(connection, store_id, record, list(written.values()))
    lines = list(written.values())
    return [_picked(one, shape) for one in lines] if shape.fields else lines


async def _include(
    connection: Connection,
    store_id: int,
    rows: Sequence[Columns],
    written: Mapping[str, Line],
    named: tuple[str, ToOne | ToMany],
) -> None:
    """Have what a relationship leads to come along with records."""
    name, relationship = named
    other = RECORDS[relationship.type_]
    if isinstance(relationship, ToOne):
        leads = {str(row["id"]): str(row[relationship.column]) for row in rows if row[relationship.column] is not None}
        held = await bulk.held(connection, store_id, other.resource, leads.values(), lock=False)
        known = {str(row["id"]): row for row in held}
        for id_, one in written.items():
            if leads.get(id_) in known:
                one[name] = line(other, known[leads[id_]])
        return
    for one in written.values():
        one[name] = []
    for row in await bulk.held(connection, store_id, other.resource, written, by=relationship.via, lock=False):
        listed = written[str(row[relationship.via])][name]
        assert isinstance(listed, list)  # noqa: S101 -- made above
        listed.append(line(other, row))


async def _dry(connection: Connection, store_id: int, record: Record, lines: Sequence[Line]) -> None:
    """Leave out of records what is only of this store: ids where there are keys, instants of writing, blanks."""
    for reference in fields_of(record.type_).references:
        other = RECORDS.get(reference.type_)
        referring = [one for one in lines if one.get(reference.name) is not None]
        if other is None or len(other.key) != 1 or not referring:
            continue
        key = other.key[0]
        ids = [str(one[reference.name]) for one in referring]
        facts = await bulk.facts(connection, store_id, other.resource, ids, [key])
        for one in referring:
            called = facts.get(str(one[reference.name]), {}).get(key)
            if called is not None:
                del one[reference.name]
                value = fields_of(other.type_)[key].kind._serialize(called, None, None)  # noqa: SLF001 -- as in `line`
                one[reference.name.removesuffix("_id")] = {key: value}
    lacking = frozenset() if record.key or record.within else frozenset({"id"})
    for one in lines:
        gone = (_STAMPS - lacking) | {record.leads_to, "occurrences", "occurrence_items"}
        for name in [name for name, value in one.items() if name in gone or (_blank(value) and value is not None)]:
            del one[name]
        for name in (column.removesuffix("_id") for column in record.embedded):
            for whole in _dicts(one.get(name)):
                for own in (*_STAMPS, "customer_id"):
                    whole.pop(own, None)


def _blank(value: object) -> bool:
    return value in ("", [], {}) or (isinstance(value, orjson.Fragment) and orjson.dumps(value) in (b"{}", b"[]"))


def _dicts(value: object) -> list[Line]:
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, dict)]


def _picked(one: Line, shape: Shape) -> Line:
    """The fields of a record that are wanted."""
    tops = {name for name in shape.fields if "." not in name}
    within: dict[str, set[str]] = {}
    for name in shape.fields:
        head, dot, rest = name.partition(".")
        if dot:
            within.setdefault(head, set()).add(rest)
    made: Line = {}
    for name, value in one.items():
        if name in within and name not in tops:
            made[name] = _some(value, within[name])
        elif name in tops or name in shape.includes or ("*" in tops and name not in within):
            made[name] = value
    return made


def _some(value: object, names: Collection[str]) -> object:
    if isinstance(value, list):
        return [_some(one, names) for one in value]
    if not isinstance(value, dict) or "*" in names:
        return value
    return {name: inner for name, inner in value.items() if name in names}
