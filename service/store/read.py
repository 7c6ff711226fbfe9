"""Reading the graph: a resource, a collection, what is related, and bare relationships; generic for every type.

Every function takes a connection and a `Viewer`, runs at most two statements (rows with their whole include tree, and an exact count), and
sees only the viewer's store and, for a customer, only the customer's own rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.base import Resource, ToMany, ToOne
from service.jsonapi.document import Row
from service.jsonapi.query import Query, Selection
from service.store.compile import Statement
from service.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose eyes a read has: a store, and a customer unless an integration asks."""

    store_id: int
    customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of rows and the exact number of rows of the whole collection."""

    rows: Sequence[Row]
    total: int


async def one(connection: Connection, viewer: Viewer, selection: Selection, id_: str) -> Row | None:
    """The row of one resource, or None when the viewer can see no resource of this id."""
    statement, alias = _start(viewer)
    where = statement.scope(selection.resource, alias, f"{alias}.id = {statement.bind(id_)}")
    row: Row | None = await connection.fetchrow(
        f"select {statement.fields(selection, alias)} from {selection.resource.table} {alias} where {where}", *statement.binds
    )
    return row


async def page(connection: Connection, viewer: Viewer, query: Query) -> Rows:
    """One page of a collection."""
    rows = await _page(connection, viewer, query, None)
    assert rows is not None  # noqa: S101 -- only a missing parent gives None
    return rows


async def related_page(
    connection: Connection, viewer: Viewer, parent: type[Resource], id_: str, relationship: ToMany, query: Query
) -> Rows | None:
    """One page of what a to-many relationship holds, or None when there is no such parent."""
    return await _page(connection, viewer, query, _Within(parent, id_, relationship))


async def related_one(
    connection: Connection, viewer: Viewer, parent: type[Resource], id_: str, relationship: ToOne, selection: Selection
) -> tuple[Row | None] | None:
    """The row that a to-one relationship leads to in a tuple of one (None when it is empty), or None when there is no such parent."""
    statement, alias = _start(viewer)
    target = statement.alias()
    inner = statement.scope(selection.resource, target, f'{target}.id = {alias}."{relationship.column}"')
    fields = statement.fields(selection, target)
    where = statement.scope(parent, alias, f"{alias}.id = {statement.bind(id_)}")
    found = await connection.fetchrow(
        f"select (select row({fields}) from {selection.resource.table} {target} where {inner}) from {parent.table} {alias} where {where}",
        *statement.binds,
    )
    return None if found is None else (found[0],)


async def linkage(
    connection: Connection, viewer: Viewer, parent: type[Resource], id_: str, relationship: ToOne
) -> tuple[str | None] | None:
    """The id that a to-one relationship holds in a tuple of one, or None when there is no such parent."""
    statement, alias = _start(viewer)
    where = statement.scope(parent, alias, f"{alias}.id = {statement.bind(id_)}")
    found = await connection.fetchrow(
        f'select {alias}."{relationship.column}" from {parent.table} {alias} where {where}', *statement.binds
    )
    return None if found is None else (found[0],)


async def exists(connection: Connection, viewer: Viewer, resource: type[Resource], id_: str) -> bool:
    """Whether the viewer can see a resource of this id."""
    statement = Statement(viewer.store_id, viewer.customer_id)
    return bool(await connection.fetchval(f"select {_exists(statement, resource, id_)}", *statement.binds))


def _start(viewer: Viewer) -> tuple[Statement, str]:
    statement = Statement(viewer.store_id, viewer.customer_id)
    return statement, statement.alias()


@dataclass(frozen=True, slots=True)
class _Within:
    """The to-many relationship of a parent that a page belongs to."""

    parent: type[Resource]
    id: str
    relationship: ToMany


async def _page(connection: Connection, viewer: Viewer, query: Query, within: _Within | None) -> Rows | None:
    """Count first: it also says whether the parent is there, and a page past the end then needs no second statement."""
    counting, alias = _start(viewer)
    where = _where(counting, alias, query, within)
    parent = "true" if within is None else _exists(counting, within.parent, within.id)
    there, total = await connection.fetchrow(
        f"select {parent}, (select count(*) from {query.selection.resource.table} {alias} where {where})", *counting.binds
    )
    if not there:
        return None
    if query.page.offset >= total:
        return Rows((), total)
    fetching, alias = _start(viewer)
    where = _where(fetching, alias, query, within)
    fields = fetching.fields(query.selection, alias)
    limit = f"limit {fetching.bind(query.page.size)} offset {fetching.bind(query.page.offset)}"
    rows = await connection.fetch(
        f"select {fields} from {query.selection.resource.table} {alias} where {where} order by {fetching.order(query, alias)} {limit}",
        *fetching.binds,
    )
    return Rows(rows, total)


def _where(statement: Statement, alias: str, query: Query, within: _Within | None) -> str:
    resource = query.selection.resource
    related = "" if within is None else statement.related(within.relationship, alias, statement.bind(within.id))
    return statement.scope(resource, alias, related, statement.filters(resource, alias, query.filters))


def _exists(statement: Statement, resource: type[Resource], id_: str) -> str:
    alias = statement.alias()
    where = statement.scope(resource, alias, f"{alias}.id = {statement.bind(id_)}")
    return f"exists (select from {resource.table} {alias} where {where})"
