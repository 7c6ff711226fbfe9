"""What of a query its SQL follows from. The values that a client sends are lifted out, so that all share one text.

A frontend that asks for one customer's orders, then for another's, has asked in one way: the text is put together once,
and Postgres plans it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from service.jsonapi.filters import AllOf, AnyOf, Condition, Filter, Operator
from service.jsonapi.pagination import Cursor, Page, Position, Window
from service.jsonapi.query import Query

_SINGLE: Mapping[Operator, Operator] = {"in": "eq", "not_in": "not_eq"}
"""What a list of one value comes to."""


@dataclass(frozen=True, slots=True)
class Given:
    """A bind whose value is the one of this place among those that were lifted out."""

    place: int


@lru_cache(maxsize=1024)
def lift(query: Query) -> tuple[Query, Sequence[Any]]:
    """A query with `Given` in place of its values and no place of a numbered page, and the values."""
    filters, values = lift_filters(query.filters)
    given = [*values]
    # Postgres takes an unknown limit for a tenth of all rows. The plan for a known one looks cheaper, so it would plan
    # every page anew.
    size = query.page.size
    page: Page | Window = Page(0, size) if isinstance(query.page, Page) else _window(query.page, given)
    return replace(query, filters=filters, page=page), tuple(given)


def lift_filters(filters: AllOf) -> tuple[AllOf, Sequence[Any]]:
    """Filters with `Given` in place of their values, and the values."""
    given: list[Any] = []
    return AllOf(tuple(_filter(inner, given) for inner in filters.terms)), given


def _filter(term: Filter, given: list[Any]) -> Filter:
    match term:
        case AllOf(terms):
            return AllOf(tuple(_filter(inner, given) for inner in terms))
        case AnyOf(terms):
            return AnyOf(tuple(_filter(inner, given) for inner in terms))
        case Condition(_, "null" | "blank"):
            return term
        case Condition(path, "in" | "not_in" as operator, values) if len(values) > 1:
            return Condition(path, operator, (_lifted(list(values), given),))
        case Condition(path, operator, values):
            return Condition(path, _SINGLE.get(operator, operator), (_lifted(values[0], given),))


def _window(window: Window, given: list[Any]) -> Window:
    after, before = (Cursor("", _position(one.position, given)) for one in (window.after, window.before))
    return Window(after, before, window.backwards, window.size)


def _position(position: Position, given: list[Any]) -> Position:
    if isinstance(position, str):
        return position
    return tuple(None if value is None else _lifted(value, given) for value in position)


def _lifted(value: Any, given: list[Any]) -> Given:
    given.append(value)
    return Given(len(given) - 1)
