"""Files of a history: how long they are, what they hold, and the records in them one by one, in constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from schemas.data import WHOLES
from service.errors import StartupError
from service.operations.data.records import Entry, Place, Problem, read
from service.texts import Phrase

LONGEST_LINE = 16 * 1024 * 1024
"""How many bytes a line may have: an order of a thousand lines has a tenth of them."""

_CHUNK = 1024 * 1024
FORMATS = {".ndjson": "json", ".jsonl": "json"}
"""Suffixes of files, and what is in them."""


class Source(NamedTuple):
    """Files to import, each with how many lines it has, and what tells them from others."""

    files: Mapping[Path, int]
    fingerprint: str

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return sum(self.files.values())

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
        return _entries(list(self.files), after)


def open_all(paths: Sequence[Path], *marks: str) -> Source:
    """Look through files. Raises StartupError for one that can't be read. `marks` tell apart imports of the same."""
    files, digest = dict.fromkeys(paths, 0), hashlib.blake2b(digest_size=16)
    for mark in marks:
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
    return Source(files, digest.hexdigest())


def _entries(paths: Sequence[Path], after: int) -> Iterator[Entry]:
    passed = 0
    for path in paths:
        type_ = path.stem if path.stem in WHOLES else None
        with path.open("rb") as file:
            for place, line in _lines(path.name, file):
                passed += 1
                if passed > after:
                    yield _parsed(place, line, type_)


def _lines(name: str, file: IO[bytes]) -> Iterator[tuple[Place, bytes]]:
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
        if line.strip():
            yield Place(name, number), line


def _parsed(place: Place, line: bytes, type_: str | None) -> Entry:
    try:
        sent: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Entry(place, None, [Problem("", Phrase("is no JSON"))])
    named = sent.get("type") if isinstance(sent, dict) else None
    return read(place, sent, type_ if named is None else None)
