"""Reading the graph: a resource, a collection, what is related, and bare relationships; generic for every type.

Every function takes a connection and a `Viewer`, runs at most two statements (rows with their whole include tree, and
an exact count where there is one), and sees only the viewer's store and, for a customer, only the customer's own rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import asyncpg

from schemas.relationships import PEOPLE, ToMany, ToOne
from schemas.resource import Resource
from service.errors import TooCostly, Unavailable
from service.jsonapi.filters import AllOf, Condition
from service.jsonapi.layout import Row, rows_of
from service.jsonapi.pagination import DEFAULT_SIZE, Cursors, Page, Window
from service.jsonapi.query import Query, Selection
from service.principal import Owner, Viewer
from service.store import counts, filters, keyset
from service.store.compile import Later, Place, Statement, Values, in_utf8
from service.store.horizon import horizon
from service.store.pool import Connection, fetch, fetchrow
from service.store.structure import Given, lift
from service.texts import Either, Phrase


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of rows, and the exact number of rows of the whole collection if that was counted.

    Pages by cursor have the cursors of the first and the last row, and know whether there are `more` rows in the
    direction they were read.
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
    text, binds = _one(selection, _kind_of(viewer))
    with in_time(selection):
        found = await _rows(connection, text, Values(viewer, id_).of(binds), selection)
    return found[0] if found else None


@lru_cache(maxsize=512)
def _one(selection: Selection, kind: Viewer) -> _Text:
    """What reads one resource."""
    statement, alias = _start(kind)
    where = statement.scope(selection.resource, alias, f"{alias}.id = {statement.bind(Later.ID)}")
    row, beside = statement.row(selection, alias)
    text = f"select {in_utf8(row)} from {selection.resource.table} {alias}{beside} where {where}"
    return _Text(text, statement.kept_binds)


async def _rows(connection: Connection, text: str, binds: Sequence[Any], selection: Selection) -> list[Row]:
    """The rows that a statement gives, each as one text.

    As one text for all they would be copied several times, in memory that Postgres takes and gives back each time.
    """
    return rows_of([record[0] for record in await fetch(connection, text, binds)], selection)


async def several(connection: Connection, viewer: Viewer, selection: Selection, ids: Sequence[str]) -> dict[str, Row]:
    """The rows of resources by their ids, without those that the viewer can't see: one statement."""
    statement, alias = _start(viewer)
    where = statement.scope(selection.resource, alias, f"{alias}.id = any({statement.bind(ids)}::text[])")
    row = statement.rows(selection, alias)
    text = f"select {in_utf8(row)} from {selection.resource.table} {alias} where {where}"
    with in_time(selection):
        rows = await _rows(connection, text, statement.binds, selection)
    return {row[0].decode(): row for row in rows}


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
    text, binds = _beyond(query.selection, _which(query, within), _kind_of(viewer))
    with in_time(query):
        found = await fetchrow(connection, text, Values(viewer, within.id).of(binds))
    if found is None:
        return None
    rows = rows_of(found, query.selection)
    return Rows(rows, len(rows))


@lru_cache(maxsize=512)
def _beyond(selection: Selection, which: _Which, kind: Viewer) -> _Text:
    """What reads the resource of a to-one relationship. There is a row, of null or not, where the parent is."""
    statement, alias = _start(kind)
    assert which.edge is not None  # noqa: S101 -- the caller has one
    parent, name = which.edge
    relationship, target = parent.relationships[name], statement.alias()
    inner = statement.scope(which.resource, target, f'{target}.id = {alias}."{relationship.column}"')
    where = statement.scope(parent, alias, f"{alias}.id = {statement.bind(Later.ID)}")
    row, beside = statement.row(selection, target)
    related = f"(select {in_utf8(row)} from {which.resource.table} {target}{beside} where {inner})"
    return _Text(f"select {related} from {parent.table} {alias} where {where}", statement.kept_binds)


async def exists(connection: Connection, viewer: Viewer, resource: type[Resource], id_: str) -> bool:
    """Whether the viewer can see a resource of this id."""
    statement = Statement(viewer)
    return bool(await connection.fetchval(f"select {_exists(statement, resource, id_)}", *statement.binds))


class _Edge(NamedTuple):
    """A relationship of a type."""

    parent: type[Resource]
    name: str


class _Which(NamedTuple):
    """Which rows: of a type, of those that fulfil filters, beyond an edge where there is one."""

    resource: type[Resource]
    filters: AllOf
    edge: _Edge | None


def _which(query: Query, within: Within | None) -> _Which:
    edge = None if within is None else _Edge(within.parent, within.name)
    return _Which(query.selection.resource, query.filters, edge)


def _parent(within: Within | None) -> str | None:
    return None if within is None else within.id


class _Text(NamedTuple):
    """A statement that is remembered, with its binds; they get their values by `Values`."""

    text: str
    binds: Sequence[Any]


@lru_cache(maxsize=64)
def _kind(owned_by: str | None) -> Viewer:
    return Viewer(0, None if owned_by is None else Owner(owned_by, ""))


def _kind_of(viewer: Viewer) -> Viewer:
    """A viewer in whose place all of the same kind can be, while a text is put together."""
    return _kind(viewer.owner and viewer.owner.type_)


def _start(viewer: Viewer) -> tuple[Statement, str]:
    statement = Statement(viewer)
    return statement, statement.alias()


async def _page(connection: Connection, viewer: Viewer, query: Query, within: Within | None) -> Rows | None:
    if isinstance(query.page, Window):
        return await _window(connection, viewer, query, query.page, within)
    return await _numbered(connection, viewer, query, query.page, within)


async def _count(connection: Connection, viewer: Viewer, query: Query, within: Within | None) -> int | None:
    """How many rows a collection has; None when there is no such parent."""
    structure, given = lift(query)
    which, kind = _which(structure, within), _kind_of(viewer)
    text, binds = _counting(which, kind)
    values = Values(viewer, _parent(within), given)
    with in_time(query):
        found = await fetchrow(connection, text, values.of(binds))
    there, number, changes, counted = found or (False, None, None, 0)
    if not there:
        return None
    whose = _whose(which, kind)
    if whose is None:
        return int(counted)
    if connection.is_in_transaction():
        # What it sees may be of an earlier state.
        return int(counted if number is None else number)
    with in_time(query):
        if number is None and counted >= counts.WORTH:
            (customer_id,) = values.of([whose])
            await counts.keep(connection, viewer.store_id, which.resource, customer_id)
        elif changes is not None and changes >= counts.MANY:
            await counts.sum_up(connection, viewer.store_id)
    return int(counted if number is None else number)


@lru_cache(maxsize=512)
def _counting(which: _Which, kind: Viewer) -> _Text:
    """What tells whether the parent is there, how many rows a collection has and since how many changes; else counts.

    The rows are counted only where no count is kept.
    """
    statement, alias = _start(kind)
    where = _where(statement, alias, which)
    parent = "true" if which.edge is None else _exists(statement, which.edge.parent, Later.ID)
    rows = f"(select count(*) from {which.resource.table} {alias} where {where})"
    whose = _whose(which, kind)
    if whose is None:
        return _Text(f"select {parent}, null, null, {rows}", statement.kept_binds)
    kept = counts.kept(which.resource, statement.bind(whose) if whose else "")
    text = (
        f"with kept as materialized ({kept}) select {parent}, (select number from kept), (select changes from kept),"
        f" case when not exists (select from kept) then {rows} end"
    )
    return _Text(text, statement.kept_binds)


@lru_cache(maxsize=512)
def _whose(which: _Which, kind: Viewer) -> Later | Given | Literal[""] | None:
    """The bind of the customer whose rows a collection holds, and no others; empty where it holds those of everybody.

    None for a collection of which no count is kept.
    """
    resource, edge, owner = which.resource, which.edge, kind.owner
    if not counts.is_kept(resource, owner):
        return None
    match which.filters.terms, edge:
        case (), None:
            return Later.OWNER if owner is not None and counts.is_owned(resource) else ""
        case (), _Edge(parent, name) if owner is None and parent.type_ == PEOPLE:
            relationship = parent.relationships[name]
            assert isinstance(relationship, ToMany)  # noqa: S101 -- to-one ones aren't counted
            own = counts.owner_column(resource)
            return Later.ID if own and relationship.via == own and not relationship.where else None
        case (Condition((name, "id"), "eq", (Given() as given,)),), None if owner is None:
            found = resource.relationships.get(name)
            own = counts.owner_column(resource)
            return given if isinstance(found, ToOne) and found.column == own and found.type_ == PEOPLE else None
    return None


async def _numbered(
    connection: Connection, viewer: Viewer, query: Query, page: Page, within: Within | None
) -> Rows | None:
    """Count first: it also says whether the parent is there, and a page past the end then needs no second statement."""
    total = await _count(connection, viewer, query, within)
    if total is None or page.offset >= total:
        return None if total is None else Rows((), total)
    structure, given = lift(query)
    text, binds = _of_a_page(structure, _which(structure, within), _kind_of(viewer))
    asked = Values(viewer, _parent(within), given, page.offset)
    with in_time(query):
        rows = await _rows(connection, text, asked.of(binds), query.selection)
    return Rows(rows, total)


@lru_cache(maxsize=512)
def _of_a_page(query: Query, which: _Which, kind: Viewer) -> _Text:
    """What reads a page by number or offset."""
    statement, alias = _start(kind)
    where = _where(statement, alias, which)
    order = keyset.order_by(keyset.keys(statement, query, alias))
    row = statement.rows(query.selection, alias)
    # As with ids: for a known offset Postgres would find another plan cheaper, and plan every page anew.
    limit = f"limit {query.page.size} offset (select {statement.bind(Later.OFFSET)}::bigint)"
    rows = f"select {in_utf8(row)} from {which.resource.table} {alias} where {where} order by {order} {limit}"
    return _Text(rows, statement.kept_binds)


async def _window(
    connection: Connection, viewer: Viewer, query: Query, window: Window, within: Within | None
) -> Rows | None:
    """The rows beyond a cursor, one more than asked for, which says whether there are more; counted only if asked."""
    total = await _count(connection, viewer, query, within) if window.total else None
    structure, given = lift(query)
    text, binds = _of_a_window(structure, _which(structure, within), _kind_of(viewer))
    with in_time(query):
        until = await horizon(connection) if Later.HORIZON in binds else 0
        asked = Values(viewer, _parent(within), given, horizon=until)
        found = await _rows(connection, text, asked.of(binds), query.selection)
    if not found and within is not None and not await exists(connection, viewer, within.parent, within.id):
        return None
    rows, more = found[: window.size], len(found) > window.size
    if window.backwards:
        rows.reverse()
    return Rows(rows, total, [row[2].decode() for row in (rows[0], rows[-1])] if rows else (), more)


@lru_cache(maxsize=512)
def _of_a_window(query: Query, which: _Which, kind: Viewer) -> _Text:
    """What reads a page by cursor."""
    window, table = query.page, which.resource.table
    assert isinstance(window, Window)  # noqa: S101 -- the caller asked for one
    statement, alias = _start(kind)
    ordered = keyset.keys(statement, query, alias)
    order = keyset.order_by(ordered, backwards=window.backwards)
    limit = f"limit {window.size + 1}"
    near, far = (window.before, window.after) if window.backwards else (window.after, window.before)
    until = keyset.beyond(statement, ordered, far.position, backwards=not window.backwards)
    closed = f"({' or '.join(f'({part})' for part in until)})" if until != [""] else ""
    closed = " and ".join(part for part in (closed, _settled(statement, query, alias)) if part)
    where = _where(statement, alias, which, closed)
    compared = ", ".join(key.kind.in_words.format(key.expression) for key in ordered[:-1])
    row = statement.rows(query.selection, alias, Place(Cursors(query.selection.resource, query.sort).begin, compared))
    ranges = [
        f"{where}{' and ' if part else ''}{part} order by {order} {limit}"
        for part in keyset.beyond(statement, ordered, near.position, backwards=window.backwards)
    ]
    if len(ranges) == 1:
        rows = f"select {in_utf8(row)} from {table} {alias} where {ranges[0]}"
    else:
        chosen = " union all ".join(f"(select {alias}.* from {table} {alias} where {one})" for one in ranges)
        rows = f"select {in_utf8(row)} from ({chosen}) {alias} order by {order} {limit}"
    return _Text(rows, statement.kept_binds)


def _settled(statement: Statement, query: Query, alias: str) -> str:
    """What a log's page by cursor leaves out: what a transaction that goes on may still come before."""
    resource = query.selection.resource
    if not resource.log or not query.sort or query.sort[0].path != (resource.log,):
        return ""
    return f"{alias}.{resource.column_of(resource.log)} < {statement.bind(Later.HORIZON)}"


class in_time:  # noqa: N801 -- used as a verb
    """Says what to narrow when the database gives a statement up for its time (its limit or ours).

    Raises TooCostly, or Unavailable where the query asked for nothing that could be narrowed.
    """

    __slots__ = ("_asked",)

    def __init__(self, asked: Query | Selection) -> None:
        self._asked = asked

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """End, with what to narrow."""
        if not isinstance(error, asyncpg.QueryCanceledError | TimeoutError):
            return
        query = self._asked if isinstance(self._asked, Query) else Query(self._asked)
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


def _where(statement: Statement, alias: str, which: _Which, closed: str = "") -> str:
    related = ""
    if which.edge is not None:
        parent, name = which.edge
        relationship = parent.relationships[name]
        assert isinstance(relationship, ToMany)  # noqa: S101 -- to-one ones are no pages
        related = statement.related(parent, relationship, alias, statement.id(Later.ID))
    filtered = filters.where(statement, which.resource, alias, which.filters)
    return statement.scope(which.resource, alias, related, filtered, closed)


def _exists(statement: Statement, resource: type[Resource], id_: object) -> str:
    alias = statement.alias()
    where = statement.scope(resource, alias, f"{alias}.id = {statement.bind(id_)}")
    return f"exists (select from {resource.table} {alias} where {where})"
