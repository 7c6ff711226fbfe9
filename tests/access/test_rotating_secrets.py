"""A client's secret is replaced over the API: shown once, and the one before works on for a while, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests.access.fetching import Client, asked, fetch, made
from tests.processes import reprise
from tests.spec.operating import Batches, update
from tests.spec.writing import Api, pointers
from tests.support import Access, Grant


async def works(client: httpx2.AsyncClient, shown: Client) -> bool:
    answer = await asked(client, grant_type="client_credentials", **shown.credentials)
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


async def rotated(api: Api, shown: Client, **attributes: Any) -> Client:
    answer = await api.update("api_clients", shown.id, {"_rotate_secret": True, **attributes})
    assert answer.status_code == 200, answer.text
    return Client(shown.client_id, answer.json()["data"]["attributes"]["client_secret"], shown.id)


async def test_the_secret_before_works_on_for_a_day(
    client: httpx2.AsyncClient, api: Api, connection: Connection, database: Database, store: Store
) -> None:
    first = await made(database, store)
    got = await fetch(client, first)
    second = await rotated(api, first)
    assert [await works(client, one) for one in (first, second, Client(first.client_id, "x"))] == [True, True, False]
    read = (await api.get(f"api_clients/{first.id}"))["data"]["attributes"]
    assert "client_secret" not in read
    day = "select previous_secret_expires_at - now() from api_clients where id = $1"
    assert 86_300 < (await connection.fetchval(day, first.id)).total_seconds() <= 86_400
    past = "update api_clients set previous_secret_expires_at = now() - interval '1 second' where id = $1"
    await connection.execute(past, first.id)
    assert [await works(client, one) for one in (first, second)] == [False, True]
    assert (await client.get("/api/orders", headers=got.headers)).status_code == 200
    row = await connection.fetchrow("select * from api_clients where id = $1", first.id)
    assert second.secret not in str(dict(row or {}))


async def test_the_secret_before_can_end_at_once(
    client: httpx2.AsyncClient, api: Api, database: Database, store: Store
) -> None:
    first = await made(database, store)
    second = await rotated(api, first)
    third = await rotated(api, first)
    assert [await works(client, one) for one in (first, second, third)] == [False, True, True]
    fourth = await rotated(api, first, _overlap_seconds=0)
    assert [await works(client, one) for one in (second, third, fourth)] == [False, False, True]
    read = (await api.get(f"api_clients/{first.id}"))["data"]["attributes"]
    assert read["previous_secret_expires_at"] is None


async def test_what_was_rotated_is_told_without_the_secret(
    api: Api, connection: Connection, database: Database, store: Store
) -> None:
    first = await made(database, store)
    second = await rotated(api, first)
    rows = await connection.fetch("select * from events where store_id = $1 and resource_id = $2", store.id, first.id)
    assert [row["name"] for row in rows] == ["api_clients.create", "api_clients.update", "api_clients.rotate"]
    assert second.secret not in str([dict(row) for row in rows])


async def test_a_key_gives_the_answer_again_without_the_secret(
    api: Api, connection: Connection, database: Database, store: Store
) -> None:
    first = await made(database, store)
    document = {"data": {"type": "api_clients", "id": first.id, "attributes": {"_rotate_secret": True}}}
    once, again = [
        await api.send("PATCH", f"api_clients/{first.id}", document, **{"Idempotency-Key": "one"}) for _ in range(2)
    ]
    secret = once.json()["data"]["attributes"]["client_secret"]
    assert again.headers["idempotency-replayed"] == "true"
    assert secret not in again.text
    kept = await connection.fetchval("select body from idempotency_keys where store_id = $1", store.id)
    assert secret.encode() not in kept


async def test_a_batch_shows_it_too(
    client: httpx2.AsyncClient, integration: Access, database: Database, store: Store
) -> None:
    first = await made(database, store)
    answer = await Batches(client, integration).run(update("api_clients", {"_rotate_secret": True}, id=first.id))
    (result,) = answer.json()["atomic:results"]
    assert await works(client, Client(first.client_id, result["data"]["attributes"]["client_secret"]))


@pytest.mark.parametrize(
    "attributes", [{"_overlap_seconds": 0}, {"_rotate_secret": True, "_overlap_seconds": 7 * 86_400 + 1}]
)
async def test_an_overlap_is_of_a_rotation_and_of_a_week_at_most(
    client: httpx2.AsyncClient, api: Api, database: Database, store: Store, attributes: dict[str, Any]
) -> None:
    first = await made(database, store)
    answer = await api.update("api_clients", first.id, attributes)
    assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/_overlap_seconds"])
    assert await works(client, first)


async def test_only_who_may_make_tokens_replaces_a_secret(
    client: httpx2.AsyncClient, grant: Grant, database: Database, store: Store
) -> None:
    first = await made(database, store)
    without = Api(client, await grant(scopes=["update_store_profile", "read_store_profile"]))
    assert (await without.update("api_clients", first.id, {"_rotate_secret": True})).status_code == 403
    assert await works(client, first)


async def test_a_command_can_let_the_secret_before_work_on(
    client: httpx2.AsyncClient, database_url: str, database: Database, store: Store
) -> None:
    first = await made(database, store)
    rotate = ("client", "rotate", first.id, "--store", str(store.id), "--overlap")
    done = await asyncio.to_thread(reprise, *rotate, "12h", DATABASE_URL=database_url)
    assert done.code == 0, done.err
    second = Client(first.client_id, done.out.removeprefix("client_secret ").strip())
    assert [await works(client, one) for one in (first, second)] == [True, True]
    wrong = await asyncio.to_thread(reprise, *rotate, "8d", DATABASE_URL=database_url)
    assert wrong.code == 2
