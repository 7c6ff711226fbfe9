"""Whose orders can be repeated, where, and how often one request counts. Numbers are those of the list of failures."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import httpx2
import orjson
import pytest

import sql
from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection
from tests import factories
from tests.api.reorders import PREVIEWS, URL, document
from tests.api.wemasy import application
from tests.factories import Line
from tests.servers import server
from tests.support import Access, Grant

WEMASY = "/api/services/webshop/v1/customer/orders/reorder"
WRITTEN = ("carts", "cart_items", "reorders", "reorder_outcomes", "events", "idempotency_keys")


@pytest.fixture
async def customer(connection: Connection, store: Store) -> str:
    return await factories.customer(connection, store)


@pytest.fixture
async def shopper(grant: Grant, customer: str) -> Access:
    return await grant(customer_id=customer)


async def written(connection: Connection, store: Store) -> dict[str, int]:
    return {
        table: await connection.fetchval(f"select count(*) from {table} where store_id = $1", store.id)
        for table in WRITTEN
    }


async def in_cart(connection: Connection, store: Store) -> int:
    return int(await connection.fetchval("select sum(quantity) from cart_items where store_id = $1", store.id) or 0)


@pytest.mark.rule("FM-02")
@pytest.mark.parametrize("language", ["en", "nl"])
async def test_a_store_that_switched_reordering_off_refuses_it_at_the_api(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, *, grant: Grant, language: str
) -> None:
    shopper, shop = await grant(customer_id=customer), await grant()
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug)], customer_id=customer, number=4711)
    headers = {"Accept-Language": language}
    policies = {"data": {"type": "stores", "id": str(store.id), "attributes": {"policies": {"reorder_enabled": False}}}}
    assert (await client.patch(f"/api/stores/{store.id}", json=policies, headers=shop.headers)).status_code == 200
    before = await written(connection, store)
    for url, type_, access in (
        (URL, "reorders", shopper),
        (URL, "reorders", shop),
        (PREVIEWS, "reorder_previews", shop),
    ):
        response = await client.post(url, json=document(order, type_=type_), headers=access.headers | headers)
        assert response.status_code == 403
        assert response.json()["errors"][0]["code"] == "REORDER_DISABLED"
    bearer = headers | {"Authorization": f"Bearer {shopper.token}"}
    response = await client.post(WEMASY, json={"order_id": 4711}, headers=bearer)
    texts = {"en": "This shop doesn't offer to reorder.", "nl": "Deze winkel biedt opnieuw bestellen niet aan."}
    assert (response.status_code, response.json()) == (403, {"error": True, "message": texts[language]})
    assert await written(connection, store) == before


@pytest.mark.rule("FM-18")
async def test_a_foreign_order_answers_as_an_unknown_one_and_does_the_same(
    client: httpx2.AsyncClient, connection: Connection, store: Store, shopper: Access
) -> None:
    mug = await factories.sku(connection, store)
    stranger = await factories.customer(connection, store)
    foreign = await factories.order(connection, store, [Line(mug)] * 50, customer_id=stranger)
    before = await written(connection, store)
    for url, type_ in ((URL, "reorders"), (PREVIEWS, "reorder_previews")):
        told = []
        for order in (foreign, "unknown"):
            response = await client.post(url, json=document(order, type_=type_), headers=shopper.headers)
            assert response.status_code == 404
            errors = [{**error, "id": ""} for error in response.json()["errors"]]
            told.append((errors, {name: value for name, value in response.headers.items() if "id" not in name}.keys()))
        assert told[0] == told[1]
    assert await written(connection, store) == before


@pytest.mark.rule("FM-18")
async def test_no_line_of_a_foreign_order_is_read(connection: Connection, store: Store) -> None:
    """What takes the same steps takes the same time."""
    mug = await factories.sku(connection, store)
    stranger = await factories.customer(connection, store)
    foreign = await factories.order(connection, store, [Line(mug)] * 5, customer_id=stranger)
    statement = sql.statement("repeating/reorders.source_order")
    binds = {"store": store.id, "id": foreign, "number": None, "customer": "another"}
    asked = [binds[name] for name in statement.parameters]
    plan = await connection.fetchval(f"explain (analyze, format json) {statement.text}", *asked)
    lines = [node for node in _nodes(orjson.loads(plan)[0]["Plan"]) if node.get("Relation Name") == "line_items"]
    assert sum(node["Actual Rows"] for node in lines) == 0


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(below for one in node.get("Plans", ()) for below in _nodes(one))]


@pytest.mark.rule("FM-19")
@pytest.mark.parametrize("token", [None, "nonsense", "customer_1_abc"])
async def test_without_a_good_token_a_guessed_id_gets_nothing(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, token: str | None
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug)], customer_id=customer)
    before = await written(connection, store)
    headers = {"Content-Type": "application/vnd.api+json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    for url, type_ in ((URL, "reorders"), (PREVIEWS, "reorder_previews")):
        response = await client.post(url, content=orjson.dumps(document(order, type_=type_)), headers=headers)
        assert response.status_code == 401
    assert await written(connection, store) == before


@pytest.mark.rule("FM-25")
async def test_an_email_address_is_no_claim_to_the_orders_of_its_owner(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    mug = await factories.sku(connection, store)
    victim = await factories.customer(connection, store, email="victim@example.com")
    order = await factories.order(
        connection, store, [Line(mug)], customer_id=victim, customer_email="victim@example.com"
    )
    ordered_as_guest = await factories.order(
        connection, store, [Line(mug)], guest=True, customer_email="victim@example.com"
    )
    guest = await grant(customer_id=await factories.customer(connection, store, email="other@example.com"))
    await factories.order(connection, store, [Line(mug)], guest=True, customer_email="other@example.com")
    listed = await client.get("/api/orders?filter[customer_email]=victim@example.com", headers=guest.headers)
    assert listed.json()["data"] == []
    for id_ in (order, ordered_as_guest):
        assert (await client.post(URL, json=document(id_), headers=guest.headers)).status_code == 404
    # Nor do guests' orders become the victim's because of the address that somebody typed.
    owner = await grant(customer_id=victim)
    assert (await client.post(URL, json=document(ordered_as_guest), headers=owner.headers)).status_code == 404


@pytest.mark.rule("FM-26")
async def test_twenty_clicks_with_one_key_count_once(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    customer: str,
    *,
    shopper: Access,
    settings: Settings,
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug, 3)], customer_id=customer)
    headers = shopper.headers | {"Idempotency-Key": "a-double-click"}

    async def click(number: int, through: httpx2.AsyncClient) -> httpx2.Response:
        while True:
            response = await through.post(URL, json=document(order), headers=headers)
            if response.status_code != 409:
                return response
            assert response.headers["Retry-After"] == "1"
            # Each at a time of its own: what is asked again counts too, and 60 a minute is the limit.
            await asyncio.sleep(0.1 * (number + 1))

    async with application(settings) as other:
        answers = await asyncio.gather(*(click(n, (client, other)[n % 2]) for n in range(20)))
    assert [answer.status_code for answer in answers] == [201] * 20
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 19
    assert len({answer.content for answer in answers}) == 1
    assert await in_cart(connection, store) == 3
    assert await connection.fetchval("select count(*) from reorders where store_id = $1", store.id) == 1


@pytest.mark.rule("FM-26")
@pytest.mark.parametrize("strategy", ["append", "new", "replace"])
async def test_reorders_at_once_under_keys_of_their_own_lose_nothing(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    customer: str,
    *,
    shopper: Access,
    settings: Settings,
    strategy: str,
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug, 3)], customer_id=customer)
    async with application(settings) as other:
        answers = await asyncio.gather(
            *(
                (client, other)[n % 2].post(
                    URL, json=document(order, strategy=strategy), headers=shopper.headers | {"Idempotency-Key": f"k{n}"}
                )
                for n in range(10)
            )
        )
    assert [answer.status_code for answer in answers] == [201] * 10
    active = await connection.fetch(
        "select c.id, i.quantity from carts c join cart_items i on i.store_id = c.store_id and i.cart_id = c.id"
        " where c.store_id = $1 and c.status = 'active'",
        store.id,
    )
    assert [row["quantity"] for row in active] == [{"append": 30, "new": 3, "replace": 3}[strategy]]


@pytest.mark.rule("FM-28")
async def test_a_reorder_whose_answer_was_lost_is_answered_again_and_not_done_again(
    connection: Connection, store: Store, customer: str, shopper: Access, database_url: str
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug, 3)], customer_id=customer)
    headers = shopper.headers | {"Idempotency-Key": "lost"}
    async with server(database_url, "answer") as (process, client):
        with pytest.raises(httpx2.TransportError):
            await client.post(URL, json=document(order), headers=headers)
        assert await process.wait() == -signal.SIGKILL
    assert await in_cart(connection, store) == 3, "the effect was there"
    async with server(database_url) as (_, client):
        answer = await client.post(URL, json=document(order), headers=headers)
    assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
    id_ = await connection.fetchval("select id from reorders where store_id = $1", store.id)
    assert answer.json()["data"]["id"] == id_
    assert await in_cart(connection, store) == 3


@pytest.mark.rule("FM-29")
@pytest.mark.parametrize("code", ["SALE-G01ZG", "ÉTÉ-✓-G01ZG", "x" * 64])
async def test_orders_are_known_by_codes_and_ids_of_every_kind(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, *, shopper: Access,
    integration: Access, code: str,
) -> None:  # fmt: skip
    mug = await factories.sku(connection, store)
    id_ = "SALE-G01ZG_" + "x" * 53
    order = await factories.order(connection, store, [Line(mug)], customer_id=customer, code=code, id=id_)
    response = await client.post(URL, json=document(order), headers=shopper.headers)
    assert response.status_code == 201
    assert response.json()["data"]["relationships"]["source_order"]["data"]["id"] == id_
    for reference in (code, id_):
        url = f"/api/v3/{store.id}/orders/{reference}/repeatURL"
        response = await client.get(url, headers={"Authorization": f"Bearer {integration.token}"})
        assert response.status_code == 200, reference
