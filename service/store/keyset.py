"""The order of a collection, and the rows beyond a cursor in it.

NULLs are where Postgres puts them: last when ascending, first when descending. What lies beyond a cursor is given as
several disjoint conditions, each of which is one range of the index on (store, sort key, id): however deep a page
lies, Postgres starts reading right at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.graph import graph
from schemas.kinds import Kind
from schemas.relationships import ToOne
from schemas.resource import Resource
from service.jsonapi.pagination import Position, ordering
from service.jsonapi.query import Query
from service.jsonapi.sorting import SortKey, kind_of
from service.store.compile import Statement


@dataclass(frozen=True, slots=True)
class Key:
    """One expression that rows are ordered by."""

    expression: str
    kind: Kind
    nullable: bool
    descending: bool


def keys(statement: Statement, query: Query, alias: str) -> list[Key]:
    """What a query's rows are ordered by; the id is the last, so that equal rows have one order."""
    resource = query.selection.resource
    return [
        Key(
            _expression(statement, resource, alias, key),
            kind := kind_of(resource, key.path),
            kind.nullable or len(key.path) > 1,
            key.descending,
        )
        for key in ordering(query.sort)
    ]


def _expression(statement: Statement, resource: type[Resource], alias: str, key: SortKey) -> str:
    """The column of a sort key; beyond a to-one relationship that of the row the viewer may see there, else null."""
    name, *rest = key.path
    if not rest:
        return f'{alias}."{"id" if name == "id" else resource.attributes[name].column}"'
    relationship = resource.relationships[name]
    assert isinstance(relationship, ToOne)  # noqa: S101 -- only to-one relationships declare sort keys
    target, inner = graph[relationship.type_], statement.alias()
    joined = statement.scope(target, inner, f'{inner}.id = {alias}."{relationship.column}"')
    beyond = _expression(statement, target, inner, SortKey(tuple(rest), key.descending))
    return f"(select {beyond} from {target.table} {inner} where {joined})"


def order_by(ordered: Sequence[Key], *, backwards: bool = False) -> str:
    """The `order by` list, or its exact mirror."""
    return ", ".join(f"{key.expression}{' desc' if key.descending != backwards else ''}" for key in ordered)


def beyond(statement: Statement, ordered: Sequence[Key], position: Position, *, backwards: bool = False) -> list[str]:
    """Disjoint conditions that together hold for the rows after a position, or before it when `backwards`.

    An empty condition holds for every row.
    """
    if isinstance(position, str):
        return ["false" if (position == "end") != backwards else ""]
    binds = [
        "" if value is None else f"{statement.bind(value)}::{key.kind.sql_type}"
        for key, value in zip(ordered, position, strict=True)
    ]
    found: list[str] = []
    same = [
        f"{key.expression} = {bind}" if bind else f"{key.expression} is null"
        for key, bind in zip(ordered, binds, strict=True)
    ]
    for place in range(len(ordered) - 1, -1, -1):
        found += [
            " and ".join([*same[:place], further])
            for further in _further(ordered[place], binds[place], downwards=ordered[place].descending != backwards)
        ]
    return found


def _further(key: Key, bind: str, *, downwards: bool) -> list[str]:
    """The conditions that a row's own value comes after this one, in the direction that is read."""
    if downwards:  # nulls come first
        return [f"{key.expression} < {bind}"] if bind else [f"{key.expression} is not null"]
    if not bind:  # nulls come last
        return []
    return [f"{key.expression} > {bind}", *([f"{key.expression} is null"] if key.nullable else [])]
