"""Alerts of renewals: once a run, in time, and again only where something got worse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from service.jobs.sweep import sweep_store
from service.operations.subscriptions import alerts
from service.operations.tenant import tenants
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line, Sku
from tests.jobs.playing import advance, freeze, said
from tests.jobs.steps import offences, row
from tests.jobs.test_worker import working
from tests.spec.writing import Api, to

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
RUN = datetime(2026, 4, 1, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def frozen(api: Api, store: Store) -> Any:
    return await freeze(api, store, START)


@pytest.fixture
async def sku(connection: Connection, store: Store) -> Sku:
    return await factories.sku(connection, store, price=1000)


async def subscribe(api: Api, connection: Connection, store: Store, sku: Sku, **attributes: Any) -> str:
    """A monthly subscription whose runs are announced two days ahead; gives its id."""
    order_id = await factories.full_order(connection, store, [Line(sku, 2)], placed_at=START)
    sent = {"frequency": "monthly", "renewal_alert_period": 48, "price_mode": "current"} | attributes
    return str((await api.create("order_subscriptions", sent, {"source_order": to("orders", order_id)}))["id"])


async def told(connection: Connection, store: Store, id_: str) -> list[tuple[str, str, Any]]:
    """When each alert was sent, of which run, and what it told."""
    rows = await connection.fetch(
        "select created_at, payload from events where store_id = $1 and resource_id = $2 and name = $3"
        " order by sequence",
        store.id,
        id_,
        alerts.RENEWAL,
    )
    payloads = [orjson.loads(found["payload"]) for found in rows]
    return [
        (said(found["created_at"]), payload["scheduled_at"], payload)
        for found, payload in zip(rows, payloads, strict=True)
    ]


def times(found: list[tuple[str, str, Any]]) -> list[tuple[str, str]]:
    return [(at, run_at) for at, run_at, _ in found]


async def at(database: Database, connection: Connection, store: Store, instant: datetime) -> None:
    """Set a store's clock, and let the sweep look."""
    await connection.execute("update test_clocks set frozen_at = $2 where store_id = $1", store.id, instant)
    await sweep_store(database, store.id)


async def test_each_run_is_announced_once(
    *, api: Api, frozen: Any, sku: Sku, database_url: str, connection: Connection, store: Store
) -> None:
    id_ = await subscribe(api, connection, store, sku)
    async with working(database_url):
        await advance(api, frozen, START + 93 * DAY)
    runs = [datetime(2026, month, 1, 9, tzinfo=UTC) for month in (4, 5, 6)]
    found = await told(connection, store, id_)
    assert times(found) == [(said(run - 2 * DAY), said(run)) for run in runs]
    payload = found[0][2]
    assert (payload["total_amount_cents"], payload["change_amount_cents"]) == (2495, 0)
    assert [line["sku_code"] for line in payload["lines"]] == [sku.code]
    occurrence = await row(connection, "occurrences", store, payload["occurrence_id"])
    assert occurrence["alerted_at"] == runs[0] - 2 * DAY
    assert await offences(connection, store) == []


async def test_what_is_made_within_the_period_is_announced_at_once(
    *, api: Api, frozen: Any, sku: Sku, database: Database, connection: Connection, store: Store
) -> None:
    id_ = await subscribe(api, connection, store, sku, frequency="daily")
    assert frozen
    await sweep_store(database, store.id)
    await sweep_store(database, store.id)
    assert times(await told(connection, store, id_)) == [(said(START), said(START + DAY))]


async def test_what_is_skipped_is_not_announced_what_moves_is_announced_again(
    *, api: Api, frozen: Any, sku: Sku, database: Database, connection: Connection, store: Store
) -> None:
    skipped, moved, paused = [await subscribe(api, connection, store, sku) for _ in range(3)]
    assert frozen
    await api.update("order_subscriptions", skipped, {"_skip_next": True})
    await api.update("order_subscriptions", paused, {"_pause_until": said(RUN + DAY)})
    await at(database, connection, store, RUN - 2 * DAY)
    assert await told(connection, store, skipped) == []
    assert await told(connection, store, paused) == []
    assert len(await told(connection, store, moved)) == 1
    await api.update("order_subscriptions", moved, {"next_run_at": said(RUN + HOUR)})
    await at(database, connection, store, RUN - DAY)
    assert times(await told(connection, store, moved)) == [
        (said(RUN - 2 * DAY), said(RUN)),
        (said(RUN - DAY), said(RUN + HOUR)),
    ]


async def test_a_run_is_announced_again_when_its_price_rose(
    *, api: Api, frozen: Any, sku: Sku, database: Database, connection: Connection, store: Store
) -> None:
    id_ = await subscribe(api, connection, store, sku)
    assert frozen
    await at(database, connection, store, RUN - 2 * DAY)
    await factories.set_price(connection, store, sku, 900)
    await at(database, connection, store, RUN - DAY)
    assert len(await told(connection, store, id_)) == 1
    await factories.set_price(connection, store, sku, 1100)
    await at(database, connection, store, RUN - 12 * HOUR)
    first, again = await told(connection, store, id_)
    assert (first[2]["price_increased"], first[2]["total_amount_cents"]) == (False, 2495)
    assert (again[2]["price_increased"], again[2]["total_amount_cents"]) == (True, 2695)
    assert again[2]["change_amount_cents"] == 200
    for left in (6, 3, 2, 1):
        await at(database, connection, store, RUN - left * HOUR)
    assert len(await told(connection, store, id_)) == 2


async def test_alerts_that_are_due_are_found_by_the_sweep(
    api: Api, sku: Sku, database: Database, connection: Connection, store: Store
) -> None:
    """In a store on real time."""
    order_id = await factories.full_order(connection, store, [Line(sku)])
    made = await api.create(
        "order_subscriptions",
        {"frequency": "daily", "renewal_alert_period": 720},
        {"source_order": to("orders", order_id)},
    )
    sweeping = "select next_alert_at < next_run_at - interval '29 days' from order_subscriptions where store_id = $1"
    assert await connection.fetchval(sweeping, store.id)
    async with database.transaction() as inner:
        found = await tenants.find(inner, store.id)
        assert found is not None
        assert (await alerts.alert(inner, found)).subscriptions == 1
    assert len(await told(connection, store, made["id"])) == 1
