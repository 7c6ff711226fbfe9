"""WeMasy's *Reorder a past order*: whom and what it refuses, in which shape, and how often it may be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.applications import Starlette

from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection, Database
from tests import factories
from tests.api.wemasy import (
    URL,
    Shopper,
    application,
    is_limited,
    make_shopper,
    number_of,
    placed,
    visitor,
    written,
)
from tests.factories import Line
from tests.servers import server
from tests.support import Access, Grant, make_store


@pytest.fixture
async def shopper(client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant) -> Shopper:
    return await make_shopper(client, connection, store, grant)


@pytest.mark.rule("FM-18")
async def test_unknown_foreign_and_unplaced_orders_are_the_same_404(
    shopper: Shopper, connection: Connection, store: Store, grant: Grant, database: Database
) -> None:
    mug = await factories.sku(connection, store)
    somebody = await make_shopper(shopper.client, connection, store, grant)
    elsewhere = await make_store(database)
    stranger = await make_shopper(shopper.client, connection, elsewhere, grant)
    far = await factories.sku(connection, elsewhere)
    numbers = [
        await placed(connection, store, somebody, Line(mug)),
        await number_of(connection, store, await factories.order(connection, store, [Line(mug)])),
        await placed(connection, store, shopper, Line(mug), status="draft"),
        await placed(connection, store, shopper, Line(mug), status="pending"),
        await placed(connection, elsewhere, stranger, Line(far), number=987654),
        2**63 - 1,
    ]
    before = await written(connection, store)
    for number in numbers:
        response = await shopper.reorder(number)
        assert response.status_code == 404
        assert response.content == b'{"error":true,"message":"Order not found.","data":[]}'
        assert is_limited(response)
    assert await written(connection, store) == before


REQUIRED, INTEGER = "The order id field is required.", "The order id field must be an integer."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", REQUIRED), (b"{}", REQUIRED), (b'{"order_id": null}', REQUIRED), (b'{"order_id": ""}', REQUIRED),
        (b"[]", REQUIRED), (b"2502", REQUIRED), (b"null", REQUIRED), (b"{", REQUIRED), (b"\xff", REQUIRED),
        (b"[" * 10_000, REQUIRED), (b'{"order_id": "2502"}', INTEGER), (b'{"order_id": 2502.0}', INTEGER),
        (b'{"order_id": true}', INTEGER), (b'{"order_id": [2502]}', INTEGER), (b'{"order_id": {}}', INTEGER),
        (b'{"order_id": 1e30}', INTEGER), (b'{"order_id": "\\u0000"}', INTEGER),
        (b'{"order_id": -1}', "The order id field must be at least 1."),
        (b'{"order_id": 0}', "The order id field must be at least 1."),
        (b'{"order_id": 9223372036854775808}', "The order id field must not be greater than 9223372036854775807."),
    ],
)  # fmt: skip
async def test_a_wrong_order_id_is_422(shopper: Shopper, body: bytes, message: str) -> None:
    headers = shopper.headers | {"Content-Type": "application/json; charset=utf-8"}
    response = await shopper.client.post(URL, content=body, headers=headers)
    assert response.status_code == 422
    assert response.json() == {"message": message, "errors": {"order_id": [message]}}
    assert is_limited(response)


async def test_a_full_cart_is_422_and_nothing_is_written(
    shopper: Shopper, connection: Connection, store: Store
) -> None:
    skus = [await factories.sku(connection, store) for _ in range(3)]
    options = [{"name": "text", "required": False, "values": []}]
    many = await factories.sku(connection, store, options=options)
    first = await placed(connection, store, shopper, *(Line(many, options={"text": str(n)}) for n in range(998)))
    assert (await shopper.reorder(first)).json()["data"]["added_count"] == 998
    before = await written(connection, store)
    second = await placed(connection, store, shopper, *map(Line, skus))
    response = await shopper.reorder(second)
    assert response.status_code == 422
    assert response.json()["errors"] == {"order_id": ["A cart holds at most 1000 lines."]}
    assert await written(connection, store) == before


async def test_quantities_beyond_the_database_are_422(shopper: Shopper, connection: Connection, store: Store) -> None:
    mug = await factories.sku(connection, store, price=1)
    number = await placed(connection, store, shopper, Line(mug, 2**63 - 1))
    assert (await shopper.reorder(number)).status_code == 200
    assert (await shopper.reorder(number)).status_code == 422


@pytest.mark.rule("FM-19")
@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer nonsense", "Basic abc", "Bearer customer_1_abc", "Bearer \x7f"]
)
async def test_without_a_good_token_it_is_401(app: Starlette, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with visitor(app, "192.0.2.1") as anybody:
        response = await anybody.post(URL, json={"order_id": 2502}, headers=headers)
    assert response.status_code == 401
    assert response.json() == {"error": True, "message": "Unauthenticated."}
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert is_limited(response)


async def test_a_shops_own_token_is_401_too(client: httpx2.AsyncClient, integration: Access) -> None:
    headers = {"Authorization": f"Bearer {integration.token}"}
    response = await client.post(URL, json={"order_id": 2502}, headers=headers)
    assert response.status_code == 401
    assert response.json() == {"error": True, "message": "Unauthenticated."}
    assert is_limited(response)


@pytest.mark.parametrize("scopes", [["read_orders"], ["update_carts"]])
async def test_a_token_without_the_scopes_is_403(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant, scopes: list[str]
) -> None:
    access = await grant(customer_id=await factories.customer(connection, store), scopes=scopes)
    headers = {"Authorization": f"Bearer {access.token}"}
    response = await client.post(URL, json={"order_id": 2502}, headers=headers)
    assert response.status_code == 403
    assert response.json() == {"error": True, "message": "This token may not reorder."}
    assert is_limited(response)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
async def test_another_media_type_is_415(shopper: Shopper, content_type: str) -> None:
    headers = shopper.headers | {"Content-Type": content_type}
    response = await shopper.client.post(URL, content=b'{"order_id": 1}', headers=headers)
    assert response.status_code == 415
    assert response.json() == {"error": True, "message": "Send the body as application/json."}
    assert is_limited(response)


@pytest.mark.parametrize("declared", [True, False])
async def test_a_large_body_is_413(shopper: Shopper, settings: Settings, declared: bool) -> None:  # noqa: FBT001
    body = b" " * (settings.max_body_bytes + 1)

    async def stream() -> AsyncIterator[bytes]:
        yield body

    headers = shopper.headers | {"Content-Type": "application/json"}
    response = await shopper.client.post(URL, content=body if declared else stream(), headers=headers)
    assert response.status_code == 413
    assert response.json() == {"error": True, "message": "The request body is too large."}
    assert is_limited(response)


async def test_other_methods_are_405(client: httpx2.AsyncClient) -> None:
    for method in ("GET", "PUT", "DELETE"):
        response = await client.request(method, URL)
        assert response.status_code == 405
        assert response.headers["Allow"] == "POST"
        assert response.json() == {"error": True, "message": "This method is not offered here."}
        assert is_limited(response)


@pytest.mark.parametrize("url", ["/api/services", "/api/services/webshop", f"{URL}s", "/api/services/x/y"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_what_is_at_no_url_is_no_order(client: httpx2.AsyncClient, method: str, url: str) -> None:
    for language, message in (("en", "There is nothing at this URL."), ("nl", "Op deze URL is niets.")):
        response = await client.request(method, url, headers={"Accept-Language": language})
        assert response.status_code == 404
        assert response.json() == {"error": True, "message": message, "data": []}


async def test_a_database_that_does_not_answer_is_503_with_the_same_headers_and_leaves_nothing(
    shopper: Shopper, connection: Connection, store: Store, settings: Settings, database: Database
) -> None:
    mug = await factories.sku(connection, store)
    number = await placed(connection, store, shopper, Line(mug))
    await factories.cart(connection, store, customer_id=shopper.id)
    before = await written(connection, store)
    impatient = settings.model_copy(update={"command_timeout": 0.3})
    async with application(impatient) as other, database.transaction() as holding:
        await holding.execute("select from carts where store_id = $1 for update", store.id)
        response = await Shopper(shopper.id, other, shopper.access, shopper.headers).reorder(number)
    assert response.status_code == 503
    assert response.json().keys() == {"error", "message"}
    assert "Retry-After" in response.headers
    assert is_limited(response)
    assert await written(connection, store) == before


@pytest.mark.rule("FM-82")
async def test_the_61st_request_of_a_minute_is_429(
    shopper: Shopper, connection: Connection, store: Store, settings: Settings
) -> None:
    async with application(settings) as other:
        elsewhere = Shopper(shopper.id, other, shopper.access, shopper.headers)
        answers = await asyncio.gather(*((shopper, elsewhere)[n % 2].reorder(1) for n in range(61)))
    assert sorted(answer.status_code for answer in answers) == [404] * 60 + [429]
    allowed = [answer for answer in answers if answer.status_code == 404]
    remaining = sorted(int(answer.headers["X-RateLimit-Remaining"]) for answer in allowed)
    assert remaining == list(range(60))
    (refused,) = (answer for answer in answers if answer.status_code == 429)
    assert refused.json() == {"error": True, "message": "Too many requests. Try again in a moment."}
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert is_limited(refused)
    assert refused.headers["RateLimit"] == f'"reorders";r=0;t={refused.headers["Retry-After"]}'
    # The window ends: then the customer may ask again.
    await connection.execute(
        "update rate_limits set expires_at = started_at + interval '1 ms' where store_id = $1", store.id
    )
    assert (await shopper.reorder(1)).headers["X-RateLimit-Remaining"] == "59"


@pytest.mark.rule("FM-82")
async def test_two_server_processes_count_together(
    connection: Connection, store: Store, grant: Grant, database_url: str
) -> None:
    customer = await factories.customer(connection, store)
    access = await grant(customer_id=customer)
    headers = {"Authorization": f"Bearer {access.token}"}
    async with server(database_url) as (_, one), server(database_url) as (_, two):
        answers = await asyncio.gather(
            *((one, two)[n % 2].post(URL, json={"order_id": 1}, headers=headers) for n in range(70))
        )
        # Without a token it is the address that counts: one for both processes too.
        await connection.execute("delete from rate_limits where store_id = 0")
        strangers = await asyncio.gather(*((one, two)[n % 2].post(URL) for n in range(62)))
    assert sorted(answer.status_code for answer in answers) == [404] * 60 + [429] * 10
    assert sorted(answer.status_code for answer in strangers) == [401] * 60 + [429] * 2
    assert all(is_limited(answer) for answer in [*answers, *strangers])


@pytest.mark.rule("FM-82")
async def test_a_window_that_a_later_request_began_is_no_longer_than_a_minute(
    shopper: Shopper, connection: Connection, store: Store
) -> None:
    await shopper.reorder(1)
    later = "started_at = started_at + interval '5 s', expires_at = expires_at + interval '5 s'"
    await connection.execute(f"update rate_limits set {later}, hits = 60 where store_id = $1", store.id)
    refused = await shopper.reorder(1)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert refused.headers["RateLimit"] == '"reorders";r=0;t=60'


async def test_one_customers_limit_is_no_other_ones(
    shopper: Shopper, connection: Connection, store: Store, grant: Grant
) -> None:
    other = await make_shopper(shopper.client, connection, store, grant)
    await shopper.reorder(1)
    assert (await other.reorder(1)).headers["X-RateLimit-Remaining"] == "59"
    second = await grant(customer_id=shopper.id)
    again = Shopper(shopper.id, shopper.client, second, {"Authorization": f"Bearer {second.token}"})
    assert (await again.reorder(1)).headers["X-RateLimit-Remaining"] == "58"


async def test_guesses_are_limited_by_address(app: Starlette) -> None:
    async with visitor(app, "2001:db8:1:2::1") as one, visitor(app, "2001:db8:1:2::2") as neighbour:
        statuses = [(await guesser.post(URL)).status_code for guesser in [one, neighbour] * 31]
    assert statuses == [401] * 60 + [429] * 2
    async with visitor(app, "2001:db8:1:3::1") as another:
        assert (await another.post(URL)).status_code == 401
