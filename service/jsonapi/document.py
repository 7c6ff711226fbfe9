"""Rows become documents: one straight-line function per selection, compiled once from its Schemas.

A row is positional: first the columns of `layout(selection)`, then one slot per included relationship, holding the
related row (or None) or a list of related rows of the same form. Reading by position is what makes this fast; `layout`
is the one place that knows the positions, the SQL compiler follows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from schemas.graph import graph
from schemas.kinds import Derived, Kind
from schemas.relationships import ToMany, ToOne
from schemas.rendering import Rendering
from service.errors import TooCostly
from service.jsonapi.query import Query, Selection


class Row(Protocol):
    """A positional row: a tuple, a list, or a record of asyncpg."""

    def __getitem__(self, position: int, /) -> Any:
        """The value at a position."""

    def __iter__(self) -> Iterator[Any]:
        """The values in their order."""


MAX_INCLUDED = 5_000
"""How many resources a document may include."""

Object = dict[str, Any]
Key = tuple[str, str]


@lru_cache(maxsize=1024)
def layout(selection: Selection) -> tuple[str, ...]:
    """The columns that a selection's rows begin with.

    Id, version, then what its fields are rendered from, each once.
    """
    resource = selection.resource
    columns = ["id", "version"]
    columns += [
        column for name, field in resource.attributes.items() if selection.wants(name) for column in field.inputs
    ]
    columns += [
        field.column
        for name, field in resource.relationships.items()
        if isinstance(field, ToOne) and selection.wants(name)
    ]
    return tuple(dict.fromkeys(columns))


Render = Callable[[Row, Rendering, dict[Key, Object]], Object]


@lru_cache(maxsize=1024)
def serializer(selection: Selection) -> Render:
    """A function that turns one row of `layout(selection)` into its resource object.

    What the row includes is added to the dict that the function is given.
    For a selection without fieldset and includes the result equals what the Schema's own `dump` gives (asserted for
    every type).
    """
    resource = selection.resource
    columns = layout(selection)
    variable = {column: f"v{i}" for i, column in enumerate(columns)}
    names: dict[str, Any] = {}
    included = dict(selection.include)
    slots = {name: f"s{i}" for i, name in enumerate(included)}
    lines = [f"def render(row, rendering, found):\n    {', '.join([*variable.values(), *slots.values()])}, = row"]
    lines.append(f"    url = f'{{rendering.base}}/{resource.type_}/{{v0}}'")
    for name, sub in included.items():
        names[f"include_{name}"] = _includer(sub)
        if isinstance(resource.relationships[name], ToMany):
            lines.append(f"    for row in {slots[name]}:\n        include_{name}(row, rendering, found)")
        else:
            lines.append(f"    if {slots[name]} is not None:\n        include_{name}({slots[name]}, rendering, found)")
    attributes = [
        f"{name!r}: {_value(name, field, variable, names)}"
        for name, field in resource.attributes.items()
        if selection.wants(name)
    ]
    relationships = [
        f"{name!r}: {_relationship(name, field, variable, slots)}"
        for name, field in resource.relationships.items()
        if selection.wants(name)
    ]
    members = [f"'type': {resource.type_!r}, 'id': v0, 'links': {{'self': url}}"]
    if attributes:
        members.append(f"'attributes': {{{', '.join(attributes)}}}")
    if relationships:
        members.append(f"'relationships': {{{', '.join(relationships)}}}")
    members.append("'meta': {'mode': rendering.mode, 'version': v1}")
    lines.append(f"    return {{{', '.join(members)}}}")
    # Only names from our own Schemas reach this source, never a client's text.
    exec(compile("\n".join(lines), f"<serializer of {resource.type_}>", "exec"), names)  # noqa: S102
    render: Render = names["render"]
    return render


def _value(name: str, field: Kind, variable: Mapping[str, str], names: dict[str, Any]) -> str:
    """The expression that renders one attribute."""
    values = [variable[column] for column in field.inputs]
    if isinstance(field, Derived):
        names[f"derive_{name}"] = field.function
        return f"derive_{name}({', '.join([*values, *([f'rendering.{field.given}'] if field.given else [])])})"
    names.update(field.names)
    return f"({field.compiled.format(*values)})"


def _relationship(name: str, field: ToOne | ToMany, variable: Mapping[str, str], slots: Mapping[str, str]) -> str:
    """The expression that renders one relationship object.

    Links always, linkage for to-one always and for to-many where included.
    """
    links = f"'links': {{'self': f'{{url}}/relationships/{name}', 'related': f'{{url}}/{name}'}}"
    if isinstance(field, ToOne):
        id_ = variable[field.column]
        return f"{{{links}, 'data': None if {id_} is None else {{'type': {field.type_!r}, 'id': {id_}}}}}"
    if name in slots:
        return f"{{{links}, 'data': [{{'type': {field.type_!r}, 'id': x[0]}} for x in {slots[name]}]}}"
    return f"{{{links}}}"


def _includer(selection: Selection) -> Callable[[Row, Rendering, dict[Key, Object]], None]:
    """A function that adds one related row to what a document includes.

    Each resource once, with the linkage of every path that led to it.
    """
    render = serializer(selection)
    type_ = selection.resource.type_
    leaf = not selection.include

    def include(row: Row, rendering: Rendering, found: dict[Key, Object]) -> None:
        key = (type_, row[0])
        if leaf and key in found:
            return
        resource = render(row, rendering, found)
        if key in found:
            _merge(found[key], resource)
        else:
            found[key] = resource

    return include


def _merge(known: Object, again: Object) -> None:
    """Give `known` the linkage that only `again` has (JSON:API 1.1, "Compound Documents": full linkage)."""
    for name, relationship in again.get("relationships", {}).items():
        known.setdefault("relationships", {}).setdefault(name, {}).update(relationship)


def collect(rows: Sequence[Row], selection: Selection, rendering: Rendering) -> tuple[list[Object], list[Object]]:
    """Primary resource objects and included ones, no resource twice (JSON:API 1.1, "Compound Documents").

    Raises TooCostly for more included ones than a document may hold.
    """
    render = serializer(selection)
    found: dict[Key, Object] = {}
    primary = []
    for row in rows:
        primary.append(render(row, rendering, found))
        if len(found) > MAX_INCLUDED:
            raise TooCostly(
                "include brings more than {most} resources: make page[size] smaller or include less.",
                most=MAX_INCLUDED,
                parameter="include",
                meta={"limit": MAX_INCLUDED, "value": len(found)},
            )
    for resource in primary:
        again = found.pop((resource["type"], resource["id"]), None)
        if again is not None:
            _merge(resource, again)
    return primary, list(found.values())


def unkept(selection: Selection, columns: Mapping[str, Any], rendering: Rendering) -> Object:
    """The resource object of something that was worked out and is kept nowhere, from the columns that it would have.

    It has no URL, hence no links, and no version; of its relationships those that the columns hold are left.
    """
    values = {"version": None, **columns}
    found = serializer(selection)([values[name] for name in layout(selection)], rendering, {})
    linked = {name: {"data": one["data"]} for name, one in found.get("relationships", {}).items() if "data" in one}
    members = {"type": found["type"], "id": found["id"], "attributes": found["attributes"]}
    return members | ({"relationships": linked} if linked else {})


def identifier(type_: str, id_: str) -> Object:
    """A resource identifier object."""
    return {"type": type_, "id": id_}


def without_secrets(content: Object) -> Object:
    """A top-level document, or the result of an operation, with null for the attributes that are credentials."""
    public = dict(content)
    for member in content.keys() & {"data", "included"}:
        held = content[member]
        public[member] = [_public(one) for one in held] if isinstance(held, list) else held and _public(held)
    return public


def _public(resource: Object) -> Object:
    attributes = resource.get("attributes", {})
    secrets = attributes.keys() & set(graph[resource["type"]].secrets)
    return {**resource, "attributes": attributes | dict.fromkeys(secrets)} if secrets else resource


VERSION = {"version": "1.1"}


def applying(profiles: Iterable[str]) -> Object:
    """The `jsonapi` object of a document that applies these profiles."""
    applied = list(profiles)
    return VERSION | {"profile": applied} if applied else VERSION


def document(
    data: Any,
    links: Mapping[str, Any],
    *,
    included: Sequence[Object] | None = None,
    meta: Object | None = None,
    profiles: Sequence[str] = (),
) -> Object:
    """A top-level document; `included` is left out when None and present, even empty, otherwise.

    `profiles` are the URIs of the profiles that it applies.
    """
    result: Object = {"jsonapi": applying(profiles), "links": dict(links), "data": data}
    if included is not None:
        result["included"] = included
    if meta is not None:
        result["meta"] = meta
    return result


def counts(query: Query, total: int) -> Object:
    """`meta` of a page that is counted: exact counts, under Commerce Layer's names and the cursor profile's."""
    return {
        "record_count": total,
        "page_count": math.ceil(total / query.page.size),
        "total": total,
        "page": {"total": total},
    }
