"""Rows become the text of documents: one straight-line function per selection, compiled once from its Schemas.

A row comes as `service.jsonapi.layout` has it, with most of its attributes written by Postgres. What is left to do is
to put between its fields what is the same for all rows of a type: names and links.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import orjson

from schemas.relationships import ToOne
from schemas.rendering import Rendering
from service.errors import TooCostly
from service.jsonapi.attributes import attributes_of, deriver
from service.jsonapi.layout import PRIMARY, Layout, Level, Row, layout, parted
from service.jsonapi.query import Query, Selection
from service.jsonapi.splicing import Spliced

MAX_INCLUDED = 5_000
"""How many resources a document may include."""

Object = dict[str, Any]
Found = dict[tuple[str, bytes], bytes]
"""What a document includes: resource objects by type and id."""


class Render(Protocol):
    """Writes the resource objects of rows."""

    def __call__(
        self, rows: Sequence[Row], rendering: Rendering, found: Found, disclosed: Mapping[str, Any] | None = None, /
    ) -> list[bytes]:
        """The resource objects as JSON, in UTF-8.

        What the rows include is added to `found`. `disclosed` are attributes that are shown this once. Raises TooCostly
        when more is included than a document may hold.
        """


class Include(Protocol):
    """Adds the resource objects of rows to what a document includes."""

    def __call__(self, rows: Sequence[Row], rendering: Rendering, found: Found, /) -> None:
        """Each resource once, with the linkage of every path that led to it."""


@lru_cache(maxsize=1024)
def renderer(selection: Selection) -> Render:
    """A function that writes rows of a selection as resource objects.

    For a selection without fieldset and includes the result equals what the Schema's own `dump` gives (asserted for
    every type).
    """
    lines = ["def render(rows, rendering, found, disclosed=None):", "    written = []", *_loop(selection, PRIMARY)]
    if selection.include:
        lines.append("        check(len(found))")
    lines += ["        written.append(resource)", "    return written"]
    render: Render = _compiled(selection, PRIMARY, lines)["render"]
    return render


def _includer(selection: Selection, level: Level) -> Include:
    """A function that adds included rows of this level to what a document includes."""
    type_, leaf = selection.resource.type_, not selection.include
    known = [f"        key = ({type_!r}, v0)"]
    known += ["        if key in found:", "            continue"] if leaf else []
    lines = ["def include(rows, rendering, found, disclosed=None):", *_loop(selection, level, known)]
    lines += ["        found[key] = resource" if leaf else "        found[key] = merged(found.get(key), resource)"]
    include: Include = _compiled(selection, level, lines)["include"]
    return include


def _compiled(selection: Selection, level: Level, lines: Sequence[str]) -> dict[str, Any]:
    """What lines of source define that write rows of a selection."""
    resource = selection.resource
    names: dict[str, Any] = {"dumps": orjson.dumps, "loads": orjson.loads, "parted": parted}
    names |= {"linked": _linked, "merged": merged, "check": _check}
    names |= {f"include_{name}": _includer(sub, level.below) for name, sub in selection.include}
    names["derive"] = deriver(resource, tuple(layout(selection).derived), within_json=True)
    # Only names from our own Schemas reach this source, never a client's text.
    exec(compile("\n".join(lines), f"<renderer of {resource.type_}>", "exec"), names)  # noqa: S102
    return names


def _loop(selection: Selection, level: Level, begin: Sequence[str] = ()) -> list[str]:
    """The source of a loop over rows whose body makes each row's `resource`; `begin` is what the body begins with.

    Most of a resource object is the same for all rows of a type, so its constant parts are joined with what varies.
    """
    resource, fields, below = selection.resource, layout(selection), level.below
    ends = {name: f"e{place}" for place, name in enumerate(fields.ends)}
    slots = {name: f"s{place}" for place, name in enumerate(fields.included)}
    unpacked = ["v0", "v1", "place", *ends.values(), *(["d"] if fields.derived else []), *slots.values()]
    unpacked += ["a"] if fields.written else []
    located = [name for name in fields.written if resource.attributes[name].is_path]
    lines = [
        f"    base = rendering.root + b'/{resource.type_}/'",
        "    mode = rendering.mode.encode() + b'" + '","version":' + "'",
        *(["    origin = rendering.root.removesuffix(b'/api')"] if located else []),
        "    for row in rows:",
        f"        {', '.join(unpacked)} = row",
        *begin,
    ]
    for name, sub in selection.include:
        cut = f"{below.field!r}, {below.row!r}, {layout(sub).most_parts}"
        lines += [
            f"        {slots[name]} = parted({slots[name]}, {cut})",
            f"        include_{name}({slots[name]}, rendering, found)",
        ]
    lines += [*_located(located), *_attributes(fields), "        url = base + v0"]
    text = (
        Spliced(_literal)
        .constant(f'{{"type":"{resource.type_}","id":"')
        .value("v0")
        .constant('","links":{"self":"')
        .value("url")
    )
    text.constant('"}')
    if fields.written or fields.derived:
        text.constant(',"attributes":').value("a")
    else:
        text.value("(a and b',\"attributes\":' + a)")
    relationships = [(name, field) for name, field in resource.relationships.items() if selection.wants(name)]
    for place, (name, field) in enumerate(relationships):
        text.constant(f'{"," if place else RELATIONSHIPS}"{name}":{{"links":{{"self":"').value("url")
        text.constant(f'/relationships/{name}","related":"').value("url").constant(f'/{name}"}}')
        if isinstance(field, ToOne):
            one = f'b\'{{"type":"{field.type_}","id":"\' + {ends[name]} + b\'"}}\''
            text.constant(',"data":').value(f"({one} if {ends[name]} else b'null')")
        elif name in slots:
            text.constant(',"data":').value(f"linked({field.type_!r}, {slots[name]})")
        text.constant("}")
    text.constant("}" if relationships else "").constant(',"meta":{"mode":"').value("mode").value("v1")
    if level is PRIMARY:
        text.value('(place and b\',"page":{"cursor":"\' + place + b\'"}\')')
    text.constant("}}")
    lines.append(f"        resource = b''.join(({', '.join(text.parts)}))")
    return lines


def _located(names: Sequence[str]) -> list[str]:
    """The source that completes the paths among what Postgres has written as attributes of these names.

    It writes no space behind the name of one. Of what else it has written, jsonb has one there, and strings have
    no quotation mark that isn't escaped: so nothing else is taken for one.
    """
    return [f"        a = a.replace(b'\"{name}\":\"/', b'\"{name}\":\"' + origin + b'/')" for name in names]


def _attributes(fields: Layout) -> list[str]:
    """The source of a row's attributes `a`: what Postgres has written with what is worked out; empty for none."""
    both = "a[:-1] + b',' + dumps({})[1:]"
    derived, disclosed = "derive(loads(d), rendering)", "disclosed"
    if fields.written:
        lines = [f"        a = {both.format(derived)}"] if fields.derived else []
    else:
        lines = [f"        a = dumps({derived})" if fields.derived else "        a = b''"]
    more = both.format(disclosed) if fields.written or fields.derived else f"dumps({disclosed})"
    return [*lines, "        if disclosed:", f"            a = {more}"]


RELATIONSHIPS = ',"relationships":{'
"""What the relationships of a resource object begin with. They come last but for `meta`."""


def _literal(text: str) -> str:
    return repr(text.encode())


def _linked(type_: str, rows: Sequence[Row]) -> bytes:
    """Resource linkage of related rows."""
    return b"[" + b",".join([identified(type_, row) for row in rows]) + b"]"


def _check(amount: int) -> None:
    """Raise TooCostly when a document includes more than it may hold."""
    if amount > MAX_INCLUDED:
        raise TooCostly(
            "include brings more than {most} resources: make page[size] smaller or include less.",
            most=MAX_INCLUDED,
            parameter="include",
            meta={"limit": MAX_INCLUDED, "value": amount},
        )


def merged(known: bytes | None, again: bytes) -> bytes:
    """A resource object with the linkage of both (JSON:API 1.1, "Compound Documents": full linkage)."""
    if known is None:
        return again
    mark = RELATIONSHIPS.encode()
    place, other = known.rfind(mark), again.rfind(mark)
    if place < 0 or other < 0:
        return known if other < 0 else again
    # What comes before stays as it is: numbers in it may have more digits than Python's have.
    kept, new = orjson.loads(b"{" + known[place + 1 :]), orjson.loads(b"{" + again[other + 1 :])
    for name, relationship in new["relationships"].items():
        kept["relationships"].setdefault(name, {}).update(relationship)
    return known[: place + 1] + orjson.dumps(kept)[1:]


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
