"""Refused payments of runs that can't even be asked for anew: what is noted, and that nobody else waits for them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from service import clock
from service.errors import ApiError, Contended, Unavailable
from service.jobs.advance import AdvanceJob
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.operations.copies import recurring_order_copies
from service.operations.orders import retries
from service.operations.payments import attempts, dunning
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.gateways import nearby
from tests.jobs.paying import Run, prepare
from tests.jobs.playing import freeze, said
from tests.jobs.steps import ask, bearer, claim, offences
from tests.jobs.test_dunning import change, swept
from tests.sealed import put
from tests.spec.writing import Api, to
from tests.support import Access, make_store

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
async def refused(database: Database, connection: Connection, store: Store) -> Run:
    """A run whose payment was refused once, but not for good."""
    run = await prepare(database, connection, store, token="tok_decline")
    await run.begin()
    await run.pay()
    return run


async def without_method(run: Run, api: Api) -> None:
    """Neither its order nor the source in the wallet says by which method it is paid."""
    await run.connection.execute(
        "update customer_payment_sources set payment_method_id = null where store_id = $1", run.store.id
    )
    order_id = (await run.order())["id"]
    answer = await api.update("orders", order_id, None, {"payment_method": {"data": None}})
    assert answer.status_code == 200, answer.text


async def test_an_order_without_a_payment_method_climbs_the_ladder(
    refused: Run, api: Api, connection: Connection, store: Store
) -> None:
    await without_method(refused, api)
    await refused.make_due()
    await refused.pay(times=4)
    attempts = await refused.attempts()
    assert [(attempt["status"], attempt["decline_code"]) for attempt in attempts] == [
        ("declined", "card_declined"),
        ("failed", "not_placed"),
    ]
    assert "payment_method" in attempts[1]["detail"]
    assert [attempt["retry_at"] is None for attempt in attempts] == [True, False]
    assert timedelta(hours=71) < (await refused.retry_at()) - clock.now() <= timedelta(hours=72)
    assert await offences(connection, store) == []


@pytest.mark.parametrize("error", [Contended("Others were quicker."), Unavailable("Not now.")])
async def test_what_is_wrong_with_the_service_counts_as_no_refusal(
    refused: Run, monkeypatch: pytest.MonkeyPatch, *, error: ApiError
) -> None:
    async def stumble(*_: Any) -> None:
        raise error

    await refused.make_due()
    with monkeypatch.context() as patch:
        patch.setattr(retries, "retry", stumble)
        with pytest.raises(type(error)):
            await refused.pay()
    assert await refused.statuses() == ["declined"]
    assert (await refused.retry_at()) <= clock.now()


async def test_payments_that_can_not_be_settled_keep_no_others_waiting(
    *, refused: Run, database: Database, connection: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await prepare(database, connection, store, token="tok_decline")
    await other.begin()
    await other.pay()
    await refused.make_due()
    monkeypatch.setattr(dunning, "BATCH", 1)
    assert await swept(refused) == 2


async def test_a_payment_that_goes_wrong_does_not_stop_the_clock(
    *, api: Api, database: Database, connection: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = await freeze(api, store, START)
    first = START + HOUR
    columns: dict[str, Any] = {"anchor_at": first - timedelta(days=28), "next_run_at": first}
    run = await prepare(database, connection, replace(store, frozen_at=START), token="tok_decline", **columns)
    job = AdvanceJob(database, CopyJob(database), PaymentJob(database, nearby()))

    async def stumble(*_: Any) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr(retries, "retry", stumble)
    answer = await api.update("test_clocks", frozen["id"], {"_advance_to": said(START + timedelta(days=2))})
    assert answer.status_code == 200, answer.text
    async with asyncio.timeout(10):
        await job.go_on(store.id, frozen["id"])
    assert (await api.get(f"test_clocks/{frozen['id']}"))["data"]["attributes"]["status"] == "ready"
    assert await run.statuses() == ["declined"]
    monkeypatch.undo()
    await run.token("tok_approve")
    await api.update("test_clocks", frozen["id"], {"_advance_to": said(START + timedelta(days=3))})
    await job.go_on(store.id, frozen["id"])
    assert await run.statuses() == ["declined", "authorized"]


async def test_an_order_keeps_its_price_when_it_is_paid_by_another_method(
    refused: Run, api: Api, connection: Connection, store: Store
) -> None:
    before = await refused.order()
    dear = await factories.payment_method(connection, store, name="Dear", gateway="test", price_amount_cents=700)
    new = await factories.payment_source(
        connection, store, refused.customer_id, gateway="test", payment_method_id=dear, payment_source_token="tok_new"
    )
    await change(api, refused, customer_payment_source=to("customer_payment_sources", new))
    await refused.pay()
    order, attempts = await refused.order(), await refused.attempts()
    assert (order["status"], order["payment_method_id"]) == ("placed", dear)
    for column in ("payment_method_amount_cents", "total_amount_cents"):
        assert order[column] == before[column]
    assert len({attempt["amount_cents"] for attempt in attempts}) == 1
    assert await offences(connection, store) == []


async def test_a_copy_stays_until_its_order_is_paid_or_given_up(
    refused: Run, client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    copy_id = await connection.fetchval(
        "select id from order_factories where store_id = $1 and target_order_id is not null", store.id
    )
    url = f"/api/recurring_order_copies/{copy_id}"
    to_come = await client.delete(url, headers=integration.headers)
    assert (to_come.status_code, to_come.json()["errors"][0]["code"]) == (409, "INVALID_STATE")
    await refused.token("tok_timeout")
    await refused.make_due()
    await refused.pay()
    assert (await refused.order())["status"] == "placing"
    assert (await client.delete(url, headers=integration.headers)).status_code == 409
    await refused.token("tok_decline_hard")
    for attempt in await refused.attempts():
        await put(connection, store, "payment_attempts", attempt["id"], source_token="tok_decline_hard")
    await refused.leases_end()
    await refused.pay()
    assert (await refused.order())["status"] == "pending"
    assert (await client.delete(url, headers=integration.headers)).status_code == 204
    assert await offences(connection, store) == []


async def test_what_waits_longest_is_looked_after_first_whichever_store_it_is_of(
    refused: Run, database: Database, connection: Connection, store: Store
) -> None:
    other = await make_store(database)
    assert other.id > store.id
    late, at = await prepare(database, connection, other, token="tok_timeout"), clock.now()
    await refused.token("tok_timeout")
    await refused.make_due()
    await refused.pay()
    await late.begin()
    ended = "update {table} set lease_expires_at = $2 where store_id = $1 and {condition}"
    for run, days in ((refused, 1), (late, 2)):
        copy_id = await ask(database, bearer(run.store), run.order_id, run.subscription_id)
        await claim(database, run.store, copy_id)
        for table, condition in (
            ("payment_attempts", "lease_expires_at is not null"),
            ("order_factories", "status = 'in_progress'"),
        ):
            await connection.execute(
                ended.format(table=table, condition=condition), run.store.id, at - timedelta(days=days)
            )
    await connection.execute("delete from pgqueuer.pgqueuer")
    for find in (attempts.abandoned, recurring_order_copies.abandoned):
        found = [store_id for store_id, _ in await find(connection, at, limit=500)]
        assert [store_id for store_id in found if store_id in (store.id, other.id)] == [other.id, store.id]
