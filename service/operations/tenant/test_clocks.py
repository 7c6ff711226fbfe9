"""Test clocks: a store in test mode can stop its time and move it by hand, with all that falls due on the way.

Advancing is a job: it stops the clock at every instant at which something is due, runs the same sweep and the same
copies as real time does, and goes on. It may break off anywhere and be taken up again: what was done is no longer due.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final, NamedTuple

import orjson

from schemas.graph import graph
from service.clock import later
from service.errors import Invalid, InvalidState
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.tenant import tenants
from service.principal import Principal, Store
from service.store import queue
from service.store.pool import Connection
from service.store.statements import Command, Many, One, OnlyValue, Values
from service.store.write import Columns
from service.texts import Phrase

ENTRYPOINT = "test_clocks"
"""The name under which the queue knows the job that advances a clock."""

LONGEST_ADVANCE: Final = timedelta(days=2 * 366)
"""How far a clock goes in one step."""


class Stop(NamedTuple):
    """An advancing clock: where it stands, its goal, when something is due next, whether something keeps it there."""

    frozen_at: datetime
    advancing_to: datetime
    due_at: datetime | None
    is_held_up: bool


class Stranded(NamedTuple):
    """A clock on its way, and the instant that it goes to."""

    store_id: int
    id: str
    goal: datetime


_NEXT_STOP = One("tenant/test_clocks.next_stop", Stop)
_IS_KEPT = OnlyValue("tenant/test_clocks.is_kept", bool)
_STOP = Command("tenant/test_clocks.stop")
_ARRIVE = Command("tenant/test_clocks.arrive")
_LIVE_COPIES = Values("tenant/test_clocks.live_copies", str)
_STRANDED = Many("tenant/test_clocks.stranded", Stranded)


async def _advanced(change: Change) -> Columns | None:
    """Set it on its way, unless it would have to go back or too far."""
    to: datetime = change.draft.triggers.get("_advance_to") or change.kept["advance_to"]
    at: datetime = change.value("frozen_at")
    if not at < to <= later(at, LONGEST_ADVANCE):
        pointer = change.draft.pointer("_advance_to")
        change.problems.append(
            Invalid("_advance_to - must be later than the clock's instant, and within two years of it", pointer=pointer)
        )
        return None
    return {"advancing_to": to}


class TestClocks(Writer):
    """Test clocks: made standing still, advanced by `_advance_to`."""

    __test__ = False  # for pytest: no chapter of tests

    effects: ClassVar = {"advance_to": _advanced}

    async def validate(self, change: Change) -> None:
        """Check that the store may have one."""
        if change.new and change.store.mode != "test":
            change.problems.append(
                InvalidState("The store is in live mode: test clocks are for stores in test mode.", pointer="/data")
            )

    async def after_write(self, change: Change) -> None:
        """Order the job that advances it."""
        if "advance_to" in change.done:
            await enqueue(change.connection, change.store.id, change.id, change.columns["advancing_to"])

    async def warnings(self, connection: Connection, principal: Principal, id_: str) -> Sequence[Phrase]:
        """Say so when no store keeps the time of a clock."""
        if await _IS_KEPT(connection, store=principal.store.id, clock=id_):
            return ()
        return [Phrase("No store keeps the time of this clock: nothing runs while it advances.")]

    async def before_delete(self, change: Change) -> None:
        """A clock that is on its way stays until it is there."""
        if change.before["status"] == "advancing":
            change.problems.append(
                InvalidState("The clock is advancing: wait until its status is ready.", pointer="/data")
            )


async def advance(connection: Connection, principal: Principal, clock_id: str, to: datetime) -> None:
    """Set a clock on its way to an instant, as the verb does. Raises as a write of the API does."""
    clocks = TestClocks()
    locked = await clocks.lock(connection, principal, graph["test_clocks"], clock_id)
    await clocks.change(connection, principal, locked, {}, verbs=("advance_to",), kept={"advance_to": to})


async def enqueue(connection: Connection, store_id: int, clock_id: str, goal: datetime) -> None:
    """Put the job that advances a clock into the queue, in the caller's transaction, unless it is there already.

    Each goal has its own job: the job of the last goal may stay in the queue for a moment after the clock has arrived.
    """
    key = f"{ENTRYPOINT}/{store_id}/{clock_id}/{goal.isoformat()}"
    await queue.enqueue(connection, ENTRYPOINT, orjson.dumps([store_id, clock_id]), dedupe_key=key)


async def stranded(connection: Connection, *, limit: int) -> list[Stranded]:
    """Return advancing clocks of all stores, at most `limit`; most of them have a job in the queue."""
    return await _STRANDED(connection, most=limit)


async def hold(connection: Connection, store_id: int, clock_id: str, *, but: Collection[str] = ()) -> Stop | None:
    """Hold an advancing clock until the transaction ends, and return where it goes; None when it isn't moving.

    Copies that aren't made yet hold it up, and payments, `but` for those of these orders.
    """
    return await _NEXT_STOP(connection, store=store_id, clock=clock_id, but=list(but))


async def go_on(connection: Connection, store_id: int, clock_id: str, stop: Stop) -> Store | None:
    """Move a clock that is held to the next instant at which something is due, else to its goal, where it is ready.

    Returns the store with its new time when something is due there, None when the clock has arrived.
    """
    if stop.due_at is None or stop.due_at > stop.advancing_to:
        await _ARRIVE(connection, store=store_id, clock=clock_id, at=stop.advancing_to)
        store = await tenants.find(connection, store_id)
        if store is not None:
            await outbox.record(connection, store, "test_clocks.ready", clock_id, actor=outbox.WORKER)
        return None
    await _STOP(connection, store=store_id, clock=clock_id, at=max(stop.due_at, stop.frozen_at))
    return await tenants.find(connection, store_id)


async def live_copies(connection: Connection, store_id: int) -> Sequence[str]:
    """Return the ids of a store's copies that are still to be made, the oldest first."""
    return await _LIVE_COPIES(connection, store=store_id)
