"""Test clocks: the time of a store in test mode stands still and is moved by hand, with all that falls due on the way.

Advancing is a job: it stops the clock at every instant at which something is due, lets the same sweep and the same
copies run that run on real time, and goes on. It can be broken off anywhere and taken up again: what was done isn't due
any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import orjson

from service.errors import Invalid, InvalidState
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.tenant import stores
from service.principal import Store
from service.store import queue
from service.store.pool import Connection
from sql import queries

CLOCKS = queries("tenant/test_clocks")

ENTRYPOINT = "test_clocks"
"""The name under which the queue knows the job that advances a clock."""

LONGEST_ADVANCE: Final = timedelta(days=2 * 366)
"""How far a clock goes in one step."""


class TestClocks(Writer):
    """Test clocks: made standing still, advanced by `_advance_to`."""

    __test__ = False  # for pytest: no chapter of tests

    async def before_write(self, change: Change) -> None:
        """Check where it is to go; on its way it takes no other order."""
        if change.new and change.store.mode != "test":
            change.problems.append(
                InvalidState("The store is in live mode: test clocks are for stores in test mode.", pointer="/data")
            )
        to: datetime | None = change.draft.triggers.get("_advance_to")
        if to is None:
            return
        pointer = change.draft.pointer("_advance_to")
        at: datetime = change.value("frozen_at")
        if change.value("status") == "advancing":
            change.problems.append(_on_its_way(pointer))
        elif not at < to <= at + LONGEST_ADVANCE:
            change.problems.append(
                Invalid(
                    "_advance_to - must be later than the clock's instant, and within two years of it", pointer=pointer
                )
            )
        else:
            change.columns |= {"status": "advancing", "advancing_to": to}
            change.happened.append("advance")

    async def after_write(self, change: Change) -> None:
        """Order the job that advances it."""
        if "advance" in change.happened:
            await enqueue(change.connection, change.store.id, change.id, change.columns["advancing_to"])

    async def before_delete(self, change: Change) -> None:
        """A clock that is on its way stays until it is there."""
        if change.before["status"] == "advancing":
            change.problems.append(_on_its_way("/data"))


def _on_its_way(pointer: str) -> InvalidState:
    return InvalidState("The clock is advancing: wait until its status is ready.", pointer=pointer)


async def enqueue(connection: Connection, store_id: int, clock_id: str, goal: datetime) -> None:
    """Put the job that advances a clock into the queue, in the caller's transaction, unless it is there already.

    Each goal has its own job: that of the last one may stay in the queue for a moment after the clock has arrived.
    """
    key = f"{ENTRYPOINT}/{store_id}/{clock_id}/{goal.isoformat()}"
    await queue.enqueue(connection, ENTRYPOINT, orjson.dumps([store_id, clock_id]), dedupe_key=key)


async def stranded(connection: Connection, *, limit: int) -> list[tuple[int, str, datetime]]:
    """Store, id and goal of clocks of all stores that are on their way, at most `limit`; most of them have a job."""
    rows = await connection.fetch(CLOCKS["stranded"], limit)
    return [(row["store_id"], row["id"], row["advancing_to"]) for row in rows]


async def go_on(connection: Connection, store_id: int, clock_id: str) -> Store | None:
    """Move an advancing clock to the next instant at which something is due, else to its goal, where it is ready.

    Gives the store with its new time when something is due there, None when the clock has arrived or isn't moving.
    """
    row = await connection.fetchrow(CLOCKS["next_stop"], store_id, clock_id)
    if row is None:
        return None
    goal: datetime = row["advancing_to"]
    stop: datetime | None = row["due_at"]
    if stop is None or stop > goal:
        await connection.execute(CLOCKS["arrive"], store_id, clock_id, goal)
        store = await stores.find(connection, store_id)
        if store is not None:
            await outbox.record(connection, store, "test_clocks.ready", clock_id, actor=outbox.WORKER)
        return None
    await connection.execute(CLOCKS["stop"], store_id, clock_id, max(stop, row["frozen_at"]))
    return await stores.find(connection, store_id)


async def live_copies(connection: Connection, store_id: int) -> Sequence[str]:
    """The copies of a store that are still to be made, oldest first."""
    return [row["id"] for row in await connection.fetch(CLOCKS["live_copies"], store_id)]
