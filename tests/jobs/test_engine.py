"""The engine by itself: what it costs idle, how it goes on without notifications, and what it warns of."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from pgqueuer import QueueManager
from structlog.testing import capture_logs

from service import clock
from service.jobs import engine, sweep, watch
from service.operations.runtime import watching
from service.principal import Store
from service.store import deployment
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.steps import ask, bearer, offences, pair
from tests.jobs.test_worker import copied, reach, until, working

MINUTE = timedelta(minutes=1)
IDLE_SECONDS = 12


async def test_an_idle_worker_asks_for_little(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    connect = asyncpg.connect

    def watched(*arguments: Any, **options: Any) -> Any:
        async def opened() -> Any:
            connection = await connect(*arguments, **options)
            connection.add_query_logger(lambda query: asked.append(query.query))
            return connection

        return opened()

    monkeypatch.setattr(asyncpg, "connect", watched)
    async with working(database_url, heartbeat=timedelta(seconds=30)):
        await asyncio.sleep(3)  # to settle in
        asked.clear()
        await asyncio.sleep(IDLE_SECONDS)
        of_the_queue = len(asked)
    assert 0 < of_the_queue * 60 / IDLE_SECONDS <= 120


async def test_a_subscription_runs_within_seconds_of_its_instant(
    connection: Connection, database_url: str, store: Store
) -> None:
    await deployment.adopt(connection, await deployment.here(connection), at=clock.now())
    async with working(database_url):
        await asyncio.sleep(1)
        due_at = clock.now() + timedelta(seconds=2)
        columns = {"anchor_at": due_at - timedelta(days=7), "next_run_at": due_at}
        _, id_ = await pair(connection, store, frequency="weekly", **columns)

        async def ordered() -> bool:
            return await copied(connection, store) == 1

        await until(ordered)
    (begun,) = await connection.fetch(
        "select started_at from order_factories where store_id = $1 and order_subscription_id = $2", store.id, id_
    )
    assert timedelta(0) <= begun["started_at"] - due_at < timedelta(seconds=8)


async def test_a_worker_looks_at_the_clock_as_it_starts(
    connection: Connection, database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts a worker after a night without one has runs that are late."""
    monkeypatch.setattr(sweep, "PERIOD", timedelta(hours=1))
    await deployment.adopt(connection, await deployment.here(connection), at=clock.now())
    due_at = clock.now() - MINUTE
    await pair(connection, store, frequency="weekly", anchor_at=due_at - timedelta(days=7), next_run_at=due_at)

    async def ordered() -> bool:
        return await copied(connection, store) == 1

    async with working(database_url):
        await until(ordered)


async def test_a_worker_that_gets_no_notifications_polls(
    database: Database, connection: Connection, database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "POLL", timedelta(seconds=1))
    # The queue's own check of its listener, every ten seconds and failing after as many.
    monkeypatch.setattr(QueueManager._run_periodic_health_check, "__defaults__", (timedelta(seconds=2),))  # noqa: SLF001 -- no setting
    opened: list[asyncpg.Connection[asyncpg.Record]] = []
    connect = asyncpg.connect

    async def noted(*arguments: Any, **options: Any) -> Any:
        opened.append(await connect(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(asyncpg, "connect", noted)
    ends = await pair(connection, store)
    async with working(database_url, statement_cache_size=0) as stop:
        await asyncio.sleep(1)
        # As behind PgBouncer in transaction mode: the connection is well, and LISTEN is nobody's.
        (queue,) = opened
        await queue.execute("unlisten *")
        # Longer than that check takes to fail.
        for _ in range(3):
            copy_id = await ask(database, bearer(store), *ends)
            await reach(connection, store, copy_id, "completed", 5)
            await asyncio.sleep(1.5)
        assert not stop.is_set()
        assert opened == [queue]


@pytest.mark.rule("FM-61")
async def test_runs_that_nobody_begins_are_warned_of(database: Database, connection: Connection, store: Store) -> None:
    before = (await watching.look(connection, clock.now())).late
    due_at = clock.now() - watching.LATE - MINUTE
    _, id_ = await pair(connection, store, frequency="weekly", anchor_at=due_at - timedelta(days=7), next_run_at=due_at)
    with capture_logs() as logs:
        assert await watch.watch(database) == before + 1
    (warning,) = [entry for entry in logs if entry["event"] == "runs are late"]
    assert warning["longest_seconds"] >= 360
    await connection.execute(
        "update order_subscriptions set next_run_at = null where store_id = $1 and id = $2", store.id, id_
    )
    assert await watch.watch(database) == before


@pytest.mark.rule("FM-57", "FM-60", "FM-65")
async def test_one_that_fails_among_many_made_together_leaves_the_others_alone(
    connection: Connection, database_url: str, store: Store
) -> None:
    here = await deployment.here(connection)
    await deployment.adopt(connection, here, at=clock.now())
    scarce = await factories.sku(connection, store, price=100, stock=2)
    plenty = await factories.sku(connection, store, price=100, stock=100)
    order_id = await factories.full_order(connection, store, [factories.Line(plenty)])
    due_at = clock.now() - MINUTE
    columns = {"frequency": "weekly", "anchor_at": due_at - timedelta(days=7), "next_run_at": due_at}
    for product, number in ((scarce, 5), (plenty, 15)):
        for _ in range(number):
            await factories.subscription(connection, store, order_id, [factories.Line(product)], **columns)

    async def settled() -> bool:
        open_ones = "select count(*) from order_factories where store_id = $1 and status in ('completed', 'failed')"
        return int(await connection.fetchval(open_ones, store.id)) == 20

    async with working(database_url):
        await until(settled, 20)
    assert await copied(connection, store) == 17
    assert (await factories.stock(connection, store, scarce), await factories.stock(connection, store, plenty)) == (
        0,
        85,
    )
    assert await offences(connection, store) == []
