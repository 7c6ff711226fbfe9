"""Runs that are made as they come due: as the queue would make them, or left to it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from service import clock
from service.jobs import sweep as job
from service.jobs.copy import CopyJob
from service.operations.copies import at_once
from service.operations.generic.numbers import Numbers
from service.operations.subscriptions import sweep
from service.operations.subscriptions.sweep import Swept
from service.principal import Store
from service.rules.schedule import CATCH_UP
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.jobs.paying import prepare
from tests.jobs.steps import jobs, names_of, offences, pair, row
from tests.jobs.test_sweep import HOUR, MINUTE, due, ledger, swept
from tests.jobs.test_worker import until
from tests.nodes import ACTIVITY

OWN = {
    "id",
    "number",
    "code",
    "order_id",
    "created_at",
    "updated_at",
    "placed_at",
    "payment_updated_at",
    "refreshed_at",
}
"""Columns in which no two orders, or lines, or copies, are alike."""


async def made_at_once(database: Database, store: Store, count: int = 10) -> Swept:
    async with Numbers(database, block=count).some(store.id, count) as numbers, database.transaction() as connection:
        return await sweep.sweep(connection, store, numbers=numbers)


async def orders_of(connection: Connection, store: Store, subscription_id: str) -> list[Any]:
    statement = "select * from orders where store_id = $1 and order_subscription_id = $2 order by number"
    return list(await connection.fetch(statement, store.id, subscription_id))


async def test_a_due_run_is_made_in_the_transaction_that_finds_it(
    database: Database, connection: Connection, store: Store
) -> None:
    sku = await factories.sku(connection, store, price=1900, stock=10)
    order_id = await factories.full_order(connection, store, [Line(sku, 3)])
    id_ = await factories.subscription(connection, store, order_id, **due())
    before = await row(connection, "order_subscriptions", store, id_)
    done = await made_at_once(database, store)
    (copy_id,) = done.copies
    (lateness,) = done.lateness
    assert timedelta(seconds=50) < lateness < timedelta(seconds=70)
    copy = await row(connection, "order_factories", store, copy_id)
    (order,) = await orders_of(connection, store, id_)
    assert (copy["status"], copy["target_order_id"], copy["attempt"]) == ("completed", order["id"], 1)
    assert copy["started_at"] == copy["completed_at"] == copy["created_at"]
    assert (order["status"], order["occurrence_id"]) == ("placed", copy["occurrence_id"])
    assert await ledger(connection, store, id_) == [(1, "completed"), (2, "planned"), (3, "planned"), (4, "planned")]
    occurrence = await row(connection, "occurrences", store, copy["occurrence_id"])
    assert occurrence["claimed_at"] == occurrence["completed_at"] == copy["completed_at"]
    after = await row(connection, "order_subscriptions", store, id_)
    assert after["next_run_at"] == before["next_run_at"] + HOUR
    assert (after["occurrencies"], after["succeeded_on_last_run"]) == (1, True)
    assert after["last_run_at"] == copy["completed_at"]
    assert after["version"] == before["version"] + 1
    assert await factories.stock(connection, store, sku) == 7
    assert await jobs(connection, store, copy_id) == 0
    assert await names_of(connection, store, copy_id) == [
        "recurring_order_copies.create",
        "recurring_order_copies.start",
        "recurring_order_copies.complete",
    ]
    assert await names_of(connection, store, order["id"]) == ["orders.create", "orders.pending", "orders.place"]
    assert await names_of(connection, store, id_) == ["order_subscriptions.last_run_succeeded"]
    assert await offences(connection, store) == []
    assert (await made_at_once(database, store)).subscriptions == 0


async def test_it_is_the_order_that_the_queue_would_make(
    database: Database, connection: Connection, store: Store
) -> None:
    tracked = await factories.sku(connection, store, price=1900, stock=100)
    other = await factories.sku(connection, store, price=850)
    order_id = await factories.full_order(connection, store, [Line(tracked, 2), Line(other, 1)])
    both = [
        await factories.subscription(connection, store, order_id, **due(price_mode=mode, max_increase_percent=limit))
        for mode, limit in (("fixed", None), ("current", 10))
        for _ in range(2)
    ]
    for one, another in (both[:2], both[2:]):
        hold = (
            "update order_subscriptions set next_run_at = $3 where store_id = $1 and id <> $2 and last_run_at is null"
        )
        await connection.execute(hold, store.id, one, clock.now() + HOUR)
        assert len((await made_at_once(database, store)).lateness) == 1
        await connection.execute(hold, store.id, "", clock.now() - MINUTE)
        await connection.execute(hold, store.id, another, clock.now() + HOUR)
        copies = (await swept(database, store)).copies
        assert await CopyJob(database).make(store.id, copies) is None
        await connection.execute(hold, store.id, "", clock.now() - MINUTE)
        found = [(await orders_of(connection, store, id_))[0] for id_ in (one, another)]
        lines = [
            await connection.fetch(
                "select * from line_items where store_id = $1 and order_id = $2 order by position",
                store.id,
                order["id"],
            )
            for order in found
        ]
        apart = {*OWN, "order_subscription_id", "occurrence_id", "billing_address_id", "shipping_address_id"}
        told = [[{k: v for k, v in order.items() if k not in apart}] for order in found]
        told = [
            [*of_order, *({k: v for k, v in line.items() if k not in OWN} for line in of_lines)]
            for of_order, of_lines in zip(told, lines, strict=True)
        ]
        assert told[0] == told[1]
        assert len(told[0]) == 3
    assert await factories.stock(connection, store, tracked) == 92
    assert await offences(connection, store) == []


async def test_what_was_missed_is_made_up_for_at_once(database: Database, connection: Connection, store: Store) -> None:
    _, id_ = await pair(connection, store, **due(late=11 * HOUR + 30 * MINUTE, catchup_policy="run_all"))
    assert len((await made_at_once(database, store)).lateness) == CATCH_UP
    statuses = [status for _, status in await ledger(connection, store, id_)]
    assert statuses[:12] == ["missed"] * (12 - CATCH_UP) + ["completed"] * CATCH_UP
    assert len(await orders_of(connection, store, id_)) == CATCH_UP
    assert (await row(connection, "order_subscriptions", store, id_))["occurrencies"] == CATCH_UP
    assert await offences(connection, store) == []


async def test_without_numbers_for_all_of_its_runs_a_subscription_is_left_to_the_queue(
    database: Database, connection: Connection, store: Store
) -> None:
    order_id, first = await pair(connection, store, **due(late=2 * HOUR + MINUTE, catchup_policy="run_all"))
    second = await factories.subscription(connection, store, order_id, **due())
    done = await made_at_once(database, store, count=2)
    assert (len(done.copies), len(done.lateness)) == (4, 0)
    assert [await orders_of(connection, store, id_) for id_ in (first, second)] == [[], []]
    assert await CopyJob(database).make(store.id, done.copies) is None
    assert [len(await orders_of(connection, store, id_)) for id_ in (first, second)] == [3, 1]
    assert await offences(connection, store) == []


@pytest.mark.parametrize("reason", ["lenient", "dear", "out of stock", "gone", "nothing to pay with"])
async def test_what_may_not_be_made_as_it_is_is_left_to_the_queue(
    database: Database, connection: Connection, store: Store, reason: str
) -> None:
    sku = await factories.sku(connection, store, price=1000, stock=1 if reason == "out of stock" else 100)
    columns = due(price_mode="current")
    columns |= {"unavailable_policy": "partial"} if reason == "lenient" else {}
    columns |= {"max_increase_percent": 10} if reason == "dear" else {}
    if reason == "nothing to pay with":
        run = await prepare(database, connection, store, **due())
        await connection.execute(
            "update order_subscriptions set customer_payment_source_id = null where store_id = $1", store.id
        )
        await connection.execute("update orders set customer_payment_source_id = null where store_id = $1", store.id)
        id_ = run.subscription_id
    else:
        order_id = await factories.full_order(connection, store, [Line(sku, 2)])
        id_ = await factories.subscription(connection, store, order_id, **columns)
    if reason == "dear":
        await factories.set_price(connection, store, sku, 2000)
    if reason == "gone":
        await connection.execute("update skus set disabled_at = $2 where store_id = $1", store.id, clock.now())
    healthy = await factories.full_order(connection, store, [Line(await factories.sku(connection, store, price=500))])
    neighbour = await factories.subscription(connection, store, healthy, **due())
    done = await made_at_once(database, store)
    assert (len(done.copies), len(done.lateness)) == (2, 1)
    assert len(await orders_of(connection, store, neighbour)) == 1
    assert await orders_of(connection, store, id_) == []
    assert (await ledger(connection, store, id_))[0] == (1, "due")
    assert await jobs(connection, store, done.copies[0]) == 1
    assert (await row(connection, "order_factories", store, done.copies[0]))["status"] == "pending"
    assert await offences(connection, store) == []


async def test_a_run_that_a_gateway_is_asked_for_is_placed_by_its_job(
    database: Database, connection: Connection, store: Store
) -> None:
    run = await prepare(database, connection, store, **due())
    done = await made_at_once(database, store)
    assert len(done.lateness) == 1
    assert (await run.order())["status"] == "placing"
    assert await run.statuses() == ["pending"]
    assert await run.stock() == 8
    assert await run.events() == []
    await run.pay()
    assert (await run.order())["status"] == "placed"
    assert await run.events() == ["order_subscriptions.last_run_succeeded"]
    assert await offences(connection, store) == []


async def test_stock_that_goes_while_orders_are_made_leaves_them_to_the_queue(
    database: Database, connection: Connection, store: Store
) -> None:
    """Another order takes the last pieces: the batch is undone, and done with jobs."""
    sku = await factories.sku(connection, store, price=1000, stock=2)
    order_id = await factories.full_order(connection, store, [Line(sku, 2)])
    id_ = await factories.subscription(connection, store, order_id, **due())
    waits = f"select exists(select from {ACTIVITY} where wait_event_type = 'Lock' and query like '%stock_items%')"

    async def waiting() -> bool:
        return bool(await connection.fetchval(waits))

    async with database.transaction() as taking:
        await taking.execute("update stock_items set quantity = 1 where store_id = $1", store.id)
        task = asyncio.create_task(job.sweep_store(database, store.id, Numbers(database)))
        await until(waiting)
    assert await task == 1
    assert await orders_of(connection, store, id_) == []
    assert (await ledger(connection, store, id_))[0] == (1, "due")
    assert await factories.stock(connection, store, sku) == 1
    assert await offences(connection, store) == []


async def test_many_lines_are_left_to_the_queue(
    database: Database, connection: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id, _ = await pair(connection, store, **due())
    await factories.subscription(connection, store, order_id, **due())
    monkeypatch.setattr(at_once, "LINES", 3)
    done = await made_at_once(database, store)
    assert (len(done.copies), len(done.lateness)) == (2, 1)


async def test_numbers_that_are_left_are_given_to_others(database: Database, store: Store) -> None:
    numbers = Numbers(database, block=5)
    first = await numbers.take(store.id)
    async with numbers.some(store.id, 3) as given:
        assert given == [first + 1, first + 2, first + 3]
        del given[0]
    assert [await numbers.take(store.id) for _ in range(3)] == [first + 2, first + 3, first + 4]


async def test_each_is_priced_by_what_it_orders_itself(
    database: Database, connection: Connection, store: Store
) -> None:
    """Of what many order alike the price is worked out once: a difference in anything that it depends on counts."""
    sku = await factories.sku(connection, store, price=1000)
    order_id = await factories.full_order(connection, store, [Line(sku, 2)])
    ids = [await factories.subscription(connection, store, order_id, **due()) for _ in range(4)]
    ids.append(await factories.subscription(connection, store, order_id, **due(price_mode="current")))
    change = "update order_subscription_items set {} where store_id = $1 and order_subscription_id = $2"
    await connection.execute(change.format("quantity = 3, total_amount_cents = 3000"), store.id, ids[2])
    await connection.execute(change.format("unit_amount_cents = 900"), store.id, ids[3])
    await factories.set_price(connection, store, sku, 1200)
    assert len((await made_at_once(database, store)).lateness) == 5
    totals = [(await orders_of(connection, store, id_))[0]["subtotal_amount_cents"] for id_ in ids]
    assert totals == [2000, 2000, 3000, 1800, 2400]
