"""A sales channel's token may sit in a browser: who reads it there gets no further than the catalogue and a cart."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from schemas.graph import PUBLIC
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection, Database
from tests import factories
from tests.access.fetching import fetch, made
from tests.spec.writing import Api, resource, to
from tests.support import Access


@pytest.fixture
async def channel(client: httpx2.AsyncClient, database: Database, store: Store) -> Access:
    """A token of a sales channel of the test's store."""
    return await fetch(client, await made(database, store, "sales_channel"))


def with_session(access: Access, session: str) -> dict[str, str]:
    return access.headers | {"X-Cart-Session": session}


async def test_it_reads_the_catalogue_makes_a_cart_and_shops_with_its_session(
    client: httpx2.AsyncClient, connection: Connection, store: Store, channel: Access
) -> None:
    sku = await factories.sku(connection, store, price=1250, stock=5)
    listed = await client.get("/api/skus", headers=channel.headers)
    assert [one["id"] for one in listed.json()["data"]] == [sku.id]

    made_cart = await client.post("/api/carts", json=resource("carts"), headers=channel.headers)
    assert made_cart.status_code == 201, made_cart.text
    cart, session = made_cart.json()["data"]["id"], made_cart.json()["data"]["attributes"]["session"]
    headers = with_session(channel, session)
    item = resource("cart_items", {"sku_code": sku.code, "quantity": 2}, {"cart": to("carts", cart)})
    added = await client.post("/api/cart_items", json=item, headers=headers)
    assert added.status_code == 201, added.text
    seen = await client.get(f"/api/carts/{cart}", headers=headers)
    assert seen.json()["data"]["attributes"]["total_amount_cents"] == 2500
    assert "session" not in seen.json()["data"]["attributes"]
    event = "select actor_type from events where resource_id = $1 and name = 'carts.create'"
    assert await connection.fetchval(event, cart) == "tokens"


async def test_it_sees_no_cart_without_its_session_not_even_those_it_made(
    client: httpx2.AsyncClient, integration: Access, channel: Access
) -> None:
    mine = await client.post("/api/carts", json=resource("carts"), headers=channel.headers)
    cart, session = mine.json()["data"]["id"], mine.json()["data"]["attributes"]["session"]
    other = await Api(client, integration).create("carts")
    assert other["attributes"]["session"]
    assert (await client.get("/api/carts", headers=channel.headers)).json()["data"] == []
    for id_ in (cart, other["id"]):
        assert (await client.get(f"/api/carts/{id_}", headers=channel.headers)).status_code == 404
        change = resource("carts", {"customer_email": "eve@example.com"}, id=id_)
        assert (await client.patch(f"/api/carts/{id_}", json=change, headers=channel.headers)).status_code == 404
        assert (await client.delete(f"/api/carts/{id_}", headers=channel.headers)).status_code == 404
    headers = with_session(channel, session)
    assert [one["id"] for one in (await client.get("/api/carts", headers=headers)).json()["data"]] == [cart]
    assert (await client.get(f"/api/carts/{other['id']}", headers=headers)).status_code == 404
    again = await client.post("/api/carts", json=resource("carts"), headers=headers)
    assert again.status_code == 403


async def test_it_reads_nothing_but_what_is_public(
    client: httpx2.AsyncClient, connection: Connection, store: Store, channel: Access, integration: Access
) -> None:
    sku = await factories.sku(connection, store)
    order = await factories.full_order(connection, store, [factories.Line(sku)])
    await factories.subscription(connection, store, order)
    for type_, entry in RESOURCES.items():
        whole = (await client.get(f"/api/{type_}", headers=integration.headers)).json()["data"]
        answer = await client.get(f"/api/{type_}", headers=channel.headers)
        assert answer.status_code in (200, 403), type_
        seen = {one["id"] for one in answer.json().get("data", [])}
        assert not seen or entry.resource.owner == PUBLIC, type_
        for one in whole:
            alone = await client.get(f"/api/{type_}/{one['id']}", headers=channel.headers)
            assert (alone.status_code == 200) == (one["id"] in seen), type_
    assert RESOURCES["skus"].resource.owner == PUBLIC


@pytest.mark.parametrize("type_", [type_ for type_, entry in RESOURCES.items() if entry.create])
async def test_it_makes_nothing_but_a_cart(client: httpx2.AsyncClient, channel: Access, *, type_: str) -> None:
    answer = await client.post(f"/api/{type_}", json=resource(type_, {}, {}), headers=channel.headers)
    assert answer.status_code in ((201,) if type_ == "carts" else (403, 404, 422)), answer.text
    operation: dict[str, Any] = {"op": "add", "data": {"type": type_, "attributes": {}}}
    atomic = 'application/vnd.api+json; ext="https://jsonapi.org/ext/atomic"'
    batch = await client.post(
        "/api/operations",
        json={"atomic:operations": [operation]},
        headers=channel.headers | {"Content-Type": atomic, "Accept": atomic},
    )
    assert batch.status_code in (403, 404, 422), batch.text


async def test_other_routes_are_closed_to_it(
    client: httpx2.AsyncClient, connection: Connection, store: Store, channel: Access
) -> None:
    order = await factories.full_order(connection, store, [factories.Line(await factories.sku(connection, store))])
    await connection.execute("update orders set code = 'JJ5HH' where store_id = $1 and id = $2", store.id, order)
    ecwid = await client.get(f"/api/v3/{store.id}/orders/JJ5HH/repeatURL", headers=channel.headers)
    assert ecwid.status_code == 403
    wemasy = await client.post(
        "/api/services/webshop/v1/customer/orders/reorder",
        json={"order_id": 1},
        headers={"Authorization": f"Bearer {channel.token}"},
    )
    assert wemasy.status_code == 404
    preview = resource("reorder_previews", None, {"source_order": to("orders", order)})
    assert (await client.post("/api/reorder_previews", json=preview, headers=channel.headers)).status_code in (403, 404)
