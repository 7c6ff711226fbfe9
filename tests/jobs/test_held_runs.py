"""`max_increase_percent`: a run that would cost too much more than the last waits until somebody agrees."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
from prometheus_client import REGISTRY

from service import clock
from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import counted, factories
from tests.factories import Line, Sku
from tests.jobs.playing import said
from tests.jobs.steps import claim_surely, finish, jobs, make, names_of, offences, row
from tests.jobs.test_sweep import due, swept
from tests.spec.writing import Api, pointers
from tests.support import Grant

DAY = timedelta(days=1)


@pytest.fixture
async def sku(connection: Connection, store: Store) -> Sku:
    return await factories.sku(connection, store, price=10_000)


async def held(database: Database, connection: Connection, store: Store, sku: Sku, **columns: Any) -> tuple[str, str]:
    """A subscription whose run is held, as its price rose beyond the 10 percent that it allows; with the occurrence."""
    order_id = await factories.full_order(connection, store, [Line(sku)])
    id_ = await factories.subscription(
        connection, store, order_id, **due(max_increase_percent=10, price_mode="current") | columns
    )
    await factories.set_price(connection, store, sku, 12_000)
    (copy_id,) = (await swept(database, store)).copies
    occurrence = (await row(connection, "order_factories", store, copy_id))["occurrence_id"]
    assert await finish(database, await claim_surely(database, store, copy_id)) is None
    assert (await row(connection, "order_factories", store, copy_id))["status"] == "aborted"
    assert (await row(connection, "occurrences", store, occurrence))["status"] == "held"
    return id_, occurrence


async def test_a_run_within_the_percentage_is_made(
    database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    order_id = await factories.full_order(connection, store, [Line(sku)])
    await factories.subscription(connection, store, order_id, **due(max_increase_percent=10, price_mode="current"))
    await factories.set_price(connection, store, sku, 11_049)
    (copy_id,) = (await swept(database, store)).copies
    order = await row(connection, "orders", store, await make(database, store, copy_id))
    assert order["total_amount_cents"] == 11_544  # 10 495 and 10 percent are 11 544.5
    assert await offences(connection, store) == []


async def test_the_first_run_is_held_against_what_is_repeated_of_the_order(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    """The rest of the order leaves no room for a price that rose."""
    dear = await factories.sku(connection, store, price=90_000)
    order_id = await factories.full_order(connection, store, [Line(sku), Line(dear)])
    id_ = await factories.subscription(
        connection, store, order_id, **due(max_increase_percent=10, price_mode="current")
    )
    await connection.execute(
        "delete from order_subscription_items where store_id = $1 and sku_id = $2", store.id, dear.id
    )
    await counted.anew(connection, store)
    await factories.set_price(connection, store, sku, 12_000)
    forecast = (await api.get(f"order_subscriptions/{id_}/forecast?page[size]=1"))["data"]
    assert [one["attributes"]["needs_approval"] for one in forecast] == [True]
    (copy_id,) = (await swept(database, store)).copies
    assert await finish(database, await claim_surely(database, store, copy_id)) is None
    payload = await connection.fetchval(
        "select payload from events where store_id = $1 and name = 'order_subscriptions.approval_required'", store.id
    )
    told = orjson.loads(payload)
    assert (told["last_amount_cents"], told["total_amount_cents"]) == (10_495, 12_495)


async def test_one_beyond_it_is_held_and_runs_once_it_is_approved(
    api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    id_, occurrence = await held(database, connection, store, sku)
    assert "order_subscriptions.approval_required" in await names_of(connection, store, id_)
    assert await connection.fetchval("select count(*) from orders where store_id = $1", store.id) == 1
    answer = await api.update("occurrences", occurrence, {"_approve": True})
    attributes = answer.json()["data"]["attributes"]
    assert (attributes["status"], attributes["held_amount_cents"], attributes["approved_amount_cents"]) == (
        "due",
        12_495,
        12_495,
    )
    copy_id = await connection.fetchval(
        "select id from order_factories where store_id = $1 and status = 'pending'", store.id
    )
    assert await jobs(connection, store, copy_id) == 1
    order_id = await make(database, store, copy_id)
    assert (await row(connection, "orders", store, order_id))["total_amount_cents"] == 12_495
    assert (await row(connection, "occurrences", store, occurrence))["status"] == "completed"
    again = await api.update("occurrences", occurrence, {"_approve": True})
    assert (again.status_code, pointers(again)) == (409, ["/data/attributes/_approve"])
    assert await offences(connection, store) == []


async def test_held_runs_are_counted(database: Database, connection: Connection, store: Store, sku: Sku) -> None:
    def counted() -> float:
        labels = {"type": "recurring_order_copies", "outcome": "held"}
        return REGISTRY.get_sample_value("reprise_copies_total", labels) or 0

    order_id = await factories.full_order(connection, store, [Line(sku)])
    await factories.subscription(connection, store, order_id, **due(max_increase_percent=10, price_mode="current"))
    await factories.set_price(connection, store, sku, 12_000)
    (copy_id,) = (await swept(database, store)).copies
    before = counted()
    await CopyJob(database).make(store.id, [copy_id])
    assert counted() == before + 1


async def test_what_was_approved_does_not_run_at_a_higher_price(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    _, occurrence = await held(database, connection, store, sku)
    await api.update("occurrences", occurrence, {"_approve": True})
    await factories.set_price(connection, store, sku, 12_001)
    copy_id = await connection.fetchval(
        "select id from order_factories where store_id = $1 and status = 'pending'", store.id
    )
    assert await finish(database, await claim_surely(database, store, copy_id)) is None
    found = await row(connection, "occurrences", store, occurrence)
    assert (found["status"], found["held_amount_cents"], found["approved_amount_cents"]) == ("held", 12_496, None)
    assert await offences(connection, store) == []


async def test_a_rejected_one_is_skipped(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    _, occurrence = await held(database, connection, store, sku)
    attributes = (await api.update("occurrences", occurrence, {"_reject": True})).json()["data"]["attributes"]
    assert (attributes["status"], attributes["reason"]) == ("skipped", "rejected")
    assert await offences(connection, store) == []


async def test_a_rejected_one_is_not_planned_anew(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    """The schedule has gone past it: nothing would run it, however it were moved."""
    _, occurrence = await held(database, connection, store, sku)
    await api.update("occurrences", occurrence, {"_reject": True})
    for attributes in ({"scheduled_at": said(clock.now() + timedelta(hours=1))}, {"_unskip": True}):
        refused = await api.update("occurrences", occurrence, attributes)
        assert (refused.status_code, pointers(refused)) == (409, [f"/data/attributes/{next(iter(attributes))}"])
    assert await offences(connection, store) == []
    await connection.execute(
        "update occurrences set status = 'planned' where store_id = $1 and id = $2", store.id, occurrence
    )
    assert [offence["check"] for offence in await offences(connection, store)] == ["planned_occurrences_are_to_come"]


async def put_back(connection: Connection, store: Store, table: str, column: str, id_: str) -> None:
    """Make an instant of a row one of eight days before."""
    before = (await row(connection, table, store, id_))[column] - 8 * DAY
    await connection.execute(f"update {table} set {column} = $3 where store_id = $1 and id = $2", store.id, id_, before)


async def test_the_last_one_can_be_approved_until_another_would_have_come(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    id_, occurrence = await held(database, connection, store, sku, max_occurrences=1)
    assert (await row(connection, "order_subscriptions", store, id_))["next_run_at"] is None
    await put_back(connection, store, "occurrences", "held_at", occurrence)
    await put_back(connection, store, "order_subscriptions", "anchor_at", id_)
    late = await api.update("occurrences", occurrence, {"_approve": True})
    assert (late.status_code, pointers(late)) == (409, ["/data/attributes/_approve"])
    assert (await api.update("occurrences", occurrence, {"_reject": True})).status_code == 200


async def test_one_that_nobody_decided_about_is_missed_when_the_next_one_comes(
    database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    id_, occurrence = await held(database, connection, store, sku)
    await connection.execute(
        "update occurrences set scheduled_at = $3 where store_id = $1 and order_subscription_id = $2"
        " and occurrence_index = 2",
        store.id,
        id_,
        clock.now(),
    )
    await connection.execute(
        "update order_subscriptions set next_run_at = $2 where store_id = $1", store.id, clock.now()
    )
    assert len((await swept(database, store)).copies) == 1
    found = await row(connection, "occurrences", store, occurrence)
    assert (found["status"], found["reason"]) == ("missed", "approval")
    assert await offences(connection, store) == []


async def test_two_are_approved_in_one_request(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    order_id = await factories.full_order(connection, store, [Line(sku)])
    late = due(2 * timedelta(hours=1), max_increase_percent=10, price_mode="current", catchup_policy="run_all")
    await factories.subscription(connection, store, order_id, **late)
    await factories.set_price(connection, store, sku, 20_000)
    copies = (await swept(database, store)).copies
    assert len(copies) > 1
    for copy_id in copies:
        assert await finish(database, await claim_surely(database, store, copy_id)) is None
    rows = await connection.fetch("select id from occurrences where store_id = $1 and status = 'held'", store.id)
    held = [found["id"] for found in rows]
    operations = [
        {"op": "update", "data": {"type": "occurrences", "id": id_, "attributes": {"_approve": True}}} for id_ in held
    ]
    media = 'application/vnd.api+json;ext="https://jsonapi.org/ext/atomic"'
    answer = await api.send(
        "POST", "operations", {"atomic:operations": operations}, **{"Content-Type": media, "Accept": media}
    )
    assert answer.status_code == 200, answer.text
    pending = "select count(*) from order_factories where store_id = $1 and status = 'pending'"
    assert await connection.fetchval(pending, store.id) == len(held)
    assert await offences(connection, store) == []


async def test_its_customer_decides_too_and_not_for_a_subscription_that_has_ended(
    *,
    client: httpx2.AsyncClient,
    grant: Grant,
    database: Database,
    connection: Connection,
    store: Store,
    sku: Sku,
    api: Api,
) -> None:
    id_, occurrence = await held(database, connection, store, sku)
    customer_id = (await row(connection, "order_subscriptions", store, id_))["customer_id"]
    own = Api(client, await grant(customer_id=customer_id))
    other = Api(client, await grant(customer_id=await factories.customer(connection, store)))
    assert (await other.update("occurrences", occurrence, {"_approve": True})).status_code == 404
    assert (await own.update("occurrences", occurrence, {"_approve": True, "_reject": True})).status_code == 409
    assert (await own.update("occurrences", occurrence, {"_approve": True})).status_code == 200
    _, another = await held(database, connection, store, await factories.sku(connection, store, price=10_000))
    subscription = (await row(connection, "occurrences", store, another))["order_subscription_id"]
    assert (await api.update("order_subscriptions", subscription, {"_cancel": True})).status_code == 200
    assert (await row(connection, "occurrences", store, another))["status"] == "skipped"
    assert (await own.update("occurrences", another, {"_approve": True})).status_code in (404, 409)


async def test_a_run_by_hand_needs_nobodys_approval(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    order_id = await factories.full_order(connection, store, [Line(sku)])
    await factories.set_price(connection, store, sku, 20_000)
    id_ = await factories.subscription(
        connection, store, order_id, max_increase_percent=1, price_mode="current", next_run_at=clock.now() + 9 * DAY
    )
    await api.update("order_subscriptions", id_, {"_run_now": True})
    copy_id = await connection.fetchval("select id from order_factories where store_id = $1", store.id)
    assert await make(database, store, copy_id)
