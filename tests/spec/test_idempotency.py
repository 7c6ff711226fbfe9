"""Idempotency-Key: one effect, whatever happens to requests and answers (draft-ietf-httpapi-idempotency-key-header)."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from service import clock
from service.operations.runtime import cleaning
from service.principal import Store
from service.store.idempotency import KEEP
from service.store.pool import Connection, Database
from tests import factories
from tests.nodes import ACTIVITY
from tests.servers import server
from tests.spec.samples import COPIES, copies, copy_document
from tests.support import Access, Grant

REORDER = "/api/services/webshop/v1/customer/orders/reorder"


@pytest.fixture
async def document(connection: Connection, store: Store) -> dict[str, Any]:
    return await copy_document(connection, store)


async def post(client: httpx2.AsyncClient, access: Access, document: Any, key: str, **headers: str) -> httpx2.Response:
    return await client.post(COPIES, json=document, headers=access.headers | {"Idempotency-Key": key} | headers)


def comparable(answer: httpx2.Response) -> tuple[int, bytes, dict[str, str]]:
    own = {
        "x-request-id",
        "server-timing",
        "traceparent",
        "idempotency-replayed",
        "date",
        "x-ratelimit-remaining",
        "ratelimit",
    }
    return answer.status_code, answer.content, {n: v for n, v in answer.headers.items() if n not in own}


@pytest.mark.rule("HT-07")
async def test_a_request_sent_again_gets_its_first_answer(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, document: dict[str, Any]
) -> None:
    first = await post(client, integration, document, "k1")
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    await connection.execute("update order_factories set reference = 'changed since' where store_id = $1", store.id)
    for key in ("k1", '"k1"', " k1 "):
        again = await post(client, integration, document, key)
        assert again.headers["idempotency-replayed"] == "true"
        assert comparable(again) == comparable(first)
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await copies(connection, store) == 1
    assert (await post(client, integration, document, "k2")).json()["data"]["id"] != first.json()["data"]["id"]


@pytest.mark.rule("HT-07")
async def test_another_request_with_the_key_is_422(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, document: dict[str, Any]
) -> None:
    assert (await post(client, integration, document, "k")).status_code == 201
    other = {"data": document["data"] | {"attributes": {"reference": "x"}}}
    headers = integration.headers | {"Idempotency-Key": "k"}
    for answer in (
        await post(client, integration, other, "k"),
        await client.post(f"{COPIES}?include=", json=document, headers=headers),
        await client.post("/api/reorders", json=await reorder_document(connection, store), headers=headers),
    ):
        assert answer.status_code == 422
        error = answer.json()["errors"][0]
        assert (error["code"], error["source"]) == ("IDEMPOTENCY_KEY_REUSED", {"header": "Idempotency-Key"})
    assert await copies(connection, store) == 1


async def reorder_document(connection: Connection, store: Store) -> dict[str, Any]:
    customer = await factories.customer(connection, store)
    lines = [factories.Line(await factories.sku(connection, store))]
    order = await factories.order(connection, store, lines, customer_id=customer)
    linkage = {"source_order": {"data": {"type": "orders", "id": order}}}
    return {"data": {"type": "reorders", "relationships": linkage}}


@pytest.mark.rule("HT-07")
@pytest.mark.parametrize("key", ["", " ", '""', "a b", "x" * 256, "é"])
async def test_what_is_no_key_is_400(  # noqa: PLR0917 -- fixtures
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, key: str, document: Any
) -> None:
    sent = [(name.encode(), value.encode()) for name, value in integration.headers.items()]
    headers = [*sent, (b"Idempotency-Key", key.encode())]
    answer = await client.post(COPIES, json=document, headers=headers)
    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert (error["code"], error["source"]) == ("INVALID_HEADER", {"header": "Idempotency-Key"})
    twice = [*integration.headers.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert (await client.post(COPIES, json=document, headers=twice)).status_code == 400
    assert await copies(connection, store) == 0


async def test_a_key_belongs_to_its_store_and_its_bearer(
    client: httpx2.AsyncClient, integration: Access, grant: Grant, connection: Connection, store: Store
) -> None:
    """Two tokens of one customer share their keys, since such tokens are renewed all the time."""
    customer = await factories.customer(connection, store)
    lines = [factories.Line(await factories.sku(connection, store))]
    await factories.order(connection, store, lines, customer_id=customer)
    number = await connection.fetchval("select number from orders where store_id = $1", store.id)

    async def reorder(access: Access) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {access.token}", "Idempotency-Key": "k"}
        return await client.post(REORDER, json={"order_id": number}, headers=headers)

    first = await reorder(await grant(customer_id=customer))
    again = await reorder(await grant(customer_id=customer))
    assert first.status_code == again.status_code == 200
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    other = await reorder(await grant(customer_id=await factories.customer(connection, store)))
    assert other.status_code == 404, "not the first one's answer"
    assert (await reorder(integration)).status_code == 401


async def test_the_route_of_another_contract_keeps_its_shapes_and_counts_anew(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    access = await grant(customer_id=await factories.customer(connection, store))
    lines = [factories.Line(await factories.sku(connection, store))]
    customer = await connection.fetchval("select id from customers where store_id = $1", store.id)
    for _ in range(2):
        await factories.order(connection, store, lines, customer_id=customer)
    numbers = [
        row["number"] for row in await connection.fetch("select number from orders where store_id = $1", store.id)
    ]
    headers = {"Authorization": f"Bearer {access.token}", "Idempotency-Key": "k"}
    first = await client.post(REORDER, json={"order_id": numbers[0]}, headers=headers)
    again = await client.post(REORDER, json={"order_id": numbers[0]}, headers=headers)
    assert again.json() == first.json()
    assert (first.headers["x-ratelimit-remaining"], again.headers["x-ratelimit-remaining"]) == ("59", "58")
    other = await client.post(REORDER, json={"order_id": numbers[1]}, headers=headers)
    assert other.status_code == 422
    assert other.json().keys() == {"message", "errors"}
    assert list(other.json()["errors"]) == ["idempotency-key"]
    assert await connection.fetchval("select count(*) from reorders where store_id = $1", store.id) == 1


async def test_an_error_leaves_the_key_free(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, document: dict[str, Any]
) -> None:
    subscription = document["data"]["relationships"]["order_subscription"]["data"]
    await connection.execute("update order_subscriptions set status = 'draft' where store_id = $1", store.id)
    assert (await post(client, integration, document, "k")).status_code == 422
    assert await connection.fetchval("select count(*) from idempotency_keys where store_id = $1", store.id) == 0
    await connection.execute(
        "update order_subscriptions set status = 'active' where store_id = $1 and id = $2", store.id, subscription["id"]
    )
    again = await post(client, integration, document, "k")
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers


async def test_a_secret_is_shown_once_and_kept_nowhere(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    customer = await factories.customer(connection, store)
    linkage = {"customer": {"data": {"type": "customers", "id": customer}}}
    document = {"data": {"type": "tokens", "relationships": linkage}}
    headers = integration.headers | {"Idempotency-Key": "k"}
    first = await client.post("/api/tokens", json=document, headers=headers)
    again = await client.post("/api/tokens", json=document, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    token = first.json()["data"]["attributes"].pop("token")
    assert again.headers["idempotency-replayed"] == "true"
    told = first.json()["data"]
    del told["attributes"]["token"]
    assert again.json()["data"] == told
    kept = await connection.fetchrow("select body, headers from idempotency_keys where store_id = $1", store.id)
    assert kept is not None
    assert token.encode() not in kept["body"]
    assert token not in kept["headers"]


async def test_a_key_is_kept_for_a_day(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, document: dict[str, Any]
) -> None:
    await post(client, integration, document, "k")
    lasts = await connection.fetchval(
        "select expires_at - created_at from idempotency_keys where store_id = $1", store.id
    )
    assert lasts == KEEP == timedelta(hours=24)
    await connection.execute(
        "update idempotency_keys set created_at = created_at - $2::interval, expires_at = expires_at - $2::interval"
        " where store_id = $1",
        store.id,
        KEEP,
    )
    again = await post(client, integration, document, "k")
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers
    assert await copies(connection, store) == 2
    assert (await post(client, integration, document, "k")).json() == again.json(), (
        "the new answer took the old one's place"
    )
    await cleaning.clean(connection, clock.now() + KEEP)
    assert await connection.fetchval("select count(*) from idempotency_keys where store_id = $1", store.id) == 0


@pytest.mark.rule("HT-07")
async def test_twenty_at_once_have_one_effect(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, document: dict[str, Any]
) -> None:
    answers = await asyncio.gather(*(post(client, integration, document, "k") for _ in range(20)))
    assert await copies(connection, store) == 1
    fresh = [one for one in answers if one.status_code == 201 and "idempotency-replayed" not in one.headers]
    assert len(fresh) == 1
    for answer in answers:
        assert answer.status_code in (201, 409)
        if answer.status_code == 409:
            assert answer.json()["errors"][0]["code"] == "REQUEST_IN_PROGRESS"
            assert answer.headers["retry-after"] == "1"
        else:
            assert comparable(answer) == comparable(fresh[0])
    for again in await asyncio.gather(*(post(client, integration, document, "k") for _ in range(3))):
        assert again.status_code in (201, 409)
    assert comparable(await post(client, integration, document, "k")) == comparable(fresh[0])
    assert await copies(connection, store) == 1


@pytest.mark.rule("HT-07")
async def test_a_key_in_use_is_409_without_waiting(
    client: httpx2.AsyncClient,
    integration: Access,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    document: dict[str, Any],
) -> None:
    """The first request is held up at its last statement; the second one doesn't wait for it."""
    async with database.transaction() as other:
        await other.execute("lock table idempotency_keys in share row exclusive mode")
        first = asyncio.create_task(post(client, integration, document, "k"))
        await blocked(connection)
        async with asyncio.timeout(5):
            second = await post(client, integration, document, "k")
        assert (second.status_code, second.headers["retry-after"]) == (409, "1")
        assert (await client.get("/api/orders", headers=integration.headers)).status_code == 200
    assert (await first).status_code == 201
    assert (await post(client, integration, document, "k")).json() == (await first).json()
    assert await copies(connection, store) == 1


@pytest.mark.rule("HT-09", "HT-07")
async def test_a_request_cut_off_from_the_database_is_503_and_has_no_effect(
    client: httpx2.AsyncClient,
    integration: Access,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    document: dict[str, Any],
) -> None:
    async with database.transaction() as other:
        await other.execute("lock table idempotency_keys in share row exclusive mode")
        asked = asyncio.create_task(post(client, integration, document, "k"))
        await blocked(connection)
        await connection.execute(f"select pg_terminate_backend(pid) {WAITING}")
        answer = await asked
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["errors"][0]["code"] == "SERVICE_UNAVAILABLE"
    assert await copies(connection, store) == 0
    again = await post(client, integration, document, "k")
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers


WAITING = (
    f"from {ACTIVITY} where wait_event_type = 'Lock' and datname = current_database()"
    " and query like '%insert into idempotency_keys%'"
)


async def blocked(connection: Connection) -> None:
    """Wait until some statement on the keys waits for a lock."""
    async with asyncio.timeout(15):
        while not await connection.fetchval(f"select count(*) {WAITING}"):  # noqa: ASYNC110 -- Postgres tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.rule("HT-07")
async def test_a_server_killed_before_it_answers_has_answered_once_it_is_asked_again(
    integration: Access, connection: Connection, store: Store, document: dict[str, Any], database_url: str
) -> None:
    async with server(database_url, "answer") as (process, client):
        with pytest.raises(httpx2.TransportError):
            await post(client, integration, document, "k")
        assert await process.wait() == -signal.SIGKILL
    assert await copies(connection, store) == 1, "the effect was there"
    async with server(database_url) as (_, client):
        answer = await post(client, integration, document, "k")
        assert answer.status_code == 201
        assert answer.headers["idempotency-replayed"] == "true"
        id_ = await connection.fetchval("select id from order_factories where store_id = $1", store.id)
        assert answer.json()["data"]["id"] == id_
    assert await copies(connection, store) == 1


@pytest.mark.rule("HT-07")
async def test_a_server_killed_between_effect_and_commit_has_done_nothing(
    integration: Access,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    document: dict[str, Any],
    database_url: str,
) -> None:
    async with server(database_url) as (process, client):
        async with database.transaction() as other:
            await other.execute("lock table idempotency_keys in share row exclusive mode")
            asked = asyncio.create_task(post(client, integration, document, "k"))
            await blocked(connection)
            process.kill()
            await process.wait()
        with pytest.raises(httpx2.TransportError):
            await asked
    async with server(database_url) as (_, client), asyncio.timeout(15):
        # Until Postgres has noticed that the other side is gone.
        while (answer := await post(client, integration, document, "k")).status_code == 409:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert answer.status_code == 201
    assert await copies(connection, store) == 1
