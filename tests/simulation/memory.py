"""A store in memory: rows, transactions, row locks, and the network on the way there.

It is read committed, as Postgres is by default: a transaction sees what is committed and what it wrote itself, waits
for rows that another one has written, and then goes by what they have become. It has no unique keys: what the service
promises must hold without them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from service.errors import Contended
from tests.simulation import loop

Row: TypeAlias = "dict[str, Any]"
Place: TypeAlias = "tuple[str, str]"
"""Table and id of a row."""


class Killed(BaseException):
    """The process that sent this is dead: nothing that follows in it happens."""


@dataclass(frozen=True)
class Weather:
    """How bad things are.

    How likely each step loses its connection, a commit its answer, and a process stands still at a step, for up to so
    many seconds; how many a step takes at most.
    """

    lost: float = 0.0
    unanswered: float = 0.0
    frozen: float = 0.0
    longest_freeze: float = 120.0
    latency: float = 0.0


CALM = Weather()


class Memory:
    """What is committed, who holds which row, and what the weather is like; `flaws` are what is wrong on purpose."""

    def __init__(self, chance: random.Random, flaws: frozenset[str] = frozenset()) -> None:
        self.chance, self.flaws, self.weather = chance, flaws, CALM
        self.tables: dict[str, dict[str, Row]] = {}
        self.holders: dict[Place, Transaction] = {}
        self.watchers: list[Callable[[], None]] = []
        self.numbers = itertools.count(1)
        self.next_transaction = 1
        self.writing: set[int] = set()

    @property
    def horizon(self) -> int:
        """The oldest transaction that has written something and may still commit."""
        return min(self.writing, default=self.next_transaction)

    def rows(self, table: str) -> dict[str, Row]:
        """The committed rows of a table, by their ids."""
        found = self.tables.get(table)
        return self.tables.setdefault(table, {}) if found is None else found


class Transaction:
    """What one transaction has written, and the rows that it holds until it ends."""

    __slots__ = ("_number", "_waiting", "has_ended", "held", "memory", "waits_for", "written")

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.written: dict[Place, Row | None] = {}
        self.held: set[Place] = set()
        self.has_ended = False
        self.waits_for: Transaction | None = None
        self._waiting: asyncio.Event | None = None
        self._number: int | None = None

    @property
    def number(self) -> int:
        """Its place among all that write, in the order in which they began to."""
        if self._number is None:
            self._number, self.memory.next_transaction = self.memory.next_transaction, self.memory.next_transaction + 1
            self.memory.writing.add(self._number)
        return self._number

    def row(self, table: str, id_: str | None) -> Row | None:
        """A row as this transaction sees it."""
        if id_ is None:
            return None
        if self.written and (place := (table, id_)) in self.written:
            return self.written[place]
        return self.memory.rows(table).get(id_)

    def rows(self, table: str) -> list[Row]:
        """All rows of a table as this transaction sees them, by their ids."""
        rows: Mapping[str, Row | None] = self.memory.rows(table)
        if not self.written:
            return [row for _, row in sorted(rows.items()) if row is not None]
        written = {id_: row for (of, id_), row in self.written.items() if of == table}
        if written:
            rows = {**rows, **written}
        return [row for id_ in sorted(rows) if (row := rows[id_]) is not None]

    async def lock(self, table: str, id_: str, *, skip: bool = False) -> bool:
        """Hold a row; False where another transaction does and this is to `skip` it. Raises DeadlockDetectedError."""
        place = (table, id_)
        while (holder := self.memory.holders.get(place)) not in (None, self):
            if skip:
                return False
            await self._wait_for(holder)
        if self.has_ended:  # its process was killed meanwhile
            raise Killed
        self.memory.holders[place] = self
        self.held.add(place)
        return True

    async def _wait_for(self, holder: Transaction | None) -> None:
        assert holder is not None
        self.waits_for = holder
        try:
            step: Transaction | None = holder
            while step is not None:
                if step is self:
                    raise asyncpg.DeadlockDetectedError("deadlock detected")
                step = step.waits_for
            await holder.end_of()
        finally:
            self.waits_for = None

    async def end_of(self) -> None:
        """Wait until this has ended."""
        self._waiting = self._waiting or asyncio.Event()
        await self._waiting.wait()

    async def update(self, table: str, id_: str, **values: object) -> None:
        """Write to a row, which is held from then on."""
        await self.lock(table, id_)
        self.written[table, id_] = {**(self.row(table, id_) or {}), **values}

    async def insert(self, table: str, row: Row) -> None:
        """Write a new row."""
        await self.update(table, row["id"], **row)

    async def delete(self, table: str, id_: str) -> None:
        """Write that a row is gone."""
        await self.lock(table, id_)
        self.written[table, id_] = None

    def end(self, *, commit: bool) -> None:
        """Let others see what was written, or nobody; let go of all rows."""
        if self.has_ended:
            return
        for (table, id_), row in self.written.items() if commit else ():
            if row is None:
                self.memory.rows(table).pop(id_, None)
            else:
                self.memory.rows(table)[id_] = row
        for place in self.held:
            del self.memory.holders[place]
        if self._number is not None:
            self.memory.writing.remove(self._number)
        self.has_ended = True
        if self._waiting is not None:
            self._waiting.set()
        for watch in self.memory.watchers if commit else ():
            watch()


Handler = Callable[..., Awaitable[list[tuple[Any, ...]]]]


async def nothing(*_: object, **__: object) -> list[tuple[Any, ...]]:
    """What finds nothing, or is nobody's concern here."""
    return []


class Connection:
    """What statements are sent by: each runs by the handler of its text, in a transaction or in one of its own."""

    def __init__(self, database: Database, transaction: Transaction | None) -> None:
        self.database, self.transaction = database, transaction

    async def fetch(self, text: str, *binds: object) -> list[tuple[Any, ...]]:
        """All rows."""
        await self.database.travel()
        handler = self.database.handler(text)
        if handler is nothing:
            return []
        transaction = self.transaction or self.database.begin()
        try:
            rows = await handler(transaction, *binds)
        except BaseException:
            if self.transaction is None:
                transaction.end(commit=False)
            raise
        if self.transaction is None:
            await self.database.commit(transaction)
        return rows

    async def fetchrow(self, text: str, *binds: object) -> tuple[Any, ...] | None:
        """The first row."""
        return next(iter(await self.fetch(text, *binds)), None)

    async def fetchval(self, text: str, *binds: object) -> Any:
        """The first column of the first row."""
        row = await self.fetchrow(text, *binds)
        return None if row is None else row[0]

    async def execute(self, text: str, *binds: object) -> str:
        """Nothing."""
        await self.fetch(text, *binds)
        return ""


class Database:
    """A process's way to the store: it ends with the process, and is as good as the weather."""

    def __init__(self, memory: Memory, handlers: dict[str, Handler]) -> None:
        self.memory, self._handlers = memory, handlers
        self.is_dead, self.thaws_at = False, 0.0
        self._open: set[Transaction] = set()

    @property
    def is_frozen(self) -> bool:
        """Whether the process stands still."""
        return loop.time() < self.thaws_at

    def handler(self, text: str) -> Handler:
        """What a statement does."""
        return self._handlers[text]

    def begin(self) -> Transaction:
        """A new transaction."""
        transaction = Transaction(self.memory)
        self._open.add(transaction)
        return transaction

    def kill(self) -> None:
        """End the process: what it hasn't committed is gone."""
        self.is_dead = True
        for transaction in self._open:
            transaction.end(commit=False)

    async def travel(self) -> None:
        """Go to the store: it takes a while, and may not come to anything."""
        weather, chance = self.memory.weather, self.memory.chance
        if weather.latency:
            await loop.sleep(chance.random() * weather.latency)
        if chance.random() < weather.frozen:
            self.thaws_at = loop.time() + chance.random() * weather.longest_freeze
        while self.is_frozen and not self.is_dead:
            await loop.sleep(self.thaws_at - loop.time())
        if self.is_dead:
            raise Killed
        if chance.random() < weather.lost:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async def commit(self, transaction: Transaction) -> None:
        """Commit, of which the sender may not hear."""
        try:
            await self.travel()
        except BaseException:
            transaction.end(commit=False)
            raise
        transaction.end(commit=True)
        self._open.discard(transaction)
        if self.memory.chance.random() < self.memory.weather.unanswered:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection on which each statement is its own transaction; within `transaction`, that one's."""
        yield _current.get() or Connection(self, None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction: committed in the end, rolled back by any error."""
        transaction = self.begin()
        token = _current.set(Connection(self, transaction))
        try:
            yield Connection(self, transaction)
        except asyncpg.DeadlockDetectedError:
            transaction.end(commit=False)
            raise Contended("Others are in the way.") from None
        except BaseException:
            transaction.end(commit=False)
            raise
        else:
            await self.commit(transaction)
        finally:
            _current.reset(token)
            self._open.discard(transaction)

    def by_keys(self) -> AbstractAsyncContextManager[Connection]:
        """A transaction."""
        return self.transaction()


_current: ContextVar[Connection | None] = ContextVar("current", default=None)
