"""The sweep: every occurrence comes up once, whoever looks and however often."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx2
import pytest

import schemas  # noqa: F401 -- declares the graph
from service import clock
from service.jobs import sweep as job
from service.operations.copies import recurring_order_copies
from service.operations.generic.numbers import Numbers
from service.operations.subscriptions import sweep
from service.operations.tenant import tenants
from service.principal import Store
from service.rules.schedule import CATCH_UP, HORIZON
from service.store import deployment
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.steps import claim_surely, jobs, make, names_of, offences, pair, refusal, row
from tests.jobs.test_worker import until
from tests.spec.writing import Api
from tests.support import Access

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def deployment_id(connection: Connection) -> str:
    """The installation that the database belongs to, which is this one."""
    here = await deployment.here(connection)
    await deployment.adopt(connection, here, at=clock.now())
    return here


def due(late: timedelta = MINUTE, period: timedelta = HOUR, **columns: Any) -> dict[str, Any]:
    """Columns of an hourly subscription whose first occurrence came up so long ago."""
    at = clock.now() - late
    return {"frequency": "hourly", "anchor_at": at - period, "next_run_at": at, **columns}


async def swept(database: Database, store: Store) -> sweep.Swept:
    async with database.transaction() as connection:
        return await sweep.sweep(connection, store)


async def ledger(connection: Connection, store: Store, subscription_id: str) -> list[tuple[int, str]]:
    rows = await connection.fetch(
        "select occurrence_index, status from occurrences where store_id = $1 and order_subscription_id = $2"
        " order by occurrence_index",
        store.id,
        subscription_id,
    )
    return [(entry["occurrence_index"], entry["status"]) for entry in rows]


async def test_what_is_due_gets_a_copy_and_the_next_occurrences_are_planned(
    database: Database, connection: Connection, store: Store
) -> None:
    _, id_ = await pair(connection, store, **due())
    before = await row(connection, "order_subscriptions", store, id_)
    first = await swept(database, store)
    assert (first.subscriptions, len(first.copies), first.parked) == (1, 1, [])
    assert await ledger(connection, store, id_) == [(1, "due"), (2, "planned"), (3, "planned"), (4, "planned")]
    after = await row(connection, "order_subscriptions", store, id_)
    assert after["next_index"] == 2
    assert after["next_run_at"] == before["next_run_at"] + HOUR
    assert after["version"] == before["version"] + 1
    assert await jobs(connection, store, first.copies[0]) == 1
    assert await names_of(connection, store, first.copies[0]) == ["recurring_order_copies.create"]
    again = await swept(database, store)
    assert (again.subscriptions, again.copies) == (0, [])
    assert await offences(connection, store) == []


async def test_an_occurrence_is_claimed_and_completed_with_its_copy(
    database: Database, connection: Connection, store: Store
) -> None:
    _, id_ = await pair(connection, store, **due())
    (copy_id,) = (await swept(database, store)).copies
    order_id = await make(database, store, copy_id)
    occurrence = (await row(connection, "order_factories", store, copy_id))["occurrence_id"]
    entry = await row(connection, "occurrences", store, occurrence)
    assert entry["status"] == "completed"
    assert entry["claimed_at"] is not None
    assert (await row(connection, "orders", store, order_id))["occurrence_id"] == occurrence
    assert (await row(connection, "order_subscriptions", store, id_))["occurrencies"] == 1
    assert await offences(connection, store) == []


async def test_a_failed_occurrence_keeps_its_place_and_the_next_one_comes(
    database: Database, connection: Connection, store: Store
) -> None:
    _, id_ = await pair(connection, store, **due())
    (copy_id,) = (await swept(database, store)).copies
    await connection.execute("update skus set disabled_at = $2 where store_id = $1", store.id, clock.now(store))
    assert "line_items" in await refusal(database, store, copy_id)
    assert (await ledger(connection, store, id_))[:2] == [(1, "failed"), (2, "planned")]
    assert (await row(connection, "order_subscriptions", store, id_))["status"] == "active"
    assert await offences(connection, store) == []


@pytest.mark.rule("FM-51", "FM-52")
async def test_many_sweeps_at_once_make_one_copy_each(database: Database, connection: Connection, store: Store) -> None:
    order_id, first = await pair(connection, store, **due())
    ids = {first} | {await factories.subscription(connection, store, order_id, **due()) for _ in range(29)}
    results = await asyncio.gather(*(swept(database, store) for _ in range(8)))
    made = [copy_id for result in results for copy_id in result.copies]
    rows = await connection.fetch("select order_subscription_id from order_factories where store_id = $1", store.id)
    assert Counter(entry["order_subscription_id"] for entry in rows) == Counter(ids)
    assert len(made) == len(set(made)) == 30
    assert await offences(connection, store) == []


@pytest.mark.rule("FM-63")
@pytest.mark.parametrize(("policy", "runs"), [("run_once", 1), ("run_all", CATCH_UP), ("skip", 0)])
async def test_every_missed_occurrence_has_its_row(
    database: Database, connection: Connection, store: Store, policy: str, runs: int
) -> None:
    _, id_ = await pair(connection, store, **due(late=11 * HOUR + 30 * MINUTE, catchup_policy=policy))
    assert len((await swept(database, store)).copies) == runs
    statuses = [status for _, status in await ledger(connection, store, id_)]
    assert statuses == ["missed"] * (12 - runs) + ["due"] * runs + ["planned"] * HORIZON


@pytest.mark.rule("FM-65")
async def test_one_that_can_not_be_counted_is_parked_and_holds_up_nobody(
    database: Database, connection: Connection, store: Store
) -> None:
    order_id, poisoned = await pair(connection, store, **due(late=2 * HOUR, timezone="Europe/Nowhere"))
    healthy = await factories.subscription(connection, store, order_id, **due())
    result = await swept(database, store)
    assert result.parked == [poisoned]
    assert len(result.copies) == 1
    parked = await row(connection, "order_subscriptions", store, poisoned)
    assert parked["parked_at"] is not None
    assert "Europe/Nowhere" in parked["parked_reason"]
    assert parked["next_run_at"] is None
    assert await names_of(connection, store, poisoned) == ["order_subscriptions.park"]
    assert [index for index, _ in await ledger(connection, store, healthy)] == [1, 2, 3, 4]
    assert await offences(connection, store) == []


async def run_away(connection: Connection, store: Store, order_id: str, id_: str, occurrence_id: str | None) -> None:
    """As many copies as a subscription may have in a day."""
    for _ in range(sweep.FUSE):
        await factories.insert(
            connection,
            "order_factories",
            store,
            kind="recurring_order_copies",
            status="aborted",
            source_order_id=order_id,
            order_subscription_id=id_,
            occurrence_id=occurrence_id,
        )


async def test_one_that_runs_away_is_parked_until_somebody_has_looked(
    *, client: httpx2.AsyncClient, integration: Access, database: Database, connection: Connection, store: Store
) -> None:
    order_id, id_ = await pair(connection, store, **due())
    at = clock.now() - HOUR
    zero = await factories.insert(
        connection,
        "occurrences",
        store,
        order_subscription_id=id_,
        occurrence_index=0,
        status="completed",
        completed_at=at,
        nominal_at=at,
        scheduled_at=at,
    )
    await run_away(connection, store, order_id, id_, zero)
    result = await swept(database, store)
    assert (result.copies, result.parked) == ([], [id_])
    assert await ledger(connection, store, id_) == [(0, "completed")]
    api = Api(client, integration)
    assert (await api.update("order_subscriptions", id_, {"_unpark": True})).status_code == 200
    overdue = "update order_subscriptions set next_run_at = $3 where store_id = $1 and id = $2"
    await connection.execute(overdue, store.id, id_, clock.now())
    result = await swept(database, store)
    assert (result.subscriptions, result.parked) == (1, [])


async def test_copies_that_somebody_asked_for_park_nothing(
    database: Database, connection: Connection, store: Store
) -> None:
    order_id, id_ = await pair(connection, store, **due())
    await run_away(connection, store, order_id, id_, None)
    result = await swept(database, store)
    assert (len(result.copies), result.parked) == (1, [])


@pytest.mark.parametrize("ends", ["cancelled", "erased"])
async def test_what_was_ahead_of_one_that_ends_is_over(
    *,
    client: httpx2.AsyncClient,
    integration: Access,
    database: Database,
    connection: Connection,
    store: Store,
    ends: str,
) -> None:
    """A copy that its worker had to give back among them, whose occurrence is still claimed."""
    _, id_ = await pair(connection, store, **due())
    (copy_id,) = (await swept(database, store)).copies
    claimed = await claim_surely(database, store, copy_id)
    async with database.transaction() as giving_back:
        await recurring_order_copies.release(giving_back, [claimed])
    api = Api(client, integration)
    if ends == "cancelled":
        ended = await api.update("order_subscriptions", id_, {"_cancel": True})
    else:
        customer_id = (await row(connection, "order_subscriptions", store, id_))["customer_id"]
        ended = await api.update("customers", customer_id, {"_erase": True})
    assert ended.status_code == 200, ended.text
    assert (await row(connection, "order_factories", store, copy_id))["status"] == "aborted"
    assert {status for _, status in await ledger(connection, store, id_)} == {"skipped"}
    assert "recurring_order_copies.abort" in await names_of(connection, store, copy_id)
    assert await offences(connection, store) == []


async def test_number_of_runs_and_end_hold(database: Database, connection: Connection, store: Store) -> None:
    order_id, twice = await pair(connection, store, **due(late=5 * HOUR, catchup_policy="run_all", max_occurrences=2))
    over = await factories.subscription(
        connection, store, order_id, **due(late=MINUTE, starts_at=clock.now() - HOUR, expires_at=clock.now() - MINUTE)
    )
    await swept(database, store)
    assert [status for _, status in await ledger(connection, store, twice)].count("due") == 2
    assert (await row(connection, "order_subscriptions", store, twice))["next_run_at"] is None
    assert await ledger(connection, store, over) == []
    assert (await row(connection, "order_subscriptions", store, over))["next_run_at"] is None


@pytest.mark.parametrize("status", ["draft", "inactive", "cancelled"])
async def test_only_active_subscriptions_are_swept(
    database: Database, connection: Connection, store: Store, status: str
) -> None:
    columns = due(status=status) | ({"next_run_at": None} if status == "cancelled" else {})
    await pair(connection, store, **columns)
    assert (await swept(database, store)).subscriptions == 0


async def test_stores_on_a_test_clock_are_left_to_it(
    database: Database, connection: Connection, store: Store, deployment_id: str
) -> None:
    _, id_ = await pair(connection, store, **due())
    assert store.id in await sweep.due_stores(connection, deployment_id, clock.now())
    frozen = clock.now() - timedelta(days=2)
    clock_id = await factories.insert(connection, "test_clocks", store, name="still", frozen_at=frozen)
    await connection.execute("update stores set test_clock_id = $2 where store_id = $1", store.id, clock_id)
    assert store.id not in await sweep.due_stores(connection, deployment_id, clock.now())
    found = await tenants.find(connection, store.id)
    assert found is not None
    assert (await swept(database, found)).subscriptions == 0
    assert await ledger(connection, store, id_) == []


async def test_a_sweep_that_is_broken_off_leaves_everything_due(
    database: Database, connection: Connection, store: Store
) -> None:
    _, id_ = await pair(connection, store, **due())
    async with database.connection() as other:
        transaction = other.transaction()
        await transaction.start()
        assert len((await sweep.sweep(other, store)).copies) == 1
        await transaction.rollback()
    assert await ledger(connection, store, id_) == []
    assert len((await swept(database, store)).copies) == 1


async def test_a_store_is_swept_batch_by_batch(
    *, database: Database, connection: Connection, store: Store, deployment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "BATCH", 4)
    order_id, _ = await pair(connection, store, **due())
    for _ in range(9):
        await factories.subscription(connection, store, order_id, **due())
    assert await job.run(database, deployment_id) >= 10
    made = await connection.fetchval("select count(*) from order_factories where store_id = $1", store.id)
    assert made == 10


async def test_a_batch_that_waits_for_its_stock_keeps_no_other_waiting(
    *, database: Database, connection: Connection, store: Store, deployment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has two batches in hand, of one store too: here the first to come due can't have their stock yet."""
    monkeypatch.setattr(sweep, "BATCH", 2)
    scarce = await factories.sku(connection, store, price=100, stock=2)
    order_id = await factories.full_order(connection, store, [factories.Line(scarce)])
    held = [await factories.subscription(connection, store, order_id, **due(late=2 * MINUTE)) for _ in range(2)]
    plenty = [factories.Line(await factories.sku(connection, store, price=100))]
    others = [await factories.subscription(connection, store, order_id, plenty, **due()) for _ in range(3)]

    async def made() -> set[str]:
        rows = await connection.fetch(
            "select order_subscription_id from orders where store_id = $1 and occurrence_id is not null", store.id
        )
        return {row["order_subscription_id"] for row in rows}

    async def all_others_are() -> bool:
        return await made() == set(others)

    async with database.transaction() as taking:
        await taking.execute("select from stock_items where store_id = $1 for update", store.id)
        task = asyncio.create_task(job.run(database, deployment_id, Numbers(database)))
        await until(all_others_are)
    await task
    assert await made() == {*held, *others}
    assert await factories.stock(connection, store, scarce) == 0
    assert await offences(connection, store) == []


async def test_a_skipped_or_moved_row_of_the_ledger_is_kept(
    database: Database, connection: Connection, store: Store
) -> None:
    at = clock.now() - MINUTE
    _, id_ = await pair(connection, store, **due())
    for index, status, moved in ((1, "skipped", at), (2, "planned", at + HOUR + 5 * MINUTE)):
        await factories.insert(
            connection,
            "occurrences",
            store,
            id=f"entry-{index}",
            order_subscription_id=id_,
            occurrence_index=index,
            status=status,
            nominal_at=at + (index - 1) * HOUR,
            scheduled_at=moved,
        )
    assert (await swept(database, store)).copies == []
    assert (await ledger(connection, store, id_))[:2] == [(1, "skipped"), (2, "planned")]
    after = await row(connection, "order_subscriptions", store, id_)
    assert abs(after["next_run_at"] - (at + HOUR + 5 * MINUTE)) < timedelta(milliseconds=2)
    assert (await row(connection, "occurrences", store, "entry-2"))["version"] == 1


@pytest.mark.rule("FM-64")
async def test_the_schedule_of_a_copied_database_is_left_to_the_original(
    database: Database, connection: Connection, store: Store, deployment_id: str
) -> None:
    _, id_ = await pair(connection, store, **due())
    await deployment.adopt(connection, "the original", at=clock.now())
    await deployment.claim(connection, deployment_id, at=clock.now())
    assert await deployment.owner(connection) == "the original"
    assert await job.run(database, deployment_id) == 0
    assert await ledger(connection, store, id_) == []
    await deployment.adopt(connection, deployment_id, at=clock.now())
    assert await job.run(database, deployment_id) >= 1
    assert (await ledger(connection, store, id_))[0] == (1, "due")
