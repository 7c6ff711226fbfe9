"""Answers that are kept under the idempotency keys of requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from service.store.locks import number_of
from service.store.pool import Connection
from service.store.statements import Command, One, OnlyValue

KEEP = timedelta(hours=24)
"""How long an answer is kept, and replayed."""


@dataclass(frozen=True, slots=True)
class Key:
    """A client's key for one request; `principal` is the customer or token that sent it."""

    store_id: int
    principal: str
    key: str

    @property
    def lock(self) -> int:
        """The number of the key's advisory lock."""
        return number_of(self.store_id, self.principal, self.key)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer and the SHA-256 of the request that it belongs to."""

    fingerprint: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Row(NamedTuple):
    fingerprint: bytes
    status: int
    headers: str
    body: bytes | None


_HOLD = OnlyValue("runtime/idempotency.hold", bool)
_WAIT = Command("runtime/idempotency.wait")
_FIND = One("runtime/idempotency.find", _Row)
_KEEP = Command("runtime/idempotency.keep")


async def hold(connection: Connection, key: Key) -> bool:
    """Lock a key until the end of the transaction. Returns False where another transaction holds it."""
    return await _HOLD(connection, lock=key.lock)


async def wait(connection: Connection, key: Key) -> None:
    """Wait until no other transaction holds a key, then lock it until the end of this one."""
    await _WAIT(connection, lock=key.lock)


async def find(connection: Connection, key: Key, at: datetime) -> Kept | None:
    """Return the answer kept under a locked key, None when there is none or it has expired; `at` is real time.

    It takes a statement of its own, after the lock, to see what the transaction that held the key before committed.
    """
    row = await _FIND(connection, store=key.store_id, principal=key.principal, key=key.key, at=at)
    if row is None:
        return None
    return Kept(row.fingerprint, row.status, orjson.loads(row.headers), row.body or b"")


async def keep(connection: Connection, key: Key, kept: Kept, at: datetime) -> None:
    """Keep an answer under a locked key, for a day from `at`, real time."""
    await _KEEP(
        connection,
        store=key.store_id,
        principal=key.principal,
        key=key.key,
        fingerprint=kept.fingerprint,
        status=kept.status,
        headers=orjson.dumps(dict(kept.headers)).decode(),
        body=kept.body,
        at=at,
        expires_at=at + KEEP,
    )
