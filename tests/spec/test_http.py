"""The rest of HTTP: methods, browsers, proxies, preferences, timings (RFC 9110, RFC 7239, RFC 7240, RFC 8288)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Scope

from service.app import create_app
from service.errors import StartupError
from service.http import urls
from service.http.exchange import Exchange, begin
from service.http.hearing import head_of
from service.http.proxies import hops_of
from service.http.state import Service
from service.operations.events import outbox
from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection
from tests import factories
from tests.spec.reading import MEDIA_TYPE
from tests.spec.samples import COPIES, copies, copy_document, order
from tests.support import Access, Grant


@asynccontextmanager
async def served(settings: Settings, peer: str = "127.0.0.1", **changes: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with other settings, asked from the address `peer`."""
    app = create_app(settings.model_copy(update=changes))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False, client=(peer, 1234))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield client


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/nothing", "/an/old/bookmark/", "/docs/nothing", "/demo/nothing"])
async def test_a_browser_at_a_url_without_anything_is_shown_a_page_with_ways_on(
    client: httpx2.AsyncClient, path: str
) -> None:
    page = await client.get(path, headers={"Accept": BROWSER})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "Accept-Language" in page.headers["vary"]
    ways = [str(page.url.join(way)) for way in re.findall(r'<a href="([^"#]+)"', page.text)]
    assert len(ways) == len(set(ways)) + 2, "the bar leads to two of them, too"
    for way in ways:
        assert (await client.get(way)).status_code == 200, way
    dutch = await client.get(path, headers={"Accept": BROWSER, "Accept-Language": "nl"})
    assert "Hier is niets" in dutch.text


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/nothing", "*/*"), ("/nothing", MEDIA_TYPE), ("/nothing", f"text/html, {MEDIA_TYPE}"),
        ("/api/nothing", BROWSER), ("/api/a/b/c/d/e", BROWSER), ("/nothing", "text/html;q=0"),
    ],
)  # fmt: skip
async def test_clients_of_the_api_get_a_document_where_there_is_nothing(
    client: httpx2.AsyncClient, integration: Access, path: str, accept: str
) -> None:
    answer = await client.get(path, headers=integration.headers | {"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (404, MEDIA_TYPE)
    assert answer.json()["errors"][0]["code"] == "RECORD_NOT_FOUND"


@pytest.mark.rule("HT-01")
async def test_head_is_get_without_its_body(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    id_ = await order(connection, store)
    changing = ("x-request-id", "server-timing", "traceparent")
    for url in ("/api", "/api/orders", f"/api/orders/{id_}", f"/api/orders/{id_}/line_items", "/api/orders?x=1"):
        got = await client.get(url, headers=integration.headers | {"X-Request-Id": "same"})
        head = await client.head(url, headers=integration.headers | {"X-Request-Id": "same"})
        assert head.status_code == got.status_code
        assert head.content == b""
        told = [{n: v for n, v in answer.headers.items() if n not in changing} for answer in (got, head)]
        assert told[0] == told[1]


@pytest.mark.rule("HT-02", "HT-03", "HT-04")
@pytest.mark.parametrize(
    ("url", "allow"),
    [
        ("/api", "GET, HEAD, OPTIONS"),
        ("/api/orders/x/relationships/customer", None),
        ("/api/events", "GET, HEAD, OPTIONS"),
        (COPIES, "GET, HEAD, OPTIONS, POST"),
        ("/api/orders/x/line_items", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_and_405_say_what_is_offered(client: httpx2.AsyncClient, url: str, allow: str | None) -> None:
    options = await client.options(url)
    assert (options.status_code, options.content) == (204, b"")
    offered = options.headers["allow"]
    assert allow is None or offered == allow
    assert ("accept-post" in options.headers) == ("POST" in offered)
    assert ("accept-patch" in options.headers) == ("PATCH" in offered)
    assert options.headers.get("accept-post", MEDIA_TYPE) == MEDIA_TYPE
    for method in ("PUT", "TRACE", "BREW"):
        refused = await client.request(method, url)
        assert (refused.status_code, refused.headers["allow"]) == (405, offered), method
        assert refused.json()["errors"][0]["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.rule("HT-02")
async def test_other_parts_of_the_service_say_too_what_they_offer(client: httpx2.AsyncClient) -> None:
    for url in (
        "/healthz",
        "/api/services/webshop/v1/customer/orders/reorder",
        "/api/v3/1/orders/x/repeatURL",
        "/docs/errors",
    ):
        assert (await client.delete(url)).headers["allow"]


@pytest.mark.rule("HT-03")
async def test_a_page_of_another_origin_may_ask_and_read(client: httpx2.AsyncClient, integration: Access) -> None:
    origin = {"Origin": "https://shop.example"}
    asking = {
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, if-match, prefer",
    }
    preflight = await client.options("/api/orders/x", headers=origin | asking)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    answer = await client.get("/api/orders", headers=integration.headers | origin)
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    assert exposed >= {
        "Location", "ETag", "Link", "X-RateLimit-Limit", "X-RateLimit-Remaining", "RateLimit", "RateLimit-Policy",
        "X-Request-Id", "Idempotency-Replayed", "Retry-After", "Preference-Applied",
    }  # fmt: skip
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.rule("HT-03")
async def test_the_origins_are_those_of_the_settings(settings: Settings) -> None:
    asking = {"Access-Control-Request-Method": "GET"}
    async with served(settings, cors_origins="https://a.example, https://b.example/") as client:
        for origin, allowed in (("https://a.example", True), ("https://b.example", True), ("https://c.example", False)):
            preflight = await client.options("/api", headers=asking | {"Origin": origin})
            answer = await client.get("/api", headers={"Origin": origin})
            for told in (preflight, answer):
                assert (told.headers.get("access-control-allow-origin") == origin) is allowed
                assert "Origin" in told.headers["vary"]
            assert preflight.status_code == (200 if allowed else 400)


@pytest.mark.rule("UP-20")
async def test_a_post_may_stand_for_another_method(client: httpx2.AsyncClient, integration: Access) -> None:
    async def asked(sent: str, method: str = "POST") -> httpx2.Response:
        headers = integration.headers | {"X-HTTP-Method-Override": sent}
        return await client.request(method, "/api/event_stores/x", headers=headers)

    for method in ("PATCH", "delete", "PUT"):
        answer = await asked(method)
        assert answer.status_code == (403 if method == "PATCH" else 405)  # the audit trail can't be changed
        assert answer.json()["errors"][0]["detail"].startswith("event_stores" if method == "PATCH" else method.upper())
    refused = await asked("GET")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "INVALID_HEADER")
    assert (await asked("DELETE", "GET")).status_code == 404, "only a POST stands for something else"


@pytest.mark.rule("HT-08")
async def test_a_preference_is_followed_where_the_specification_leaves_the_choice(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    """A create always shows the resource, since the service sets fields of it: also with an id of the client."""
    for number, (prefer, applied) in enumerate(
        [
            ("return=minimal", None),
            ('foo, return="representation"; x=1', "return=representation"),
            ("return=nope", None),
        ]
    ):
        document = await copy_document(connection, store)
        document["data"]["id"] = f"mine-{number}"
        answer = await client.post(COPIES, json=document, headers=integration.headers | {"Prefer": prefer})
        assert answer.status_code == 201
        assert answer.json()["data"]["id"] == f"mine-{number}"
        assert answer.headers.get("preference-applied") == applied
        assert "Prefer" in answer.headers["vary"]


async def test_page_links_are_repeated_in_the_header(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    for _ in range(3):
        await factories.order(connection, store)
    answer = await client.get("/api/orders?page[size]=1&page[number]=2", headers=integration.headers)
    links = answer.json()["links"]
    found = {rel: url for url, rel in re.findall(r'<([^>]*)>; rel="([a-z]+)"', answer.headers["link"])}
    assert found == {rel: links[rel] for rel in ("first", "prev", "next", "last")}
    one = await client.get(f"/api/orders/{answer.json()['data'][0]['id']}", headers=integration.headers)
    assert "link" not in one.headers


async def test_the_steps_of_a_request_are_timed(client: httpx2.AsyncClient, integration: Access) -> None:
    answer = await client.get("/api/orders", headers=integration.headers)
    steps = dict(re.findall(r"([a-z]+);dur=([0-9.]+)", answer.headers["server-timing"]))
    assert list(steps) == ["auth", "parse", "database", "render", "total"]
    spent = [float(steps.pop("total")), sum(float(one) for one in steps.values())]
    assert spent[0] == pytest.approx(spent[1], abs=1)
    assert "total" in (await client.get("/api/nope")).headers["server-timing"]


async def test_ids_and_traces_come_in_and_go_out(client: httpx2.AsyncClient) -> None:
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    answer = await client.get("/api", headers={"traceparent": f"00-{trace}-{parent}-01", "X-Request-Id": "abc.1"})
    version, traced, span, flags = answer.headers["traceparent"].split("-")
    assert (version, traced, flags) == ("00", trace, "01")
    assert span != parent
    assert answer.headers["x-request-id"] == "abc.1"
    for nonsense in ("", "nonsense", f"00-{'0' * 32}-{parent}-01", f"ff-{trace}-{parent}-01"):
        answer = await client.get("/api", headers={"traceparent": nonsense, "X-Request-Id": "a b\t"})
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", answer.headers["traceparent"])
        assert trace not in answer.headers["traceparent"]
        assert re.fullmatch(r"[0-9A-Z]{26}", answer.headers["x-request-id"])


async def test_events_name_the_request_that_caused_them(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    sent = integration.headers | {"X-Request-Id": "asked.1"}
    document = {"data": {"type": "customers", "attributes": {"email": "a@example.com", "_add_tags": "vip"}}}
    made = await client.post("/api/customers", json=document, headers=sent)
    assert made.status_code == 201, made.text
    await outbox.record(connection, store, "customers.update", made.json()["data"]["id"], actor=outbox.WORKER)
    names = "customers.create,customers.update,tags.create"
    told = await client.get(f"/api/events?filter[name]={names}", headers=integration.headers)
    causes = [(event["attributes"]["name"], event["attributes"]["request_id"]) for event in told.json()["data"]]
    assert sorted(causes) == [("customers.create", "asked.1"), ("customers.update", None), ("tags.create", "asked.1")]


async def test_the_origin_is_worked_out_once_for_a_request(app: Starlette) -> None:
    service: Service = app.state.service
    moved = service.settings.model_copy(update={"public_url": "https://other.example"})
    scope: Scope = {"type": "http", "app": app, "scheme": "http", "headers": [(b"host", b"127.0.0.1")], "path": "/"}
    assert urls.origin(Request(scope)) == "http://127.0.0.1"
    app.state.service = replace(service, settings=moved)
    assert urls.api(Request(scope)) == "http://127.0.0.1/api"
    begin(scope, Exchange(head_of(scope["headers"])))
    assert urls.api(Request(scope)) == "https://other.example/api"


HOSTS = "127.0.0.1,api.shop.example"
SECURE = "https://api.shop.example"
X = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.shop.example"}
ALL_X = "X-Forwarded-For, x-forwarded-proto, X-Forwarded-Host"


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({"Forwarded": 'for=203.0.113.9;proto=https;host="api.shop.example"'}, SECURE),
        ({"Forwarded": "for=203.0.113.9;proto=https;host=api.shop.example, for=10.1.1.1;proto=http"}, SECURE),
        ({"Forwarded": "host=evil.example, for=203.0.113.9;proto=https;host=api.shop.example"}, SECURE),
        (X | {"X-Forwarded-For": "203.0.113.9"}, SECURE),
        (X, SECURE),
        ({"Forwarded": 'for="_x"; proto=gopher; host="a b"'}, "http://127.0.0.1"),
        ({"Forwarded": '"nonsense'}, "http://127.0.0.1"),
    ],
)
async def test_trusted_proxies_are_believed_and_nobody_else(
    settings: Settings, headers: dict[str, str], origin: str
) -> None:
    believed = {"forwarded_headers": "Forwarded" if "Forwarded" in headers else ALL_X, "allowed_hosts": HOSTS}
    async with served(settings, "10.9.9.9", trusted_proxies="10.0.0.0/8, ::1", **believed) as client:
        assert (await client.get("/api", headers=headers)).json()["links"]["self"] == f"{origin}/api"
    for peer, trusted in (("192.0.2.1", "10.0.0.0/8"), ("10.9.9.9", "")):
        async with served(settings, peer, trusted_proxies=trusted, **believed) as client:
            assert (await client.get("/api", headers=headers)).json()["links"]["self"] == "http://127.0.0.1/api"


async def test_a_host_that_a_proxy_tells_must_be_on_the_list_too(settings: Settings) -> None:
    told = {"Forwarded": {"Forwarded": "host=evil.example"}, ALL_X: {"X-Forwarded-Host": "evil.example"}}
    for believed, headers in told.items():
        changes = {"trusted_proxies": "10.0.0.0/8", "allowed_hosts": HOSTS, "forwarded_headers": believed}
        async with served(settings, "10.9.9.9", **changes) as client:
            assert (await client.get("/api", headers=headers)).status_code == 400


async def test_limits_count_who_asks_behind_the_proxy(settings: Settings) -> None:
    url = "/api/services/webshop/v1/customer/orders/reorder"

    async def remaining(client: httpx2.AsyncClient, forwarded: str) -> int:
        return int((await client.post(url, headers={"X-Forwarded-For": forwarded})).headers["x-ratelimit-remaining"])

    async with served(settings, "10.9.9.8", trusted_proxies="10.0.0.0/8") as client:
        assert await remaining(client, "198.51.100.7") == 59
        assert await remaining(client, "203.0.113.1, 198.51.100.7, 10.0.0.1") == 58, "what stands before is made up"
        assert await remaining(client, "198.51.100.8") == 59


def test_forwarded_is_parsed() -> None:
    assert hops_of(['for=1.2.3.4;proto=https, For="[2001:db8::1]:47"; HOST="a\\"b"']) == [
        {"for": "1.2.3.4", "proto": "https"},
        {"for": "[2001:db8::1]:47", "host": 'a"b'},
    ]
    assert hops_of(["nonsense"]) == hops_of(["for=1 2"]) == []


def test_what_is_no_network_is_told_at_the_start(settings: Settings) -> None:
    with pytest.raises(StartupError, match="REPRISE_TRUSTED_PROXIES"):
        create_app(settings.model_copy(update={"trusted_proxies": "nonsense"}))


@pytest.mark.rule("HT-09")
async def test_too_many_requests_say_when_to_come_back(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    access = await grant(customer_id=await factories.customer(connection, store))
    url = "/api/services/webshop/v1/customer/orders/reorder"
    answers = [await client.post(url, headers={"Authorization": f"Bearer {access.token}"}) for _ in range(61)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].headers["ratelimit"]


@pytest.mark.rule("HT-10")
async def test_a_trailing_slash_is_served_with_its_method_and_body(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    document = await copy_document(connection, store)
    assert (await client.get("/api/orders/?page[size]=1", headers=integration.headers)).status_code == 200
    answer = await client.post(f"{COPIES}/", json=document, headers=integration.headers)
    assert answer.status_code == 201
    assert await copies(connection, store) == 1


@pytest.mark.rule("HT-04")
async def test_a_created_resource_is_where_location_says(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    document = await copy_document(connection, store)
    answer = await client.post(COPIES, json=document, headers=integration.headers)
    again = await client.get(answer.headers["location"], headers=integration.headers)
    assert again.json()["data"] == answer.json()["data"]
    assert again.headers["etag"] == answer.headers["etag"]
