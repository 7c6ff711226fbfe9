"""Ecwid's "Get repeat order URL": one URL per order, in Ecwid's shapes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import httpx2
import pytest

from service import clock
from service.app import create_app
from service.principal import SCOPES, Store
from service.settings import Settings
from service.store.pool import Connection, Database
from tests import factories
from tests.support import Access, Grant, make_store


def path(store: Store, reference: str) -> str:
    """The URL of an order's repeat URL, the reference percent-encoded as a client would."""
    return f"/api/v3/{store.id}/orders/{quote(reference, safe='')}/repeatURL"


def bearer(access: Access) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.token}"}


async def repeat_order_url(client: httpx2.AsyncClient, store: Store, reference: str, access: Access) -> str:
    answer = await client.get(path(store, reference), headers=bearer(access))
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["repeatOrderUrl"]
    url: str = answer.json()["repeatOrderUrl"]
    return url


def token_of(url: str) -> str:
    return dict(parse_qsl(urlsplit(url).query))["token"]


async def links(connection: Connection, store: Store) -> list[str]:
    rows = await connection.fetch("select id from repeat_links where store_id = $1 order by id", store.id)
    return [row["id"] for row in rows]


async def test_answers_as_the_document_says(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    answer = await client.get(path(store, "JJ5HH"), headers=bearer(integration))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    url = urlsplit(answer.json()["repeatOrderUrl"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == "http://127.0.0.1/repeat-order"
    names, values = zip(*parse_qsl(url.query), strict=True)
    assert names == ("id", "token", "type", "utm_source", "utm_medium")
    assert (values[0], *values[2:]) == ("JJ5HH", "order", "repeat_order_button", "api")
    assert len(values[1]) > 43
    assert (await client.get(answer.json()["repeatOrderUrl"])).status_code == 200


async def test_a_hundred_gets_give_one_row_and_one_url(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    urls = {await repeat_order_url(client, store, "JJ5HH", integration) for _ in range(100)}
    assert len(urls) == 1
    (link,) = await links(connection, store)
    events = await connection.fetch(
        "select name, actor_type, actor_id from events where store_id = $1 and resource_id = $2", store.id, link
    )
    assert [tuple(event) for event in events] == [("repeat_links.create", "tokens", integration.id)]


async def test_concurrent_gets_make_one_row(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    urls = await asyncio.gather(*(repeat_order_url(client, store, "JJ5HH", integration) for _ in range(20)))
    assert len(set(urls)) == 1
    assert len(await links(connection, store)) == 1


@pytest.mark.parametrize(
    "code", ["SALE-G01ZG", "Ø-日本-№1", "abc'--", "a b+c&d=e?f#g", "2026/04/17", "x" * 64, "y" * 200, "%41", "1e3"]
)
async def test_a_code_is_any_text(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access, code: str
) -> None:
    await factories.order(connection, store, code=code)
    url = await repeat_order_url(client, store, code, integration)
    assert dict(parse_qsl(urlsplit(url).query))["id"] == code
    assert (await client.get(url)).status_code == 200


async def test_a_code_goes_before_a_number_and_a_number_before_an_id(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    by_id = await factories.order(connection, store, id="700", number=1, code="A")
    await factories.order(connection, store, id="by-number", number=700, code="B")
    assert await code_of(client, store, "700", integration) == "B"
    await factories.order(connection, store, id="by-code", number=3, code="700")
    assert await code_of(client, store, "700", integration) == "700"
    assert await code_of(client, store, "1", integration) == "A"
    assert await code_of(client, store, "by-number", integration) == "B"
    assert by_id == "700"


async def code_of(client: httpx2.AsyncClient, store: Store, reference: str, access: Access) -> str:
    return dict(parse_qsl(urlsplit(await repeat_order_url(client, store, reference, access)).query))["id"]


@pytest.mark.parametrize(
    "reference",
    [
        "unknown",
        "abc'--",
        "%00",
        "\0",
        "a\0b",
        "x" * 65,
        "9" * 40,
        "0",
        "007",
        "-1",
        "7.0",
        "é",
        "\ufffd",
        "../../x",
        " ",
    ],
)
async def test_an_unknown_order_is_404_in_ecwids_shape(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access, reference: str
) -> None:
    await factories.order(connection, store, number=7, code="JJ5HH")
    answer = await client.get(path(store, reference), headers=bearer(integration))
    assert_error(answer, 404, "RECORD_NOT_FOUND")
    assert await links(connection, store) == []


@pytest.mark.parametrize("status", ["draft", "pending", "placing"])
async def test_an_order_that_was_never_placed_is_unknown(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access, status: str
) -> None:
    await factories.order(connection, store, code="2", number=1, status=status)
    await factories.order(connection, store, code="B", number=2)
    # Not the order whose number is 2 either: the code names this one.
    assert_error(await client.get(path(store, "2"), headers=bearer(integration)), 404, "RECORD_NOT_FOUND")


async def test_a_cancelled_order_can_be_repeated(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    at = clock.now()
    await factories.order(connection, store, code="C", status="cancelled", placed_at=at, cancelled_at=at)
    assert await repeat_order_url(client, store, "C", integration)


async def test_who_may_ask(
    client: httpx2.AsyncClient, database: Database, connection: Connection, store: Store, grant: Grant
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    url = path(store, "JJ5HH")
    no_token = await client.get(url)
    assert_error(no_token, 401, "UNAUTHORIZED")
    assert no_token.headers["www-authenticate"].startswith("Bearer")
    assert_error(await client.get(url, headers={"Authorization": "Bearer secret_1_x"}), 401, "INVALID_TOKEN")
    poor = await grant(scopes=[scope for scope in SCOPES if scope != "read_orders"])
    assert_error(await client.get(url, headers=bearer(poor)), 403, "FORBIDDEN")
    customer = await grant(customer_id=await factories.customer(connection, store))
    assert_error(await client.get(url, headers=bearer(customer)), 403, "FORBIDDEN")
    other = await make_store(database)
    stranger = await grant(store=other)
    assert_error(await client.get(url, headers=bearer(stranger)), 404, "RECORD_NOT_FOUND")
    assert_error(await client.get(path(other, "JJ5HH"), headers=bearer(stranger)), 404, "RECORD_NOT_FOUND")
    only = await grant(scopes=["read_orders"])
    for wrong in (f"0{store.id}", "abc", "%00", str(2**70)):
        answer = await client.get(f"/api/v3/{wrong}/orders/JJ5HH/repeatURL", headers=bearer(only))
        assert_error(answer, 404, "RECORD_NOT_FOUND")
    assert await links(connection, store) == []
    assert (await client.get(url, headers=bearer(only))).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_405(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access, method: str
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    answer = await client.request(method, path(store, "JJ5HH"), headers=bearer(integration))
    assert_error(answer, 405, "METHOD_NOT_ALLOWED")
    assert {part.strip() for part in answer.headers["allow"].split(",")} == {"GET", "HEAD"}
    assert await links(connection, store) == []


@pytest.mark.parametrize("url", ["/api/v3", "/api/v3/x", "/api/v3/x/relationships/y", "/api/v3/1/orders/x/y/z"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
async def test_what_is_at_no_url_is_no_resource_type(client: httpx2.AsyncClient, method: str, url: str) -> None:
    answer = await client.request(method, url)
    assert_error(answer, 404, "RECORD_NOT_FOUND")
    assert answer.json()["errorMessage"] == "There is nothing at this URL."


async def test_head_and_a_trailing_slash(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    for answer in (
        await client.head(path(store, "JJ5HH"), headers=bearer(integration)),
        await client.get(f"{path(store, 'JJ5HH')}/", headers=bearer(integration)),
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"


async def test_a_host_that_is_not_served_gets_no_link(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    answer = await client.get(path(store, "JJ5HH"), headers=bearer(integration) | {"Host": "evil.example"})
    assert_error(answer, 400, "INVALID_HOST")
    assert await links(connection, store) == []


async def test_a_link_that_is_over_is_replaced_by_a_new_one(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    urls = [await repeat_order_url(client, store, "JJ5HH", integration)]
    at = clock.now()
    for over in (
        {"expires_at": at - timedelta(seconds=1)},
        {"max_uses": 1, "uses": 1},
        {"revoked_at": at, "revoked_reason": "asked to"},
    ):
        assignments = ", ".join(f"{name} = ${n}" for n, name in enumerate(over, 2))
        await connection.execute(
            f"update repeat_links set {assignments} where store_id = $1 and revoked_at is null",
            store.id,
            *over.values(),
        )
        urls.append(await repeat_order_url(client, store, "JJ5HH", integration))
        assert await repeat_order_url(client, store, "JJ5HH", integration) == urls[-1]
    assert len(set(urls)) == 4
    assert [(await client.get(url)).status_code for url in urls] == [410, 410, 410, 200]
    rows = await connection.fetch("select revoked_reason from repeat_links where store_id = $1 order by id", store.id)
    assert [row["revoked_reason"] for row in rows] == ["expired", "used up", "asked to", None]


async def test_the_public_url_of_the_settings_goes_before_the_host(
    settings: Settings, connection: Connection, store: Store, integration: Access
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    application = create_app(settings.model_copy(update={"public_url": "https://api.shop.example/reprise/"}))
    transport = httpx2.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx2.AsyncClient(transport=transport, base_url="http://inside:8000") as client,
    ):
        url = await repeat_order_url(client, store, "JJ5HH", integration)
    assert url.startswith("https://api.shop.example/reprise/repeat-order?id=JJ5HH&token=")


async def test_a_link_lives_in_the_time_of_its_store(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    url = await repeat_order_url(client, store, "JJ5HH", integration)
    at = clock.now()
    await connection.execute(
        "update repeat_links set expires_at = $2 where store_id = $1", store.id, at + timedelta(days=1)
    )
    assert (await client.get(url)).status_code == 200
    frozen = await factories.insert(connection, "test_clocks", store, frozen_at=at + timedelta(days=2))
    await connection.execute("update stores set test_clock_id = $2 where store_id = $1", store.id, frozen)
    assert (await client.get(url)).status_code == 410
    assert await repeat_order_url(client, store, "JJ5HH", integration) != url


def assert_error(answer: httpx2.Response, status: int, code: str) -> None:
    """An error in Ecwid's shape, and nothing else in it."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    body = answer.json()
    assert body == {"errorMessage": body["errorMessage"], "errorCode": code}
    assert body["errorMessage"]
