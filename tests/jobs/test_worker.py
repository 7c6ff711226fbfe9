"""The worker on the real queue: it starts at once, survives what can happen to it, and makes one order a copy."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import orjson
import pytest

from service import clock
from service.jobs import clean, engine
from service.jobs.copy import ATTEMPTS
from service.operations.copies import recurring_order_copies
from service.principal import Store
from service.store import queue
from service.store.pool import Connection, Database
from tests import bouncer, factories, roles
from tests.factories import Line
from tests.gateways import nearby
from tests.jobs.steps import ask, bearer, claim, jobs, names_of, pair, row
from tests.support import KEYS

HASTY = {"heartbeat": timedelta(seconds=1), "lease": timedelta(seconds=1)}
"""So that what a dead worker left behind is taken up within seconds."""

PROCESS = """
import asyncio, sys
from datetime import timedelta
from service.gateways import configured
from service.jobs import engine
from service.settings import Settings
from tests.bouncer import most_prepared

second = timedelta(seconds=1)
stop, gateways = asyncio.Event(), configured(Settings())
hasty = {"concurrency": 2, "heartbeat": second, "lease": second, "keys": ["first-key-of-the-tests"]}
hasty["statement_cache_size"] = most_prepared()
asyncio.run(engine.run(sys.argv[1], stop=stop, gateways=gateways, **hasty))
"""


@asynccontextmanager
async def working(url: str, *, as_given: bool = False, **options: Any) -> AsyncIterator[asyncio.Event]:
    """A worker that runs meanwhile, and stops gracefully in the end; yields what stops it.

    It has a worker's rights, unless the URL is to be used `as_given`.
    """
    stop = asyncio.Event()
    how = roles.Reached(database_url=url) if as_given else roles.reached("worker", url)
    given: dict[str, Any] = {"concurrency": 4, "statement_cache_size": bouncer.most_prepared()} | HASTY | how | options
    url = given.pop("database_url")
    task = asyncio.create_task(engine.run(url, stop=stop, gateways=nearby(), keys=KEYS, **given))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    """Wait until a condition holds; fail when it doesn't in time."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 -- what is waited for happens in the database
            await asyncio.sleep(0.02)


async def status(connection: Connection, store: Store, copy_id: str) -> str:
    return str((await row(connection, "order_factories", store, copy_id))["status"])


async def reach(connection: Connection, store: Store, copy_id: str, wanted: str, seconds: float = 15) -> None:
    async def reached() -> bool:
        return await status(connection, store, copy_id) == wanted

    await until(reached, seconds)


async def copied(connection: Connection, store: Store) -> int:
    """How many orders of a store are copies."""
    statement = "select count(*) from orders where store_id = $1 and source_order_id is not null"
    return int(await connection.fetchval(statement, store.id))


@asynccontextmanager
async def held(database: Database, store: Store) -> AsyncIterator[None]:
    """A lock on the store's subscriptions: meanwhile copies can be asked for and claimed, but not finished."""
    async with database.transaction() as connection:
        await connection.execute("select from order_subscriptions where store_id = $1 for no key update", store.id)
        yield


async def test_a_copy_runs_from_pending_to_completed_within_seconds(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    async with working(database_url):
        order_id, subscription_id = await pair(connection, store)
        copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
        await reach(connection, store, copy_id, "completed", 5)

    copy = await row(connection, "order_factories", store, copy_id)
    target = await row(connection, "orders", store, copy["target_order_id"])
    assert (target["status"], target["source_order_id"]) == ("placed", order_id)
    assert await names_of(connection, store, copy_id) == [
        "recurring_order_copies.create",
        "recurring_order_copies.start",
        "recurring_order_copies.complete",
    ]
    assert await jobs(connection, store, copy_id) == 0


async def test_a_copy_that_can_not_be_made_ends_as_failed(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    scarce = await factories.sku(connection, store, stock=0, code="RARE")
    order_id = await factories.full_order(connection, store, [Line(scarce)])
    subscription_id = await factories.subscription(connection, store, order_id)
    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    async with working(database_url):
        await reach(connection, store, copy_id, "failed")
    copy = await row(connection, "order_factories", store, copy_id)
    assert orjson.loads(copy["errors_log"]) == {"line_items": ["RARE - out_of_stock"]}
    assert await copied(connection, store) == 0


async def test_many_copies_by_several_workers_make_one_order_each(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    order_id, subscription_id = await pair(connection, store)
    ids = [await ask(database, bearer(store), order_id, subscription_id) for _ in range(40)]

    async def drained() -> bool:
        pending = "select count(*) from order_factories where store_id = $1 and status <> 'completed'"
        return int(await connection.fetchval(pending, store.id)) == 0

    async with working(database_url), working(database_url):
        await until(drained)
    assert await copied(connection, store) == len(ids)
    numbers = (
        "select count(distinct number) = count(*), count(distinct code) = count(*) from orders where store_id = $1"
    )
    assert tuple(await connection.fetchrow(numbers, store.id) or ()) == (True, True)


async def test_a_worker_killed_in_the_middle_of_a_copy_loses_nothing_and_doubles_nothing(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    order_id, subscription_id = await pair(connection, store)
    copy_id = await ask(database, bearer(store), order_id, subscription_id)
    async with held(database, store):
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", PROCESS, roles.worker(database_url))
        await reach(connection, store, copy_id, "in_progress")
        worker.kill()
        await worker.wait()
    async with working(database_url):
        await reach(connection, store, copy_id, "completed")
    assert await copied(connection, store) == 1
    assert (await row(connection, "order_factories", store, copy_id))["attempt"] == 2
    assert (await names_of(connection, store, copy_id)).count("recurring_order_copies.start") == 1


async def test_a_job_waits_for_the_worker_that_has_the_copy(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    copy_id = await ask(database, bearer(store), *await pair(connection, store))
    assert await claim(database, store, copy_id, lease=timedelta(seconds=2)) is not None
    async with working(database_url):
        await asyncio.sleep(0.5)
        assert await status(connection, store, copy_id) == "in_progress"
        await reach(connection, store, copy_id, "completed")
    assert (await row(connection, "order_factories", store, copy_id))["attempt"] == 2


async def test_what_goes_wrong_on_the_way_is_tried_again(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    copy_id = await ask(database, bearer(store), *await pair(connection, store))

    async def released() -> bool:
        copy = await row(connection, "order_factories", store, copy_id)
        return (copy["status"], copy["attempt"]) == ("pending", 1)

    async with working(database_url, command_timeout=0.5):
        async with held(database, store):
            await until(released)
        await reach(connection, store, copy_id, "completed")
    assert await copied(connection, store) == 1


async def test_a_copy_that_never_comes_to_an_end_is_given_up(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    order_id, subscription_id = await pair(connection, store)
    copy_id = await ask(database, bearer(store), order_id, subscription_id)
    await connection.execute("update order_factories set attempt = $2 where store_id = $1", store.id, ATTEMPTS)
    async with working(database_url):
        await reach(connection, store, copy_id, "failed")
    copy = await row(connection, "order_factories", store, copy_id)
    assert orjson.loads(copy["errors_log"]) == {"base": [f"given up after {ATTEMPTS} attempts"]}
    assert (await row(connection, "order_subscriptions", store, subscription_id))["status"] == "active"


async def test_a_poisonous_job_holds_nobody_up(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    await queue.enqueue(
        connection, recurring_order_copies.ENTRYPOINT, b"no copy at all", dedupe_key=f"poison/{store.id}"
    )
    copy_id = await ask(database, bearer(store), *await pair(connection, store))
    async with working(database_url):
        await reach(connection, store, copy_id, "completed")
        attempts = "select attempts from pgqueuer.pgqueuer where dedupe_key = $1"

        async def tried_again() -> bool:
            return int(await connection.fetchval(attempts, f"poison/{store.id}")) >= 1

        await until(tried_again)
    await connection.execute("delete from pgqueuer.pgqueuer where dedupe_key = $1", f"poison/{store.id}")


async def test_a_lost_connection_is_taken_up_again(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    ends = await pair(connection, store)
    async with working(database_url):
        first = await ask(database, bearer(store), *ends)
        await reach(connection, store, first, "completed")
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query ilike '%listen%' and pid <> pg_backend_pid()"
        )
        killed = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
        await connection.execute(f"{killed} and query like '%pgqueuer%' and pid <> pg_backend_pid()")
        second = await ask(database, bearer(store), *ends)
        await reach(connection, store, second, "completed")


async def test_stopping_finishes_what_was_begun(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    copy_id = await ask(database, bearer(store), *await pair(connection, store))
    async with working(database_url, lease=timedelta(minutes=1)) as stop, held(database, store):
        await reach(connection, store, copy_id, "in_progress")
        stop.set()
        await asyncio.sleep(0.3)
    assert await status(connection, store, copy_id) == "completed"
    assert await jobs(connection, store, copy_id) == 0


async def test_copies_without_a_job_are_put_back_into_the_queue_once(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    order_id, subscription_id = await pair(connection, store)
    pending = await ask(database, bearer(store), order_id, subscription_id)
    begun = await ask(database, bearer(store), order_id, subscription_id)
    busy = await ask(database, bearer(store), order_id, subscription_id)
    await claim(database, store, begun, lease=timedelta(0))
    await claim(database, store, busy)
    await connection.execute("delete from pgqueuer.pgqueuer")
    await clean.rescue(database)
    await clean.rescue(database)
    assert [await jobs(connection, store, copy_id) for copy_id in (pending, begun, busy)] == [1, 1, 0]
    async with working(database_url):
        await reach(connection, store, pending, "completed")
        await reach(connection, store, begun, "completed")


async def test_what_waits_for_its_job_gets_no_second_one(
    database: Database, connection: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute("delete from pgqueuer.pgqueuer")
    order_id, subscription_id = await pair(connection, store)
    many = recurring_order_copies.BATCH * 2
    made = [
        await factories.insert(
            connection,
            "order_factories",
            store,
            kind="recurring_order_copies",
            source_order_id=order_id,
            order_subscription_id=subscription_id,
        )
        for _ in range(many + 1)
    ]
    await recurring_order_copies.enqueue_all(connection, store.id, made[:many])
    await queue.enqueue(connection, recurring_order_copies.ENTRYPOINT, b"no copy at all")
    waiting = "select count(*) from pgqueuer.pgqueuer where dedupe_key like $1"
    of_store = f"{recurring_order_copies.ENTRYPOINT}/{store.id}/%"
    monkeypatch.setattr(recurring_order_copies, "LONG_QUEUE", 2)
    await clean.rescue(database)
    assert await connection.fetchval(waiting, of_store) == 2
    monkeypatch.undo()
    await clean.rescue(database)
    await clean.rescue(database)
    assert await connection.fetchval(waiting, of_store) == 3
    assert await jobs(connection, store, made[many]) == 1
    await connection.execute("delete from pgqueuer.pgqueuer")


async def test_what_has_expired_is_deleted(database: Database, connection: Connection, store: Store) -> None:
    at = clock.now()
    for key, ends in (("old", at - timedelta(seconds=1)), ("new", at + timedelta(hours=1))):
        began = ends - timedelta(hours=24)
        await connection.execute(
            "insert into idempotency_keys (store_id, principal, key, fingerprint, status, created_at, expires_at)"
            " values ($1, 'p', $2, '', 201, $3, $4)",
            store.id,
            key,
            began,
            ends,
        )
        await connection.execute(
            "insert into rate_limits (store_id, key, started_at, expires_at, hits) values ($1, $2, $3, $4, 1)",
            store.id,
            key,
            began,
            ends,
        )
    await clean.clean(database)
    for table in ("idempotency_keys", "rate_limits"):
        kept = await connection.fetch(f"select key from {table} where store_id = $1", store.id)
        assert [kept_row["key"] for kept_row in kept] == ["new"]
