"""What follows the last refusal of a payment, and which sources are not asked again: the cap, and hard declines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from service import clock
from service.jobs.pay import PaymentJob
from service.principal import Store
from service.rules.ladders import MOST_RETRIES, WINDOW
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.gateways import nearby
from tests.jobs.paying import Run, prepare
from tests.jobs.steps import names_of, offences
from tests.jobs.test_dunning import swept
from tests.spec.writing import Api

UNPAID = "order_subscriptions.unpaid"

FOLLOWS = {
    "keep": ("active", []),
    "pause": ("inactive", ["order_subscriptions.deactivate"]),
    "cancel": ("cancelled", ["order_subscriptions.cancel"]),
}
"""What each policy makes of a subscription."""


@pytest.fixture
async def run(database: Database, connection: Connection, store: Store) -> Run:
    """A run whose payment is refused, but not for good."""
    return await prepare(database, connection, store, token="tok_decline")


async def told(run: Run) -> list[Any]:
    """What was told of subscriptions that stay unpaid."""
    rows = await run.connection.fetch(
        "select payload from events where store_id = $1 and name = $2 order by id", run.store.id, UNPAID
    )
    return [orjson.loads(row["payload"]) for row in rows]


async def policies(run: Run, **others: Any) -> None:
    """Have the store say what follows; its ladder has no step."""
    said = orjson.dumps({"payment_retry_hours": [], **others}).decode()
    await run.connection.execute("update stores set policies = $2 where store_id = $1", run.store.id, said)


async def beside(run: Run, **columns: Any) -> Run:
    """Another subscription of the same customer, paid from the same source."""
    order_id = await factories.full_order(
        run.connection,
        run.store,
        [Line(run.sku)],
        customer_id=run.customer_id,
        payment_method_id=await run.connection.fetchval(
            "select payment_method_id from customer_payment_sources where store_id = $1", run.store.id
        ),
        customer_payment_source_id=run.source_id,
    )
    id_ = await factories.subscription(
        run.connection, run.store, order_id, customer_payment_source_id=run.source_id, **columns
    )
    return replace(run, order_id=order_id, subscription_id=id_)


@pytest.mark.parametrize(
    ("decided", "policy"),
    [
        ((None, None, None), "keep"),
        (("pause", None, None), "pause"),
        (("pause", "cancel", None), "cancel"),
        (("cancel", "cancel", "keep"), "keep"),
        ((None, "keep", "pause"), "pause"),
    ],
)
async def test_the_last_refusal_is_followed_by_what_was_decided(
    run: Run, api: Api, decided: tuple[str | None, str | None, str | None], *, policy: str
) -> None:
    connection, store = run.connection, run.store
    of_store, of_model, own = decided
    status, verbs = FOLLOWS[policy]
    await policies(run, **{} if of_store is None else {"unpaid_policy": of_store})
    if of_model is not None:
        model = {"name": "Monthly", "frequencies": ["monthly"], "unpaid_policy": of_model}
        made = await api.create("subscription_models", model)
        await connection.execute(
            "update order_subscriptions set subscription_model_id = $2 where store_id = $1", store.id, made["id"]
        )
    changed = await api.update("order_subscriptions", run.subscription_id, {"unpaid_policy": own})
    assert changed.status_code == 200, changed.text
    copy_id = await run.begin()
    await run.pay(times=4)
    assert (await run.subscription())["status"] == status
    assert [name for name in await run.events() if not name.endswith(".update")] == [
        "order_subscriptions.last_run_failed", *verbs, UNPAID
    ]  # fmt: skip
    (said,) = await told(run)
    order = await run.order()
    assert said["unpaid_policy"] == policy
    assert (said["order_id"], said["copy_id"], said["failure_type"]) == (order["id"], copy_id, "payment")
    copy = (await api.get(f"recurring_order_copies/{copy_id}"))["data"]["attributes"]
    assert copy["given_up_at"] is not None

    again = await api.update("orders", order["id"], {"_place": True})
    assert again.status_code == 402
    assert len(await told(run)) == 1, "it was told once"
    await run.token("tok_approve")
    assert (await api.update("orders", order["id"], {"_place": True})).status_code == 200
    copy = (await api.get(f"recurring_order_copies/{copy_id}"))["data"]["attributes"]
    assert copy["given_up_at"] is None
    assert await offences(connection, store) == []


async def test_nothing_follows_while_there_is_a_next_time(
    database: Database, connection: Connection, store: Store
) -> None:
    run = await prepare(database, connection, store, token="tok_decline", unpaid_policy="cancel")
    await policies(run, payment_retry_hours=[1, 2])
    await run.begin()
    await run.pay()
    assert ((await run.subscription())["status"], await told(run)) == ("active", [])
    for status in ("active", "cancelled"):
        await run.make_due()
        await run.pay(times=3)
        assert (await run.subscription())["status"] == status
    assert len(await told(run)) == 1
    assert await swept(run) == 0


async def test_a_run_without_anything_to_be_paid_with_may_be_the_last_one(
    database: Database, connection: Connection, store: Store
) -> None:
    run = await prepare(database, connection, store, unpaid_policy="pause")
    await policies(run)
    await connection.execute(
        "update customer_payment_sources set expires_at = created_at where store_id = $1", store.id
    )
    await run.begin()
    assert (await run.subscription())["status"] == "inactive"
    (said,) = await told(run)
    assert (said["unpaid_policy"], said["error"], said["failure_type"]) == ("pause", "not_placed", "payment")
    assert await offences(connection, store) == []


async def test_a_store_says_one_of_the_three(api: Api, store: Store) -> None:
    fine = await api.update("stores", str(store.id), {"policies": {"unpaid_policy": "pause"}})
    assert fine.status_code == 200, fine.text
    wrong = await api.update("stores", str(store.id), {"policies": {"unpaid_policy": "skip"}})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["source"] == {"pointer": "/data/attributes/policies"}


async def test_a_source_that_is_refused_for_good_is_not_asked_for_another_order_either(
    database: Database, connection: Connection, store: Store, api: Api
) -> None:
    first = await prepare(database, connection, store, token="tok_decline")
    other = await beside(first)
    await first.begin()
    await first.pay()
    await first.token("tok_decline_hard")
    await other.begin()
    await other.pay()
    source = (await api.get(f"customer_payment_sources/{first.source_id}"))["data"]["attributes"]
    assert source["refused_at"] is not None
    await first.make_due()
    await first.pay(times=3)
    assert [(one["status"], one["decline_code"]) for one in await first.attempts()] == [
        ("declined", "card_declined"), ("declined", "stolen_card"), ("failed", "not_placed")
    ]  # fmt: skip
    assert await first.retry_at() is None
    assert [one["order_id"] for one in await told(first)] == [(await other.order())["id"], (await first.order())["id"]]

    changed = await api.update("customer_payment_sources", first.source_id, {"payment_source_token": "tok_new"})
    assert changed.json()["data"]["attributes"]["refused_at"] is None
    assert await swept(first) == 2
    for run in (first, other):
        await run.pay()
        assert (await run.order())["status"] == "placed"
    assert await offences(connection, store) == []


async def test_a_decline_of_a_card_that_was_replaced_meanwhile_bars_nothing(
    database: Database, connection: Connection, store: Store, api: Api
) -> None:
    run = await prepare(database, connection, store, token="tok_decline_hard")
    await run.begin()
    await run.token("tok_new")
    await run.pay()
    source = (await api.get(f"customer_payment_sources/{run.source_id}"))["data"]["attributes"]
    assert ((await run.attempts())[0]["status"], source["refused_at"]) == ("declined", None)


async def retried(run: Run, ago: timedelta, number: int) -> None:
    """Retries of the source that were made so long ago, for some order of the past."""
    order_id = await factories.full_order(run.connection, run.store, [Line(run.sku)], customer_id=run.customer_id)
    at = clock.now() - ago
    for _ in range(number):
        id_ = clock.new_id()
        await run.connection.execute(
            "insert into payment_attempts (store_id, id, order_id, customer_payment_source_id, key, gateway, status,"
            " currency_code, amount_cents, decline_code, answered_at, retried_at, created_at, updated_at)"
            " values ($1, $2, $3, $4, $2, 'test', 'declined', 'EUR', 100, 'card_declined', $5, $5, $5, $5)",
            run.store.id, id_, order_id, run.source_id, at,
        )  # fmt: skip


async def test_a_source_rests_after_as_many_retries_as_networks_allow(
    database: Database, connection: Connection, store: Store, api: Api
) -> None:
    run = await prepare(database, connection, store, token="tok_decline")
    await run.begin()
    await run.pay()
    order_id = (await run.order())["id"]
    await retried(run, WINDOW - timedelta(hours=1), 1)
    await retried(run, timedelta(hours=1), MOST_RETRIES - 1)
    await run.make_due()
    await run.pay(times=3)
    own = [one for one in await run.attempts() if one["order_id"] == order_id]
    assert len(own) == 1, "nobody was asked, and no step was taken"
    assert timedelta(minutes=59) < own[0]["retry_at"] - clock.now() < timedelta(minutes=61)
    assert await told(run) == []

    # The customer isn't the service: whoever places the order asks at once.
    assert (await api.update("orders", order_id, {"_place": True})).status_code == 402
    assert (await run.attempts())[-1]["retried_at"] is None
    # Another card has retries of its own.
    new = await factories.payment_source(
        connection, store, run.customer_id, gateway="test", payment_source_token="tok_approve"
    )
    linked = {"customer_payment_source": {"data": {"type": "customer_payment_sources", "id": new}}}
    assert (await api.update("order_subscriptions", run.subscription_id, None, linked)).status_code == 200
    await run.pay()
    assert (await run.order())["status"] == "placed"


async def test_the_last_retry_that_is_allowed_is_made_once(
    database: Database, connection: Connection, store: Store
) -> None:
    first = await prepare(database, connection, store, token="tok_decline")
    others = [first, *[await beside(first) for _ in range(3)]]
    for run in others:
        await run.begin()
        await run.pay()
    await retried(first, timedelta(hours=1), MOST_RETRIES - 1)
    await first.make_due()
    orders = [(await run.order())["id"] for run in others]
    job = PaymentJob(database, nearby())
    await asyncio.gather(*(job.go_on(store.id, order_id) for order_id in orders * 2))
    count = "select count(*) from payment_attempts where store_id = $1 and retried_at > $2"
    assert await connection.fetchval(count, store.id, clock.now() - WINDOW) == MOST_RETRIES
    waiting = await connection.fetch(
        "select retry_at from payment_attempts where store_id = $1 and retry_at is not null", store.id
    )
    soon = [row for row in waiting if row["retry_at"] - clock.now() < timedelta(days=8)]
    assert (len(waiting), len(soon)) == (4, 1), "one took its step, three rest"
    assert await names_of(connection, store, first.subscription_id) == ["order_subscriptions.last_run_failed"]
    assert await offences(connection, store) == []
