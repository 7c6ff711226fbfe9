"""A store with very much to do has its turn, and so have the others: none waits for its end."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from service import clock
from service.jobs import sweep
from service.operations.generic.numbers import Numbers
from service.operations.subscriptions.sweep import NUMBERS
from service.store import deployment
from service.store.pool import Connection, connect, open_database
from tests.chaos import world

MANY, FEW = 2_500, 5
LARGE, SMALL = 11, 12

_DUE = "select count(*) from order_subscriptions where store_id = $1 and status = 'active' and next_run_at <= $2"
_MOVE = "update order_subscriptions set next_run_at = $2 where store_id = $1"


@pytest.fixture
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "TURN", timedelta(milliseconds=100))
    monkeypatch.setattr(sweep, "PERIOD", timedelta(milliseconds=300))


@pytest.mark.usefixtures("_short_turns")
@pytest.mark.parametrize("stopped", [False, True])
async def test_who_comes_due_meanwhile_has_a_turn(own_url: str, *, stopped: bool) -> None:
    async with open_database(own_url) as database, connect(own_url) as connection:
        here = await _ours(connection)
        await world.build(connection, store_count=1, subscriptions=MANY, first_store=LARGE)
        await world.build(connection, store_count=1, subscriptions=FEW, first_store=SMALL)
        at = clock.now()
        await connection.execute(_MOVE, SMALL, at + timedelta(days=1))
        stop = asyncio.Event()
        running = asyncio.create_task(sweep.run(database, here, Numbers(database, block=NUMBERS), stop))
        await _until(connection, LARGE, MANY - 1)
        await connection.execute(_MOVE, SMALL, at)
        await _until(connection, SMALL, 0)
        left = await connection.fetchval(_DUE, LARGE, at)
        assert left > MANY / 10, "the small store waited for the large one's end"
        if stopped:
            stop.set()
        await running
        assert bool(await connection.fetchval(_DUE, LARGE, at)) is stopped


async def test_what_is_due_and_cannot_be_had_does_not_keep_a_sweep_going(own_url: str) -> None:
    async with open_database(own_url) as database, connect(own_url) as connection, connect(own_url) as other:
        here = await _ours(connection)
        await world.build(connection, store_count=1, subscriptions=FEW, first_store=SMALL)
        async with other.transaction(), asyncio.timeout(60):
            await other.execute("select from order_subscriptions where store_id = $1 for update", SMALL)
            assert await sweep.run(database, here) == 0
        assert await sweep.run(database, here) > 0


async def _ours(connection: Connection) -> str:
    here = await deployment.here(connection, "turns")
    await deployment.claim(connection, here, at=clock.now())
    return here


async def _until(connection: Connection, store: int, most: int) -> None:
    """Wait until so few subscriptions of a store are due."""
    while await connection.fetchval(_DUE, store, clock.now()) > most:  # noqa: ASYNC110 -- it happens in the database
        await asyncio.sleep(0.01)


async def test_a_turn_looks_for_no_alert_of_what_is_due(own_url: str) -> None:
    """Unless it looks for all of them: that reads whatever is due and not made yet."""
    async with open_database(own_url, max_size=1) as database:

        async def read(since: datetime) -> int:
            """How many entries of their index a turn reads, after which more is due."""
            async with database.connection() as connection:
                before = await connection.fetchval(_READ)
            assert (await sweep.turn(database, LARGE, None, lambda: True, since))[1]
            async with database.connection() as connection:
                await connection.execute("select pg_stat_force_next_flush()")
                return int(await connection.fetchval(_READ) - before)

        async with database.connection() as connection:
            await world.build(connection, store_count=1, subscriptions=400, first_store=LARGE)
        assert await read(clock.now() - sweep.LATELY) == 0
        assert await read(clock.EARLIEST) > 0


_READ = "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'order_subscriptions_alerting'"
