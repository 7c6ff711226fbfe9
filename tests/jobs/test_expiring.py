"""Cards that expire before the next run that they are to pay are told of ahead, once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from service import clock
from service.jobs import sweep
from service.operations.subscriptions import expiring
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.paying import Run, prepare
from tests.jobs.steps import offences
from tests.jobs.test_unpaid import beside
from tests.spec.writing import Api, to
from tests.support import make_store

DAY = timedelta(days=1)


async def told(run: Run) -> list[dict[str, Any]]:
    """What was told of sources that expire."""
    rows = await run.connection.fetch(
        "select resource_id, payload, actor_type from events where store_id = $1 and name = $2 order by id",
        run.store.id, expiring.EXPIRING,
    )  # fmt: skip
    assert {row["actor_type"] for row in rows} <= {"workers"}
    return [{"source": row["resource_id"]} | orjson.loads(row["payload"]) for row in rows]


async def paid_from_a_card(
    database: Database,
    connection: Connection,
    store: Store,
    *,
    runs_in: timedelta,
    expires_in: timedelta,
    **columns: Any,
) -> Run:
    """A subscription whose next run comes, and whose card expires, in so many days."""
    at = clock.now(store)
    ahead = {"anchor_at": at + runs_in - timedelta(days=28), "next_run_at": at + runs_in}
    run = await prepare(database, connection, store, **ahead | columns)
    await expires(run, at + expires_in)
    return run


async def expires(run: Run, at: datetime | None) -> None:
    await run.connection.execute(
        "update customer_payment_sources set expires_at = $3 where store_id = $1 and id = $2",
        run.store.id, run.source_id, at,
    )  # fmt: skip


async def look(run: Run) -> None:
    """What workers do, two at once, and twice."""
    for _ in range(2):
        await asyncio.gather(*(sweep.sweep_store(run.database, run.store.id) for _ in range(2)))


async def test_it_is_told_once_with_what_it_is_to_pay(
    database: Database, connection: Connection, store: Store, api: Api
) -> None:
    run = await paid_from_a_card(database, connection, store, runs_in=20 * DAY, expires_in=10 * DAY)
    other = await beside(run, next_run_at=clock.now() + 12 * DAY)
    early = await beside(run, next_run_at=clock.now() + 2 * DAY)
    await look(run)
    (said,) = await told(run)
    assert said["source"] == run.source_id
    assert said["order_subscription_ids"] == sorted([run.subscription_id, other.subscription_id])
    assert early.subscription_id not in said["order_subscription_ids"]
    first = (await api.get(f"order_subscriptions/{other.subscription_id}"))["data"]["attributes"]["next_run_at"]
    assert said["next_run_at"] == first
    assert "expires_at" not in said, "what somebody pays with is read, not told"
    source = (await api.get(f"customer_payment_sources/{run.source_id}"))["data"]
    assert not [name for name in source["attributes"] if name.startswith("expiry")]
    assert await offences(connection, store) == []


async def test_another_end_is_told_of_anew(database: Database, connection: Connection, store: Store, api: Api) -> None:
    run = await paid_from_a_card(database, connection, store, runs_in=20 * DAY, expires_in=10 * DAY)
    await look(run)
    longer = (clock.now() + 400 * DAY).isoformat()
    assert (await api.update("customer_payment_sources", run.source_id, {"expires_at": longer})).status_code == 200
    await look(run)
    assert len(await told(run)) == 1
    await expires(run, clock.now() + 11 * DAY)
    await look(run)
    assert len(await told(run)) == 2


@pytest.mark.parametrize(
    "ahead",
    [
        {"runs_in": 20 * DAY, "expires_in": 25 * DAY},
        {"runs_in": 400 * DAY, "expires_in": 90 * DAY},
        {"runs_in": 20 * DAY, "expires_in": 10 * DAY, "status": "inactive"},
        {"runs_in": 20 * DAY, "expires_in": 10 * DAY, "status": "cancelled", "next_run_at": None},
    ],
    ids=["it lives to see the run", "there is much time", "it doesn't run", "it has ended"],
)
async def test_nothing_is_told_where_nothing_is_to_be_done(
    database: Database, connection: Connection, store: Store, ahead: dict[str, Any]
) -> None:
    run = await paid_from_a_card(database, connection, store, **ahead)
    await look(run)
    assert await told(run) == []


async def test_the_source_of_the_order_counts_where_the_subscription_has_none(
    database: Database, connection: Connection, store: Store
) -> None:
    run = await paid_from_a_card(
        database, connection, store, runs_in=20 * DAY, expires_in=10 * DAY, customer_payment_source_id=None
    )
    await look(run)
    assert [said["order_subscription_ids"] for said in await told(run)] == [[run.subscription_id]]


async def test_a_card_that_nobody_uses_is_done_with_once_it_has_expired(
    database: Database, connection: Connection, store: Store, api: Api
) -> None:
    run = await paid_from_a_card(database, connection, store, runs_in=20 * DAY, expires_in=-DAY)
    good = await factories.payment_source(
        connection, store, run.customer_id, gateway="test", payment_source_token="tok_good"
    )
    linked = {"customer_payment_source": to("customer_payment_sources", good)}
    assert (await api.update("order_subscriptions", run.subscription_id, None, linked)).status_code == 200
    await look(run)
    due = "select expiry_due_at from customer_payment_sources where store_id = $1 and id = $2"
    assert (await told(run), await connection.fetchval(due, store.id, run.source_id)) == ([], None)


async def test_a_run_that_moves_on_past_the_end_is_noticed(
    database: Database, connection: Connection, store: Store
) -> None:
    """A weekly run, and a card that lives to see this one and not the next."""
    run = await paid_from_a_card(
        database, connection, store, runs_in=timedelta(hours=2), expires_in=5 * DAY, frequency="weekly"
    )
    await look(run)
    assert await told(run) == []
    again = "select expiry_again_at - $3 from customer_payment_sources where store_id = $1 and id = $2"
    in_time = await connection.fetchval(again, store.id, run.source_id, clock.now())
    assert timedelta(hours=1) < in_time <= timedelta(hours=2), "it is looked at again once the run has come"
    later = (await run.subscription())["next_run_at"] + timedelta(days=7)
    await connection.execute("update order_subscriptions set next_run_at = $2 where store_id = $1", store.id, later)
    await connection.execute(
        "update customer_payment_sources set expiry_again_at = $2 where store_id = $1", store.id, clock.now()
    )
    await look(run)
    assert [said["source"] for said in await told(run)] == [run.source_id]


async def test_another_store_is_told_nothing(database: Database, connection: Connection, store: Store) -> None:
    run = await paid_from_a_card(database, connection, store, runs_in=20 * DAY, expires_in=10 * DAY)
    other = await make_store(database)
    await sweep.sweep_store(database, other.id)
    assert await told(run) == []
