"""Runs that fail are told apart by what they fail of, and run again once that is seen to: one order, one charge."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest

from service import clock
from service.jobs import sweep
from service.jobs.copy import ATTEMPTS, CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests.jobs.paying import Run, prepare
from tests.jobs.steps import offences
from tests.spec.writing import Api

BROKEN = {
    "inventory": "update stock_items set quantity = 1 where store_id = $1",
    "price": "update prices set currency_code = 'JPY' where store_id = $1",
    "address": "update orders set billing_address_id = null where store_id = $1",
    "unexpected": f"update order_factories set attempt = {ATTEMPTS} where store_id = $1",
}
"""How a run is brought to fail, by the type of its failure."""

MENDED = {
    "inventory": "update stock_items set quantity = 10 where store_id = $1",
    "price": "update prices set currency_code = 'EUR' where store_id = $1",
    "address": "update orders set billing_address_id = (select min(id) from addresses where store_id = $1)"
    " where store_id = $1",
}


async def scheduled(database: Database, connection: Connection, store: Store, **columns: Any) -> Run:
    """A subscription whose first run has come."""
    at = clock.now()
    due: dict[str, Any] = {
        "anchor_at": at - timedelta(days=31),
        "next_run_at": at - timedelta(seconds=1),
        "price_mode": "current",
        "place_target_order": True,
    }
    return await prepare(database, connection, store, **due | columns)


async def sweep_and_make(run: Run, meanwhile: str | None = None) -> None:
    """What workers do with a run that has come."""
    await sweep.sweep_store(run.database, run.store.id)
    if meanwhile is not None:
        await run.connection.execute(meanwhile, run.store.id)
    live = "select id from order_factories where store_id = $1 and status = 'pending'"
    copies = [row["id"] for row in await run.connection.fetch(live, run.store.id)]
    await CopyJob(run.database).make(run.store.id, copies)


async def only(api: Api, url: str) -> Any:
    (found,) = (await api.get(url))["data"]
    return found


async def payload_of(run: Run, name: str) -> Any:
    found = "select payload from events where store_id = $1 and name = $2 order by sequence desc limit 1"
    return orjson.loads(await run.connection.fetchval(found, run.store.id, name))


@pytest.mark.parametrize("kind", sorted(BROKEN))
async def test_a_run_that_fails_says_of_what_and_runs_again(
    kind: str, api: Api, database: Database, connection: Connection, store: Store
) -> None:
    run = await scheduled(database, connection, store)
    if kind == "unexpected":
        await sweep_and_make(run, BROKEN[kind])
    else:
        await connection.execute(BROKEN[kind], store.id)
        await sweep_and_make(run)
    occurrence = await only(api, f"order_subscriptions/{run.subscription_id}/occurrences?filter[failure_type]={kind}")
    assert occurrence["attributes"]["status"] == "failed"
    copy = await only(api, f"recurring_order_copies?filter[failure_type]={kind}")
    assert (copy["attributes"]["status"], copy["attributes"]["failure_type"]) == ("failed", kind)
    for name in ("order_subscriptions.last_run_failed", "recurring_order_copies.fail"):
        assert (await payload_of(run, name))["failure_type"] == kind

    if kind in MENDED:
        await connection.execute(MENDED[kind], store.id)
    answers = await asyncio.gather(*(api.update("occurrences", occurrence["id"], {"_retry": True}) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 19]
    copies = await api.get(f"recurring_order_copies?filter[order_subscription]={run.subscription_id}")
    assert sorted(one["attributes"]["status"] for one in copies["data"]) == ["failed", "pending"]
    await sweep_and_make(run)
    await run.pay(times=4)
    assert ((await run.order())["status"], await run.statuses()) == ("placed", ["authorized"])
    mended = (await api.get(f"occurrences/{occurrence['id']}"))["data"]["attributes"]
    assert (mended["status"], mended["failure_type"]) == ("completed", None)
    assert await offences(connection, store) == []


async def test_a_refused_payment_is_a_failure_until_it_is_paid(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    run = await scheduled(database, connection, store)
    await run.token("tok_decline")
    await sweep_and_make(run)
    await run.pay()
    occurrence = await only(api, f"order_subscriptions/{run.subscription_id}/occurrences?filter[status]=completed")
    assert occurrence["attributes"]["failure_type"] == "payment"
    assert (await payload_of(run, "orders.payment_failed"))["failure_type"] == "payment"
    again = await api.update("occurrences", occurrence["id"], {"_retry": True})
    assert again.status_code == 409, "its order is there: that is what is paid"

    await run.token("tok_approve")
    order_id = (await run.order())["id"]
    answers = await asyncio.gather(*(api.update("orders", order_id, {"_place": True}) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert await run.statuses() == ["declined", "authorized"]
    copy = await only(api, f"recurring_order_copies?filter[order_subscription]={run.subscription_id}")
    assert (copy["attributes"]["status"], copy["attributes"]["failure_type"]) == ("completed", "payment")
    paid = (await api.get(f"occurrences/{occurrence['id']}"))["data"]["attributes"]
    assert (paid["status"], paid["failure_type"]) == ("completed", None)
    assert await offences(connection, store) == []


async def test_an_order_that_can_not_be_placed_again_says_why(
    database: Database, connection: Connection, store: Store
) -> None:
    run = await scheduled(database, connection, store)
    await run.token("tok_decline")
    await sweep_and_make(run)
    await run.pay()
    await connection.execute("update stock_items set quantity = 0 where store_id = $1", store.id)
    await run.make_due()
    await run.pay()
    told = await payload_of(run, "orders.payment_failed")
    assert (told["error"], told["failure_type"]) == ("not_placed", "inventory")
