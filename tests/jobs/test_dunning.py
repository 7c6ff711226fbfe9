"""Refused payments of runs: the ladder, what stops it, what hurries it, and always the same order."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from service import clock
from service.jobs import sweep
from service.principal import Store
from service.store import deployment
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.paying import Run, prepare
from tests.jobs.playing import advance, freeze
from tests.jobs.steps import ask, bearer, names_of, offences, row
from tests.jobs.test_worker import reach, until, working
from tests.spec.writing import Api, to

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
async def run(database: Database, connection: Connection, store: Store) -> Run:
    """A run whose payment is refused, but not for good."""
    return await prepare(database, connection, store, token="tok_decline")


@pytest.fixture
async def refused(run: Run) -> Run:
    """The same after its first refusal."""
    await run.begin()
    await run.pay()
    return run


async def swept(run: Run) -> int:
    """What a sweep of the store puts into the queue."""
    await run.connection.execute("delete from pgqueuer.pgqueuer")
    await sweep.sweep_store(run.database, run.store.id)
    jobs = "select count(*) from pgqueuer.pgqueuer where entrypoint = 'payments'"
    return int(await run.connection.fetchval(jobs))


async def change(api: Api, run: Run, attributes: dict[str, Any] | None = None, **relationships: Any) -> None:
    answer = await api.update("order_subscriptions", run.subscription_id, attributes, relationships or None)
    assert answer.status_code == 200, answer.text


@pytest.mark.rule("FM-78")
async def test_the_first_refusal_is_told_of(refused: Run, connection: Connection, store: Store) -> None:
    order, (attempt,) = await refused.order(), await refused.attempts()
    assert (order["status"], order["payment_status"]) == ("pending", "unpaid")
    assert await refused.stock() == 10
    assert (attempt["status"], attempt["decline_code"]) == ("declined", "card_declined")
    assert timedelta(hours=23) < attempt["retry_at"] - clock.now() <= timedelta(hours=24)
    subscription = await refused.subscription()
    assert (subscription["status"], subscription["succeeded_on_last_run"]) == ("active", False)
    assert (subscription["errors_count"], subscription["occurrencies"]) == (1, 1)
    copy = await connection.fetchrow(
        "select * from order_factories where store_id = $1 and target_order_id = $2", store.id, order["id"]
    )
    assert copy is not None
    assert (copy["status"], copy["errors_count"]) == ("completed", 1)
    assert orjson.loads(copy["errors_log"]) == {"payment_status": ["The card was declined."]}
    assert await refused.events() == ["order_subscriptions.last_run_failed"]
    assert (await names_of(connection, store, order["id"]))[-2:] == ["orders.pending", "orders.payment_failed"]
    payload = await connection.fetchval(
        "select payload from events where store_id = $1 and name = 'order_subscriptions.last_run_failed'", store.id
    )
    told = orjson.loads(payload)
    assert (told["order_id"], told["error"], told["copy_id"]) == (order["id"], "card_declined", copy["id"])
    assert told["reasons"] == {"payment_status": ["The card was declined."]}
    assert datetime.fromisoformat(told["retry_at"]) == attempt["retry_at"]
    assert await offences(connection, store) == []


@pytest.mark.rule("FM-56")
async def test_attempts_follow_the_ladder_and_no_other(refused: Run, connection: Connection, store: Store) -> None:
    await refused.policy([2, 5])
    for number, hours in ((2, 5), (3, None), (3, None)):
        await refused.pay(times=4)
        assert await swept(refused) == 0, "not yet"
        await refused.make_due()
        await refused.pay(times=4)
        assert await refused.statuses() == ["declined"] * number
        retry_at = await refused.retry_at()
        if hours is None:
            assert retry_at is None
        else:
            assert timedelta(hours=hours - 1) < retry_at - clock.now() <= timedelta(hours=hours)
    attempts = await refused.attempts()
    assert len({attempt["key"] for attempt in attempts}) == 3
    assert len({attempt["amount_cents"] for attempt in attempts}) == 1
    assert await refused.events() == ["order_subscriptions.last_run_failed", "order_subscriptions.unpaid"]
    assert (await refused.subscription())["errors_count"] == 1
    assert (await names_of(connection, store, (await refused.order())["id"])).count("orders.payment_failed") == 3
    assert await refused.stock() == 10
    assert await offences(connection, store) == []


async def test_a_retry_that_succeeds_places_the_same_order(refused: Run, connection: Connection, store: Store) -> None:
    before = await refused.order()
    await refused.token("tok_approve")
    await refused.make_due()
    assert await swept(refused) == 1
    await refused.pay(times=4)
    order = await refused.order()
    assert (order["id"], order["status"], order["payment_status"]) == (before["id"], "placed", "authorized")
    assert order["total_amount_cents"] == before["total_amount_cents"]
    assert await refused.statuses() == ["declined", "authorized"]
    assert await refused.stock() == 8
    assert (await refused.subscription())["succeeded_on_last_run"]
    assert await refused.events() == [
        "order_subscriptions.last_run_failed",
        "order_subscriptions.last_run_succeeded",
    ]
    assert await swept(refused) == 0
    assert await offences(connection, store) == []


async def test_a_hard_decline_is_not_tried_again(run: Run) -> None:
    await run.token("tok_decline_hard")
    await run.begin()
    await run.pay()
    assert await run.retry_at() is None
    assert (await run.order())["status"] == "pending"
    assert await run.events() == ["order_subscriptions.last_run_failed", "order_subscriptions.unpaid"]


async def test_a_store_may_have_no_ladder_at_all(run: Run) -> None:
    await run.policy([])
    await run.begin()
    await run.pay()
    assert await run.retry_at() is None


@pytest.mark.rule("FM-68")
@pytest.mark.parametrize("token", ["tok_decline", "tok_decline_hard"])
async def test_what_is_new_in_the_wallet_is_tried_at_once(
    run: Run, api: Api, connection: Connection, store: Store, *, token: str
) -> None:
    await run.token(token)
    await run.begin()
    await run.pay()
    new = await factories.payment_source(
        connection, store, run.customer_id, gateway="test", payment_source_token="tok_new"
    )
    await change(api, run, customer_payment_source=to("customer_payment_sources", new))
    assert await swept(run) == 1
    await run.pay()
    order, attempts = await run.order(), await run.attempts()
    assert (order["status"], order["customer_payment_source_id"]) == ("placed", new)
    assert (attempts[-1]["source_token"], attempts[-1]["customer_payment_source_id"]) == ("tok_new", new)
    assert await run.events() == [
        "order_subscriptions.last_run_failed",
        *(["order_subscriptions.unpaid"] if token == "tok_decline_hard" else []),
        "order_subscriptions.update",
        "order_subscriptions.last_run_succeeded",
    ]


@pytest.mark.rule("FM-68")
async def test_a_source_that_is_replaced_while_it_is_charged_makes_room_for_the_new_one(
    run: Run, api: Api, connection: Connection, store: Store
) -> None:
    await run.token("tok_decline_hard")
    await run.begin()
    new = await factories.payment_source(
        connection, store, run.customer_id, gateway="test", payment_source_token="tok_new"
    )
    await change(api, run, customer_payment_source=to("customer_payment_sources", new))
    await run.pay()
    assert await run.retry_at() <= clock.now()
    await run.pay()
    assert await run.statuses() == ["declined", "authorized"]
    assert ((await run.order())["status"], (await run.order())["customer_payment_source_id"]) == ("placed", new)


async def test_a_new_source_begins_the_ladder_anew(
    refused: Run, api: Api, connection: Connection, store: Store
) -> None:
    await refused.policy([3])
    await refused.make_due()
    await refused.pay()
    assert await refused.retry_at() is None
    new = await factories.payment_source(
        connection, store, refused.customer_id, gateway="test", payment_source_token="tok_decline"
    )
    await change(api, refused, customer_payment_source=to("customer_payment_sources", new))
    await refused.pay()
    assert timedelta(hours=2) < (await refused.retry_at()) - clock.now() <= timedelta(hours=3)


async def test_another_token_of_a_source_begins_the_ladder_anew(refused: Run, api: Api) -> None:
    await refused.policy([3])
    await refused.make_due()
    await refused.pay()
    assert await refused.retry_at() is None
    source = ("customer_payment_sources", refused.source_id)
    for token in ("tok_approve", "tok_decline"):
        answer = await api.update(*source, {"payment_source_token": token})
        assert answer.status_code == 200, answer.text
    await refused.pay()
    assert timedelta(hours=2) < (await refused.retry_at()) - clock.now() <= timedelta(hours=3)


@pytest.mark.rule("FM-116")
async def test_whatever_is_owed_is_asked_for_from_a_new_source(
    refused: Run, api: Api, connection: Connection, store: Store
) -> None:
    """Also where the ladder is over, and another run came after it: no order stays pending for ever."""
    await connection.execute("update payment_attempts set retry_at = null where store_id = $1", store.id)
    await connection.execute(
        "update order_subscriptions set last_run_at = $2 where store_id = $1", store.id, clock.now() + HOUR
    )
    new = await factories.payment_source(connection, store, refused.customer_id, gateway="test")
    await change(api, refused, customer_payment_source=to("customer_payment_sources", new))
    assert await refused.retry_at() is not None
    await refused.pay()
    assert (await refused.order())["status"] == "placed"


@pytest.mark.rule("FM-55")
async def test_cancelling_stops_the_retries(refused: Run, api: Api) -> None:
    await change(api, refused, {"_cancel": True})
    assert await refused.retry_at() is None
    await refused.pay()
    assert await refused.statuses() == ["declined"]


@pytest.mark.rule("FM-55")
async def test_an_order_that_was_cancelled_is_not_charged(refused: Run, api: Api) -> None:
    answer = await api.update("orders", (await refused.order())["id"], {"_cancel": True})
    assert answer.status_code == 200
    assert await refused.retry_at() is None
    await refused.pay()
    assert await refused.statuses() == ["declined"]


async def test_cancelled_while_its_payment_is_on_its_way_it_is_not_tried_again(run: Run, api: Api) -> None:
    await run.begin()
    await change(api, run, {"_cancel": True})
    await run.pay()
    assert await run.statuses() == ["declined"]
    assert await run.retry_at() is None


@pytest.mark.parametrize(
    ("stops", "goes_on"),
    [
        ({"_deactivate": True}, {"_activate": True}),
        ({"_pause_until": (clock.now() + timedelta(days=30)).isoformat()}, {"_resume": True}),
    ],
)
async def test_while_it_is_stopped_nothing_is_charged(
    refused: Run, api: Api, *, stops: dict[str, Any], goes_on: dict[str, Any]
) -> None:
    await refused.make_due()
    await change(api, refused, stops)
    assert await swept(refused) == 0
    await refused.pay()
    assert await refused.statuses() == ["declined"]
    await change(api, refused, goes_on)
    assert await swept(refused) == 1
    await refused.pay()
    assert await refused.statuses() == ["declined", "declined"]


async def test_a_customer_who_pays_by_hand_is_not_charged_again(refused: Run, api: Api) -> None:
    attributes = {"_place": True, "_payment_source_token": "tok_by_hand"}
    answer = await api.update("orders", (await refused.order())["id"], attributes)
    assert answer.status_code == 200, answer.text
    assert [attempt["retry_at"] for attempt in await refused.attempts()] == [None, None]
    assert (await refused.subscription())["succeeded_on_last_run"]
    await refused.pay()
    assert await refused.statuses() == ["declined", "authorized"]


async def test_what_can_not_be_placed_any_more_is_tried_by_the_ladder(
    refused: Run, connection: Connection, store: Store
) -> None:
    await connection.execute("update stock_items set quantity = 1 where store_id = $1", store.id)
    await refused.token("tok_approve")
    await refused.make_due()
    await refused.pay()
    assert (await refused.order())["status"] == "pending"
    attempts = await refused.attempts()
    assert [(attempt["status"], attempt["decline_code"]) for attempt in attempts] == [
        ("declined", "card_declined"),
        ("failed", "not_placed"),
    ]
    assert timedelta(hours=71) < (await refused.retry_at()) - clock.now() <= timedelta(hours=72)
    assert await refused.stock() == 1
    await connection.execute("update stock_items set quantity = 10 where store_id = $1", store.id)
    await refused.make_due()
    await refused.pay()
    assert ((await refused.order())["status"], await refused.stock()) == ("placed", 8)
    assert await offences(connection, store) == []


@pytest.mark.rule("FM-64")
async def test_another_installation_charges_nobody(refused: Run, connection: Connection, *, database_url: str) -> None:
    """Neither what its sweep finds nor what was in the queue when the database was copied."""
    here = await deployment.here(connection)
    await refused.token("tok_approve")
    await refused.make_due()
    await connection.execute("delete from pgqueuer.pgqueuer")
    await deployment.adopt(connection, "the original", at=clock.now())
    jobs = "select count(*) from pgqueuer.pgqueuer where dedupe_key = $1"
    key = f"payments/{refused.store.id}/{(await refused.order())['id']}"
    try:
        await sweep.run(refused.database, here)
        assert await connection.fetchval(jobs, key) == 0
        await sweep.run(refused.database, "the original")
        assert await connection.fetchval(jobs, key) == 1
        asked = await ask(
            refused.database, bearer(refused.store), refused.order_id, refused.subscription_id, place_target_order=True
        )
        async with working(database_url):
            await asyncio.sleep(2)
            assert await refused.statuses() == ["declined"]
            copy = await row(connection, "order_factories", refused.store, asked)
            assert (copy["status"], copy["attempt"]) == ("pending", 0)
            await deployment.adopt(connection, here, at=clock.now())
            await reach(connection, refused.store, asked, "completed")

            async def paid() -> bool:
                return (await refused.statuses()).count("authorized") == 2

            await until(paid)
    finally:
        await deployment.adopt(connection, here, at=clock.now())


async def test_who_is_erased_is_not_charged(refused: Run, api: Api) -> None:
    answer = await api.update("customers", refused.customer_id, {"_erase": True})
    assert answer.status_code == 200, answer.text
    (attempt,) = await refused.attempts()
    assert (attempt["source_token"], attempt["detail"], attempt["retry_at"]) == (None, None, None)
    await refused.pay()
    assert await refused.statuses() == ["declined"]


@pytest.mark.rule("FM-70")
async def test_a_coupon_of_the_first_order_takes_nothing_off_the_next(
    run: Run, connection: Connection, store: Store
) -> None:
    await connection.execute(
        "update orders set coupon_code = 'ONCE', discount_amount_cents = -1000,"
        " total_amount_cents = total_amount_cents - 1000 where store_id = $1 and id = $2",
        store.id,
        run.order_id,
    )
    await run.begin()
    await run.pay()
    await run.make_due()
    await run.pay()
    order = await run.order()
    assert (order["coupon_code"], order["discount_amount_cents"], order["total_amount_cents"]) == (None, 0, 3800 + 495)
    assert [attempt["amount_cents"] for attempt in await run.attempts()] == [3800 + 495] * 2


@pytest.mark.rule("FM-69")
async def test_the_ladder_is_climbed_on_a_test_clock_and_moves_no_run(
    api: Api, database: Database, connection: Connection, store: Store, *, database_url: str
) -> None:
    frozen = await freeze(api, store, START)
    first = START + HOUR
    columns: dict[str, Any] = {"anchor_at": first - timedelta(days=28), "next_run_at": first}
    run = await prepare(database, connection, replace(store, frozen_at=START), token="tok_decline", **columns)
    async with working(database_url):
        await advance(api, frozen, START + timedelta(days=2))
        attempts = await run.attempts()
        assert [attempt["retry_at"] for attempt in attempts] == [None, first + timedelta(hours=24 + 72)]
        await run.token("tok_approve")
        await advance(api, frozen, START + timedelta(days=8))
    order = await run.order()
    assert (order["status"], order["created_at"]) == ("placed", first)
    assert order["placed_at"] == first + timedelta(hours=24 + 72)
    subscription = await run.subscription()
    assert subscription["next_run_at"] == first.replace(month=4), "late payment moves nothing"
    assert await run.statuses() == ["declined", "declined", "authorized"]
    told = await connection.fetch(
        "select name, created_at from events where store_id = $1 and resource_id = $2 and name like '%last_run%'"
        " order by sequence",
        store.id,
        run.subscription_id,
    )
    assert [tuple(event) for event in told] == [
        ("order_subscriptions.last_run_failed", first),
        ("order_subscriptions.last_run_succeeded", first + timedelta(hours=24 + 72)),
    ]
    assert await offences(connection, store) == []
