"""One client doesn't stop the others: locks, sizes and what a database keeps for it."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import httpx2
import pytest

from service.errors import Unavailable
from service.http.api.idempotency import MOST_KEPT as MOST_OF_AN_ANSWER
from service.http.turns import Turns
from service.principal import Store
from service.store.pool import Connection, Database, fetchrow, open_database
from service.store.shapes import MOST_KEPT, Shapes
from tests.jobs.steps import pair
from tests.jobs.test_sweep import due
from tests.spec.operating import MEDIA_TYPE, URL, Batches, add, remove
from tests.spec.writing import Api, resource
from tests.support import KEYS, Access, Grant

LONG = {"a": "x" * 16_384}
LARGE = {"a": "x" * 15_000}


@pytest.mark.rule("FM-125")
async def test_batches_over_the_same_rows_in_any_order_all_take_effect(
    client: httpx2.AsyncClient, integration: Access, api: Api
) -> None:
    skus = [(await api.create("skus", {"code": f"S{number}", "name": "A"}))["id"] for number in range(4)]
    batches, rng = Batches(client, integration), random.Random(1)

    async def change(number: int) -> int:
        order = rng.sample(skus, len(skus))
        operations = [
            {"op": "update", "data": {"type": "skus", "id": id_, "attributes": {"name": f"N{number}"}}} for id_ in order
        ]
        return (await batches.run(*operations)).status_code

    async with asyncio.timeout(60):
        statuses = [status for _ in range(5) for status in await asyncio.gather(*map(change, range(4)))]
    assert statuses == [200] * 20
    names = {(await api.get(f"skus/{id_}"))["data"]["attributes"]["name"] for id_ in skus}
    assert len(names) == 1, "each batch is a whole"


@pytest.mark.rule("FM-125")
async def test_parts_of_the_same_wholes_likewise(client: httpx2.AsyncClient, integration: Access, api: Api) -> None:
    for number in range(6):
        sku = (await api.create("skus", {"code": f"S{number}", "name": "A"}))["id"]
        price = {"currency_code": "EUR", "amount_cents": 100}
        await api.create("prices", price, {"sku": {"data": {"type": "skus", "id": sku}}})
    carts = [(await api.create("carts"))["id"] for _ in range(3)]

    def put(cart: str, number: int) -> dict[str, Any]:
        attributes = {"sku_code": f"S{number}", "quantity": 1}
        relationships = {"cart": {"data": {"type": "carts", "id": cart}}}
        return {"op": "add", "data": {"type": "cart_items", "attributes": attributes, "relationships": relationships}}

    batches = Batches(client, integration)
    turned = [carts[turn:] + carts[:turn] for turn in (0, 1, 2, 0, 1, 2)]
    async with asyncio.timeout(60):
        answers = await asyncio.gather(
            *(batches.run(*(put(cart, number) for cart in order)) for number, order in enumerate(turned))
        )
    assert [answer.status_code for answer in answers] == [200] * 6, answers[0].text
    for cart in carts:
        items = (await api.get(f"carts/{cart}/cart_items"))["data"]
        assert {item["attributes"]["sku_code"] for item in items} == {f"S{number}" for number in range(6)}


@pytest.mark.rule("FM-127")
async def test_json_has_a_size(api: Api) -> None:
    fits = {"a": "x" * (16 * 1024 - 8)}
    assert (await api.create("skus", {"code": "A", "name": "A", "metadata": fits}))["attributes"]["metadata"] == fits
    answer = await api.send(
        "POST", "skus", resource("skus", {"code": "B", "name": "B", "metadata": {"a": "x" * 16_384}})
    )
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["source"]["pointer"]) == (422, "/data/attributes/metadata")


@pytest.mark.rule("FM-127")
async def test_an_answer_to_a_read_has_a_size(
    api: Api, monkeypatch: pytest.MonkeyPatch, integration: Access, client: httpx2.AsyncClient
) -> None:
    monkeypatch.setattr("service.http.api.answers.MOST_OF_AN_ANSWER", 20_000)
    for code in "ABC":
        await api.create("skus", {"code": code, "name": "A", "metadata": {"a": "x" * 10_000}})
    answer = await client.get("/api/skus", headers=integration.headers)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["meta"]["limit"]) == (400, "QUERY_TOO_COSTLY", 20_000)
    assert len((await api.get("skus?fields[skus]=code"))["data"]) == 3
    large = {"code": "D", "name": "A", "metadata": {"a": "x" * 15_000}, "description": "x" * 9_000}
    assert (await api.send("POST", "skus", resource("skus", large))).status_code == 201, "writes are never refused"


@pytest.mark.rule("FM-127")
async def test_a_forecast_has_a_size(
    client: httpx2.AsyncClient,
    integration: Access,
    connection: Connection,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of its runs shows all lines."""
    _, subscription = await pair(connection, store, **due())
    url, headers = f"/api/order_subscriptions/{subscription}/forecast?page[size]=", integration.headers
    whole = await client.get(f"{url}50", headers=headers)
    limit = len(whole.content) - 1
    monkeypatch.setattr("service.http.api.answers.MOST_OF_AN_ANSWER", limit)
    answer = await client.get(f"{url}50", headers=headers)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["meta"]["limit"]) == (400, "QUERY_TOO_COSTLY", limit)
    assert len((await client.get(f"{url}5", headers=headers)).json()["data"]) == 5


@pytest.mark.rule("FM-127")
async def test_an_answer_that_is_kept_has_a_size(
    api: Api, client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    """A large batch takes effect once; sent again, it is told what it made, to be read anew."""
    gone = (await api.create("skus", {"code": "gone", "name": "A"}))["id"]
    large = [add("skus", {"code": str(number), "name": "A", "metadata": LARGE}) for number in range(20)]
    content = json.dumps({"atomic:operations": [*large, remove("skus", gone)]})
    headers = integration.headers | {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE, "Idempotency-Key": "large"}
    first, again = [await client.post(URL, content=content, headers=headers) for _ in range(2)]
    assert len(first.content) > MOST_OF_AN_ANSWER
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.headers["content-type"] == first.headers["content-type"]
    results, document = first.json()["atomic:results"], again.json()
    identity = ("type", "id", "links", "meta")
    assert document["atomic:results"] == [
        {name: {key: data[key] for key in identity} for name, data in result.items()} for result in results
    ]
    assert document["meta"] == {"abridged": True}
    made = document["atomic:results"][7]["data"]
    assert (await api.get(f"skus/{made['id']}"))["data"]["attributes"]["metadata"] == LARGE
    kept = "select max(octet_length(body)) from idempotency_keys where store_id = $1"
    assert await connection.fetchval(kept, store.id) < MOST_OF_AN_ANSWER
    assert await connection.fetchval("select count(*) from skus where store_id = $1", store.id) == len(large)


@pytest.mark.rule("FM-127")
async def test_what_was_made_is_changed_by_what_is_told_of_it_again(
    client: httpx2.AsyncClient, integration: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.api.idempotency.MOST_KEPT", 10_000)
    document = resource("skus", {"code": "A", "name": "A", "metadata": LARGE})
    headers = integration.headers | {"Idempotency-Key": "one", "Accept-Encoding": "identity"}
    first, again = [await client.post("/api/skus", json=document, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert {name: again.headers[name] for name in ("location", "etag")} == {
        name: first.headers[name] for name in ("location", "etag")
    }
    assert again.json()["data"].keys() == {"type", "id", "links", "meta"}
    assert again.json()["links"] == first.json()["links"]
    answer = await client.patch(
        again.headers["location"],
        json=resource("skus", {"name": "B"}, id=again.json()["data"]["id"]),
        headers=integration.headers | {"If-Match": again.headers["etag"]},
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.rule("FM-128")
async def test_a_connection_keeps_so_many_statements_of_clients(own_url: str) -> None:
    async with open_database(own_url, max_size=1, keys=KEYS) as database, database.connection() as connection:
        for number in range(3 * MOST_KEPT):
            await _ask(database, f"select {number} as number")
        kept = await connection.fetchval("select count(*) from pg_prepared_statements")
        assert kept < 20, "what comes once is not kept"
        for _ in range(2):
            await _ask(database, "select 1000 as number")
        named = "select count(*) from pg_prepared_statements where statement = $1"
        assert await connection.fetchval(named, "select 1000 as number") == 1


async def _ask(database: Database, text: str) -> None:
    async with database.connection() as connection:
        assert await fetchrow(connection, text, ()) is not None


@pytest.mark.rule("FM-128")
def test_only_so_many_texts_are_kept() -> None:
    shapes = Shapes()
    assert [shapes.is_kept("a"), shapes.is_kept("a"), shapes.is_kept("a")] == [False, True, True]
    for number in range(MOST_KEPT):
        shapes.is_kept(str(number))
        shapes.is_kept(str(number))
    assert not shapes.is_kept("a"), "it made room"
    assert shapes.is_kept(str(MOST_KEPT - 1))


@pytest.mark.rule("FM-132")
async def test_a_version_is_never_used_twice(api: Api, connection: Connection) -> None:  # noqa: ARG001
    document = resource("skus", {"code": "A", "name": "A"}, id="mine")
    first = await api.send("POST", "skus", document)
    again = first.headers["etag"]
    assert (await api.send("DELETE", "skus/mine")).status_code == 204
    assert (await api.send("POST", "skus", document)).status_code == 201
    change = resource("skus", {"name": "B"}, id="mine")
    assert (await api.send("PATCH", "skus/mine", change, **{"If-Match": again})).status_code == 412
    second = await api.send("GET", "skus/mine")
    assert (await api.send("PATCH", "skus/mine", change, **{"If-Match": second.headers["etag"]})).status_code == 200


@pytest.mark.rule("FM-124")
async def test_a_sender_has_so_many_turns_and_others_theirs() -> None:
    turns, order = Turns(2), list[str]()

    async def ask(key: str, name: str, work: asyncio.Event) -> None:
        await turns.take(key)
        order.append(name)
        await work.wait()
        turns.end(key)

    first, second = asyncio.Event(), asyncio.Event()
    asking = [asyncio.create_task(ask("a", name, first)) for name in ("a1", "a2", "a3", "a4")]
    asking.append(asyncio.create_task(ask("b", "b1", second)))
    await asyncio.sleep(0.01)
    assert order == ["a1", "a2", "b1"]
    asking[2].cancel()
    first.set()
    await asyncio.sleep(0.01)
    assert order == ["a1", "a2", "b1", "a4"], "who doesn't wait any more has lost its turn"
    second.set()
    await asyncio.gather(*asking, return_exceptions=True)
    assert not turns._taken and not turns._waiting  # noqa: PT018, SLF001 -- nothing is kept of those that are done


@pytest.mark.rule("FM-124")
async def test_who_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.turns.WAIT_SECONDS", 0.05)
    turns = Turns(1)
    await turns.take("a")
    with pytest.raises(Unavailable):
        await turns.take("a")
    turns.end("a")
    await turns.take("a")
    turns.end("a")


@pytest.mark.rule("FM-124")
async def test_expensive_reads_of_one_sender_leave_the_others_theirs(
    client: httpx2.AsyncClient, grant: Grant, database: Database
) -> None:
    """Sixteen reads of a token hang; another token's read, and readiness, are answered meanwhile."""
    one, other = await grant(), await grant()
    async with database.transaction() as blocking:
        await blocking.execute("lock table promotions in access exclusive mode")
        hanging = [asyncio.create_task(client.get("/api/promotions", headers=one.headers)) for _ in range(16)]
        await asyncio.sleep(0.3)
        async with asyncio.timeout(10):
            assert (await client.get("/api/skus", headers=other.headers)).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
    assert {answer.status_code for answer in await asyncio.gather(*hanging)} == {200}
