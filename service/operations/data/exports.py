"""Exports that clients ask for: written by a job into a file, of which each piece is sealed, and fetched until it goes.

A file shows one instant. A worker that was stopped half-way leaves nothing of use: whoever takes the export up begins
anew, and what the first one may still write is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final, NamedTuple, TypeVar

import orjson

from schemas.graph import graph
from schemas.history import RECORDS, WHOLES
from service import clock
from service.errors import ApiError, Forbidden, Gone, Invalid, QuotaExceeded
from service.jsonapi.body import not_found
from service.jsonapi.filters import AllOf, Filters
from service.jsonapi.sight import EVERYTHING, Sight
from service.operations.data import exporting, shaping, sheets
from service.operations.data.exporting import Choice
from service.operations.data.shaping import Shape
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.tenant import tenants
from service.principal import Principal, Store
from service.rules.named_tokens import NamedKeys
from service.store import queue, write
from service.store.pool import Connection, Database
from service.store.statements import Command, Many, One, OnlyValue, Value, Values
from service.store.vault import vault_of
from service.store.write import Columns

T = TypeVar("T")

ENTRYPOINT: Final = "exports"
KEPT: Final = timedelta(days=7)
"""How long a file can be fetched."""
MOST_WAITING: Final = 20
"""How many exports of a store may be on their way."""

MOST_ATTEMPTS: Final = 20
"""How often an export is begun; one that no worker brings to its end has failed."""

_ROUND: Final = 1_000
_PIECE: Final = 65_536
"""How many characters a piece of a file has at most."""
_MOST_TOLD: Final = 100
_DATA: Final = "export_chunks.data"


class _Taken(NamedTuple):
    resource_type: str | None
    format: str
    includes: Sequence[str] | None
    fields: Sequence[str] | None
    filters: str | None
    dry_data: bool
    customer_id: str | None
    attempt: int
    is_new: bool

    @property
    def wanted(self) -> Choice:
        """What is to be written."""
        shape = Shape(tuple(self.includes or ()), tuple(self.fields or ()), dry=self.dry_data)
        if self.resource_type is None:
            return Choice(customer_id=self.customer_id, shape=shape)
        filters = _filters(self.resource_type, orjson.loads(self.filters or "{}"), EVERYTHING)
        return Choice((self.resource_type,), self.customer_id, filters, shape)


class Left(NamedTuple):
    """An export that nobody has gone on with for a while."""

    store_id: int
    id: str


class File(NamedTuple):
    """The file of an export: of what and in which form, the worker's attempt that wrote it, and its length in bytes."""

    resource_type: str | None
    format: str
    attempt: int
    attachment_size: int


class _Chunk(NamedTuple):
    id: str
    first_byte: int
    data: str


_WAITING = OnlyValue("data/exports.waiting", int)
_TAKE_UP = One("data/exports.take_up", _Taken)
_EMPTY = Command("data/exports.empty")
_COUNT_ON = Value("data/exports.count_on", str)
_APPEND = Command("data/exports.append")
_FINISH = Value("data/exports.finish", str)
_FAIL = Value("data/exports.fail", str)
_ABANDONED = Many("data/exports.abandoned", Left)
_FILE = One("data/exports.file", File)
_CHUNK = One("data/exports.chunk", _Chunk)
_STORES_WITH_EXPIRED_FILES = Values("data/exports.stores_with_expired_files", int)
_LET_GO = Command("data/exports.let_go")


async def _interrupted(change: Change) -> Columns:
    """End it, without a file."""
    await _EMPTY(change.connection, store=change.store.id, id=change.id)
    return {"interrupted_at": change.at, "attachment_size": 0}


async def _started(change: Change) -> Columns:
    """Begin anew, with attempts that no worker had before."""
    attempt = (change.before["attempt"] // _ROUND + 1) * _ROUND
    return {"interrupted_at": None, "errors_log": None, "attempt": attempt}


class Exports(Writer):
    """Exports: what is asked for is written by a worker. `sight_of` tells what somebody may read."""

    effects: ClassVar = {"start": _started, "interrupt": _interrupted}

    def __init__(self, sight_of: Callable[[Principal], Sight]) -> None:
        self._sight_of = sight_of

    async def validate(self, change: Change) -> None:
        """Note what can't be exported, or not by who asks."""
        sight = self._sight_of(change.principal)
        type_ = change.value("resource_type")
        hidden = [name for name in ([type_] if type_ else WHOLES) if name not in sight]
        if hidden and (change.new or change.draft.triggers):
            change.problems.append(
                Forbidden(
                    "The access token may not read {types}, so it may not export them.",
                    types=hidden,
                    fields=("resource_type",),
                )
            )
            return
        if change.new:
            change.problems += _problems(change, sight)
            change.problems += await self._missing(change)

    async def after_write(self, change: Change) -> None:
        """Order the job that writes it."""
        if change.new or "start" in change.done:
            await enqueue(change.connection, change.store.id, change.id, change.value("attempt") or 0)

    async def before_write(self, change: Change) -> None:
        """Keep a store from having too many written at once."""
        if not change.new:
            return
        change.columns["status"] = "pending"
        if await _WAITING(change.connection, store=change.store.id, most=MOST_WAITING) >= MOST_WAITING:
            change.problems.append(
                QuotaExceeded(
                    "{most} exports are on their way already: wait until one is completed.",
                    most=MOST_WAITING,
                    meta={"limit": MOST_WAITING},
                )
            )

    @staticmethod
    async def _missing(change: Change) -> list[ApiError]:
        customer_id = change.value("customer_id")
        absent = customer_id and await write.absent(
            change.connection, change.viewer, {graph["customers"]: [customer_id]}
        )
        return [not_found("customers", "/data/attributes/customer_id")] if absent else []


def _problems(change: Change, sight: Sight) -> list[ApiError]:
    """What is wrong with what was asked for."""
    type_, sent = change.value("resource_type"), change.draft.attributes
    given = [name for name in ("includes", "fields", "filters") if sent.get(name)]
    if type_ is None:
        given += ["format"] if change.value("format") == "csv" else []
        return [
            Invalid(
                "{name} - takes a resource_type: without one, records of all types are exported",
                name=name,
                pointer=f"/data/attributes/{name}",
            )
            for name in given
        ]
    shape = Shape(tuple(sent.get("includes") or ()), tuple(sent.get("fields") or ()))
    found: list[ApiError] = [
        Invalid(
            "{name} - {reason}",
            name=one.field.partition("/")[0],
            reason=one.reason,
            pointer=f"/data/attributes/{one.field}",
            suggestion=one.suggestion,
        )
        for one in shaping.check(RECORDS[type_], shape, sight)
    ]
    try:
        _filters(type_, sent.get("filters") or {}, sight)
    except ApiError as error:
        name = error.source.get("parameter", "").removeprefix("filter[q]").strip("[]")
        found.append(
            Invalid(
                "{name} - {reason}",
                name=name,
                reason=error.detail,
                pointer=f"/data/attributes/filters/{name}",
                suggestion=error.suggestion,
            )
        )
    return found


def _filters(type_: str, sent: Mapping[str, object], sight: Sight) -> AllOf:
    """Commerce Layer's filters as a tree: by what a type's records hold, and lead to. Raises ApiError subclasses."""
    beyond = frozenset(name for name in RECORDS if name in sight)
    wanted = Filters(graph[type_], replace(sight, types=beyond))
    for name, value in sent.items():
        listed = value if isinstance(value, list) else [value]
        texts = [one if isinstance(one, str) else orjson.dumps(one).decode() for one in listed]
        wanted.add(f"filter[q][{name}]", ["q", name], [",".join(texts)])
    return wanted.tree()


async def enqueue(connection: Connection, store_id: int, export_id: str, attempt: int = 0) -> None:
    """Put the job that writes an export into the queue, in the caller's transaction, unless it is there already.

    One that is started again has another job, from this attempt on: a worker may still be at what was interrupted.
    """
    payload, key = orjson.dumps([store_id, export_id]), f"{ENTRYPOINT}/{store_id}/{export_id}/{attempt}"
    await queue.enqueue(connection, ENTRYPOINT, payload, dedupe_key=key)


async def abandoned(connection: Connection, *, limit: int) -> list[Left]:
    """Return exports, of all stores, that are to be written; most of them have a job in the queue."""
    return await _ABANDONED(connection, most=limit)


@dataclass
class _Writing:
    """The file of an export as it grows. Statements are on a connection of their own, apart from the snapshot's."""

    database: Database
    store: Store
    id: str
    attempt: int
    records: int = 0
    processed: int = 0
    size: int = 0
    text: list[str] = field(default_factory=list)
    held: int = 0
    aside: dict[str, dict[str, str]] = field(default_factory=dict)

    def leave(self, type_: str, id_: str, status: str) -> None:
        """Note what was left out because it is being worked on."""
        if sum(map(len, self.aside.values())) < _MOST_TOLD:
            self.aside.setdefault(type_, {})[id_] = f"is {status}, and was left out"

    async def add(self, text: str) -> bool:
        """Add text. Returns False where the export is no longer ours to write."""
        self.text.append(text)
        self.held += len(text)
        return self.held < _PIECE or await self.flush()

    async def flush(self) -> bool:
        """Write down what was added, as `add` does from time to time."""
        text, self.text, self.held = "".join(self.text), [], 0
        return await _apart(self._append([text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]))

    async def _append(self, pieces: Sequence[str]) -> bool:
        sizes = [len(piece.encode()) for piece in pieces]
        async with self.database.transaction() as connection:
            ours = await _COUNT_ON(
                connection,
                **self._known,
                records=self.records,
                processed=self.processed,
                size=self.size + sum(sizes),
                at=clock.now(self.store),
            )
            for piece, size in zip(pieces, sizes, strict=True) if ours else ():
                id_ = clock.new_id()
                await _APPEND(
                    connection,
                    store=self.store.id,
                    id=id_,
                    export=self.id,
                    attempt=self.attempt,
                    first_byte=self.size,
                    size=size,
                    data=vault_of(connection).seal(_DATA, self.store.id, id_, piece),
                )
                self.size += size
        return ours is not None

    async def finish(self) -> None:
        """Note that the file is whole."""
        await _apart(self._finish())

    async def _finish(self) -> None:
        log = orjson.dumps(self.aside).decode() if self.aside else None
        async with self.database.transaction() as connection:
            times = {"at": clock.now(self.store), "expires_at": clock.now() + KEPT}
            if await _FINISH(connection, **self._known, **times, log=log):
                await outbox.record(connection, self.store, "exports.complete", self.id, actor=outbox.WORKER)

    async def fail(self, log: Mapping[str, str]) -> None:
        """Note that it can't be written, and why."""
        await _apart(self._fail(log))

    async def _fail(self, log: Mapping[str, str]) -> None:
        async with self.database.transaction() as connection:
            at = clock.now(self.store)
            if await _FAIL(connection, **self._known, log=orjson.dumps(log).decode(), at=at):
                await _EMPTY(connection, store=self.store.id, id=self.id)
                await outbox.record(connection, self.store, "exports.fail", self.id, actor=outbox.WORKER)

    @property
    def _known(self) -> dict[str, object]:
        return {"store": self.store.id, "id": self.id, "attempt": self.attempt}


async def _apart(work: Coroutine[object, object, T]) -> T:
    """Work in a task of its own, which has a connection of its own."""
    return await asyncio.create_task(work)


async def take_out(database: Database, store_id: int, export_id: str) -> None:
    """Write an export from its beginning to its end; nothing for one that is over. No transaction may be open."""
    async with database.transaction() as connection:
        store = await tenants.find(connection, store_id)
        taken = None if store is None else await _TAKE_UP(connection, store=store_id, id=export_id, at=clock.now(store))
        if store is None or taken is None:
            return
        await _EMPTY(connection, store=store_id, id=export_id)
        if taken.is_new:
            await outbox.record(connection, store, "exports.start", export_id, actor=outbox.WORKER)
    writing = _Writing(database, store, export_id, taken.attempt)
    if taken.attempt % _ROUND > MOST_ATTEMPTS:
        await writing.fail({"attempts": f"{MOST_ATTEMPTS} were begun, and none came to its end"})
        return
    try:
        if await _write(writing, taken):
            await writing.finish()
    except ApiError as error:  # another release knew a filter that this one doesn't
        await writing.fail({type(error).__name__: str(error)})


async def _write(writing: _Writing, taken: _Taken) -> bool:
    """Write all records that an export wants, as they are at one instant. Returns whether it was ours to the end."""
    wanted, store = taken.wanted, writing.store
    table = taken.format == "csv" and taken.resource_type is not None
    sheet = sheets.Table(str(taken.resource_type), wanted.shape) if table else sheets.Json()
    async with (
        writing.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        writing.records = await exporting.count(connection, store, wanted)
        if not await writing.add(sheet.begin()):
            return False
        async for record in exporting.records(connection, store, wanted, writing.leave):
            writing.processed += 1
            if not await writing.add(sheet.add(record)):
                return False
    writing.text.append(sheet.end())
    return await writing.flush()


async def opened(connection: Connection, keys: NamedKeys, token: str) -> tuple[int, str, File]:
    """The file that a token opens: its store, its export and what it is. Raises Gone, whatever the reason."""
    named = keys.verify(token)
    found = None if named is None else await _FILE(connection, store=named[0], id=named[1], at=clock.now())
    if named is None or found is None:
        raise Gone("This link doesn't work any more.")
    return named[0], named[1], found


async def content(database: Database, store_id: int, export_id: str, file: File, within: range) -> AsyncIterator[bytes]:
    """The bytes of a file at these places, a piece at a time. Raises Gone for what was deleted meanwhile."""
    byte = within.start
    while byte < within.stop:
        async with database.connection() as connection:
            chunk = await _CHUNK(connection, store=store_id, export=export_id, attempt=file.attempt, byte=byte)
            text = chunk and vault_of(connection).open(_DATA, store_id, chunk.id, chunk.data)
        if chunk is None or text is None:
            raise Gone("This link doesn't work any more.")
        piece = text.encode()[byte - chunk.first_byte : within.stop - chunk.first_byte]
        yield piece
        byte += len(piece)


async def let_go(connection: Connection, at: datetime) -> None:
    """Delete files whose time is over at an instant, real time."""
    for store_id in await _STORES_WITH_EXPIRED_FILES(connection, at=at):
        await _LET_GO(connection, store=store_id, at=at)
