"""A run that finds nothing to be paid with isn't lost: its order waits for the ladder, or for a new card."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest

from service import clock
from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.paying import Run, prepare
from tests.jobs.steps import ask, bearer, names_of, offences
from tests.jobs.test_dunning import change, swept
from tests.spec.writing import Api, to

pytestmark = pytest.mark.rule("FM-110")


@pytest.fixture(params=["payment_source_token = null", "expires_at = created_at"])
async def owing(request: pytest.FixtureRequest, database: Database, connection: Connection, store: Store) -> Run:
    """A run that was made while its source could not be charged."""
    run = await prepare(database, connection, store)
    await connection.execute(f"update customer_payment_sources set {request.param} where store_id = $1", store.id)
    await run.begin()
    return run


async def test_its_order_waits_and_is_told_of(owing: Run, connection: Connection, store: Store) -> None:
    order, (attempt,) = await owing.order(), await owing.attempts()
    assert (order["status"], order["payment_status"], order["placed_at"]) == ("pending", "unpaid", None)
    assert await owing.stock() == 10
    assert (attempt["status"], attempt["decline_code"]) == ("failed", "not_placed")
    assert attempt["amount_cents"] == order["total_amount_cents"]
    assert timedelta(hours=23) < attempt["retry_at"] - clock.now() <= timedelta(hours=24)
    copy = await connection.fetchrow(
        "select * from order_factories where store_id = $1 and target_order_id = $2", store.id, order["id"]
    )
    assert copy is not None
    assert (copy["status"], copy["errors_count"]) == ("completed", 1)
    (why,) = orjson.loads(copy["errors_log"])["customer_payment_source"]
    assert attempt["detail"] == f"customer_payment_source - {why}"
    subscription = await owing.subscription()
    assert (subscription["status"], subscription["succeeded_on_last_run"]) == ("active", False)
    assert (subscription["errors_count"], subscription["occurrencies"]) == (1, 1)
    assert await owing.events() == ["order_subscriptions.last_run_failed"]
    assert await names_of(connection, store, order["id"]) == [
        "orders.create", "orders.pending", "orders.payment_failed"
    ]  # fmt: skip
    assert await offences(connection, store) == []


async def test_the_ladder_places_the_same_order(owing: Run, connection: Connection, store: Store) -> None:
    await owing.make_due()
    await owing.pay(times=4)
    assert await owing.statuses() == ["failed", "failed"], "still nothing to pay with"
    await owing.token("tok")
    await connection.execute("update customer_payment_sources set expires_at = null where store_id = $1", store.id)
    await owing.make_due()
    assert await swept(owing) == 1
    await owing.pay(times=4)
    assert (await owing.order())["status"] == "placed"
    assert await owing.statuses() == ["failed", "failed", "authorized"]
    assert await owing.stock() == 8
    assert await owing.events() == [
        "order_subscriptions.last_run_failed",
        "order_subscriptions.last_run_succeeded",
    ]
    assert len({attempt["key"] for attempt in await owing.attempts()}) == 3
    assert await offences(connection, store) == []


async def test_a_new_card_pays_it_at_once(owing: Run, api: Api, connection: Connection, store: Store) -> None:
    new = await factories.payment_source(
        connection, store, owing.customer_id, gateway="test", payment_source_token="tok_new"
    )
    await change(api, owing, customer_payment_source=to("customer_payment_sources", new))
    assert await swept(owing) == 1
    await owing.pay()
    order = await owing.order()
    assert (order["status"], order["customer_payment_source_id"]) == ("placed", new)
    assert await offences(connection, store) == []


async def test_a_source_that_can_pay_again_is_asked_at_once(
    owing: Run, api: Api, database: Database, connection: Connection, store: Store
) -> None:
    other = await prepare(database, connection, store, token="tok_decline")
    await other.begin()
    await other.pay()
    repaired = {"payment_source_token": "tok_again", "expires_at": None}
    answer = await api.update("customer_payment_sources", owing.source_id, repaired)
    assert answer.status_code == 200, answer.text
    assert await swept(owing) == 1, "what is owed from another source waits"
    await owing.pay()
    assert (await owing.order())["status"] == "placed"
    assert (await other.order())["status"] == "pending"
    assert await offences(connection, store) == []


async def test_a_wallet_without_any_source_is_the_same(
    database: Database, connection: Connection, store: Store, api: Api
) -> None:
    run = await prepare(database, connection, store)
    for table in ("orders", "order_subscriptions"):
        await connection.execute(f"update {table} set customer_payment_source_id = null where store_id = $1", store.id)
    await run.begin()
    assert (await run.order())["status"] == "pending"
    await change(api, run, customer_payment_source=to("customer_payment_sources", run.source_id))
    assert await swept(run) == 1
    await run.pay()
    assert ((await run.order())["status"], await run.stock()) == ("placed", 8)


async def test_a_forecast_says_what_it_comes_to_and_what_is_lacking(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    at = clock.now()
    columns: dict[str, Any] = {
        "place_target_order": True,
        "anchor_at": at - timedelta(days=20),
        "next_run_at": at + timedelta(days=8),
    }
    run = await prepare(database, connection, store, **columns)
    await connection.execute(
        "update customer_payment_sources set expires_at = created_at where store_id = $1", store.id
    )
    (ahead,) = (await api.get(f"order_subscriptions/{run.subscription_id}/forecast?page[size]=1"))["data"]
    assert ahead["attributes"]["total_amount_cents"] >= 3800
    assert ahead["attributes"]["errors_log"] == {"customer_payment_source": ["has expired"]}


async def test_one_of_a_batch_leaves_the_others_alone(database: Database, connection: Connection, store: Store) -> None:
    paid, owing = [await prepare(database, connection, store) for _ in range(2)]
    await connection.execute(
        "update customer_payment_sources set expires_at = created_at where store_id = $1 and id = $2",
        store.id, owing.source_id,
    )  # fmt: skip
    runs = [paid, owing, paid]
    copies = [
        await ask(database, bearer(store), run.order_id, run.subscription_id, place_target_order=True) for run in runs
    ]
    await CopyJob(database).make(store.id, copies)
    assert await connection.fetchval(
        "select count(*) from orders where store_id = $1 and order_subscription_id = $2 and status = 'placing'",
        store.id, paid.subscription_id,
    ) == 2  # fmt: skip
    assert (await owing.order())["status"] == "pending"
    assert await offences(connection, store) == []
