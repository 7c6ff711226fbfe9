"""A query string becomes a frozen `Query`, or one error that names the parameter.

The rules are those of JSON:API 1.1, "Fetching Data" and "Query Parameters".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_to_bytes

from schemas.graph import graph
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service.errors import InvalidField, InvalidInclude, InvalidPage, InvalidParameter, InvalidSort
from service.jsonapi import pagination, sorting
from service.jsonapi.filters import AllOf, Filters
from service.jsonapi.nearness import nearest
from service.jsonapi.pagination import Page, Window
from service.jsonapi.sight import EVERYTHING, Sight
from service.jsonapi.sorting import SortKey
from service.texts import Either, Phrase

MAX_DEPTH = 4
"""How many relationships an include path may have."""

Parameters = Sequence[tuple[str, str]]
Shape = Literal["single", "many"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a type is wanted.

    Which fields (None: all), and which relationships come along with their own selections.
    """

    resource: type[Resource]
    fields: frozenset[str] | None = None
    include: tuple[tuple[str, Selection], ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the hash, since what follows from a selection is looked up several times in a request."""
        object.__setattr__(self, "_hash", hash((self.resource, self.fields, self.include)))

    def __hash__(self) -> int:
        """Of the whole tree."""
        return self._hash

    def wants(self, name: str) -> bool:
        """Whether the fieldset keeps a field."""
        return self.fields is None or name in self.fields


@dataclass(frozen=True, slots=True)
class Query:
    """Everything a request asks of one type. `included` says whether `include` was sent, even empty."""

    selection: Selection
    filters: AllOf = field(default_factory=AllOf)
    sort: tuple[SortKey, ...] = ()
    page: Page | Window = field(default_factory=Page)
    included: bool = False
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the hash, as a selection does."""
        object.__setattr__(self, "_hash", hash((self.selection, self.filters, self.sort, self.page, self.included)))

    def __hash__(self) -> int:
        """Of all of it."""
        return self._hash


_FAMILIES: Mapping[Shape, Sequence[str]] = {
    "single": ("include", "fields"),
    "many": ("include", "fields", "filter", "page", "sort"),
}
_OF_COLLECTIONS = ("filter[attribute]=value", "page[number]=2", "page[size]=25", "sort=-created_at")

_PAIR = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def parameters(query_string: bytes) -> list[tuple[str, str]]:
    """The name/value pairs of a raw query string, percent-decoded, `+` read as a space.

    Raises InvalidParameter for broken percent-encoding, bytes that are no UTF-8, and NUL.
    """
    pairs = []
    for part in query_string.split(b"&"):
        if not part:
            continue
        if _PAIR.search(part):
            raise InvalidParameter(
                "The query string has a % that is not followed by two hexadecimal digits.", parameter=_readable(part)
            )
        name, _, value = part.partition(b"=")
        try:
            pair = tuple(unquote_to_bytes(piece.replace(b"+", b" ")).decode() for piece in (name, value))
        except UnicodeDecodeError:
            raise InvalidParameter("The query string is not valid UTF-8.", parameter=_readable(part)) from None
        if "\x00" in pair[0] or "\x00" in pair[1]:
            raise InvalidParameter(
                "The query string contains the NUL character.", parameter=pair[0].replace("\x00", "")
            )
        pairs.append((pair[0], pair[1]))
    return pairs


def _readable(part: bytes) -> str:
    return part.partition(b"=")[0].decode("ascii", "replace")


def parse(
    resource: type[Resource],
    pairs: Parameters,
    *,
    shape: Shape,
    visible: Sight = EVERYTHING,
    cursors: bool = False,
) -> Query:
    """Read the parameters of a URL that answers with `resource`, one of it or many.

    `visible` is what the asker sees, and so may include, filter and sort by. `cursors` says that the
    request negotiated the cursor profile. Raises a subclass of InvalidParameter with the exact `source.parameter`.
    """
    seen: set[str] = set()
    include: str | None = None
    fieldsets: dict[str, frozenset[str]] = {}
    filters: dict[str, tuple[list[str], list[str]]] = {}
    sort = ""
    pages: dict[str, str] = {}
    for name, value in pairs:
        family, keys = _split(name)
        if name in seen and not (family == "filter" and keys and keys[-1] == ""):
            raise InvalidParameter("{name} is given more than once.", name=name, parameter=name)
        seen.add(name)
        match family, keys:
            case "include", []:
                include = value
            case "fields", [type_]:
                fieldsets[type_] = _fieldset(name, type_, value)
            case "sort", [] if shape == "many":
                sort = value
            case "filter", keys if shape == "many":
                filters.setdefault(name, (keys, []))[1].append(value)
            case "page", [key] if shape == "many":
                pages[key] = value
            case _:
                raise _refused(name, family, value, shape)
    tree = _include(resource, include or "", fieldsets, visible=visible)
    wanted = Filters(resource, visible)
    for name, (keys, values) in filters.items():
        wanted.add(name, keys, values)
    order, page = _ordered_page(resource, sort if "sort" in seen else None, pages, visible=visible, cursors=cursors)
    selection = Selection(resource, fieldsets.get(resource.type_), tree)
    return Query(selection, wanted.tree(), order, page, included=include is not None)


def _refused(name: str, family: str, value: str, shape: Shape) -> InvalidParameter:
    """The problem of a parameter that a URL of a shape doesn't have, or that is written differently."""
    if family not in ("sort", "filter", "page"):
        return _no_parameter(name, _FAMILIES[shape])
    if shape == "single":
        return InvalidParameter(
            "{name} is for collections, and this URL answers with one resource or can't be filtered or paged.",
            name=name,
            parameter=name,
        )
    numbered = f"page[number]={value[:10]}" if name == "page" and value.isdecimal() else None
    return InvalidParameter(
        "{name} is written in another way: {known}.",
        name=name,
        known=Either(_OF_COLLECTIONS),
        parameter=name,
        suggestion=numbered,
    )


def _no_parameter(name: str, known: Iterable[str]) -> InvalidParameter:
    """The problem of a parameter that a URL doesn't have."""
    meant = nearest(name.partition("[")[0], known)
    return InvalidParameter("{name} is not a query parameter of this URL.", name=name, parameter=name, suggestion=meant)


def page_of(pairs: Parameters) -> Page:
    """The page that a URL is asked for which takes nothing but `page[...]`, by number or offset.

    Raises InvalidParameter for any other parameter, InvalidPage for a page by cursor.
    """
    keys: dict[str, str] = {}
    for name, value in pairs:
        match _split(name):
            case "page", [key] if key not in keys:
                keys[key] = value
            case "page", [_]:
                raise InvalidParameter("{name} is given more than once.", name=name, parameter=name)
            case _:
                raise _no_parameter(name, _PLAIN)
    by = pagination.strategy(keys, negotiated=False)
    if by == "cursor":
        name = next(f"page[{key}]" for key in keys if key != "size")
        raise InvalidPage("{name} is not a page parameter; there are {known}.", name=name, known=_PLAIN, parameter=name)
    return pagination.page(keys, by)


_PLAIN = ["page[number]", "page[size]", "page[offset]", "page[limit]"]


def _ordered_page(
    resource: type[Resource],
    sort: str | None,
    pages: Mapping[str, str],
    *,
    visible: Sight,
    cursors: bool,
) -> tuple[tuple[SortKey, ...], Page | Window]:
    """The order and the page in it; a cursor belongs to its order."""
    by = pagination.strategy(pages, negotiated=cursors)
    if by != "cursor":
        return _order(resource, sort, visible), pagination.page(pages, by)
    try:
        order = _order(resource, sort, visible) or _logged(resource)
        return order, pagination.window(pages, resource, order)
    except InvalidParameter as error:
        error.profile = pagination.PROFILE
        if isinstance(error, InvalidSort):
            error.type_link = f"{pagination.PROFILE}/unsupported-sort"
        raise


def _logged(resource: type[Resource]) -> tuple[SortKey, ...]:
    """The order of a log's pages by cursor."""
    return (SortKey((resource.log,), descending=False),) if resource.log else ()


def _order(resource: type[Resource], sort: str | None, visible: Sight) -> tuple[SortKey, ...]:
    return () if sort is None else sorting.parse(resource, sort, visible)


def _split(name: str) -> tuple[str, list[str]]:
    """`filter[a][b]` -> ("filter", ["a", "b"]).

    A name with stray brackets is a family of its own, so that it is unknown.
    """
    match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]*\])*)", name)
    if match is None:
        return name, []
    return match[1], re.findall(r"\[([^\[\]]*)\]", match[2])


def _fieldset(parameter: str, type_: str, value: str) -> frozenset[str]:
    resource = graph.get(type_)
    if resource is None:
        raise InvalidField(
            "{type!r} is not a resource type.", type=type_, parameter=parameter, suggestion=nearest(type_, graph)
        )
    names = frozenset(value.split(",")) if value else frozenset()
    for name in sorted(names):
        if name not in resource.attributes and name not in resource.relationships:
            raise InvalidField(
                "{name!r} is not a field of {type}.",
                name=name,
                type=type_,
                parameter=parameter,
                suggestion=nearest(name, [*resource.attributes, *resource.relationships]),
            )
    return names


def _include(
    resource: type[Resource], value: str, fieldsets: Mapping[str, frozenset[str]], *, visible: Sight
) -> tuple[tuple[str, Selection], ...]:
    paths = value.split(",") if value else []
    for path in paths:
        if path.count(".") >= MAX_DEPTH:
            raise InvalidInclude(
                "{path!r} has more than {most} relationships.", path=path, most=MAX_DEPTH, parameter="include"
            )
    return _tree(resource, [path.split(".") for path in paths], fieldsets, visible=visible)


def _tree(
    resource: type[Resource],
    paths: Iterable[Sequence[str]],
    fieldsets: Mapping[str, frozenset[str]],
    *,
    visible: Sight,
) -> tuple[tuple[str, Selection], ...]:
    """Group paths by their first relationship, so that each is fetched once."""
    groups: dict[str, list[Sequence[str]]] = {}
    for name, *rest in paths:
        if includable(resource, name, visible) is None:
            raise _not_includable(resource, name)
        groups.setdefault(name, []).extend([rest] if rest else [])
    selections = []
    for name, deeper in groups.items():
        target = graph[resource.relationships[name].type_]
        tree = _tree(target, deeper, fieldsets, visible=visible)
        selections.append((name, Selection(target, fieldsets.get(target.type_), tree)))
    return tuple(selections)


def includable(resource: type[Resource], name: str, visible: Sight = EVERYTHING) -> type[Resource] | None:
    """The type that `include=name` brings along with `resource`, or None where it can't be included."""
    relationship: ToOne | ToMany | None = resource.relationships.get(name)
    if relationship is None or not relationship.includable or relationship.type_ not in visible:
        return None
    return graph[relationship.type_]


def _not_includable(resource: type[Resource], name: str) -> InvalidInclude:
    """The problem of an include path that can't go on with a relationship."""
    type_, relationship = resource.type_, resource.relationships.get(name)
    if relationship is None:
        known = [other for other in resource.relationships if includable(resource, other)]
        return InvalidInclude(
            "{name!r} is not a relationship of {type} that can be included; there are {known}.",
            name=name,
            type=type_,
            known=known or Phrase("none"),
            parameter="include",
            suggestion=nearest(name, known),
        )
    if not relationship.includable:
        return InvalidInclude(
            "{name} of {type} is unbounded and can't be included; fetch its related link, {url}.",
            name=name,
            type=type_,
            url=f"/api/{type_}/{{id}}/{name}",
            parameter="include",
        )
    return InvalidInclude(
        "{name} of {type} holds {related}, which the access token may not read.",
        name=name,
        type=type_,
        related=relationship.type_,
        parameter="include",
    )
