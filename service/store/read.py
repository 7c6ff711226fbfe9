"""Reading the graph: a resource, a collection, what is related, and bare relationships; generic for every type.

Every function takes a connection and a `Viewer`, runs at most two statements (rows with their whole include tree, and
an exact count), and sees only the viewer's store and, for a customer, only the customer's own rows.
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


@dataclass(frozen=True, slots=True)
class Within:
    """A relationship of one resource, whose related resources are read."""

    parent: type[Resource]
    id: str
    name: str

    @property
    def relationship(self) -> ToOne | ToMany:
        """The declaration of the relationship."""
        return self.parent.relationships[self.name]


async def one(connection: Connection, viewer: Viewer, selection: Selection, id_: str) -> Row | None:
    """The row of one resource, or None when the viewer can see no resource of this id."""
    statement, alias = _start(viewer)
    where = statement.scope(selection.resource, alias, f"{alias}.id = {statement.bind(id_)}")
    row: Row | None = await connection.fetchrow(
        f"select {statement.fields(selection, alias)} from {selection.resource.table} {alias} where {where}",
        *statement.binds,
    )
    return row


async def page(connection: Connection, viewer: Viewer, query: Query) -> Rows:
    """One page of a collection."""
    rows = await _page(connection, viewer, query, None)
    assert rows is not None  # noqa: S101 -- only a missing parent gives None
    return rows


async def related(connection: Connection, viewer: Viewer, within: Within, query: Query) -> Rows | None:
    """What a relationship holds: one page for to-many, no or one row for to-one; None when there is no such parent."""
    relationship = within.relationship
    if isinstance(relationship, ToMany):
        return await _page(connection, viewer, query, within)
    statement, alias = _start(viewer)
    target, table = statement.alias(), query.selection.resource.table
    inner = statement.scope(query.selection.resource, target, f'{target}.id = {alias}."{relationship.column}"')
    fields = statement.fields(query.selection, target)
    where = statement.scope(within.parent, alias, f"{alias}.id = {statement.bind(within.id)}")
    found = await connection.fetchrow(
        f"select (select row({fields}) from {table} {target} where {inner})"
        f" from {within.parent.table} {alias} where {where}",
        *statement.binds,
    )
    if found is None:
        return None
    return Rows((), 0) if found[0] is None else Rows((found[0],), 1)


async def exists(connection: Connection, viewer: Viewer, resource: type[Resource], id_: str) -> bool:
    """Whether the viewer can see a resource of this id."""
    statement = Statement(viewer.store_id, viewer.customer_id)
    return bool(await connection.fetchval(f"select {_exists(statement, resource, id_)}", *statement.binds))


def _start(viewer: Viewer) -> tuple[Statement, str]:
    statement = Statement(viewer.store_id, viewer.customer_id)
    return statement, statement.alias()


async def _page(connection: Connection, viewer: Viewer, query: Query, within: Within | None) -> Rows | None:
    """Count first: it also says whether the parent is there, and a page past the end then needs no second statement."""
    counting, alias = _start(viewer)
    where = _where(counting, alias, query, within)
    parent = "true" if within is None else _exists(counting, within.parent, within.id)
    counted = await connection.fetchrow(
        f"select {parent}, (select count(*) from {query.selection.resource.table} {alias} where {where})",
        *counting.binds,
    )
    there, total = counted or (False, 0)
    if not there:
        return None
    if query.page.offset >= total:
        return Rows((), total)
    fetching, alias = _start(viewer)
    where = _where(fetching, alias, query, within)
    fields = fetching.fields(query.selection, alias)
    limit = f"limit {fetching.bind(query.page.size)} offset {fetching.bind(query.page.offset)}"
    rows = await connection.fetch(
        f"select {fields} from {query.selection.resource.table} {alias} where {where}"
        f" order by {fetching.order(query, alias)} {limit}",
        *fetching.binds,
    )
    return Rows(rows, total)


def _where(statement: Statement, alias: str, query: Query, within: Within | None) -> str:
    resource = query.selection.resource
    related = ""
    if within is not None:
        assert isinstance(within.relationship, ToMany)  # noqa: S101 -- to-one ones are no pages
        related = statement.related(within.relationship, alias, statement.bind(within.id))
    return statement.scope(resource, alias, related, statement.filters(resource, alias, query.filters))


def _exists(statement: Statement, resource: type[Resource], id_: str) -> str:
    alias = statement.alias()
    where = statement.scope(resource, alias, f"{alias}.id = {statement.bind(id_)}")
    return f"exists (select from {resource.table} {alias} where {where})"
