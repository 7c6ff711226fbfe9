"""Records as the text of a file: a list of JSON with a record on each line, or a table (`tables` reads it)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import orjson

from schemas.history import RECORDS, Record, fields_of
from schemas.relationships import ToMany
from service.operations.data.shaping import Line, Shape, includable

_NAMES: Final = ("tags", "order_ids")
"""Lists of names, which stand in a cell with commas between them."""


class Json:
    """A list of records."""

    def __init__(self) -> None:
        self._begun = False

    def begin(self) -> str:
        """What stands before the first record."""
        return "["

    def add(self, record: Line) -> str:
        """A record, after those before it."""
        before, self._begun = ",\n" if self._begun else "\n", True
        return before + orjson.dumps(record).decode()

    def end(self) -> str:
        """What stands behind the last record."""
        return "\n]\n"


class Table:
    """A table of records of one type: a row for each, and one more for each further part."""

    def __init__(self, type_: str, shape: Shape) -> None:
        self._record = RECORDS[type_]
        listed = {name: found for name, found in includable(self._record).items() if name in shape.included}
        lists = {name for name, found in listed.items() if isinstance(found, ToMany)}
        self._lists = (*self._record.parts, *sorted(lists))
        self._columns = [
            name for name in _columns(self._record, listed, shape) if not shape.fields or _wanted(name, shape)
        ]
        keys = ("id", *self._record.key[:1])
        self._keys = [name for name in keys if name in self._columns]

    def begin(self) -> str:
        """The header."""
        return _row(self._columns)

    def add(self, record: Line) -> str:
        """The rows of a record."""
        return "".join(_row([_cell(name, cells.get(name)) for name in self._columns]) for cells in self._rows(record))

    def end(self) -> str:
        """Nothing: a table has no end."""
        return ""

    def _rows(self, record: Line) -> Iterator[Line]:
        parts = {name: value for name in self._lists if isinstance(value := record.get(name), list)}
        flat = _flat({name: value for name, value in record.items() if name not in parts})
        for position in range(max([1, *map(len, parts.values())])):
            cells = dict(flat) if position == 0 else {name: flat.get(name) for name in self._keys}
            for name, listed in parts.items():
                if position < len(listed):
                    cells |= _flat({name: listed[position]})
            yield cells


def _columns(record: Record, listed: Mapping[str, object], shape: Shape) -> list[str]:
    """Every column that a table of a type may need."""
    own = _own(record, shape)
    for name in (*record.parts, *listed, *(column.removesuffix("_id") for column in record.embedded if shape.dry)):
        type_ = name if name in record.parts else record.resource.relationships[name].type_
        own += [f"{name}.{inner}" for inner in _own(RECORDS[type_], shape)]
    return list(dict.fromkeys(own))


def _own(record: Record, shape: Shape) -> list[str]:
    fields = fields_of(record.type_)
    names = ["id"]
    for name, found in fields.items():
        names.append(name)
        other = RECORDS.get(found.type_) if found.type_ else None
        if shape.dry and other is not None and len(other.key) == 1:
            names.append(f"{name.removesuffix('_id')}.{other.key[0]}")
    return [*names, *(["tags"] if fields.is_tagged else []), *([record.leads_to] if record.leads_to else [])]


def _wanted(column: str, shape: Shape) -> bool:
    head, dot, _ = column.partition(".")
    if not dot:
        return column in shape.fields or "*" in shape.fields
    return column in shape.fields or f"{head}.*" in shape.fields or head in (*shape.fields, *shape.includes)


def _flat(line: Mapping[str, object], before: str = "") -> Line:
    """A record by the names of its columns, with dots into what stands within it."""
    flat: Line = {}
    for name, value in line.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[before + name] = value
    return flat


def _cell(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case list() if name.rpartition(".")[2] in _NAMES:
            return ",".join(map(str, value))
    return orjson.dumps(value).decode()


def _row(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()
