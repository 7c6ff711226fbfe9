"""Statements of sql/queries as typed functions, declared beside their use.

    class Factor(NamedTuple):
        repeat_link_id: str
        answers: Sequence[str]

    _FACTOR = One("orders/checkout.factor", Factor)

    factor = await _FACTOR(connection, store=store.id, cart=cart_id)

The names of the arguments are those of the statement's parameters. A row is a NamedTuple or a frozen dataclass with the
statement's columns as its fields, in their order. A field that is such a row itself takes the next columns; where it
may be None, it is so when all of them are null. Values are what asyncpg makes of them: json and jsonb are text, arrays
are lists. Columns that follow those of a dataclass are left out, so that a view may get a new one while older processes
still run.

    row:     One -> Row | None      Only -> Row       Many -> list[Row]
    value:   Value -> V | None      OnlyValue -> V    Values -> list[V]
    nothing: Command -> the number of rows that it wrote

Each has `along`, for what runs as a part of the statement that writes a resource (`service.store.write`).

`tests/database/test_statements.py` compares every declaration with what Postgres says that the statement returns.
Errors of the database pass through unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import islice
from types import UnionType
from typing import Generic, NamedTuple, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from service.store.pool import Connection
from sql import statement

Row = TypeVar("Row")
V = TypeVar("V")

Maker: TypeAlias = Callable[[Iterable[object]], Row]
"""What makes a row of a record."""

Column: TypeAlias = tuple[str | None, object]
"""Name and type of a column; no name where the statement's own doesn't matter."""


class Declared:
    """A statement that code declares.

    Raises StartupError when sql/queries has no such statement, and, at a call, TypeError when the arguments aren't its
    parameters.
    """

    __slots__ = ("_text", "statement")

    def __init__(self, path: str) -> None:
        self.statement = statement(path)
        self._text = self.statement.text

    @property
    def columns(self) -> list[Column]:
        """What the statement is declared to return; empty for a command."""
        return []

    def along(self, **binds: object) -> Along:
        """The statement with its arguments, to be run as a part of another one."""
        return Along(self, self._binds(binds))

    def _binds(self, given: dict[str, object]) -> list[object]:
        """The arguments in the order of the parameters."""
        names = self.statement.parameters
        if len(given) == len(names):
            try:
                return [given[name] for name in names]
            except KeyError:
                pass
        raise TypeError(f"{self.statement.path} takes ({', '.join(names)}), not ({', '.join(given)}).")


class Part(Declared):
    """A statement that runs only as a part of others, which count what it writes; it may return ids."""

    __slots__ = ("returns",)

    def __init__(self, path: str, *, returns: bool = False) -> None:
        super().__init__(path)
        self.returns = returns

    @property
    def columns(self) -> list[Column]:
        """The ids, if it returns them; what else it returns is for the statement around it."""
        return [(None, str)] if self.returns else []


class Along(NamedTuple):
    """A statement with the arguments that it runs with; the rows of one that returns any are ids.

    `collection` is what there is more of by it, where that is counted: a row for each of `customers`, whose they are,
    or without them for each row that it returns.
    """

    part: Declared
    binds: Sequence[object]
    collection: str = ""
    customers: Sequence[str | None] | None = None

    def more(self, collection: str, customers: Sequence[str | None] | None = None) -> Along:
        """The same, counted."""
        return self._replace(collection=collection, customers=customers)


class _OfRows(Declared, Generic[Row]):
    __slots__ = ("_row", "row")

    def __init__(self, path: str, row: type[Row]) -> None:
        super().__init__(path)
        self.row = row
        self._row = _maker(row)

    @property
    def columns(self) -> list[Column]:
        return list(_columns(self.row))


class One(_OfRows[Row]):
    """A statement that returns one row or none."""

    __slots__ = ()

    async def __call__(self, connection: Connection, /, **binds: object) -> Row | None:
        """The first row, or None."""
        record = await connection.fetchrow(self._text, *self._binds(binds))
        return None if record is None else self._row(record)


class Only(_OfRows[Row]):
    """A statement that always returns a row: of aggregates, say, or an upsert."""

    __slots__ = ()

    async def __call__(self, connection: Connection, /, **binds: object) -> Row:
        """The first row. Raises LookupError when there is none, which is a mistake in the statement."""
        record = await connection.fetchrow(self._text, *self._binds(binds))
        if record is None:
            raise LookupError(f"{self.statement.path} returned no row.")
        return self._row(record)


class Many(_OfRows[Row]):
    """A statement that returns any number of rows."""

    __slots__ = ()

    async def __call__(self, connection: Connection, /, **binds: object) -> list[Row]:
        """All rows, in the statement's order."""
        return [self._row(record) for record in await connection.fetch(self._text, *self._binds(binds))]


class _OfValues(Declared, Generic[V]):
    __slots__ = ("value",)

    def __init__(self, path: str, value: type[V]) -> None:
        super().__init__(path)
        self.value = value

    @property
    def columns(self) -> list[Column]:
        return [(None, self.value)]


class Value(_OfValues[V]):
    """A statement that returns one column of one row or none."""

    __slots__ = ()

    async def __call__(self, connection: Connection, /, **binds: object) -> V | None:
        """The value of the first row; None when it is null or there is no row."""
        found: V | None = await connection.fetchval(self._text, *self._binds(binds))
        return found


class OnlyValue(_OfValues[V]):
    """A statement that always returns a row, whose one column is never null."""

    __slots__ = ()

    async def __call__(self, connection: Connection, /, **binds: object) -> V:
        """The value. Raises LookupError when there is none, which is a mistake in the statement."""
        found: V | None = await connection.fetchval(self._text, *self._binds(binds))
        if found is None:
            raise LookupError(f"{self.statement.path} returned nothing.")
        return found


class Values(_OfValues[V]):
    """A statement that returns one column of any number of rows, which is never null."""

    __slots__ = ()

    async def __call__(self, connection: Connection, /, **binds: object) -> list[V]:
        """The values of all rows, in the statement's order."""
        return [record[0] for record in await connection.fetch(self._text, *self._binds(binds))]


class Command(Declared):
    """A statement whose rows, if it returns any, nobody reads."""

    __slots__ = ()

    async def __call__(self, connection: Connection, /, **binds: object) -> int:
        """Run it. Returns how many rows were written, as Postgres tells it (0 for what writes none)."""
        status = await connection.execute(self._text, *self._binds(binds))
        verb, _, number = status.rpartition(" ")
        return int(number) if verb and verb != "SELECT" else 0


def _maker(row: type[Row]) -> Maker[Row]:
    """Return what makes a row of a record, by position."""
    own = _fields(row)
    if any(_row_of(type_) for _, type_ in own):
        return _nesting(row)
    # A tuple is made fastest by `_make`; it is as long as the record.
    make: Maker[Row] | None = getattr(row, "_make", None)
    return make or (lambda record: row(*islice(record, len(own))))


def _nesting(row: type[Row]) -> Maker[Row]:
    """Return what makes a row that has rows in it."""
    parts = [_part(type_) for _, type_ in _fields(row)]

    def make(record: Iterable[object]) -> Row:
        values = iter(record)
        return row(*[next(values) if part is None else part(values) for part in parts])

    return make


def _part(type_: object) -> Callable[[Iterator[object]], object] | None:
    """Return what makes a row, in a row, of the next values; None for a field that is a value."""
    found = _row_of(type_)
    if found is None:
        return None
    maker: Maker[object] = _maker(found)
    length = len(list(_columns(found)))
    if found is type_:
        return lambda values: maker(islice(values, length))

    def make(values: Iterator[object]) -> object:
        own = list(islice(values, length))
        return None if all(value is None for value in own) else maker(own)

    return make


def _columns(row: type) -> Iterator[tuple[str, object]]:
    for name, type_ in _fields(row):
        found = _row_of(type_)
        if found is None:
            yield name, type_
        else:
            yield from _columns(found)


def _fields(row: type) -> Sequence[tuple[str, object]]:
    """The fields of a row by name and type, in their order."""
    hints = get_type_hints(row)
    names = [field.name for field in fields(row) if field.init] if is_dataclass(row) else getattr(row, "_fields", ())
    if not names:
        raise TypeError(f"{row.__name__} is neither a NamedTuple nor a dataclass.")
    return [(name, hints[name]) for name in names]


def _row_of(type_: object) -> type | None:
    """The row that a field is, or may be; None for a field that is a value."""
    rows = (one for one in (type_, *get_args(type_)) if isinstance(one, type) and _is_row(one))
    return next(rows, None) if not get_origin(type_) or get_origin(type_) in (Union, UnionType) else None


def _is_row(type_: object) -> bool:
    return is_dataclass(type_) or hasattr(type_, "_fields")
