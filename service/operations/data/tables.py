"""Tables of text as records: columns with dots lead into what comes with a record, rows below go on with it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import orjson
from marshmallow import ValidationError

from schemas.history import RECORDS, Record, fields_of
from schemas.kinds import Kind
from service.errors import StartupError
from service.operations.data.records import Place

_SEPARATORS = ",;\t"


class Line(NamedTuple):
    """A row of a table: where it begins, and its cells by the names of their columns, without the empty ones."""

    place: Place
    cells: Mapping[str, str]


def rows(path: Path) -> Iterator[Line]:
    """The rows of a file. Raises StartupError for one that is no table of text in UTF-8."""
    with path.open("rb") as file:
        yield from parsed(path.name, file)


def parsed(name: str, file: IO[bytes]) -> Iterator[Line]:
    """The rows of an open file. Raises StartupError for one that is no table of text in UTF-8."""
    try:
        yield from _rows(name, file)
    except (csv.Error, UnicodeDecodeError) as error:
        raise StartupError("{file} is no table of text in UTF-8: {reason}.", file=name, reason=str(error)) from None


def _rows(name: str, file: IO[bytes]) -> Iterator[Line]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    first = text.readline()
    separator = max(_SEPARATORS, key=first.count)
    header = next(csv.reader([first], delimiter=separator), [])
    reader = csv.reader(text, delimiter=separator, strict=True)
    line = 2
    for cells in reader:
        given = {column: cell for column, cell in zip(header, cells, strict=False) if cell != ""}
        if given:
            yield Line(Place(name, line), given)
        line = reader.line_num + 2
    text.detach()


def groups(lines: Iterator[Line], *keys: str) -> Iterator[list[Line]]:
    """Rows that belong together: each that has the same in the first of these columns that it has as the row above."""
    group: list[Line] = []
    held: object = None
    for line in lines:
        key = next(((name, line.cells[name]) for name in keys if name in line.cells), None)
        if group and key is not None and key == held:
            group.append(line)
            continue
        if group:
            yield group
        group, held = [line], key
    if group:
        yield group


def record_of(type_: str, group: Sequence[Line]) -> dict[str, object]:
    """What rows say of one resource of a type: the first row, and of those below it what comes in a list."""
    record = RECORDS[type_]
    sent: dict[str, object] = {}
    for position, line in enumerate(group):
        parts: dict[str, dict[str, object]] = {}
        for column, cell in line.cells.items():
            head, dot, rest = column.partition(".")
            if dot and head in record.parts:
                parts.setdefault(head, {})[rest] = _value(RECORDS[head], rest, cell)
            elif position:
                continue
            elif dot:
                inner = sent.setdefault(head, {})
                if isinstance(inner, dict):
                    inner[rest] = _value(_target(record, head), rest, cell)
            else:
                sent[column] = _value(record, column, cell)
        for name, part in parts.items():
            listed = sent.setdefault(name, [])
            if isinstance(listed, list):
                listed.append(part)
    return sent


def _target(record: Record, name: str) -> Record | None:
    reference = fields_of(record.type_).get(f"{name}_id")
    return None if reference is None else RECORDS.get(reference.type_)


def _value(record: Record | None, name: str, cell: str) -> object:
    """A cell as the value that its field takes; a cell that isn't one stays as it is, and is refused as such."""
    if name in ("tags", "order_ids"):
        return [one.strip() for one in cell.split(",") if one.strip()]
    found = None if record is None else fields_of(record.type_).get(name)
    return cell if found is None else _read(found.kind, cell)


def _read(kind: Kind, cell: str) -> object:
    try:
        match kind.json_type.get("type"):
            case "integer" | "number" | "boolean":
                value: object = kind.parse(cell.strip().lower())
                return float(cell) if kind.sql_type in ("numeric", "double precision") else value
            case "object" | "array":
                return orjson.loads(cell)
    except (ValidationError, orjson.JSONDecodeError):
        return cell
    return cell
