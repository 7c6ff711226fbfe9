"""Rows become resource objects: one straight-line function per selection, compiled once from its Schemas.

A row comes as `service.jsonapi.layout` has it, with most of its attributes written by Postgres. What is left to do is
to put between its fields what is the same for all rows of a type: names and links.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import orjson

from schemas.relationships import ToOne
from schemas.rendering import Rendering
from service.errors import TooCostly
from service.jsonapi.attributes import deriver
from service.jsonapi.layout import (
    ATTRIBUTES,
    CURSOR,
    CURSOR_END,
    END,
    ID,
    META,
    MODE,
    PRIMARY,
    ROOT,
    SELF,
    TYPE,
    VERSION,
    Level,
    Row,
    layout,
    parted,
)
from service.jsonapi.query import Selection
from service.jsonapi.splicing import Spliced

MAX_INCLUDED = 5_000
"""How many resources a document may include."""

Found = dict[tuple[str, bytes], bytes]
"""What a document includes: resource objects by type and id."""


class Render(Protocol):
    """Writes the resource objects of rows."""

    def __call__(
        self, rows: Sequence[Row], rendering: Rendering, found: Found, disclosed: Mapping[str, Any] | None = None, /
    ) -> list[bytes]:
        """The resource objects as JSON, in UTF-8: each by itself, or all of them with commas in between.

        What the rows include is added to `found`, each resource once, with the linkage of every path that led to it.
        `disclosed` are attributes that are shown this once. Raises TooCostly when more is included than a document may
        hold.
        """


@lru_cache(maxsize=1024)
def renderer(selection: Selection) -> Render:
    """A function that writes rows of a selection as resource objects.

    For a selection without fieldset and includes the result equals what the Schema's own `dump` gives (asserted for
    every type).
    """
    if not layout(selection).whole:
        return _Source(selection).compiled()
    pictures = [f'"{name}":"/'.encode() for name in _paths(selection)]

    def complete(rows: Sequence[Row], rendering: Rendering, _: Found, __: object = None, /) -> list[bytes]:
        """Put into what Postgres has written what it doesn't know."""
        text = b",".join([row[3] for row in rows])
        for begin in pictures:
            text = text.replace(begin, begin[:-1] + rendering.root.removesuffix(b"api"))
        text = text.replace(ROOT.encode(), rendering.root).replace(MODE.encode(), rendering.mode.encode())
        return [text] if rows else []

    return complete


def _paths(selection: Selection) -> Sequence[str]:
    """The attributes that Postgres writes of which a value that begins with a slash is a path.

    It writes no space behind the name of one. Of what else it has written, jsonb has one there, and strings have no
    quotation mark that isn't escaped: so nothing else is taken for one.
    """
    return [name for name in layout(selection).written if selection.resource.attributes[name].is_path]


class _Source:
    """The source of a renderer. Its loops lie in each other as the include tree does."""

    def __init__(self, selection: Selection) -> None:
        self._type = selection.resource.type_
        self._numbers = itertools.count()
        self._names: dict[str, Any] = {"dumps": orjson.dumps, "loads": orjson.loads, "parted": parted}
        self._names |= {"linked": _linked, "merged": merged, "check": _check}
        self._lines = [
            "def render(rows, rendering, found, disclosed=None):",
            "    root, mode, written = rendering.root, rendering.mode.encode(), []",
            "    origin = root.removesuffix(b'api')",
            *self._loop(selection, PRIMARY, "rows", "    "),
            "    return written",
        ]

    def compiled(self) -> Render:
        """The renderer."""
        # Only names from our own Schemas reach this source, never a client's text.
        exec(compile("\n".join(self._lines), f"<renderer of {self._type}>", "exec"), self._names)  # noqa: S102
        render: Render = self._names["render"]
        return render

    def _loop(self, selection: Selection, level: Level, rows: str, margin: str) -> list[str]:
        """A loop over rows, which keeps the resource object of each."""
        fields, number = layout(selection), next(self._numbers)
        own = _Names(selection, number)
        key, leaf = f"({selection.resource.type_!r}, {own.id})", not selection.include
        lines = [f"{margin}for {', '.join(own.unpacked)} in {rows}:"]
        margin += "    "
        if level is not PRIMARY and leaf:
            lines += [f"{margin}if {key} in found:", f"{margin}    continue"]
        for name, sub in selection.include:
            slot = own.slots[name]
            lines.append(f"{margin}{slot} = {_cut(selection, (name, sub), level.below, slot)}")
            lines += self._loop(sub, level.below, slot, margin)
        if fields.derived:
            self._names[f"derive{number}"] = deriver(selection.resource, tuple(fields.derived), within_json=True)
        body = [*_attributes(selection, own), *_disclosing(selection, own, level)]
        lines += [f"{margin}{line}" for line in (*body, *_resource(selection, own, level))]
        if level is not PRIMARY:
            resource = "resource" if leaf else f"merged(found.get({key}), resource)"
            return [*lines, f"{margin}found[{key}] = {resource}"]
        return [*lines, *([] if leaf else [f"{margin}check(len(found))"]), f"{margin}written.append(resource)"]


def _cut(selection: Selection, included: tuple[str, Selection], level: Level, slot: str) -> str:
    """The source that takes the rows of an included relationship apart."""
    name, sub = included
    most = layout(sub).most_parts
    if isinstance(selection.resource.relationships[name], ToOne):
        return f"[{slot}.split({level.field!r}, {most})] if {slot} else ()"
    return f"parted({slot}, {level.field!r}, {level.row!r}, {most})"


class _Names:
    """The names of what a row of a selection holds, in the loop of this number."""

    def __init__(self, selection: Selection, number: int) -> None:
        fields = layout(selection)
        self.id, self.version, self.cursor = f"id{number}", f"version{number}", f"cursor{number}"
        self.attributes, self.inputs, self.derive = f"attributes{number}", f"inputs{number}", f"derive{number}"
        self.ends = {name: f"end{number}_{place}" for place, name in enumerate(fields.ends)}
        self.slots = {name: f"rows{number}_{place}" for place, name in enumerate(fields.included)}
        self.unpacked = [self.id, self.version, self.cursor, *self.ends.values()]
        self.unpacked += [self.inputs] if fields.derived else []
        self.unpacked += [*self.slots.values(), *([self.attributes] if fields.written else [])]


def _attributes(selection: Selection, own: _Names) -> list[str]:
    """The source of a row's attributes: what Postgres has written with what is worked out; empty for none."""
    fields, known = layout(selection), own.attributes
    lines = [f"""{known} = {known}.replace(b'"{name}":"/', b'"{name}":"' + origin)""" for name in _paths(selection)]
    derived = f"dumps({own.derive}(loads({own.inputs}), rendering))"
    if fields.derived and fields.written:
        lines.append(f"{known} = {known}[:-1] + b',' + {derived}[1:]")
    elif fields.derived:
        lines.append(f"{known} = {derived}")
    elif not fields.written:
        lines.append(f"{known} = b''")
    return lines


def _disclosing(selection: Selection, own: _Names, level: Level) -> list[str]:
    """The source that adds what is shown this once to the attributes of a primary resource."""
    fields, known = layout(selection), own.attributes
    if level is not PRIMARY:
        return []
    more = f"{known}[:-1] + b',' + dumps(disclosed)[1:]" if fields.written or fields.derived else "dumps(disclosed)"
    return ["if disclosed:", f"    {known} = {more}"]


def _resource(selection: Selection, own: _Names, level: Level) -> list[str]:
    """The source of a row's resource object."""
    resource, fields = selection.resource, layout(selection)
    text = Spliced(_literal).constant(TYPE + resource.type_ + ID).value(own.id).constant(SELF).value("url")
    if fields.written or fields.derived:
        text.constant(ATTRIBUTES).value(own.attributes)
    else:
        text.constant('"}').value(f"({own.attributes} and b',\"attributes\":' + {own.attributes})")
    relationships = [(name, field) for name, field in resource.relationships.items() if selection.wants(name)]
    for place, (name, field) in enumerate(relationships):
        text.constant(f'{"," if place else RELATIONSHIPS}"{name}":{{"links":{{"self":"').value("url")
        text.constant(f'/relationships/{name}","related":"').value("url").constant(f'/{name}"}}')
        begin = f"{TYPE}{field.type_}{ID}".encode()
        if isinstance(field, ToOne):
            end = own.ends[name]
            text.constant(',"data":').value(f"""({begin!r} + {end} + b'"}}' if {end} else b'null')""")
        elif name in own.slots:
            text.constant(',"data":').value(f"linked({begin!r}, {own.slots[name]})")
        text.constant("}")
    text.constant("}" if relationships else "").constant(META).value("mode").constant(VERSION).value(own.version)
    if level is PRIMARY:
        text.value(f"({own.cursor} and {CURSOR.encode()!r} + {own.cursor} + {CURSOR_END.encode()!r})")
    text.constant(END)
    return [f"url = root + b'/{resource.type_}/' + {own.id}", f"resource = b''.join(({', '.join(text.parts)}))"]


RELATIONSHIPS = ',"relationships":{'
"""What the relationships of a resource object begin with. They come last but for `meta`."""


def _literal(text: str) -> str:
    return repr(text.encode())


def _linked(begin: bytes, rows: Sequence[Row]) -> bytes:
    """Resource linkage of included rows; `begin` is what comes before the id of each."""
    between = b'"},' + begin
    return b"[" + begin + between.join([row[0] for row in rows]) + b'"}]' if rows else b"[]"


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
