"""Writing the graph: one row with its join rows, generic for every type and compiled from its Schema.

Whatever is written along with a row goes into the same statement. Identifiers come from Schemas only, every value is a
bind; `$1` is always the store. A change raises the row's `version` and sets `updated_at`, also when only its join rows
change. Who calls holds a transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from orjson import Fragment

import sql
from schemas.graph import graph
from schemas.kinds import Json
from schemas.relationships import Through, ToMany, ToOne
from schemas.resource import Resource
from service.jsonapi.body import Draft
from service.principal import Viewer
from service.store import counts
from service.store.compile import Statement
from service.store.constraints import REFUSED, catalogue, explained
from service.store.pool import Connection, fetchrow
from service.store.statements import Along, Declared
from service.store.vault import vault_of

Columns = Mapping[str, Any]
"""Column -> value, as asyncpg takes it."""
Joins = Mapping[str, Sequence[str]]
"""To-many relationship -> the ids that it is to hold."""
_STORE = "store"
"""The parameter that every part has in common, and the first one of each statement."""

Returned = Mapping[Declared, Sequence[str]]
"""Part of a statement -> the ids that it returned."""


async def lock(connection: Connection, viewer: Viewer, resource: type[Resource], id_: str) -> Columns | None:
    """All columns of a resource that the viewer can see, locked until the transaction ends; None when there is none."""
    statement = Statement(viewer)
    alias = statement.alias()
    where = statement.scope(resource, alias, f"{alias}.id = {statement.bind(id_)}")
    row = await connection.fetchrow(
        f"select {alias}.* from {resource.table} {alias} where {where} for no key update of {alias}", *statement.binds
    )
    return None if row is None else vault_of(connection).open_row(resource.table, dict(row))


async def hold(connection: Connection, viewer: Viewer, resource: type[Resource], ids: Iterable[str]) -> None:
    """Lock those of these resources that are there until the transaction ends, in the order of their ids."""
    statement = Statement(viewer)
    alias = statement.alias()
    where = statement.scope(resource, alias, f"{alias}.id = any({statement.bind(sorted(set(ids)))}::text[])")
    await connection.execute(
        f"select from {resource.table} {alias} where {where} order by {alias}.id for no key update of {alias}",
        *statement.binds,
    )


async def parents(
    connection: Connection, viewer: Viewer, resource: type[Resource], ids: Iterable[str], relationship: ToOne
) -> set[str]:
    """The ids that a to-one relationship of resources holds, read without a lock."""
    statement = Statement(viewer)
    alias = statement.alias()
    where = statement.scope(resource, alias, f"{alias}.id = any({statement.bind(sorted(set(ids)))}::text[])")
    rows = await connection.fetch(
        f'select distinct {alias}."{relationship.column}" from {resource.table} {alias} where {where}', *statement.binds
    )
    return {row[0] for row in rows if row[0] is not None}


async def parent_id(
    connection: Connection, viewer: Viewer, resource: type[Resource], id_: str, relationship: ToOne
) -> str | None:
    """The id that a to-one relationship of a resource holds, read without a lock."""
    statement = Statement(viewer)
    alias = statement.alias()
    where = statement.scope(resource, alias, f"{alias}.id = {statement.bind(id_)}")
    found: str | None = await connection.fetchval(
        f'select {alias}."{relationship.column}" from {resource.table} {alias} where {where}', *statement.binds
    )
    return found


async def absent(
    connection: Connection, viewer: Viewer, wanted: Mapping[type[Resource], Iterable[str]]
) -> set[tuple[str, str]]:
    """Of these ids by type, those (with their type) of which the viewer can see no resource. One statement or none."""
    statement = Statement(viewer)
    parts = []
    for resource, ids in wanted.items():
        given = sorted(set(ids))
        if given:
            alias = statement.alias()
            where = statement.scope(resource, alias, f"{alias}.id = wanted.id")
            parts.append(
                f"select '{resource.type_}', wanted.id from unnest({statement.bind(given)}::text[]) as wanted (id)"
                f" where not exists (select from {resource.table} {alias} where {where})"
            )
    if not parts:
        return set()
    return {(row[0], row[1]) for row in await connection.fetch(" union all ".join(parts), *statement.binds)}


async def linked(connection: Connection, viewer: Viewer, resource: type[Resource], id_: str, name: str) -> set[str]:
    """The ids that a to-many relationship of a resource holds, as far as the viewer can see them."""
    relationship = resource.relationships[name]
    assert isinstance(relationship, ToMany)  # noqa: S101 -- to-one ones are columns
    target = graph[relationship.type_]
    statement = Statement(viewer)
    alias = statement.alias()
    where = statement.scope(target, alias, statement.related(resource, relationship, alias, statement.bind(id_)))
    rows = await connection.fetch(f"select {alias}.id from {target.table} {alias} where {where}", *statement.binds)
    return {row[0] for row in rows}


async def insert(
    connection: Connection,
    store_id: int,
    draft: Draft,
    columns: Columns,
    joins: Joins,
    *,
    at: datetime,
    along: Sequence[Along] = (),
    owners: Sequence[str | None] | None = None,
) -> Returned:
    """Insert the resource of a draft, with an id among its columns, its join rows, and what goes along: one statement.

    It counts the resource: by its owner, where the caller knows that under a lock (`owners`). Returns the ids that its
    parts return. Raises ApiError subclasses for what the database refuses.
    """
    resource = draft.resource
    known = await catalogue(connection)
    columns = vault_of(connection).seal_row(resource.table, store_id, columns.get("id"), columns)
    values = {"store_id": store_id, **resource.where, **columns, "created_at": at, "updated_at": at}
    binds = list(values.values())
    placed = {name: f"${n}" for n, name in enumerate(values, 1)}
    names = ", ".join(f'"{name}"' for name in values)
    main = f"insert into {resource.table} ({names}) values ({', '.join(placed.values())})"
    parts: list[str] = []
    if owners is None:
        parts += counts.more(resource, lambda name: placed.get(name, "null"))
    else:
        binds.append(owners)
        parts.append(counts.more_owned(resource.type_, f"${len(binds)}"))
    for name, ids in joins.items():
        if ids:
            binds.append(sorted(ids))
            parts.append(_join(_through(resource, name), placed["id"], f"${len(binds)}"))
    with explained(known, resource, draft):
        return await _run(connection, resource, main, parts, binds, along=along)


async def insert_all(
    connection: Connection,
    store_id: int,
    resource: type[Resource],
    rows: Sequence[Columns],
    *,
    at: datetime,
    along: Sequence[Along] = (),
) -> Returned | None:
    """Insert resources of one type, which have the same columns, and what goes along, and count: one statement.

    Returns the ids that parts return; None where the database refuses a row, and nothing was written: which one, and
    why, `insert` says.
    """
    kinds = resource.columns()
    fixed = {**resource.where, "created_at": at, "updated_at": at}
    names = [*dict.fromkeys((*fixed, *rows[0]))]
    # JSON is text, as everywhere on our side.
    json = [name for name in names if isinstance(kinds.get(name), Json)]
    sent = [
        {**row, **fixed, **{name: Fragment(row[name]) for name in json if row.get(name) is not None}} for row in rows
    ]
    columns = ", ".join(f'"{name}"' for name in names)
    given = f"jsonb_populate_recordset(null::{resource.table}, $2::jsonb) given"
    main = f"insert into {resource.table} (store_id, {columns}) select $1::bigint, {columns} from {given}"
    parts = list(counts.more_of(resource, given, "given", names))
    binds = [store_id, orjson.dumps(sent, default=str).decode()]
    try:
        async with connection.transaction():
            return await _run(connection, resource, main, parts, binds, along=along)
    except REFUSED:
        return None


async def update(
    connection: Connection,
    store_id: int,
    draft: Draft,
    columns: Columns,
    joins: Joins,
    *,
    at: datetime,
    along: Sequence[Along] = (),
) -> Returned:
    """Set columns of the resource of a draft, which has an id, and make its to-many relationships hold these ids.

    One statement, with what goes along, unless it becomes another owner's. Returns and raises as `insert` does.
    """
    resource = draft.resource
    known = await catalogue(connection)
    columns = vault_of(connection).seal_row(resource.table, store_id, draft.id, columns)
    binds: list[Any] = [store_id, draft.id, at, *columns.values()]
    sets = "".join(f', "{column}" = ${n}' for n, column in enumerate(columns, 4))
    main = f"update {resource.table} set updated_at = $3, version = version + 1{sets} where store_id = $1 and id = $2"
    parts = []
    for name, ids in joins.items():
        through = _through(resource, name)
        binds.append(sorted(ids))
        place = f"${len(binds)}"
        parts.append(
            f'delete from {through.table} where store_id = $1 and "{through.own}" = $2::text'
            f' and not ("{through.other}" = any({place}::text[]))'
        )
        parts.append(_join(through, "$2", place))
    owner = counts.owner_column(resource)
    if owner in columns:
        await counts.move(connection, store_id, resource, str(draft.id), columns[owner])
    with explained(known, resource, draft):
        return await _run(connection, resource, main, parts, binds, along=along)


async def delete(connection: Connection, store_id: int, resource: type[Resource], id_: str) -> None:
    """Delete a resource with what is part of it, and count them. Raises InvalidState when others refer to it."""
    known = await catalogue(connection)
    which = "where store_id = $1 and id = $2"
    if resource.type_ in counts.WHOLES:
        await connection.execute(f"select from {resource.table} {which} for update", store_id, id_)
    # What goes with the row is counted while it is there.
    parts = [f"part_{n} as ({part})" for n, part in enumerate(counts.less_parts(resource, "$2"))]
    gone = f"gone as (delete from {resource.table} {which} returning *)"
    own = [f"own as ({change})" for change in counts.less(resource, "gone")]
    with explained(known, resource):
        await connection.execute(f"with {', '.join([*parts, gone, *own])} select from gone", store_id, id_)


def _through(resource: type[Resource], name: str) -> Through:
    relationship = resource.relationships[name]
    assert isinstance(relationship, ToMany)  # noqa: S101 -- join rows belong to to-many relationships
    assert relationship.through is not None  # noqa: S101 -- those without a join table can't be written
    return relationship.through


def _join(through: Through, id_: str, ids: str) -> str:
    return (
        f'insert into {through.table} (store_id, "{through.own}", "{through.other}")'
        f" select $1::bigint, {id_}::text, other from unnest({ids}::text[]) as other on conflict do nothing"
    )


class _Beside(NamedTuple):
    """What the text of a statement that goes along depends on."""

    part: Declared
    collection: str
    owned: bool
    first: bool
    """Whether the row may refer to what it writes."""


async def _run(
    connection: Connection,
    resource: type[Resource],
    main: str,
    parts: Sequence[str],
    binds: Sequence[object],
    *,
    along: Sequence[Along],
) -> Returned:
    """Run statements as one, and return the ids that their parts return."""
    returning = [one.part for one in along if one.part.columns]
    named = {found.type_ for found in resource.relationships.values() if isinstance(found, ToOne)}
    known = tuple(
        _Beside(one.part, one.collection, one.customers is not None, one.collection in named) for one in along
    )
    text = _together(main, tuple(parts), len(binds), known)
    customers = [one.customers for one in along if one.customers is not None]
    others = [
        value
        for one in along
        for name, value in zip(one.part.statement.parameters, one.binds, strict=True)
        if name != _STORE
    ]
    record = await fetchrow(connection, text, [*binds, *others, *customers])
    return dict(zip(returning, record or (), strict=True))


@lru_cache(maxsize=1024)
def _together(main: str, parts: Sequence[str], bound: int, along: Sequence[_Beside]) -> str:
    """Statements as one, in an order in which they could be run one by one: each row before what refers to it.

    A part that has a collection is counted: by the customers whose the rows are, else by the ids that it returns.
    """
    first: list[str] = []
    then = [f"main as ({main})", *(f"part_{n} as ({part})" for n, part in enumerate(parts))]
    answers, told = [], []
    for n, (part, collection, owned, is_first) in enumerate(along):
        others = [name for name in part.statement.parameters if name != _STORE]
        places = {name: f"${bound + place}" for place, name in enumerate(others, 1)} | {_STORE: "$1"}
        (first if is_first else then).append(f"along_{n} as ({_placed(part.statement, places)})")
        bound += len(others)
        if part.columns:
            answers.append(f"array(select along_{n}.* from along_{n})")
        if collection:
            told.append((n, collection, owned))
    for n, collection, owned in told:
        bound += owned
        change = counts.more_owned(collection, f"${bound}") if owned else counts.more_in(collection, f"along_{n}")
        then.append(f"told_{n} as ({change})")
    return f"with {', '.join([*first, *then])} select {', '.join(answers)}" if first or len(then) > 1 else main


def _placed(statement: sql.Statement, places: Mapping[str, str]) -> str:
    """The text of a statement with other placeholders for its parameters."""
    names = statement.parameters
    return re.sub(r"\$(\d+)", lambda match: places[names[int(match[1]) - 1]], statement.text)
