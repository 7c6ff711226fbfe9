"""How often reorders, previews, repeat links and tokens may be made, and what answers say of that."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection
from tests import factories
from tests.api.reorders import PREVIEWS, URL, document
from tests.api.wemasy import application, visitor
from tests.factories import Line
from tests.support import Access, Grant

ROUTES = {"reorders": URL, "reorder_previews": PREVIEWS, "repeat_links": "/api/repeat_links", "tokens": "/api/tokens"}


def left(response: httpx2.Response, name: str, most: int) -> int:
    """What remains, which all headers agree on."""
    headers = response.headers
    remaining = int(headers["X-RateLimit-Remaining"])
    assert headers["X-RateLimit-Limit"] == str(most)
    assert headers["RateLimit-Policy"] == f'"{name}";q={most};w=60'
    assert headers["RateLimit"].startswith(f'"{name}";r={remaining};t=')
    return remaining


@pytest.fixture
async def shopper(connection: Connection, store: Store, grant: Grant) -> Access:
    return await grant(customer_id=await factories.customer(connection, store))


@pytest.mark.rule("FM-82")
@pytest.mark.parametrize("name", ROUTES)
async def test_answers_of_every_kind_say_what_is_left(
    client: httpx2.AsyncClient, app: Starlette, integration: Access, name: str
) -> None:
    wrong: dict[str, Any] = {"data": {"type": name}}
    for expected in (599, 598):
        answer = await client.post(ROUTES[name], json=wrong, headers=integration.headers)
        assert answer.status_code in (201, 422)
        assert left(answer, name, 600) == expected
    async with visitor(app, "192.0.2.77") as stranger:
        answer = await stranger.post(ROUTES[name], json=wrong, headers={"Content-Type": integration.headers["Accept"]})
        assert (answer.status_code, left(answer, name, 60)) == (401, 59)
    assert "X-RateLimit-Limit" not in (await client.get("/api/reorders", headers=integration.headers)).headers


@pytest.mark.rule("FM-82")
async def test_a_customer_s_reorders_count_together_wherever_they_are_made(
    client: httpx2.AsyncClient, connection: Connection, store: Store, *, shopper: Access, settings: Settings
) -> None:
    wemasy = "/api/services/webshop/v1/customer/orders/reorder"
    bearer = {"Authorization": shopper.headers["Authorization"]}
    assert left(await client.post(wemasy, json={"order_id": 1}, headers=bearer), "reorders", 60) == 59
    atomic = 'application/vnd.api+json;ext="https://jsonapi.org/ext/atomic"'
    operation = {"op": "add", "data": document("unknown")["data"]}
    answer = await client.post(
        "/api/operations", json={"atomic:operations": [operation] * 2},
        headers=shopper.headers | {"Content-Type": atomic, "Accept": atomic},
    )  # fmt: skip
    assert (answer.status_code, left(answer, "reorders", 60)) == (404, 57)
    async with application(settings) as other:
        answers = await asyncio.gather(
            *((client, other)[n % 2].post(URL, json=document("unknown"), headers=shopper.headers) for n in range(58))
        )
    assert sorted(answer.status_code for answer in answers) == [404] * 57 + [429]
    (refused,) = (answer for answer in answers if answer.status_code == 429)
    assert refused.json()["errors"][0]["code"] == "TOO_MANY_REQUESTS"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert left(refused, "reorders", 60) == 0
    await connection.execute(
        "update rate_limits set expires_at = started_at + interval '1 ms' where store_id = $1", store.id
    )
    assert left(await client.post(URL, json=document("unknown"), headers=shopper.headers), "reorders", 60) == 59


async def test_an_answer_given_again_tells_of_now(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    mug = await factories.sku(connection, store)
    customer = await factories.customer(connection, store)
    order = await factories.order(connection, store, [Line(mug)], customer_id=customer)
    headers = (await grant(customer_id=customer)).headers | {"Idempotency-Key": "once"}
    answers = [await client.post(URL, json=document(order), headers=headers) for _ in range(2)]
    assert [left(answer, "reorders", 60) for answer in answers] == [59, 58]
    assert answers[1].headers["Idempotency-Replayed"] == "true"
