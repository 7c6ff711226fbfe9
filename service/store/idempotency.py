"""Answers kept under the keys that clients gave their requests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from service.store.pool import Connection
from sql import queries

IDEMPOTENCY = queries("runtime/idempotency")

KEEP = timedelta(hours=24)
"""For how long an answer is given again."""


@dataclass(frozen=True, slots=True)
class Key:
    """A client's key for one request; `principal` is the customer or token that it belongs to."""

    store_id: int
    principal: str
    key: str

    @property
    def lock(self) -> int:
        """The number of the key's advisory lock. Two keys that share one only wait for each other."""
        text = f"{self.store_id}\x00{self.principal}\x00{self.key}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer and the SHA-256 of the request that it belongs to."""

    fingerprint: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes


async def hold(connection: Connection, key: Key) -> bool:
    """Hold a key until the end of the transaction; False where another transaction does."""
    return bool(await connection.fetchval(IDEMPOTENCY["hold"], key.lock))


async def wait(connection: Connection, key: Key) -> None:
    """Hold a key until the end of the transaction, once nobody else does."""
    await connection.execute(IDEMPOTENCY["wait"], key.lock)


async def find(connection: Connection, key: Key, at: datetime) -> Kept | None:
    """The answer kept under a key that is held, unless its time is over; `at` is real time.

    A statement of its own, after the lock: it sees what the transaction that held the key before has committed.
    """
    row = await connection.fetchrow(IDEMPOTENCY["find"], key.store_id, key.principal, key.key, at)
    if row is None:
        return None
    return Kept(row["fingerprint"], row["status"], orjson.loads(row["headers"]), row["body"] or b"")


async def keep(connection: Connection, key: Key, kept: Kept, at: datetime) -> None:
    """Keep an answer under a key that is held, for a day from `at`, real time."""
    await connection.execute(
        IDEMPOTENCY["keep"],
        key.store_id,
        key.principal,
        key.key,
        kept.fingerprint,
        kept.status,
        orjson.dumps(dict(kept.headers)).decode(),
        kept.body,
        at,
        at + KEEP,
    )
