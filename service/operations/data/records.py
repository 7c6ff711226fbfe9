"""A line of a history as a record: each field read by its kind, every problem noted, nothing looked up yet."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

import orjson
from marshmallow import ValidationError

from schemas.history import NAMES, RECORDS, WHOLES, Field, Record, fields_of
from schemas.kinds import Identifier, Kind
from schemas.resource import Resource
from schemas.tagging import TagName
from service.jsonapi.nearness import nearest
from service.texts import Phrase

MOST_PARTS = 1_000
"""How many lines an order has at most, how many items a subscription."""

_BY_RUN: Final = ("occurrences", "occurrence_items")
"""What a subscription has the more of, the longer it runs."""

Columns = dict[str, object]
"""Column -> value, as asyncpg takes it."""

_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")
_ID, _TAG = Field("id", "id", Identifier(harmless=True, required=True)), TagName(harmless=True)


class Problem(NamedTuple):
    """Why a record is refused: the field, the reason in words, and the field that was probably meant, if any.

    `value` is what stands in the field, where that is why. `refers` says that it leads to nothing that is there.
    """

    field: str
    reason: Phrase
    suggestion: str | None = None
    value: str | None = None
    refers: bool = False


class Place(NamedTuple):
    """Where a record stands: its file, and the line there on which it begins."""

    file: str
    line: int


METHODS: Final = frozenset({"shipping_methods", "payment_methods"})
"""What is found by its reference too. An order of another platform comes without one that the store doesn't have."""


class Undated(Enum):
    """An instant that is past, and that nobody says: the one that is held already, else the import's own."""

    PAST = "past"


class Lookup(NamedTuple):
    """A reference by what people call the other resource: its type, and the value of its key.

    `code` is what another platform's programs call it, which counts first.
    """

    column: str
    type_: str
    value: object
    code: object = None

    @property
    def values(self) -> list[object]:
        """What it may be found by, in the order in which they count."""
        return [self.value] if self.code is None else [self.code, self.value]

    def __str__(self) -> str:
        """What it is called, with its code."""
        return str(self.value) if self.code in (None, self.value) else f"{self.value} ({self.code})"


@dataclass(slots=True)
class Row:
    """A resource that a record holds: the columns that were given, and what comes with it.

    `path` is where its fields stand in the record, such as `line_items.2.`. `before` are the columns of the resource
    that it changes, None for a new one. `undated` are the columns of instants that are past, and that nobody says.
    """

    record: Record
    columns: Columns = field(default_factory=dict)
    path: str = ""
    parts: dict[str, list[Row]] = field(default_factory=dict)
    embedded: dict[str, Row] = field(default_factory=dict)
    lookups: list[Lookup] = field(default_factory=list)
    undated: list[str] = field(default_factory=list)
    tags: list[str] | None = None
    tag_ids: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    before: Columns | None = None

    @property
    def resource(self) -> type[Resource]:
        """The type's Schema."""
        return self.record.resource

    @property
    def id(self) -> str:
        """The id, once it is settled."""
        return str(self.columns["id"])

    def get(self, column: str) -> object:
        """What the column will hold, as far as that is known."""
        if column in self.columns:
            return self.columns[column]
        return None if self.before is None else self.before.get(column)

    def whole(self) -> Iterator[Row]:
        """The row with all that comes with it, what it refers to first."""
        yield from self.embedded.values()
        yield self
        for rows in self.parts.values():
            yield from rows


class Origin(NamedTuple):
    """What a platform wrote that a record is made of: of which type, by which id the platform knows it.

    `called` is which of the platform's fields the record's are made of, by `<type>.<field>`, and `sent` what it wrote.
    """

    type_: str
    id: str
    called: Mapping[str, str] = {}
    sent: Mapping[str, object] = {}

    def named(self, type_: str, problem: Problem) -> Problem:
        """A problem of a record of this type as one of the platform's field, with what stands there."""
        field = self.called.get(f"{type_}.{unplaced(problem.field)}")
        if field is None:
            return problem
        value: object = self.sent
        for name in field.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        told = (str(value) or None) if isinstance(value, str | int | float) else problem.value
        return problem._replace(field=field, value=told)


@dataclass(slots=True)
class Entry:
    """A record that was read, with its problems: one with any is refused.

    `origin` is what a platform wrote of it, `without` the methods that the platform names, and the store doesn't have.
    """

    place: Place
    row: Row | None
    problems: list[Problem] = field(default_factory=list)
    origin: Origin | None = None
    without: list[Lookup] = field(default_factory=list)

    @property
    def type_(self) -> str:
        """Of which type it is, empty where that can't be told."""
        if self.row is not None:
            return self.row.record.type_
        return "" if self.origin is None else self.origin.type_

    @property
    def id(self) -> str:
        """What its own shop knows it by, empty where nothing does."""
        if self.origin is not None:
            return self.origin.id
        return "" if self.row is None else str(self.row.columns.get("id", ""))

    @property
    def names(self) -> set[str]:
        """What others may refer to it by."""
        if self.row is not None:
            return {str(self.row.columns.get(name)) for name in ("id", *self.row.record.key)}
        return set() if self.origin is None else {str(value) for value in self.origin.sent.values()}

    def told(self) -> list[Problem]:
        """Its problems, each of the field that the file has it of."""
        origin = self.origin
        return self.problems if origin is None else [origin.named(self.type_, problem) for problem in self.problems]


def unplaced(name: str) -> str:
    """A field without the place in a list: `line_items.quantity` of `line_items.3.quantity`."""
    return ".".join(part for part in name.split(".") if not part.isdigit())


def read(place: Place, sent: object, type_: str | None = None) -> Entry:
    """Read a record that a line holds, of the given type where it names none."""
    if not isinstance(sent, dict):
        return Entry(place, None, [Problem("", Phrase("must be an object"))])
    named = sent.get("type", type_)
    if type_ is not None and named != type_:
        return Entry(place, None, [Problem("type", Phrase("must be {type}", type=type_))])
    if named not in WHOLES:
        suggestion = nearest(named, WHOLES) if isinstance(named, str) else None
        reason = Phrase("can't be blank") if named is None else Phrase("is no type of a history")
        return Entry(place, None, [Problem("type", reason, suggestion)])
    entry = Entry(place, Row(RECORDS[str(named)]))
    assert entry.row is not None  # noqa: S101 -- made in the line above
    _fill(entry.row, {name: value for name, value in sent.items() if name != "type"}, entry.problems)
    return entry


def derived_id(type_: str, *key: object) -> str:
    """The id of a resource that was given without one: always the same for what it is known by."""
    digest = hashlib.blake2b(orjson.dumps([type_, *key], default=str), digest_size=15).digest()
    return "H" + b32encode(digest).translate(_CROCKFORD).decode()


def _fill(row: Row, sent: Mapping[str, object], problems: list[Problem]) -> None:
    record, fields = row.record, fields_of(row.record.type_)
    for name, value in sent.items():
        found = fields.get(name)
        if found is not None:
            _take(row, found, value, problems)
        elif name == "id":
            _read(row, _ID, value, problems)
        elif name == "tags" and fields.is_tagged:
            row.tags = _names(row, name, value, _TAG, problems)
        elif record.leads_to and name == record.leads_to:
            row.orders = _names(row, name, value if isinstance(value, list) else [value], _ID.kind, problems)
        elif name in record.parts:
            _take_parts(row, name, value, problems)
        elif isinstance(value, dict) and (reference := fields.get(f"{name}_id")) is not None and reference.type_:
            _take_whole(row, name, reference, value, problems)
        else:
            problems.append(_unknown(row, name, [*fields, *record.parts, "id"]))


def _unknown(row: Row, name: str, known: Sequence[str]) -> Problem:
    return Problem(row.path + name, Phrase("is no field of {type}", type=row.record.type_), nearest(name, known))


def _take(row: Row, found: Field, value: object, problems: list[Problem]) -> None:
    if value is Undated.PAST:
        row.undated.append(found.column)
        return
    before = len(problems)
    _read(row, found, value, problems)
    rests = row.record.at_rest
    if found.name == "status" and rests and len(problems) == before and value not in rests:
        reason = Phrase("is {status}, which is no history: it would go on here", status=str(value))
        problems.append(Problem(row.path + found.name, reason))


def _read(row: Row, found: Field, value: object, problems: list[Problem]) -> None:
    try:
        read: object = found.kind.deserialize(value)
    except ValidationError as error:
        problems += [Problem(row.path + found.name, Phrase(said)) for said in error.messages]
        return
    json = found.kind.sql_type == "jsonb" and read is not None
    row.columns[found.column] = orjson.dumps(read).decode() if json else read


def _names(row: Row, name: str, value: object, kind: Kind, problems: list[Problem]) -> list[str]:
    try:
        return [str(kind.deserialize(one)) for one in NAMES.deserialize(value) if one is not None]
    except ValidationError as error:
        problems += [Problem(row.path + name, Phrase(said)) for said in error.messages]
        return []


def _take_parts(row: Row, name: str, value: object, problems: list[Problem]) -> None:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        problems.append(Problem(row.path + name, Phrase("must be a list of objects")))
        return
    if len(value) > MOST_PARTS and name not in _BY_RUN:
        problems.append(Problem(row.path + name, Phrase("must have at most {most} entries", most=MOST_PARTS)))
        return
    row.parts[name] = [Row(RECORDS[name], path=f"{row.path}{name}.{position}.") for position in range(len(value))]
    for part, sent in zip(row.parts[name], value, strict=True):
        _fill(part, sent, problems)


def _take_whole(row: Row, name: str, reference: Field, value: Mapping[str, object], problems: list[Problem]) -> None:
    """Take what stands in the place of a reference: the resource itself, or what it is called."""
    record, path = RECORDS.get(reference.type_), f"{row.path}{name}."
    if reference.column in row.record.embedded and record is not None:
        row.embedded[reference.column] = whole = Row(record, path=path)
        _fill(whole, value, problems)
    elif record is None or len(record.key) != 1 or set(value) - _code(record) != set(record.key):
        wanted = [] if record is None else [f"{name}.{key}" for key in record.key]
        problems.append(_unknown(row, next((f"{name}.{key}" for key in value), name), [*wanted, reference.name]))
    else:
        key = record.key[0]
        kind = fields_of(reference.type_)[key].kind
        try:
            code = fields_of(reference.type_)["reference"].kind.deserialize(value.get("reference"))
            row.lookups.append(Lookup(reference.column, reference.type_, kind.deserialize(value[key]), code))
        except ValidationError as error:
            problems += [Problem(path + key, Phrase(said)) for said in error.messages]


def _code(record: Record) -> set[str]:
    """What may stand beside the key of what is named."""
    return {"reference"} if record.type_ in METHODS else set()


def whole_of(entry: Entry) -> Row:
    """The row of a record that could be read at all."""
    assert entry.row is not None  # noqa: S101 -- others were refused when they were read
    return entry.row
