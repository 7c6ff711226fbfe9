"""Reading the graph: a resource, a collection, what is related, and bare relationships; generic for every type.

Every function takes a connection and a `Viewer`, runs at most two statements (rows with their whole include tree, and
an exact count where there is one), and sees only the viewer's store and, for a customer, only the customer's own rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import asyncpg

from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service.errors import TooCostly, Unavailable
from service.jsonapi.document import Row
from service.jsonapi.pagination import DEFAULT_SIZE, Page, Window, cursor
from service.jsonapi.query import Query, Selection
from service.principal import Owner, Viewer
from service.store import filters, keyset
from service.store.compile import Later, Statement, values
from service.store.pool import Connection, fetch, fetchrow
from service.texts import Either, Phrase


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of rows, and the exact number of rows of the whole collection if that was counted.

    Pages by cursor have each row's cursor, and know whether there are `more` rows in the direction they were read.
    """

    rows: Sequence[Row]
    total: int | None = None
    cursors: Sequence[str] = ()
    more: bool = False


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
    text, binds = _one(selection, viewer.owner and viewer.owner.type_)
    with in_time(Query(selection)):
        row: Row | None = await fetchrow(connection, text, *values(binds, viewer, id_))
    return row


@lru_cache(maxsize=512)
def _one(selection: Selection, owned_by: str | None) -> tuple[str, tuple[Any, ...]]:
    """The statement that reads one resource for viewers of a kind; remembered, since frontends ask the same again."""
    statement, alias = _start(Viewer(0, None if owned_by is None else Owner(owned_by, "")))
    where = statement.scope(selection.resource, alias, f"{alias}.id = {statement.bind(Later.ID)}")
    fields = statement.fields(selection, alias)
    return f"select {fields} from {selection.resource.table} {alias} where {where}", statement.kept_binds


async def several(connection: Connection, viewer: Viewer, selection: Selection, ids: Sequence[str]) -> dict[str, Row]:
    """The rows of resources by their ids, without those that the viewer can't see: one statement."""
    statement, alias = _start(viewer)
    where = statement.scope(selection.resource, alias, f"{alias}.id = any({statement.bind(ids)}::text[])")
    with in_time(Query(selection)):
        rows = await fetch(
            connection,
            f"select {statement.fields(selection, alias)} from {selection.resource.table} {alias} where {where}",
            *statement.binds,
        )
    return {row[0]: row for row in rows}


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
    with in_time(query):
        found = await fetchrow(
            connection,
            f"select (select row({fields}) from {table} {target} where {inner})"
            f" from {within.parent.table} {alias} where {where}",
            *statement.binds,
        )
    if found is None:
        return None
    return Rows((), 0) if found[0] is None else Rows((found[0],), 1)


async def exists(connection: Connection, viewer: Viewer, resource: type[Resource], id_: str) -> bool:
    """Whether the viewer can see a resource of this id."""
    statement = Statement(viewer)
    return bool(await connection.fetchval(f"select {_exists(statement, resource, id_)}", *statement.binds))


def _start(viewer: Viewer) -> tuple[Statement, str]:
    statement = Statement(viewer)
    return statement, statement.alias()


async def _page(connection: Connection, viewer: Viewer, query: Query, within: Within | None) -> Rows | None:
    if isinstance(query.page, Window):
        return await _window(connection, viewer, query, query.page, within)
    return await _numbered(connection, viewer, query, query.page, within)


async def _count(connection: Connection, viewer: Viewer, query: Query, within: Within | None) -> int | None:
    """How many rows a collection has; None when there is no such parent."""
    counting, alias = _start(viewer)
    where = _where(counting, alias, query, within)
    parent = "true" if within is None else _exists(counting, within.parent, within.id)
    with in_time(query):
        counted = await fetchrow(
            connection,
            f"select {parent}, (select count(*) from {query.selection.resource.table} {alias} where {where})",
            *counting.binds,
        )
    there, total = counted or (False, 0)
    return total if there else None


async def _numbered(
    connection: Connection, viewer: Viewer, query: Query, page: Page, within: Within | None
) -> Rows | None:
    """Count first: it also says whether the parent is there, and a page past the end then needs no second statement."""
    total = await _count(connection, viewer, query, within)
    if total is None or page.offset >= total:
        return None if total is None else Rows((), total)
    fetching, alias = _start(viewer)
    where = _where(fetching, alias, query, within)
    order = keyset.order_by(keyset.keys(fetching, query, alias))
    fields = fetching.fields(query.selection, alias)
    limit = f"limit {fetching.bind(page.size)} offset {fetching.bind(page.offset)}"
    with in_time(query):
        rows = await fetch(
            connection,
            f"select {fields} from {query.selection.resource.table} {alias} where {where} order by {order} {limit}",
            *fetching.binds,
        )
    return Rows(rows, total)


async def _window(
    connection: Connection, viewer: Viewer, query: Query, window: Window, within: Within | None
) -> Rows | None:
    """The rows beyond a cursor, one more than asked for, which says whether there are more; counted only if asked."""
    total = await _count(connection, viewer, query, within) if window.total else None
    statement, alias = _start(viewer)
    ordered = keyset.keys(statement, query, alias)
    order = keyset.order_by(ordered, backwards=window.backwards)
    limit = f"limit {statement.bind(window.size + 1)}"
    near, far = (window.before, window.after) if window.backwards else (window.after, window.before)
    until = keyset.beyond(statement, ordered, far.position, backwards=not window.backwards)
    closed = f"({' or '.join(f'({part})' for part in until)})" if until != [""] else ""
    where = _where(statement, alias, query, within, closed)
    table, fields = query.selection.resource.table, statement.fields(query.selection, alias)
    ranges = [
        f"select {alias}.* from {table} {alias} where {where}{' and ' if part else ''}{part} order by {order} {limit}"
        for part in keyset.beyond(statement, ordered, near.position, backwards=window.backwards)
    ]
    chosen = " union all ".join(f"({one})" for one in ranges)
    compared = ", ".join(key.expression for key in ordered)
    with in_time(query):
        found = await fetch(
            connection,
            f"select {fields}, {compared} from ({chosen}) {alias} order by {order} {limit}",
            *statement.binds,
        )
    if not found and within is not None and not await exists(connection, viewer, within.parent, within.id):
        return None
    rows, more = found[: window.size], len(found) > window.size
    if window.backwards:
        rows.reverse()
    width = len(ordered)
    cursors = [cursor(query.selection.resource, query.sort, row[-width:]) for row in rows]
    return Rows([row[:-width] for row in rows], total, cursors, more)


@contextmanager
def in_time(query: Query) -> Iterator[None]:
    """Say what to narrow when the database gives a statement up for its time (its limit or ours).

    Raises TooCostly, or Unavailable where the query asked for nothing that could be narrowed.
    """
    try:
        yield
    except (asyncpg.QueryCanceledError, TimeoutError):
        asked = [
            *([Phrase("filter by attributes that match fewer resources")] if query.filters.terms else []),
            *([Phrase("sort by fewer criteria")] if query.sort else []),
            *([Phrase("include less")] if query.selection.include else []),
            *([Phrase("make the pages smaller")] if query.page.size > DEFAULT_SIZE else []),
            *([Phrase("page by cursor")] if isinstance(query.page, Page) and query.page.offset else []),
        ]
        if not asked:
            raise Unavailable("The database took too long; retry the request.", headers={"Retry-After": "1"}) from None
        raise TooCostly("The database took too long. Narrow the request: {ways}.", ways=Either(asked)) from None


def _where(statement: Statement, alias: str, query: Query, within: Within | None, closed: str = "") -> str:
    resource = query.selection.resource
    related = ""
    if within is not None:
        assert isinstance(within.relationship, ToMany)  # noqa: S101 -- to-one ones are no pages
        related = statement.related(within.parent, within.relationship, alias, statement.bind(within.id))
    return statement.scope(resource, alias, related, filters.where(statement, resource, alias, query.filters), closed)


def _exists(statement: Statement, resource: type[Resource], id_: str) -> str:
    alias = statement.alias()
    where = statement.scope(resource, alias, f"{alias}.id = {statement.bind(id_)}")
    return f"exists (select from {resource.table} {alias} where {where})"
