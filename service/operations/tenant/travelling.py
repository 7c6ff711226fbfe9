"""Time travel of a store in test mode: it is put on a test clock of its own, which goes on to a later instant."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from schemas.graph import graph
from service import clock
from service.operations.tenant import test_clocks
from service.operations.tenant.stores import Stores
from service.operations.tenant.test_clocks import TestClocks
from service.principal import Principal
from service.store.pool import Connection
from service.store.statements import One


class Clock(NamedTuple):
    """The test clock whose time a store keeps; `advancing_to` is None while it stands still."""

    id: str
    frozen_at: datetime
    advancing_to: datetime | None


_KEPT = One("tenant/test_clocks.kept", Clock)


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


async def _begin(connection: Connection, principal: Principal) -> str:
    """Put a store on a test clock that stands at its time."""
    at = clock.now(principal.store)
    clock_id = await TestClocks().make(connection, principal, graph["test_clocks"], {"frozen_at": at})
    stores = Stores()
    locked = await stores.lock(connection, principal, graph["stores"], str(principal.store.id))
    await stores.change(connection, principal, locked, {"test_clock_id": clock_id})
    return clock_id
