"""Runs of subscriptions that are paid through a gateway: one order, charged once, whatever dies on the way."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from service import clock
from service.jobs import clean
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.operations.copies import recurring_order_copies
from service.operations.generic.numbers import Numbers
from service.operations.payments.attempts import PATIENCE
from service.principal import Store
from service.store.pool import Connection, Database
from tests import bouncer, factories, roles
from tests.factories import Line
from tests.gateways import example, nearby
from tests.jobs.paying import Run, prepare
from tests.jobs.steps import ask, bearer, claim_surely, make, names_of, offences, refusal, row
from tests.jobs.test_worker import until, working

SCRIPT = Path(__file__).parent / "killable_worker.py"


@pytest.fixture
async def run(database: Database, connection: Connection, store: Store) -> Run:
    return await prepare(database, connection, store)


async def test_a_run_is_placed_once_its_gateway_said_yes(run: Run, connection: Connection, store: Store) -> None:
    copy_id = await run.begin()
    order = await run.order()
    assert (order["status"], order["payment_status"], order["placed_at"]) == ("placing", "unpaid", None)
    assert (await row(connection, "order_factories", store, copy_id))["status"] == "completed"
    assert await run.stock() == 8
    assert await run.events() == []
    assert await offences(connection, store) == []
    await run.pay()
    order = await run.order()
    assert (order["status"], order["payment_status"]) == ("placed", "authorized")
    (attempt,) = await run.attempts()
    assert (attempt["status"], attempt["amount_cents"]) == ("authorized", 3800 + 495)
    assert attempt["customer_payment_source_id"] == order["customer_payment_source_id"] == run.source_id
    assert await names_of(connection, store, order["id"]) == [
        "orders.create",
        "orders.pending",
        "orders.placing",
        "orders.place",
    ]
    assert await run.events() == ["order_subscriptions.last_run_succeeded"]
    assert await run.stock() == 8
    assert await offences(connection, store) == []


async def test_taxes_that_come_on_top_are_paid_too(run: Run, connection: Connection, store: Store) -> None:
    await connection.execute("update orders set tax_included = false where store_id = $1", store.id)
    await run.begin()
    order, (attempt,) = await run.order(), await run.attempts()
    assert attempt["amount_cents"] == order["total_amount_cents"] + order["total_tax_amount_cents"] > 3800 + 495


async def test_what_is_paid_by_hand_asks_for_nothing_more(
    database: Database, connection: Connection, store: Store
) -> None:
    """As many statements as before there were gateways: what needs no call costs nothing."""
    counts = {}
    for gateway in ("manual", "test"):
        run = await prepare(database, connection, store, gateway=gateway)
        copy_id = await ask(database, bearer(store), run.order_id, run.subscription_id, place_target_order=True)
        claimed = await claim_surely(database, store, copy_id)
        seen: list[object] = []
        number = await Numbers(database).take(store.id)
        async with database.transaction() as inner:
            with inner.query_logger(seen.append):
                await recurring_order_copies.finish(inner, [claimed], [number])
        counts[gateway] = len(seen)
        assert (await run.order())["status"] == ("placed" if gateway == "manual" else "placing")
    assert counts["test"] == counts["manual"] + 2


async def test_a_batch_is_charged_each_for_itself(database: Database, connection: Connection, store: Store) -> None:
    runs = [
        await prepare(database, connection, store, token=token)
        for token in ("tok_approve", "tok_decline", "tok_approve")
    ]
    ids = [
        await ask(database, bearer(store), run.order_id, run.subscription_id, place_target_order=True) for run in runs
    ]
    await CopyJob(database).make(store.id, ids)
    for run in runs:
        await run.pay()
    assert [(await run.order())["status"] for run in runs] == ["placed", "pending", "placed"]
    assert await offences(connection, store) == []


async def test_a_run_that_must_not_use_the_wallet_needs_another_way_to_pay(
    run: Run, database: Database, store: Store
) -> None:
    """Nothing new in the wallet will pay for it, so it fails."""
    terms: dict[str, Any] = {"place_target_order": True, "reuse_wallet": False}
    copy_id = await ask(database, bearer(store), run.order_id, run.subscription_id, **terms)
    assert await refusal(database, store, copy_id) == {"customer_payment_source": ["can't be blank"]}
    unplaced = await ask(database, bearer(store), run.order_id, run.subscription_id, reuse_wallet=False)
    assert await make(database, store, unplaced), "an order that isn't placed needs none"


async def test_a_store_without_a_gateway_of_its_own_does_not_charge_through_it(
    database: Database, connection: Connection, store: Store
) -> None:
    run = await prepare(database, connection, store, gateway="external")
    copy_id = await ask(database, bearer(store), run.order_id, run.subscription_id, place_target_order=True)
    assert await refusal(database, store, copy_id) == {
        "payment_method": ["can't be charged through the external gateway"]
    }


async def test_order_copies_are_paid_too(run: Run, database: Database, connection: Connection, store: Store) -> None:
    copy_id = await factories.insert(
        connection,
        "order_factories",
        store,
        kind="order_copies",
        source_order_id=run.order_id,
        place_target_order=True,
    )
    await CopyJob(database).make(store.id, [copy_id])
    target_id = (await row(connection, "order_factories", store, copy_id))["target_order_id"]
    assert (await row(connection, "orders", store, target_id))["status"] == "placing"
    await PaymentJob(database, nearby()).go_on(store.id, target_id)
    target = await row(connection, "orders", store, target_id)
    assert (target["status"], target["payment_status"]) == ("placed", "authorized")
    assert await offences(connection, store) == []


# --- whatever dies ---


async def killed(url: str, moment: str, customer_id: str) -> None:
    """Have a worker process go at what is in the queue, and die around its call."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        roles.worker(url),
        moment,
        customer_id,
        env={"PYTHONPATH": ":".join(sys.path), **bouncer.inherited()},
    )
    async with asyncio.timeout(30):
        assert await worker.wait() == -signal.SIGKILL


@pytest.mark.rule("FM-57", "FM-60")
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_worker_killed_around_the_call_leaves_what_the_next_one_finishes(
    run: Run, connection: Connection, store: Store, *, database_url: str, moment: str
) -> None:
    await connection.execute("delete from pgqueuer.pgqueuer")
    copy_id = await ask(run.database, bearer(store), run.order_id, run.subscription_id, place_target_order=True)
    await killed(database_url, moment, run.customer_id)
    order = await run.order()
    assert (order["status"], await run.stock()) == ("placing", 8)
    assert (await row(connection, "order_factories", store, copy_id))["status"] == "completed"
    assert await offences(connection, store) == []
    await run.leases_end()

    async def placed() -> bool:
        return bool((await run.order())["status"] == "placed")

    async with working(database_url), working(database_url):
        await until(placed)
    (attempt,) = await run.attempts()
    assert (attempt["status"], attempt["asked"]) == ("authorized", 2)
    assert await run.stock() == 8
    assert await run.events() == ["order_subscriptions.last_run_succeeded"]
    assert (await run.events(order["id"])).count("orders.place") == 1
    assert await offences(connection, store) == []


@pytest.mark.rule("FM-53")
async def test_many_who_settle_the_same_payment_do_it_once(run: Run, connection: Connection, store: Store) -> None:
    await run.begin()
    await run.pay(times=8)
    await run.leases_end()
    await run.pay(times=8)
    assert await run.statuses() == ["authorized"]
    assert await run.events() == ["order_subscriptions.last_run_succeeded"]
    assert await offences(connection, store) == []


async def test_a_copy_of_the_database_asks_for_the_same_payment(run: Run, connection: Connection, store: Store) -> None:
    """What an occurrence is charged by names the occurrence, which a clone has too, and no order made there."""
    occurrence_id = await factories.insert(
        connection,
        "occurrences",
        store,
        order_subscription_id=run.subscription_id,
        occurrence_index=1,
        status="due",
        nominal_at=clock.now(),
        scheduled_at=clock.now(),
    )
    copy_id = await factories.insert(
        connection,
        "order_factories",
        store,
        kind="recurring_order_copies",
        source_order_id=run.order_id,
        order_subscription_id=run.subscription_id,
        occurrence_id=occurrence_id,
        place_target_order=True,
    )
    await CopyJob(run.database).make(store.id, [copy_id])
    (attempt,) = await run.attempts()
    assert attempt["key"] == f"{store.id}/{occurrence_id}/1"


async def test_what_nobody_is_at_is_put_into_the_queue(run: Run, connection: Connection, store: Store) -> None:
    await run.begin()
    await connection.execute("delete from pgqueuer.pgqueuer")
    await clean.rescue(run.database)
    payload = orjson.dumps([store.id, (await run.order())["id"]])
    jobs = "select count(*) from pgqueuer.pgqueuer where payload = $1 and entrypoint = 'payments'"
    assert await connection.fetchval(jobs, payload) == 1


async def test_a_silent_gateway_is_asked_for_the_same_payment_until_it_answers(
    run: Run, connection: Connection, store: Store
) -> None:
    await run.token("tok_timeout")
    await run.begin()
    for _ in range(PATIENCE - 1):
        await run.pay()
        assert await run.statuses() == ["pending"]
        assert (await run.order())["status"] == "placing"
        await run.leases_end()
    await run.pay()
    (attempt,) = await run.attempts()
    assert (attempt["status"], attempt["decline_code"], attempt["asked"]) == ("failed", "gateway_timeout", PATIENCE)
    assert (await run.order())["status"] == "pending"
    assert attempt["retry_at"] > clock.now() + timedelta(hours=23), "then the ladder goes on"
    assert await offences(connection, store) == []


async def test_a_shops_own_gateway_takes_the_money_of_a_run_once(
    database: Database, connection: Connection, store: Store
) -> None:
    run = await prepare(database, connection, store, gateway="external", token="tok_slow")
    async with example() as gateway:
        await gateway.serve(connection, store)
        await run.begin()
        await run.pay()
        (attempt,) = await run.attempts()
        assert list(await gateway.payments()) == [attempt["key"]]
    assert (await run.order())["status"] == "placed"
    assert attempt["gateway_url"] == gateway.url


async def test_a_run_that_costs_nothing_asks_nobody(database: Database, connection: Connection, store: Store) -> None:
    run = await prepare(database, connection, store)
    free = await factories.sku(connection, store, price=0)
    order_id = await factories.full_order(
        connection,
        store,
        [Line(free)],
        customer_id=run.customer_id,
        customer_payment_source_id=run.source_id,
        shipping_amount_cents=0,
    )
    await connection.execute("update shipping_methods set price_amount_cents = 0 where store_id = $1", store.id)
    subscription_id = await factories.subscription(connection, store, order_id)
    target_id = await make(
        database, store, await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    )
    target = await row(connection, "orders", store, target_id)
    assert (target["status"], target["payment_status"]) == ("placed", "free")
