"""What Postgres's `pgoutput` says of inserted rows, read by the manual's "Logical Replication Message Formats"."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """A column of a published table, with the oid of its type."""

    name: str
    type_oid: int


@dataclass(frozen=True)
class Inserted:
    """A row that a transaction has inserted: its table, its columns, and their values as text."""

    transaction: int
    table: str
    columns: tuple[Column, ...]
    values: Mapping[str, str | None]


@dataclass
class _Reading:
    """A message that is being read."""

    data: bytes
    at: int = 0

    def number(self, form: str) -> int:
        """The next number, of a form of `struct`."""
        (found,) = struct.unpack_from(f">{form}", self.data, self.at)
        self.at += struct.calcsize(f">{form}")
        return int(found)

    def word(self) -> str:
        """The next text, up to the zero that ends it."""
        end = self.data.index(b"\0", self.at)
        text, self.at = self.data[self.at : end].decode(), end + 1
        return text

    def bytes_(self, length: int) -> bytes:
        """The next bytes."""
        self.at += length
        return self.data[self.at - length : self.at]


@dataclass
class Decoder:
    """Goes through the messages of a slot, in their order; what is a table is said once, and stays known."""

    tables: dict[int, tuple[str, tuple[Column, ...]]] = field(default_factory=dict)
    transaction: int | None = None

    def read(self, messages: Iterable[bytes]) -> Iterator[Inserted]:
        """The rows that were inserted. Raises AssertionError for messages of anything else than new rows."""
        for message in messages:
            kind, reading = message[:1], _Reading(message, 1)
            if kind == b"B":
                assert self.transaction is None
                reading.at += 16
                self.transaction = reading.number("I")
            elif kind == b"C":
                self.transaction = None
            elif kind == b"R":
                oid, schema, table = reading.number("I"), reading.word(), reading.word()
                self.tables[oid] = (f"{schema}.{table}", tuple(_columns(reading)))
            else:
                assert kind == b"I", kind
                yield self._inserted(reading)

    def _inserted(self, reading: _Reading) -> Inserted:
        assert self.transaction is not None
        table, columns = self.tables[reading.number("I")]
        assert reading.bytes_(1) == b"N"
        assert reading.number("H") == len(columns)
        return Inserted(self.transaction, table, columns, {one.name: _value(reading) for one in columns})


def _columns(reading: _Reading) -> Iterator[Column]:
    reading.at += 1
    for _ in range(reading.number("H")):
        reading.at += 1
        name, oid = reading.word(), reading.number("I")
        reading.at += 4
        yield Column(name, oid)


def _value(reading: _Reading) -> str | None:
    kind = reading.bytes_(1)
    if kind == b"n":
        return None
    assert kind == b"t", kind
    return reading.bytes_(reading.number("I")).decode()
