"""`POST /api/recurring_order_copies` as Commerce Layer documents it, up to the target order."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx2

from service import clock
from service.operations.subscriptions import sweep
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.jobs.steps import ask, bearer, claim, claim_surely, make, offences, row
from tests.jobs.test_worker import working
from tests.support import Access, Grant

ATTRIBUTES = (
    "status",
    "started_at",
    "completed_at",
    "failed_at",
    "errors_log",
    "errors_count",
    "place_target_order",
    "reuse_wallet",
    *("outcomes", "failure_type", "given_up_at"),  # ours, behind what the document shows
    "created_at",
    "updated_at",
    "reference",
    "reference_origin",
    "metadata",
)
URL = "/api/recurring_order_copies"


def request(order_id: str, subscription_id: str, **attributes: Any) -> dict[str, Any]:
    """The document's own request, with other ids."""
    relationships = {
        "source_order": {"data": {"type": "orders", "id": order_id}},
        "order_subscription": {"data": {"type": "order_subscriptions", "id": subscription_id}},
    }
    data: dict[str, Any] = {"type": "recurring_order_copies", "relationships": relationships}
    return {"data": data | ({"attributes": attributes} if attributes else {})}


async def sample(connection: Connection, store: Store) -> tuple[str, str]:
    """The order and the subscription of the document's request."""
    lines = [Line(await factories.sku(connection, store, price=1900), 2)]
    order_id = await factories.full_order(connection, store, lines, id="ABCRtyUpBa")
    return order_id, await factories.subscription(connection, store, order_id, id="BCDRtyUpBa")


async def test_the_documented_request_gives_the_documented_resource(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    ends = await sample(connection, store)
    answer = await client.post(URL, json=request(*ends), headers=integration.headers)
    assert answer.status_code == 201
    data = answer.json()["data"]
    self_link = f"http://127.0.0.1{URL}/{data['id']}"
    assert answer.headers["location"] == self_link
    assert data["links"] == {"self": self_link}
    assert tuple(data["attributes"]) == ATTRIBUTES
    attributes = data["attributes"]
    assert (attributes["status"], attributes["errors_log"], attributes["errors_count"]) == ("pending", None, 0)
    assert (attributes["place_target_order"], attributes["reuse_wallet"]) == (False, True)
    assert set(data["relationships"]) == {"source_order", "target_order", "events", "order_subscription"}
    for name, relationship in data["relationships"].items():
        assert relationship["links"] == {
            "self": f"{self_link}/relationships/{name}",
            "related": f"{self_link}/{name}",
        }
    assert data["relationships"]["target_order"]["data"] is None
    assert data["meta"]["mode"] == "test"


async def test_the_copy_completes_within_seconds_and_its_order_can_be_fetched(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, database_url: str
) -> None:
    ends = await sample(connection, store)
    sent = request(*ends, place_target_order=True, reference="R1", metadata={"foo": "bar"})
    copy_id = (await client.post(URL, json=sent, headers=integration.headers)).json()["data"]["id"]
    async with working(database_url), asyncio.timeout(60):  # a machine may be busy
        status = ""
        while status != "completed":
            await asyncio.sleep(0.05)
            copy = await client.get(f"{URL}/{copy_id}?include=target_order.line_items", headers=integration.headers)
            status = copy.json()["data"]["attributes"]["status"]
            assert status != "failed", copy.json()

    included = {(one["type"], one["id"]): one["attributes"] for one in copy.json()["included"]}
    target_id = copy.json()["data"]["relationships"]["target_order"]["data"]["id"]
    target = included["orders", target_id]
    assert (target["status"], target["payment_status"]) == ("placed", "authorized")
    assert [one["quantity"] for (type_, _), one in included.items() if type_ == "line_items"] == [2]
    happened = await client.get(f"{URL}/{copy_id}/events?sort=id", headers=integration.headers)
    assert [event["attributes"]["name"] for event in happened.json()["data"]] == [
        "recurring_order_copies.create",
        "recurring_order_copies.start",
        "recurring_order_copies.complete",
    ]


async def test_unknown_ends_are_not_found(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    order_id, subscription_id = await sample(connection, store)
    for ends, name in (((order_id, "nothing"), "order_subscription"), (("nothing", subscription_id), "source_order")):
        answer = await client.post(URL, json=request(*ends), headers=integration.headers)
        assert answer.status_code == 404
        assert [error["source"] for error in answer.json()["errors"]] == [
            {"pointer": f"/data/relationships/{name}/data"}
        ]


async def test_both_relationships_are_required(client: httpx2.AsyncClient, integration: Access) -> None:
    answer = await client.post(URL, json={"data": {"type": "recurring_order_copies"}}, headers=integration.headers)
    assert answer.status_code == 422
    details = " ".join(error["detail"] for error in answer.json()["errors"])
    assert "source_order" in details
    assert "order_subscription" in details


async def test_the_scope_to_change_subscriptions_is_asked_for(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    reader = await grant(scopes=["read_subscriptions"])
    answer = await client.post(URL, json=request(*await sample(connection, store)), headers=reader.headers)
    assert answer.status_code == 403
    assert await connection.fetchval("select count(*) from order_factories where store_id = $1", store.id) == 0


async def test_copies_that_are_done_or_not_begun_can_be_deleted_and_their_orders_stay(
    *, database: Database, client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    ends = await sample(connection, store)
    made, untouched, begun = [await ask(database, bearer(store), *ends) for _ in range(3)]
    order_id = await make(database, store, made)
    await claim_surely(database, store, begun)
    for copy_id in (made, untouched):
        answer = await client.delete(f"{URL}/{copy_id}", headers=integration.headers)
        assert answer.status_code == 204, answer.text
        assert (await client.get(f"{URL}/{copy_id}", headers=integration.headers)).status_code == 404
    refused = await client.delete(f"{URL}/{begun}", headers=integration.headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "INVALID_STATE")
    order = await row(connection, "orders", store, order_id)
    assert (order["status"], order["order_subscription_id"]) == ("pending", ends[1])
    assert await claim(database, store, untouched) is None
    assert await offences(connection, store) == []


async def test_a_copy_that_its_occurrence_waits_for_stays(
    database: Database, client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    order_id, _ = await sample(connection, store)
    due_at = clock.now() - timedelta(minutes=1)
    columns: dict[str, Any] = {"frequency": "daily", "anchor_at": due_at - timedelta(days=1), "next_run_at": due_at}
    await factories.subscription(connection, store, order_id, **columns)
    async with database.transaction() as transaction:
        (copy_id,) = (await sweep.sweep(transaction, store)).copies
    refused = await client.delete(f"{URL}/{copy_id}", headers=integration.headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "INVALID_STATE")
    target_id = await make(database, store, copy_id)
    assert (await client.delete(f"{URL}/{copy_id}", headers=integration.headers)).status_code == 204
    occurrence = await connection.fetchrow(
        "select id, status from occurrences where store_id = $1 and occurrence_index = 1", store.id
    )
    assert occurrence is not None
    assert occurrence["status"] == "completed"
    assert (await row(connection, "orders", store, target_id))["occurrence_id"] == occurrence["id"]
    assert await offences(connection, store) == []


async def test_customers_delete_no_copies(
    database: Database, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    ends = await sample(connection, store)
    copy_id = await ask(database, bearer(store), *ends)
    owner = (await row(connection, "orders", store, ends[0]))["customer_id"]
    access = await grant(customer_id=owner)
    refused = await client.delete(f"{URL}/{copy_id}", headers=access.headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "FORBIDDEN")
    assert (await client.get(f"{URL}/{copy_id}", headers=access.headers)).status_code == 200
