"""Time travel of a store in test mode: on a test clock of its own it goes on to a later instant, and back to today."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from schemas.graph import graph
from service import clock
from service.errors import InvalidState
from service.operations.tenant import test_clocks
from service.operations.tenant.stores import Stores
from service.operations.tenant.test_clocks import TestClocks
from service.principal import Principal, Store
from service.store.pool import Connection
from service.store.statements import One, Value


class Clock(NamedTuple):
    """The test clock whose time a store keeps; `advancing_to` is None while it stands still."""

    id: str
    frozen_at: datetime
    advancing_to: datetime | None


_KEPT = One("tenant/test_clocks.kept", Clock)
_SEEN = Value("tenant/test_clocks.seen", datetime)


async def kept(connection: Connection, store_id: int) -> Clock | None:
    """Return the test clock of a store, None for real time."""
    return await _KEPT(connection, store=store_id)


async def travel(connection: Connection, principal: Principal, to: datetime) -> str:
    """Let a store's time go on to an instant, with all that falls due on the way; returns the id of its test clock.

    `principal` is an integration. Raises Invalid for an instant that isn't later than the store's time, or is more than
    two years ahead of it; InvalidState for a store in live mode, and while its clock is on its way.
    """
    found = await kept(connection, principal.store.id)
    clock_id = await _begin(connection, principal) if found is None else found.id
    await test_clocks.advance(connection, principal, clock_id, to)
    return clock_id


async def back(connection: Connection, principal: Principal) -> None:
    """Let a store keep real time again; what was done in the future stays. Raises InvalidState while time passes."""
    found = await kept(connection, principal.store.id)
    if found is not None and found.advancing_to is not None:
        raise InvalidState("Time is passing: go back once it stands still.")
    await _keep(connection, principal, None)


async def now(connection: Connection, store: Store) -> datetime:
    """Return the instant from which a store's time goes on: its own, or a later one that its subscriptions have seen.

    They have where the store came back to real time from a future.
    """
    at = clock.now(store)
    seen = await _SEEN(connection, store=store.id)
    return at if seen is None else max(at, seen)


async def _begin(connection: Connection, principal: Principal) -> str:
    """Put a store on a test clock that stands at its time."""
    at = await now(connection, principal.store)
    clock_id = await TestClocks().make(connection, principal, graph["test_clocks"], {"frozen_at": at})
    await _keep(connection, principal, clock_id)
    return clock_id


async def _keep(connection: Connection, principal: Principal, clock_id: str | None) -> None:
    """Have a store keep the time of a test clock, or real time."""
    stores = Stores()
    locked = await stores.lock(connection, principal, graph["stores"], str(principal.store.id))
    await stores.change(connection, principal, locked, {"test_clock_id": clock_id})
