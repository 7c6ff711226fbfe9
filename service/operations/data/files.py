"""Files of a history: how long they are, what they hold, and the records in them one by one, in constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

import orjson

from schemas.history import RECORDS, WHOLES
from service.errors import StartupError
from service.operations.data import tables
from service.operations.data.profiles import BLANK, FAULTS, Cells, Profile, Sent, Sheet, Unreadable, profile_of
from service.operations.data.records import Entry, Origin, Place, Problem, read
from service.texts import Either, Phrase

LONGEST_LINE: Final = 16 * 1024 * 1024
"""How many bytes a line may have: an order of a thousand lines has a tenth of them."""

FORMATS: Final = {".ndjson": "json", ".jsonl": "json", ".json": "json", ".csv": "csv"}
"""Suffixes of files, and what is in them."""

_CHUNK: Final = 1024 * 1024


class Source(NamedTuple):
    """Files to import, each with how many lines it has, what tells them from others, and whose they are.

    `currency` is that of amounts of a platform that name none.
    """

    files: Mapping[Path, int]
    fingerprint: str
    profile: Profile | None = None
    currency: str = ""

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return sum(self.files.values())

    @property
    def format(self) -> str:
        """What the first file holds."""
        return FORMATS[next(iter(self.files)).suffix.lower()]

    def lines_up_to(self, place: Place) -> int:
        """How many lines have been gone through at a place."""
        before = 0
        for path, lines in self.files.items():
            if path.name == place.file:
                break
            before += lines
        return before + place.line

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The records behind the first so many, each with the problems that it has by itself."""
        passed = 0
        for path in self.files:
            for make in _entries(path, self.profile, self.currency):
                passed += 1
                if passed > after:
                    yield make.entry()


class Unread(NamedTuple):
    """A record that has not been looked at: where it is, what stands there, of which type that is unless it says so.

    `origin` is what a platform wrote that it was made of.
    """

    place: Place
    sent: object
    type_: str | None = None
    origin: Origin | None = None

    def entry(self) -> Entry:
        """The record, read."""
        sent = self.sent
        if isinstance(sent, Problem):
            return Entry(self.place, None, [sent], self.origin)
        if isinstance(sent, bytes):
            sent = _parsed(sent)
            if isinstance(sent, Problem):
                return Entry(self.place, None, [sent])
        named = sent.get("type") if isinstance(sent, dict) else None
        entry = read(self.place, sent, self.type_ if named is None else None)
        entry.origin = self.origin
        return entry


def open_all(paths: Sequence[Path], *marks: str, platform: str | None = None, currency: str = "") -> Source:
    """Look through files, of a platform or in the form of records. `marks` tell apart imports of the same files.

    `currency` is the store's, for amounts of a platform that name none.

    Raises StartupError for one that can't be read.
    """
    files, digest = dict.fromkeys(paths, 0), hashlib.blake2b(digest_size=16)
    for mark in (*marks, platform or ""):
        digest.update(mark.encode() + b"\0")
    for path in paths:
        if path.suffix.lower() not in FORMATS:
            raise StartupError(
                "{file} is none of the files that can be imported: {kinds}.", file=path.name, kinds=list(FORMATS)
            )
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    files[path] += chunk.count(b"\n")
                    digest.update(chunk)
        except OSError as error:
            raise StartupError("{file} can't be read: {reason}.", file=str(path), reason=error.strerror) from None
        digest.update(b"\0")
    return Source(files, digest.hexdigest(), None if platform is None else profile_of(platform), currency)


def _entries(path: Path, profile: Profile | None, currency: str) -> Iterator[Unread]:
    table = FORMATS[path.suffix.lower()] == "csv"
    if profile is not None:
        sheet = profile.sheet(path.stem)
        if sheet is None:
            raise StartupError(
                "{file} has no name of a file of {platform}: they begin with {names}.",
                file=path.name,
                platform=profile.name,
                names=Either(profile.sheets),
            )
        yield from _of_platform(_groups(path, sheet) if table else _objects(path), sheet, profile, currency)
        return
    type_ = next((name for name in sorted(WHOLES, key=len, reverse=True) if path.stem.startswith(name)), None)
    if table:
        yield from records_of(tables.rows(path), type_)
    else:
        yield from (Unread(place, line, type_) for place, line in _lines(path))


def records_of(lines: Iterator[tables.Line], type_: str | None) -> Iterator[Unread]:
    """The records of a table: of the type that a column says, or that the file is called after."""
    keys = ("id", "code", "email", "number") if type_ is None else ("id", *RECORDS[type_].key[:1])
    for group in tables.groups(lines, *keys):
        place, cells = group[0]
        named = cells.get("type", type_)
        if named in WHOLES:
            yield Unread(place, {"type": named} | tables.record_of(str(named), group))
        else:
            yield Unread(place, {"type": named} if named else {})


def _of_platform(
    groups: Iterable[tuple[Place, Sequence[Sent] | Problem]], sheet: Sheet, profile: Profile, currency: str
) -> Iterator[Unread]:
    for place, sent in groups:
        if isinstance(sent, Problem):
            yield Unread(place, sent)
            continue
        origin = Origin(sheet.type_, sheet.id_of(sent[0]), sheet.called, sent[0])
        try:
            made = list(profile.records(sheet, sent, currency))
        except Unreadable as error:
            at = place if error.line is None else Place(place.file, error.line)
            yield Unread(at, Problem(error.field, error.reason, value=error.value), origin=origin)
            continue
        except KeyError as error:
            yield Unread(place, Problem(str(error.args[0]), BLANK), origin=origin)
            continue
        except FAULTS:
            reason = Phrase("is not what {platform} writes", platform=profile.name)
            yield Unread(place, Problem("", reason), origin=origin)
            continue
        yield from (Unread(place, record, origin=origin) for record in made)


def _groups(path: Path, sheet: Sheet) -> Iterator[tuple[Place, Sequence[Sent] | Problem]]:
    lines = tables.rows(path)
    for group in tables.groups(lines, *sheet.keys) if sheet.keys else ([line] for line in lines):
        yield group[0].place, [Cells(line.cells, line=line.place.line) for line in group]


def _objects(path: Path) -> Iterator[tuple[Place, Sequence[Sent] | Problem]]:
    for place, line in _lines(path):
        sent = _parsed(line)
        if isinstance(sent, dict):
            yield place, [sent]
        else:
            yield place, sent if isinstance(sent, Problem) else Problem("", Phrase("must be an object"))


def _lines(path: Path) -> Iterator[tuple[Place, bytes]]:
    with path.open("rb") as file:
        yield from _numbered(path.name, file)


def _numbered(name: str, file: IO[bytes]) -> Iterator[tuple[Place, bytes]]:
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise StartupError(
                "Line {line} of {file} is longer than {most} bytes: is each record on a line of its own?",
                line=number,
                file=name,
                most=LONGEST_LINE,
            )
        record = line.strip()
        if name.lower().endswith(".json"):  # a list, with a record on each line, as exports are written
            record = record.removesuffix(b",")
        if record and record not in (b"[", b"]"):
            yield Place(name, number), record


def _parsed(line: bytes) -> object:
    """What a line of JSON says, or the problem with it."""
    try:
        sent: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Problem("", Phrase("is no JSON"))
    return sent
