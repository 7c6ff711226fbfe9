"""What the row of a selection holds, in which order, and how its text is taken apart.

Postgres writes what it can of a document: the attributes of a row come as one JSON object. A row is one text, its
fields parted by a control character, as are the rows of what it includes, with other characters for each level. Within
JSON such characters are always escaped, and ids have none, so that nothing that a client sent can be taken for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from schemas.kinds import Kind
from schemas.relationships import ToOne
from schemas.resource import Resource
from service.jsonapi.query import Selection

Row = list[bytes]
"""The fields of a row, in UTF-8."""


class Level(NamedTuple):
    """How deep rows are included, and what stands there between the fields of a row, and between rows."""

    field: bytes
    row: bytes

    @property
    def below(self) -> Level:
        """The level of what its rows include."""
        return Level(bytes([self.field[0] + 2]), bytes([self.row[0] + 2]))


PRIMARY = Level(b"\x10", b"\x11")

ROOT, MODE = "\x0e", "\x0f"
"""What stands in a row for what Postgres doesn't know: the URL of the API, and the store's mode."""

TYPE, ID, SELF, ATTRIBUTES = '{"type":"', '","id":"', '","links":{"self":"', '"},"attributes":'
META, VERSION, CURSOR, CURSOR_END, END = ',"meta":{"mode":"', '","version":', ',"page":{"cursor":"', '"}', "}}"
"""What a resource object says between its values, in this order; relationships come before `meta`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a row: id, version, its place on a page by cursor (empty elsewhere), and then these.

    Each of `ends` is the id of a to-one relationship, empty for null. `derived` are the attributes that are worked out
    here, and `inputs` the columns for that, as one array of JSON. Each of `included` holds the rows of an included
    relationship. `written` are the attributes that Postgres writes, as one JSON object; the longest field comes last,
    so that nobody looks for the end of it.

    Of a primary row that is `whole` that one is the resource object as it is sent, but for `ROOT` and `MODE`: there is
    nothing left to work out, to include or to link.
    """

    ends: Sequence[str]
    derived: Sequence[str]
    inputs: Sequence[str]
    included: Sequence[str]
    written: Sequence[str]
    whole: bool

    most_parts: int = field(init=False)
    """How often a row is cut: there is one field more."""

    def __post_init__(self) -> None:
        """Count the fields once."""
        more = len(self.ends) + bool(self.derived) + len(self.included) + bool(self.written)
        object.__setattr__(self, "most_parts", 2 + more)


@lru_cache(maxsize=1024)
def layout(selection: Selection) -> Layout:
    """The layout of a selection's rows. The SQL compiler writes it, the renderer reads it."""
    resource = selection.resource
    wanted = [name for name in resource.attributes if selection.wants(name)]
    derived = [name for name in wanted if not is_written(resource, name)]
    written = [name for name in wanted if name not in derived]
    linked = any(selection.wants(name) for name in resource.relationships)
    return Layout(
        ends=[n for n, field in resource.relationships.items() if isinstance(field, ToOne) and selection.wants(n)],
        derived=derived,
        inputs=inputs_of(resource, derived),
        included=[name for name, _ in selection.include],
        written=written,
        whole=bool(written) and not (derived or linked or selection.include or resource.disclosed),
    )


def is_written(resource: type[Resource], name: str) -> bool:
    """Whether Postgres writes an attribute. Who may see a secret, or what repeats others, is known here alone."""
    field: Kind = resource.attributes[name]
    return bool(field.written) and not field.repeats and not (field.mark is not None and field.mark.secret)


def inputs_of(resource: type[Resource], names: Sequence[str]) -> Sequence[str]:
    """The columns that attributes are worked out from, each once."""
    return [*dict.fromkeys(column for name in names for column in resource.attributes[name].inputs)]


def rows_of(texts: Iterable[bytes | None], selection: Selection) -> list[Row]:
    """The rows that a statement has written as these texts, without those that are null."""
    most = layout(selection).most_parts
    return [text.split(PRIMARY.field, most) for text in texts if text is not None]


def parted(text: bytes, field: bytes, row: bytes, most: int) -> list[Row]:
    """The included rows of a text, cut at no more than so many ends of their fields."""
    rows: list[Row] = []
    if text:
        # `find` is several times faster than `split`, which looks at each byte by itself.
        begin, end = 0, text.find(row)
        while end >= 0:
            rows.append(text[begin:end].split(field, most))
            begin = end + 1
            end = text.find(row, begin)
        rows.append(text[begin:].split(field, most))
    return rows
