"""Rows become the text of documents: one straight-line function per selection, compiled once from its Schemas.

A row is positional: first the columns of `layout(selection)`, then one slot per included relationship. It holds the
JSON text of the related row (or None), or of a list of related rows; these are arrays of the same form. Reading by
position is what makes this fast; `layout` is the one place that knows the positions, the SQL compiler follows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import orjson

from schemas.kinds import Derived, Kind
from schemas.relationships import ToMany, ToOne
from schemas.rendering import Rendering
from schemas.resource import Resource
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
Found = dict[tuple[str, str], bytes]
"""What a document includes: resource objects by type and id."""


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


class Render(Protocol):
    """Writes the resource object of a row."""

    def __call__(
        self, row: Row, rendering: Rendering, found: Found, disclosed: Mapping[str, Any] | None = None, /
    ) -> bytes:
        """The resource object as JSON, in UTF-8.

        What the row includes is added to `found`. `disclosed` are attributes that are shown this once.
        """


@lru_cache(maxsize=1024)
def renderer(selection: Selection, *, within_json: bool = False) -> Render:
    """A function that writes one row of `layout(selection)` as its resource object.

    Values are those of a statement's columns, or as they are within an array of JSON, which included rows are.

    Most of such an object is the same for all rows of a type: its names and links. So it is kept as text, cut where a
    row's URL goes, and the attributes are the one part that is put together as a dict. For a selection without fieldset
    and includes the result equals what the Schema's own `dump` gives (asserted for every type).
    """
    resource = selection.resource
    columns = layout(selection)
    variable = {column: f"v{i}" for i, column in enumerate(columns)}
    names: dict[str, Any] = {"dumps": orjson.dumps, "loads": orjson.loads, "linked": _linked}
    included = dict(selection.include)
    slots = {name: f"s{i}" for i, name in enumerate(included)}
    unpacked = ", ".join([*variable.values(), *slots.values()])
    lines = [f"def render(row, rendering, found, disclosed=None):\n    {unpacked}, = row"]
    for name, sub in included.items():
        names[f"include_{name}"] = _includer(sub)
        if not within_json:
            lines.append(f"    {slots[name]} = None if {slots[name]} is None else loads({slots[name]})")
        if isinstance(resource.relationships[name], ToMany):
            lines.append(f"    for row in {slots[name]}:\n        include_{name}(row, rendering, found)")
        else:
            lines.append(f"    if {slots[name]} is not None:\n        include_{name}({slots[name]}, rendering, found)")
    attributes = [
        f"{name!r}: {_value(resource, name, variable, names, within_json=within_json)}"
        for name, field in resource.attributes.items()
        if selection.wants(name)
    ]
    relationships = [(name, field) for name, field in resource.relationships.items() if selection.wants(name)]
    lines.append(f"    attributes = {{{', '.join(attributes)}}}")
    lines.append("    if disclosed:\n        attributes.update(disclosed)")
    text = _Text(f'{{"type":"{resource.type_}","id":"')
    text.value("v0.encode()").constant('","links":{"self":"').url().constant('"}')
    if attributes:
        text.constant(',"attributes":').value("dumps(attributes)")
    else:
        text.value("(b',\"attributes\":' + dumps(attributes) if attributes else b'')")
    for place, (name, field) in enumerate(relationships):
        text.constant(f'{"," if place else RELATIONSHIPS}"{name}":{{"links":{{"self":"').url()
        text.constant(f'/relationships/{name}","related":"').url().constant(f'/{name}"}}')
        if isinstance(field, ToOne):
            id_ = variable[field.column]
            one = f'b\'{{"type":"{field.type_}","id":"\' + {id_}.encode() + b\'"}}\''
            text.constant(',"data":').value(f"(b'null' if {id_} is None else {one})")
        elif name in slots:
            text.constant(',"data":').value(f"linked({field.type_!r}, {slots[name]})")
        text.constant("}")
    text.constant("}" if relationships else "").constant(',"meta":{"mode":"').value("rendering.mode.encode()")
    text.constant('","version":').value("b'%d' % v1").constant("}}")
    lines.append(f"    return (rendering.root + b'/{resource.type_}/' + v0.encode()).join(({text.parts},))")
    # Only names from our own Schemas reach this source, never a client's text.
    exec(compile("\n".join(lines), f"<renderer of {resource.type_}>", "exec"), names)  # noqa: S102
    render: Render = names["render"]
    return render


RELATIONSHIPS = ',"relationships":{'
"""What the relationships of a resource object begin with. They come last but for `meta`."""


class _Text:
    """Text in which a URL comes again and again: the source of what stands between, as expressions of bytes."""

    def __init__(self, begin: str) -> None:
        self._parts: list[list[str]] = [[]]
        self._constant = begin

    def constant(self, text: str) -> _Text:
        """Go on with text that is always the same."""
        self._constant += text
        return self

    def value(self, expression: str) -> _Text:
        """Go on with the value of an expression."""
        self._flush()
        self._parts[-1].append(expression)
        return self

    def url(self) -> _Text:
        """Go on with the URL."""
        self._flush()
        self._parts.append([])
        return self

    @property
    def parts(self) -> str:
        """The source of what stands between the URLs."""
        self._flush()
        return ", ".join(" + ".join(part) or "b''" for part in self._parts)

    def _flush(self) -> None:
        if self._constant:
            self._parts[-1].append(repr(self._constant.encode()))
            self._constant = ""


def _value(
    resource: type[Resource], name: str, variable: Mapping[str, str], names: dict[str, Any], *, within_json: bool
) -> str:
    """The expression that renders one attribute."""
    field: Kind = resource.attributes[name]
    values = [variable[column] for column in field.inputs]
    if within_json and not field.compiled_from_json:
        kinds = resource.columns()
        values = [_from_json(kinds.get(column), variable[column], names) for column in field.inputs]
    if isinstance(field, Derived) and not field.compiled:
        names[f"derive_{name}"] = field.function
        value = f"derive_{name}({', '.join([*values, *([f'rendering.{field.given}'] if field.given else [])])})"
    else:
        names.update(field.names)
        compiled = (within_json and field.compiled_from_json) or field.compiled
        value = f"({compiled.format(*values)})"
    return f"({value} if rendering.secrets else None)" if field.mark is not None and field.mark.secret else value


def _from_json(kind: Kind | ToOne | None, variable: str, names: dict[str, Any]) -> str:
    """The expression of a column's value, from that within JSON."""
    if not isinstance(kind, Kind):
        return variable
    names.update(kind.names)
    return f"({kind.from_json.format(variable)})" if kind.from_json != "{0}" else variable


def _linked(type_: str, rows: Sequence[Row]) -> bytes:
    """Resource linkage of related rows."""
    begin = b'{"type":"' + type_.encode() + b'","id":"'
    return b"[" + b",".join([begin + row[0].encode() + b'"}' for row in rows]) + b"]"


def _includer(selection: Selection) -> Callable[[Row, Rendering, Found], None]:
    """A function that adds one related row to what a document includes.

    Each resource once, with the linkage of every path that led to it.
    """
    render = renderer(selection, within_json=True)
    type_ = selection.resource.type_
    leaf = not selection.include

    def include(row: Row, rendering: Rendering, found: Found) -> None:
        key = (type_, row[0])
        if leaf and key in found:
            return
        resource = render(row, rendering, found)
        found[key] = merged(found[key], resource) if key in found else resource

    return include


def merged(known: bytes, again: bytes) -> bytes:
    """A resource object with the linkage of both (JSON:API 1.1, "Compound Documents": full linkage)."""
    mark = RELATIONSHIPS.encode()
    place, other = known.rfind(mark), again.rfind(mark)
    if place < 0 or other < 0:
        return known if other < 0 else again
    # What comes before stays as it is: numbers in it may have more digits than Python's have.
    kept, new = orjson.loads(b"{" + known[place + 1 :]), orjson.loads(b"{" + again[other + 1 :])
    for name, relationship in new["relationships"].items():
        kept["relationships"].setdefault(name, {}).update(relationship)
    return known[: place + 1] + orjson.dumps(kept)[1:]


def collect(rows: Sequence[Row], selection: Selection, rendering: Rendering) -> tuple[list[bytes], list[bytes]]:
    """Primary resource objects and included ones, no resource twice (JSON:API 1.1, "Compound Documents").

    Raises TooCostly for more included ones than a document may hold.
    """
    render = renderer(selection)
    found: Found = {}
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
    values = {**columns, "id": columns["id"] or "", "version": 0}
    found = orjson.loads(renderer(selection)([values[name] for name in layout(selection)], rendering, {}))
    linked = {name: {"data": one["data"]} for name, one in found.get("relationships", {}).items() if "data" in one}
    members = {"type": found["type"], "id": columns["id"], "attributes": found["attributes"]}
    return members | ({"relationships": linked} if linked else {})


def with_cursor(item: bytes, cursor: str) -> bytes:
    """A resource object of `render`, or an identifier, with its place in the order (the cursor profile, "Item")."""
    page = b'"page":{"cursor":"' + cursor.encode() + b'"}'
    return item[:-2] + b"," + page + b"}}" if item.endswith(b"}}") else item[:-1] + b',"meta":{' + page + b"}}"


def identifier(type_: str, id_: str) -> Object:
    """A resource identifier object."""
    return {"type": type_, "id": id_}


def listed(written: Sequence[bytes]) -> orjson.Fragment:
    """A JSON array of objects that are written already."""
    return orjson.Fragment(b"[" + b",".join(written) + b"]")


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
