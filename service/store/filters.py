"""A tree of filters, whose values were lifted out, becomes a condition in SQL; every value is a bind.

A condition beyond a relationship is an `exists` on the related rows that the viewer may see: a filter never tells
anything of a row that the viewer couldn't read.
"""

from __future__ import annotations

from schemas.graph import graph
from schemas.kinds import Boolean, Kind, Text
from schemas.relationships import ToOne
from schemas.resource import Resource
from service.jsonapi.filters import AllOf, Condition, Filter, Operator, kind_at
from service.jsonapi.sorting import IDENTIFIER
from service.store.compile import Statement

_SIGNS: dict[Operator, str] = {
    "eq": "=", "not_eq": "<>", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=",
    "contains": "@>",
}  # fmt: skip
_LISTS: dict[Operator, str] = {"in": "= any", "not_in": "<> all"}
_TEXTS: dict[Operator, str] = {"like": "like", "not_like": "not like", "ilike": "ilike", "not_ilike": "not ilike"}


def where(statement: Statement, resource: type[Resource], alias: str, term: Filter) -> str:
    """The condition that a row of `alias` fulfils `term`; empty when every row does."""
    if isinstance(term, Condition):
        return _condition(statement, resource, alias, term.path, term)
    word = " and " if isinstance(term, AllOf) else " or "
    parts = [where(statement, resource, alias, inner) for inner in term.terms]
    return f"({word.join(parts)})" if len(parts) > 1 else "".join(parts)


def _condition(
    statement: Statement, resource: type[Resource], alias: str, path: tuple[str, ...], condition: Condition
) -> str:
    name, *rest = path
    relationship = resource.relationships.get(name) if rest else None
    if relationship is None:
        kind = kind_at(resource, name)
        return _comparison(statement, statement.column(resource, alias, kind.column or "id"), kind, condition)
    if isinstance(relationship, ToOne) and rest == ["id"]:
        return _comparison(statement, statement.column(resource, alias, relationship.column), IDENTIFIER, condition)
    target, inner = graph[relationship.type_], statement.alias()
    if isinstance(relationship, ToOne):
        linked = f'{inner}.id = {alias}."{relationship.column}"'
    else:
        linked = statement.related(resource, relationship, inner, f"{alias}.id")
    if rest == ["id"] and condition.operator in ("null", "blank"):  # of a to-many relationship: it is empty
        some = f"exists (select from {target.table} {inner} where {statement.scope(target, inner, linked)})"
        return f"not {some}" if condition.values[0] else some
    beyond = _condition(statement, target, inner, tuple(rest), condition)
    return f"exists (select from {target.table} {inner} where {statement.scope(target, inner, linked, beyond)})"


def _comparison(statement: Statement, column: str, kind: Kind, condition: Condition) -> str:
    operator, sql_type, (value,) = condition.operator, kind.sql_type, condition.values
    if operator in ("null", "blank"):
        return _blank(column, kind, wanted=value) if operator == "blank" else _null(column, wanted=value)
    if kind is IDENTIFIER and operator == "eq":
        return f"{column} = {statement.id(value)}"
    bind = statement.bind(value)
    if operator in _LISTS:
        return f"{column} {_LISTS[operator]}({bind}::{sql_type}[])"
    if operator in _TEXTS:
        text = column if sql_type == "text" else f"{column}::text"
        return f"{text} {_TEXTS[operator]} {bind}::text"
    return f"{column} {_SIGNS[operator]} {bind}::{sql_type}"


def _null(column: str, *, wanted: bool) -> str:
    return f"{column} is {'null' if wanted else 'not null'}"


def _blank(column: str, kind: Kind, *, wanted: bool) -> str:
    """Blank is null, and for text also empty, for a boolean also false (Rails' word)."""
    if isinstance(kind, Text):
        empty = f"coalesce({column}, '') = ''"
    elif isinstance(kind, Boolean):
        empty = f"{column} is not true"
    else:
        empty = f"{column} is null"
    return empty if wanted else f"not ({empty})"
