"""Rate limits that hold across processes: a counter per key and window in the unlogged table rate_limits.

A fixed window begins with a key's first hit. A hit is one upsert, which counts and returns the window. The strategies
of libraries query a storage several times for that, between which others go on counting, and read the system's clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from service.store.pool import Connection
from service.store.statements import Command, One, Only


class Limit(NamedTuple):
    """How many hits a key has in so many seconds. The name tells limits of the same numbers apart."""

    name: str
    amount: int
    seconds: int = 60

    def key(self, who: str) -> str:
        """The key of somebody's hits: with another amount they are counted anew."""
        return f"{self.name}/{who}/{self.amount}/{self.seconds}"


class Window(NamedTuple):
    """The hits that a key has used, the latest included, and when its window ends (aware UTC)."""

    hits: int
    expires_at: datetime


_HIT = Only("runtime/limits.hit", Window)
_LOOK = One("runtime/limits.look", Window)
_TAKE_BACK = Command("runtime/limits.take_back")


async def hit(
    connection: Connection, store_id: int, limit: Limit, who: str, *, at: datetime, number: int = 1
) -> Window:
    """Count a hit, or a number of them, and return the window with it.

    `connection` must be outside of a transaction: a hit counts even if its request fails, and no request waits for
    another one's to end. `store_id` is 0 for clients without a token of a store.
    """
    expires_at = at + timedelta(seconds=limit.seconds)
    return await _HIT(connection, store=store_id, key=limit.key(who), at=at, expires_at=expires_at, number=number)


async def look(connection: Connection, store_id: int, limit: Limit, who: str, *, at: datetime) -> Window | None:
    """Return what a client has used of its window, without counting; None when it has no window."""
    return await _LOOK(connection, store=store_id, key=limit.key(who), at=at)


async def take_back(connection: Connection, store_id: int, limit: Limit, who: str, window: Window) -> None:
    """Take back a hit that was counted in a window."""
    await _TAKE_BACK(connection, store=store_id, key=limit.key(who), expires_at=window.expires_at)
