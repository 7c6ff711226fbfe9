"""Writing and reading the graph by the hundred: rows of one type at a time, compiled from its Schema.

Identifiers come from Schemas and from the database's own catalogue, every value is a bind or a row of COPY; `$1` is
always the store. Who calls holds a transaction. What the database refuses is raised as the API says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import orjson

from schemas.relationships import Through, ToMany
from schemas.resource import Resource
from service.jsonapi.body import Draft
from service.jsonapi.filters import AllOf
from service.principal import Viewer
from service.store import counts
from service.store.compile import Statement, Values
from service.store.constraints import catalogue, explained
from service.store.filters import where
from service.store.pool import Connection
from service.store.structure import lift_filters
from service.store.vault import vault_of

_COLUMNS = """
    select a.attname::text, coalesce(pg_get_expr(d.adbin, d.adrelid), 'null'), format_type(a.atttypid, null)
    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
"""

_UNFILTERED = AllOf()

Row = Mapping[str, Any]
"""Column -> value, as asyncpg takes it."""


async def defaults(connection: Connection, resource: type[Resource]) -> dict[str, Any]:
    """What each column of a type's table holds when nothing is given for it, but for those that Postgres works out."""
    columns = await connection.fetch(_COLUMNS, resource.table)
    values = await connection.fetchrow("select " + ", ".join(expression for _, expression, _ in columns))
    assert values is not None  # noqa: S101 -- a select without a table has one row
    return dict(zip((name for name, _, _ in columns), values, strict=True)) | dict(resource.where)


async def insert(
    connection: Connection, store_id: int, resource: type[Resource], rows: Sequence[Row], usual: Row
) -> None:
    """Insert rows by COPY, and count them; what a row doesn't give is as usual.

    Raises ApiError subclasses for the first refused one.
    """
    vault = vault_of(connection)
    sealed = [vault.seal_row(resource.table, store_id, row["id"], row) for row in rows]
    with await _explained(connection, resource):
        await connection.copy_records_to_table(
            resource.table,
            records=[tuple(row.get(name, value) for name, value in usual.items()) for row in sealed],
            columns=list(usual),
        )
    await counts.tell(connection, store_id, resource, [row["id"] for row in rows])


async def update(
    connection: Connection, store_id: int, resource: type[Resource], rows: Sequence[Row], columns: Sequence[str]
) -> None:
    """Set these columns of rows that are there, found by their ids, and raise their versions.

    Raises ApiError subclasses for the first refused one.
    """
    vault = vault_of(connection)
    rows = [vault.seal_row(resource.table, store_id, row["id"], row) for row in rows]
    columns = [name for name in rows[0] if name != "id"] if rows else columns
    sets = ", ".join(f'"{name}" = given."{name}"' for name in columns)
    text = (
        f"update {resource.table} held set {sets}, version = held.version + 1"
        f" from json_populate_recordset(null::{resource.table}, $2) given"
        " where held.store_id = $1 and held.id = given.id"
    )
    jsons = frozenset(name for name, kind in resource.columns().items() if getattr(kind, "sql_type", "") == "jsonb")
    owner = counts.owner_column(resource)
    if owner in columns:
        await counts.move_all(connection, store_id, resource, {row["id"]: row[owner] for row in rows})
    given = [{name: _json(row[name], raw=name in jsons) for name in ("id", *columns)} for row in rows]
    with await _explained(connection, resource):
        await connection.execute(text, store_id, orjson.dumps(given, default=str).decode())


async def held(
    connection: Connection,
    store_id: int,
    resource: type[Resource],
    ids: Iterable[str],
    *,
    by: str = "id",
    lock: bool = True,
) -> list[dict[str, Any]]:
    """All columns of the resources of these ids, or of the parts of these (`by` is their column)."""
    locked = " for no key update of held" if lock else ""
    rows = await connection.fetch(
        f'select held.* from {resource.table} held where held.store_id = $1 and held."{by}" = any($2::text[])'
        f" order by held.id{locked}",
        store_id,
        sorted(set(ids)),
    )
    vault = vault_of(connection)
    return [vault.open_row(resource.table, dict(row)) for row in rows]


async def taken(connection: Connection, store_id: int, resource: type[Resource], ids: Iterable[str]) -> set[str]:
    """Those of these ids that a row of the type's table has."""
    rows = await connection.fetch(
        f"select held.id from {resource.table} held where held.store_id = $1 and held.id = any($2::text[])",
        store_id,
        sorted(set(ids)),
    )
    return {row[0] for row in rows}


async def facts(
    connection: Connection, store_id: int, resource: type[Resource], ids: Iterable[str], columns: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """These columns of the resources of these ids, by id; an id that there is none of is not in it."""
    names = "".join(f', held."{name}"' for name in columns)
    where = "".join(f" and held.\"{column}\" = '{value}'" for column, value in resource.where.items())
    rows = await connection.fetch(
        f"select held.id{names} from {resource.table} held"
        f" where held.store_id = $1 and held.id = any($2::text[]){where}",
        store_id,
        sorted(set(ids)),
    )
    return {row["id"]: dict(row) for row in rows}


async def found(
    connection: Connection, store_id: int, resource: type[Resource], key: Sequence[str], values: Iterable[Any]
) -> list[tuple[tuple[Any, ...], str]]:
    """What there is with one of these values in the first column of a key: the values of the key, and the id."""
    names = ", ".join(f'held."{name}"' for name in key)
    sql_type = getattr(resource.columns().get(key[0]), "sql_type", "text")
    rows = await connection.fetch(
        f"select {names}, held.id from {resource.table} held"
        f' where held.store_id = $1 and held."{key[0]}" = any($2::{sql_type}[]) order by held.id desc',
        store_id,
        list(values),
    )
    return [(tuple(row)[:-1], row["id"]) for row in rows]


async def join(
    connection: Connection, store_id: int, relationship: ToMany, held_by: Mapping[str, Sequence[str]]
) -> None:
    """Make a relationship of many resources hold these ids: by the id of each."""
    through = relationship.through
    assert through is not None  # noqa: S101 -- those without a join table can't be written
    pairs = [(own, other) for own, others in held_by.items() for other in others]
    owns, others = [own for own, _ in pairs], [other for _, other in pairs]
    await connection.execute(_drop(through), store_id, list(held_by), owns, others)
    await connection.execute(
        f'insert into {through.table} (store_id, "{through.own}", "{through.other}")'
        " select $1::bigint, own, other from unnest($2::text[], $3::text[]) as given (own, other)"
        " on conflict do nothing",
        store_id,
        owns,
        others,
    )


def _drop(through: Through) -> str:
    return (
        f'delete from {through.table} held where held.store_id = $1 and held."{through.own}" = any($2::text[])'
        " and not exists (select from unnest($3::text[], $4::text[]) as given (own, other)"
        f' where given.own = held."{through.own}" and given.other = held."{through.other}")'
    )


async def _explained(connection: Connection, resource: type[Resource]) -> AbstractContextManager[None]:
    return explained(await catalogue(connection), resource, Draft(resource, ""))


def _json(value: Any, *, raw: bool) -> Any:
    """A value within JSON, as Postgres reads it; what is JSON itself stays as it is."""
    if raw and value is not None:
        return orjson.Fragment(value)
    return value.isoformat() if isinstance(value, datetime) else value


async def page(
    connection: Connection,
    viewer: Viewer,
    resource: type[Resource],
    *,
    after: Sequence[Any],
    by: Sequence[str],
    most: int,
    filters: AllOf = _UNFILTERED,
) -> list[dict[str, Any]]:
    """The next resources that a viewer sees behind the values of these columns, in their order; nothing is locked."""
    structure, given = lift_filters(filters)
    statement = Statement(viewer)
    alias = statement.alias()
    order = ", ".join(f'{alias}."{name}"' for name in by)
    behind = f"({order}) > ({', '.join(statement.bind(value) for value in after)})" if after else ""
    scope = statement.scope(resource, alias, behind, where(statement, resource, alias, structure))
    limit = statement.bind(most)
    rows = await connection.fetch(
        f"select {alias}.* from {resource.table} {alias} where {scope} order by {order} limit {limit}",
        *Values(viewer, given=given).of(statement.kept_binds),
    )
    vault = vault_of(connection)
    return [vault.open_row(resource.table, dict(row)) for row in rows]


async def count(connection: Connection, viewer: Viewer, resource: type[Resource], filters: AllOf = _UNFILTERED) -> int:
    """How many resources a viewer sees that fulfil filters."""
    structure, given = lift_filters(filters)
    statement = Statement(viewer)
    alias = statement.alias()
    scope = statement.scope(resource, alias, where(statement, resource, alias, structure))
    number: int = await connection.fetchval(
        f"select count(*) from {resource.table} {alias} where {scope}",
        *Values(viewer, given=given).of(statement.kept_binds),
    )
    return number


async def joined(
    connection: Connection, store_id: int, relationship: ToMany, ids: Iterable[str]
) -> dict[str, list[str]]:
    """The names of the tags that resources of these ids carry."""
    through = relationship.through
    assert through is not None  # noqa: S101 -- tags are joined
    rows = await connection.fetch(
        f'select held."{through.own}", other.name from {through.table} held'
        f" inner join {relationship.type_} other"
        f' on held.store_id = other.store_id and held."{through.other}" = other.id'
        f' where held.store_id = $1 and held."{through.own}" = any($2::text[]) order by other.name',
        store_id,
        sorted(set(ids)),
    )
    names: dict[str, list[str]] = {}
    for own, name in rows:
        names.setdefault(own, []).append(name)
    return names
