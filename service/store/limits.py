"""Rate limits that hold across processes: a counter per key and window in the unlogged table rate_limits.

A fixed window begins with a key's first hit. A hit is one upsert, which counts and returns the window. The strategies
of the library `limits` query a storage three times for that (`incr`, `get`, `get_expiry`), between which others go on
counting, and read the system's clock; so only its limits (`RateLimitItem`) are used.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from limits import RateLimitItem

from service.store.pool import Connection
from service.store.statements import Command, One, Only


class Window(NamedTuple):
    """The hits that a key has used, the latest included, and when its window ends (aware UTC)."""

    hits: int
    expires_at: datetime


_HIT = Only("runtime/limits.hit", Window)
_LOOK = One("runtime/limits.look", Window)
_TAKE_BACK = Command("runtime/limits.take_back")


async def hit(connection: Connection, store_id: int, limit: RateLimitItem, who: str, *, at: datetime) -> Window:
    """Count one hit and return the window with it.

    `connection` must be outside of a transaction: a hit counts even if its request fails, and no request waits for
    another one's to end. `store_id` is 0 for clients without a token of a store.
    """
    expires_at = at + timedelta(seconds=limit.get_expiry())
    return await _HIT(connection, store=store_id, key=limit.key_for(who), at=at, expires_at=expires_at)


async def look(connection: Connection, store_id: int, limit: RateLimitItem, who: str, *, at: datetime) -> Window | None:
    """Return what a client has used of its window, without counting; None when it has no window."""
    return await _LOOK(connection, store=store_id, key=limit.key_for(who), at=at)


async def take_back(connection: Connection, store_id: int, limit: RateLimitItem, who: str, window: Window) -> None:
    """Take back a hit that was counted in a window."""
    await _TAKE_BACK(connection, store=store_id, key=limit.key_for(who), expires_at=window.expires_at)
