"""Limits of many requests, at a statement for a lot of them: a process takes some in advance, and spends them itself.

What is taken is counted at once, so all processes together never allow one more than the limit. A process that was
given none knows that nothing is left until the window ends, and asks for no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.store import limits as counters
from service.store.limits import Limit, Window
from service.store.pool import Database

LOTS = 50
"""Into how many lots a limit is divided: what a process has taken and doesn't spend is lost to the others."""
MOST_HELD = 10_000
"""Of how many senders a process remembers what it has taken."""


@dataclass(slots=True)
class _Lease:
    """What a process still has of a window, and how many hits that had when it last took some."""

    expires_at: datetime
    left: int = 0
    hits: int = 0


class Leases:
    """What this process has taken of the limits of those who ask it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[tuple[int, str], _Lease] = {}

    async def spend(self, store_id: int, limit: Limit, who: str, *, at: datetime, number: int = 1) -> Window:
        """Count hits, most of the time without a statement.

        Returns the window as this process knows it, with more hits than the limit where too few are left.
        """
        key = store_id, limit.key(who)
        lease = self._held.get(key)
        if lease is None or lease.expires_at <= at:
            lease = await self._take(key, limit, who, None, at=at, number=number)
        elif lease.left < number and lease.hits < limit.amount:
            lease = await self._take(key, limit, who, lease, at=at, number=number - lease.left)
        if lease.left < number:
            return Window(limit.amount + 1, lease.expires_at)
        lease.left -= number
        return Window(min(lease.hits, limit.amount) - lease.left, lease.expires_at)

    async def _take(
        self, key: tuple[int, str], limit: Limit, who: str, lease: _Lease | None, *, at: datetime, number: int
    ) -> _Lease:
        wanted = max(number, limit.amount // LOTS, 1)
        async with self._database.connection() as connection:
            window = await counters.hit(connection, key[0], limit, who, at=at, number=wanted)
        held = self._held.get(key, lease)
        if held is None or held.expires_at != window.expires_at:
            held = self._held[key] = _Lease(window.expires_at)
            self._forget(at)
        # Hits are counted one taker after the other: of those beyond the limit nobody is given any.
        held.left += max(wanted - max(window.hits - limit.amount, 0), 0)
        held.hits = max(held.hits, window.hits)
        return held

    def _forget(self, at: datetime) -> None:
        if len(self._held) > MOST_HELD:
            self._held = {key: lease for key, lease in self._held.items() if lease.expires_at > at}
        if len(self._held) > MOST_HELD:
            del self._held[next(iter(self._held))]
