"""Imports that clients send: kept with what they brought, and run by a job."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import ClassVar, Final, NamedTuple

import orjson

from service import clock
from service.errors import InvalidState, StartupError
from service.operations.data import tables
from service.operations.data.files import Unread, records_of
from service.operations.data.importing import Policy
from service.operations.data.records import Entry, Place
from service.operations.data.running import Import, SoFar
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.tenant import tenants
from service.principal import Store
from service.store import queue
from service.store.pool import Connection
from service.store.statements import Command, Many, One
from service.store.vault import vault_of
from service.store.write import Columns

ENTRYPOINT: Final = "imports"
_NAME: Final = "inputs"
_INPUTS: Final = "imports.inputs"
_SEALED: Final = "sealed"
_TOKENS: Final = ("payment_source_token", "customer_token")
"""What, where records hold it, has them sealed until they are imported."""


class _Sent(NamedTuple):
    resource_type: str | None
    format: str
    on_conflict: str
    inputs: str
    inputs_size: int
    so_far: SoFar
    is_new: bool


class Left(NamedTuple):
    """An import that nobody has gone on with for a while."""

    store_id: int
    id: str


_TAKE_UP = One("data/imports.take_up", _Sent)
_INTERRUPT = Command("data/imports.interrupt")
_ABANDONED = Many("data/imports.abandoned", Left)


class Inputs(NamedTuple):
    """What a client sent, as a source of records."""

    inputs: object
    type_: str | None
    lines: int

    def lines_up_to(self, place: Place) -> int:
        """How many records have been gone through at a place."""
        return place.line

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The records behind the first so many."""
        for number, unread in enumerate(self._unread(), 1):
            if number > after:
                yield unread.entry()

    def _unread(self) -> Iterator[Unread]:
        if isinstance(self.inputs, str):
            yield from records_of(tables.parsed(_NAME, BytesIO(self.inputs.encode())), self.type_)
        elif isinstance(self.inputs, list):
            yield from (Unread(Place("", n), sent, self.type_) for n, sent in enumerate(self.inputs, 1))


async def _interrupted(change: Change) -> Columns:
    """Drop what has not been brought in; the worker that is at it ends with its batch."""
    return {"interrupted_at": change.at, "inputs": None}


class Imports(Writer):
    """Imports: what is sent is kept until a worker has brought it in."""

    effects: ClassVar = {"interrupt": _interrupted}

    async def before_write(self, change: Change) -> None:
        """Keep the records."""
        if not change.new:
            return
        sent: object = change.draft.triggers["inputs"]
        size = len(sent) if isinstance(sent, list) else str(sent).count("\n") + 1
        inputs = orjson.dumps(sent).decode()
        if any(name in inputs for name in _TOKENS):
            sealed = vault_of(change.connection).seal(_INPUTS, change.store.id, change.id, inputs)
            inputs = orjson.dumps({_SEALED: sealed}).decode()
        change.columns |= {"inputs": inputs, "inputs_size": size, "status": "pending"}
        if isinstance(sent, str):
            change.columns["format"] = "csv"

    async def after_write(self, change: Change) -> None:
        """Order the job that brings them in."""
        if change.new:
            await enqueue(change.connection, change.store.id, change.id)

    async def before_delete(self, change: Change) -> None:
        """One that is on its way comes to its end."""
        if change.before["status"] == "in_progress":
            change.problems.append(InvalidState("The import is in_progress: wait until it has come to its end."))


async def enqueue(connection: Connection, store_id: int, import_id: str) -> None:
    """Put the job that brings an import in into the queue, in the caller's transaction, unless it is there already."""
    payload, key = orjson.dumps([store_id, import_id]), f"{ENTRYPOINT}/{store_id}/{import_id}"
    await queue.enqueue(connection, ENTRYPOINT, payload, dedupe_key=key)


async def abandoned(connection: Connection, *, limit: int) -> list[Left]:
    """Return imports of clients, of all stores, that are to go on; most of them have a job in the queue."""
    return await _ABANDONED(connection, most=limit)


async def go_on(connection: Connection, store_id: int, import_id: str) -> None:
    """Bring in what is left of an import; nothing for one that is over. No transaction may be open."""
    async with connection.transaction():
        store = await tenants.find(connection, store_id)
        sent = None if store is None else await _TAKE_UP(connection, store=store_id, id=import_id, at=clock.now(store))
        if store is None or sent is None:
            return
        if sent.is_new:
            await outbox.record(connection, store, "imports.start", import_id, actor=outbox.WORKER)
    source = Inputs(
        _opened(connection, store, import_id, orjson.loads(sent.inputs)), sent.resource_type, sent.inputs_size
    )
    importing = Import(connection, store, source, _policy(sent.on_conflict), import_id, *sent.so_far.kept())
    try:
        await importing.run()
    except StartupError as error:
        await _interrupt(connection, store, import_id, str(error))
        return
    await outbox.record(connection, store, "imports.complete", import_id, actor=outbox.WORKER)


def _opened(connection: Connection, store: Store, import_id: str, inputs: object) -> object:
    """What was sent; nothing where it was sealed with a key that is gone."""
    if not isinstance(inputs, dict):
        return inputs
    opened = vault_of(connection).open(_INPUTS, store.id, import_id, inputs[_SEALED])
    return None if opened is None else orjson.loads(opened)


async def _interrupt(connection: Connection, store: Store, import_id: str, reason: str) -> None:
    log = orjson.dumps({"": {"inputs": [reason]}}).decode()
    async with connection.transaction():
        if await _INTERRUPT(connection, store=store.id, id=import_id, log=log, at=clock.now(store)):
            await outbox.record(connection, store, "imports.interrupt", import_id, actor=outbox.WORKER)


def _policy(word: str) -> Policy:
    return "update" if word == "update" else "skip" if word == "skip" else "refuse"
