"""Events as the audit trail: read at the command line, and let go of addresses once their time is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from service import clock
from service.store.pool import Connection
from service.store.statements import Many, Value, Values

KEEP_ADDRESSES = timedelta(days=90)
"""How long the trail names addresses, and who was refused is kept, unless the settings say otherwise."""

_BATCH = 1_000
"""How many events one statement looks at."""


class Listed(NamedTuple):
    """Something that was done, as an operator reads it."""

    created_at: datetime
    name: str
    resource_id: str
    actor_type: str | None
    actor_id: str | None
    token_id: str | None
    address: str | None
    request_id: str | None

    @property
    def actor(self) -> str:
        """Who did it: `customers:<id>`, or a type alone."""
        return ":".join(part for part in (self.actor_type, self.actor_id) if part)


_STORES_WITH_ADDRESSES = Values("events/trail.stores_with_addresses", int)
_FORGET_ADDRESSES = Value("events/trail.forget_addresses", str)
_LISTED = Many("events/trail.listed", Listed)


async def listed(connection: Connection, store_id: int, *, since: datetime, most: int) -> list[Listed]:
    """What was done in a store since an instant, by the store's clock, the newest first and at most so much."""
    return await _LISTED(connection, store=store_id, since=since, most=most)


async def forget_addresses(connection: Connection, *, before: datetime) -> None:
    """Let go of the addresses in events that were written before an instant, real time.

    Each event is looked at once: what a store has been gone through up to is remembered.
    """
    first = clock.first_id(before)
    for store_id in await _STORES_WITH_ADDRESSES(connection, before=first):
        passed: str | None = ""
        while passed is not None:
            passed = await _FORGET_ADDRESSES(connection, store=store_id, before=first, most=_BATCH)
