"""The store in memory is held to Postgres: a clock stops at the same instants on both, and waits for the same rows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from schemas.graph import graph
from service import clock
from service.operations.subscriptions import sweep
from service.operations.subscriptions.ledgers import Terms
from service.operations.tenant import tenants, test_clocks
from service.operations.tenant.test_clocks import Stop, TestClocks
from service.principal import SCOPES, Principal, Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.simulation import doubles, memory, statements
from tests.simulation.clock_statements import BY_TEXT, CLOCK, clock_row
from tests.simulation.memory import Memory

WEEK, DAY = timedelta(weeks=1), timedelta(days=1)


@dataclass
class Bench:
    """A store whose clock stands at `began`, with weekly subscriptions that run one and two days later."""

    database: Database
    store_id: int
    clock_id: str
    began: datetime
    memory: Memory | None

    async def send_to(self, goal: datetime) -> None:
        """Set the clock on its way."""
        if self.memory is not None:
            self.memory.rows("test_clocks")[CLOCK] |= {"status": "advancing", "advancing_to": goal}
            return
        async with self.database.connection() as connection:
            await connection.execute(
                "update test_clocks set status = 'advancing', advancing_to = $2 where store_id = $1",
                self.store_id,
                goal,
            )

    async def hold(self) -> Stop | None:
        """Hold the clock for a moment."""
        async with self.database.by_keys() as connection:
            return await test_clocks.hold(connection, self.store_id, self.clock_id)

    async def go_on(self) -> Store | None:
        """Move the clock to its next stop."""
        async with self.database.by_keys() as connection:
            stop = await test_clocks.hold(connection, self.store_id, self.clock_id)
            return None if stop is None else await test_clocks.go_on(connection, self.store_id, self.clock_id, stop)

    async def sweep(self) -> int:
        """Take up what is due where the clock stands; how many subscriptions were."""
        async with self.database.by_keys() as connection:
            store = await tenants.find(connection, self.store_id)
            assert store is not None
            return (await sweep.sweep(connection, store)).subscriptions

    async def live(self) -> int:
        """How many copies are still to be made."""
        async with self.database.connection() as connection:
            return len(await test_clocks.live_copies(connection, self.store_id))

    async def stranded(self) -> list[datetime]:
        """Where the store's clock is to go, if it is on its way."""
        async with self.database.connection() as connection:
            found = await test_clocks.stranded(connection, limit=1_000)
        return [one.goal for one in found if one.store_id == self.store_id]

    async def stands_at(self) -> datetime:
        """The store's time."""
        async with self.database.connection() as connection:
            store = await tenants.find(connection, self.store_id)
        assert store is not None
        return clock.now(store)


def _terms(run_at: datetime) -> dict[str, Any]:
    # It is announced already, so that nothing else is due than the run.
    terms = {"alerted_run_at": run_at, "anchor_at": run_at - WEEK, "next_run_at": run_at, "catchup_policy": "run_all"}
    return terms | {"frequency": "weekly", "timezone": "UTC"}


@pytest.fixture(params=["memory", "postgres"])
async def bench(
    request: pytest.FixtureRequest, database: Database, connection: Connection, store: Store
) -> AsyncIterator[Bench]:
    """Both stores, one after the other."""
    began = clock.now() + 3 * WEEK
    runs = [began + DAY, began + 2 * DAY]
    if request.param == "postgres":
        principal = Principal(store, "token", None, frozenset(SCOPES))
        clock_id = await TestClocks().make(connection, principal, graph["test_clocks"], {"frozen_at": began})
        await connection.execute("update stores set test_clock_id = $2 where store_id = $1", store.id, clock_id)
        order_id = await factories.full_order(connection, store, [Line(await factories.sku(connection, store))])
        for run_at in runs:
            await factories.subscription(connection, store, order_id, **_terms(run_at), starts_at=run_at - WEEK)
        yield Bench(database, store.id, clock_id, began, None)
        return
    chance = random.Random(1)
    with doubles.instead(chance):
        kept = Memory(chance)
        kept.rows("test_clocks")[CLOCK] = clock_row(began)
        for number, run_at in enumerate(runs):
            defaults: dict[str, Any] = {
                "anchor_index": 0,
                "next_index": 1,
                "last_day": False,
                "cutoff_hours": 0,
                "occurrencies": 0,
            }
            defaults |= {"prepaid_occurrences_left": 0, "id": f"sub-{number}", "status": "active"}
            kept.rows("subscriptions")[f"sub-{number}"] = dict.fromkeys(Terms._fields) | _terms(run_at) | defaults
        yield Bench(cast("Database", memory.Database(kept, BY_TEXT)), statements.STORE, CLOCK, began, kept)


async def test_a_clock_stops_at_each_run_and_stays_at_its_goal(bench: Bench) -> None:
    assert (await bench.go_on(), await bench.stranded()) == (None, [])
    goal = bench.began + 3 * DAY
    await bench.send_to(goal)
    assert await bench.stranded() == [goal]
    for number in (1, 2):
        there = await bench.go_on()
        assert there is not None
        assert there.frozen_at == bench.began + number * DAY
        assert (await bench.sweep(), await bench.live()) == (1, number)
        assert await bench.sweep() == 0
        stop = await bench.hold()
        assert stop is not None
        assert stop.is_held_up
    assert (await bench.go_on(), await bench.stands_at()) == (None, goal)
    assert (await bench.hold(), await bench.stranded()) == (None, [])


async def test_a_clock_stays_where_something_is_due_until_that_is_swept(bench: Bench) -> None:
    await bench.send_to(bench.began + 3 * DAY)
    assert await bench.go_on() is not None
    again = await bench.go_on()
    assert again is not None
    assert again.frozen_at == bench.began + DAY
    stop = await bench.hold()
    assert stop == Stop(bench.began + DAY, bench.began + 3 * DAY, bench.began + DAY, is_held_up=False)


async def test_who_waits_for_a_clock_finds_where_it_was_moved_and_what_was_due_as_they_came(bench: Bench) -> None:
    await bench.send_to(bench.began + 3 * DAY)
    async with bench.database.by_keys() as connection:
        stop = await test_clocks.hold(connection, bench.store_id, bench.clock_id)
        assert stop == Stop(bench.began, bench.began + 3 * DAY, bench.began + DAY, is_held_up=False)
        late = asyncio.create_task(bench.hold())
        await asyncio.sleep(0.2)
        assert not late.done()
        assert await test_clocks.go_on(connection, bench.store_id, bench.clock_id, stop) is not None
    assert await late == Stop(bench.began + DAY, bench.began + 3 * DAY, bench.began + DAY, is_held_up=False)


async def test_who_waits_for_a_clock_that_arrives_finds_none(bench: Bench) -> None:
    await bench.send_to(bench.began + DAY / 2)
    async with bench.database.by_keys() as connection:
        stop = await test_clocks.hold(connection, bench.store_id, bench.clock_id)
        assert stop is not None
        late = asyncio.create_task(bench.hold())
        await asyncio.sleep(0.2)
        assert await test_clocks.go_on(connection, bench.store_id, bench.clock_id, stop) is None
    assert await late is None


async def test_a_store_on_a_clock_is_left_to_it(bench: Bench) -> None:
    async with bench.database.connection() as connection:
        later = clock.now() + 52 * WEEK
        assert bench.store_id not in await sweep.due_stores(connection, await _deployment(bench), later)


async def _deployment(bench: Bench) -> str:
    if bench.memory is not None:
        return "here"
    async with bench.database.connection() as connection:
        return str(await connection.fetchval("select id from deployment"))
