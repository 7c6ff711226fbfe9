"""Rate limits that hold across processes: a counter per key and window in the unlogged table rate_limits.

A fixed window begins with a key's first hit. A hit is one upsert, which counts and answers at once. The strategies of
the library `limits` would ask a storage three times for the same (`incr`, `get`, `get_expiry`), in between of which
others count on, and take the time from the system's clock; so only its limits (`RateLimitItem`) are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from limits import RateLimitItem

from service.store.pool import Connection
from sql import queries

LIMITS = queries("runtime/limits")


@dataclass(frozen=True, slots=True)
class Window:
    """What a key has used of its window, this hit included, and when the window ends (aware UTC)."""

    hits: int
    expires_at: datetime


async def hit(connection: Connection, store_id: int, limit: RateLimitItem, who: str, *, at: datetime) -> Window:
    """Count one hit of somebody at an instant.

    `connection` must be outside of a transaction: a hit counts although what was asked for fails, and nobody waits for
    another one's work to end. `store_id` is 0 for those who have shown no token of a store.
    """
    expires_at = at + timedelta(seconds=limit.get_expiry())
    row = await connection.fetchrow(LIMITS["hit"], store_id, limit.key_for(who), at, expires_at)
    assert row is not None  # noqa: S101 -- an upsert returns its row
    return Window(row["hits"], row["expires_at"])


async def look(connection: Connection, store_id: int, limit: RateLimitItem, who: str, *, at: datetime) -> Window | None:
    """What somebody has used of the window at an instant, without counting; None when nothing."""
    row = await connection.fetchrow(LIMITS["look"], store_id, limit.key_for(who), at)
    return None if row is None else Window(row["hits"], row["expires_at"])
