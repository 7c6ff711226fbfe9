"""Documents: resource objects, which `service.jsonapi.renderers` writes, with what stands around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from schemas.relationships import ToOne
from schemas.rendering import Rendering
from service.jsonapi.attributes import attributes_of
from service.jsonapi.layout import Row
from service.jsonapi.query import Query, Selection
from service.jsonapi.renderers import Found, merged, renderer

Object = dict[str, Any]


def collect(
    rows: Sequence[Row], selection: Selection, rendering: Rendering, disclosed: Mapping[str, Any] | None = None
) -> tuple[list[bytes], list[bytes]]:
    """Primary resource objects and included ones, no resource twice (JSON:API 1.1, "Compound Documents").

    `disclosed` are attributes that are shown this once. Raises TooCostly for more included ones than a document holds.
    """
    found: Found = {}
    primary = renderer(selection)(rows, rendering, found, disclosed)
    if found:
        for place, row in enumerate(rows):
            again = found.pop((selection.resource.type_, row[0]), None)
            if again is not None:
                primary[place] = merged(primary[place], again)
    return primary, list(found.values())


def unkept(selection: Selection, columns: Mapping[str, Any], rendering: Rendering) -> Object:
    """The resource object of something that was worked out and is kept nowhere, from the columns that it would have.

    It has no URL, hence no links, and no version; of its relationships those that the columns hold are left.
    """
    resource = selection.resource
    attributes = [name for name in resource.attributes if selection.wants(name)]
    linked = {
        name: {"data": None if columns[field.column] is None else identifier(field.type_, columns[field.column])}
        for name, field in resource.relationships.items()
        if isinstance(field, ToOne) and selection.wants(name)
    }
    members = {"type": resource.type_, "id": columns["id"]}
    members["attributes"] = attributes_of(resource, attributes, columns, rendering)
    return members | ({"relationships": linked} if linked else {})


def identifier(type_: str, id_: str) -> Object:
    """A resource identifier object."""
    return {"type": type_, "id": id_}


def identified(type_: str, row: Row) -> bytes:
    """The resource identifier object of a row, with its place in the order (the cursor profile, "Item")."""
    place = b',"meta":{"page":{"cursor":"' + row[2] + b'"}}' if row[2] else b""
    return b'{"type":"' + type_.encode() + b'","id":"' + row[0] + b'"' + place + b"}"


class Listed:
    """A JSON array of objects that are written already. Only `in_json` knows how it is written itself."""

    __slots__ = ("objects",)

    def __init__(self, objects: Sequence[bytes]) -> None:
        self.objects = objects


_PLACE = orjson.Fragment(b"[\0]")
"""Where a list goes. Within JSON this character is always escaped."""


def in_json(content: Object) -> bytes:
    """A document as JSON. Its lists are put in their places at last: by orjson they would be copied several times."""
    lists: list[Sequence[bytes]] = []

    def leave(value: object) -> orjson.Fragment:
        if not isinstance(value, Listed):
            raise TypeError
        lists.append(value.objects)
        return _PLACE

    frame = orjson.dumps(content, default=leave)
    if not lists:
        return frame
    parts: list[bytes] = []
    begin = 0
    for objects in lists:
        end = frame.find(b"\0", begin)
        parts += (frame[begin:end], b",".join(objects))
        begin = end + 1
    return b"".join([*parts, frame[begin:]])


VERSION = {"version": "1.1"}


def applying(profiles: Iterable[str]) -> Object:
    """The `jsonapi` object of a document that applies these profiles."""
    applied = list(profiles)
    return VERSION | {"profile": applied} if applied else VERSION


def document(
    data: Any,
    links: Mapping[str, Any],
    *,
    included: Any = None,
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
