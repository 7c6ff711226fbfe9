"""What log lines say of a request, who may read the metrics, and what every answer says to browsers."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Mapping

import httpx2
import orjson
import pytest
import structlog
from starlette.applications import Starlette

from service.app import create_app, create_lookout
from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection
from tests import factories
from tests.checkout.conftest import Holder
from tests.processes import serving
from tests.sealed import session_of
from tests.sockets import exchange, listening
from tests.support import Access, Grant

JSON = "application/vnd.api+json"


def _lines(told: list[structlog.typing.EventDict]) -> list[Mapping[str, object]]:
    return [line for line in told if line["event"] == "request"]


@pytest.mark.rule("FM-151")
async def test_log_lines_say_who_asked_from_where_and_never_the_token(
    client: httpx2.AsyncClient, connection: Connection, store: Store, *, integration: Access, grant: Grant
) -> None:
    shopper = await grant(customer_id=await factories.customer(connection, store))
    cart = await factories.cart(connection, store)
    session = str(await session_of(connection, store, cart))
    basic = {"Authorization": "Bearer secret_1_unknown"}
    with structlog.testing.capture_logs() as told:
        for headers in (integration.headers, shopper.headers, Holder(store, session).headers, basic, {}):
            await client.get(f"/api/carts/{cart}?filter[x]=hidden", headers=headers)
    lines = [(line["client"], line["store"], line["token"]) for line in _lines(told)]
    assert lines == [
        ("127.0.0.1", store.id, integration.id),
        ("127.0.0.1", store.id, shopper.id),
        ("127.0.0.1", store.id, ""),
        ("127.0.0.1", None, None),
        ("127.0.0.1", None, None),
    ]
    written = str(told)
    assert not any(secret in written for secret in (integration.token, shopper.token, session, "unknown", "hidden"))


@pytest.mark.rule("FM-151")
async def test_log_lines_name_the_client_behind_the_proxy(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"trusted_proxies": "127.0.0.1"}))
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            with structlog.testing.capture_logs() as told:
                await client.get("/healthz", headers={"X-Forwarded-For": "198.51.100.7"})
    assert [line["client"] for line in _lines(told)] == ["198.51.100.7"]


@pytest.mark.rule("FM-151")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_port_of_the_api_tells_metrics_to_nobody_without_a_token(app: Starlette, host: str) -> None:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
            refused = await client.get("/metrics", headers=headers)
            assert (refused.status_code, "REPRISE_METRICS_PORT" in refused.text) == (403, True)
            assert "reprise_" not in refused.text


@pytest.mark.rule("FM-151")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_have_a_port_of_their_own(database_url: str, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        apart = taken.getsockname()[1]
    settings = {
        "DATABASE_URL": database_url, "REPRISE_SECRET_KEYS": "first-key-of-the-tests", "REPRISE_LOG_LEVEL": "warning",
        "REPRISE_METRICS_PORT": str(apart),
    }  # fmt: skip
    with serving("serve", "--port", "0", "--workers", workers, until="answers at", **settings) as api:
        assert f"http://127.0.0.1:{apart}/metrics" in api.said
        asked = [httpx2.get(f"{api.url}/healthz").status_code for _ in range(10)]
        assert httpx2.get(f"{api.url}/metrics").status_code == 403
        told = httpx2.get(f"http://127.0.0.1:{apart}/metrics")
        assert told.headers["x-content-type-options"] == "nosniff"
        counted = re.search(
            r'^reprise_http_request_seconds_count{method="GET",route="/healthz",status="200"} (\d+)',
            told.text,
            re.MULTILINE,
        )
        assert counted is not None
        assert int(counted[1]) >= len(asked)
        assert httpx2.get(f"http://127.0.0.1:{apart}/readyz").status_code == 200
        assert httpx2.get(f"http://127.0.0.1:{apart}/api").status_code == 404
        outcome = api.stop(signal.SIGTERM)
    assert (outcome.code, outcome.err) == (0, "")


ASKED: Mapping[str, tuple[str, str, Mapping[str, str], bytes, int]] = {
    "a document": ("GET", "/api/orders", {}, b"", 200),
    "a head": ("HEAD", "/api/orders", {}, b"", 200),
    "a compressed one": ("GET", "/api/orders", {"Accept-Encoding": "gzip"}, b"", 200),
    "one for a page": ("GET", "/api/orders", {"Origin": "https://shop.example"}, b"", 200),
    "one that is there": ("GET", "/api/stores/{store}", {"If-None-Match": "*"}, b"", 304),
    "nothing": ("GET", "/nowhere", {}, b"", 404),
    "no method": ("DELETE", "/api/orders", {}, b"", 405),
    "a stranger": ("GET", "/api/orders", {"Authorization": "Bearer nobody"}, b"", 401),
    "a refused body": ("POST", "/api/orders", {}, b"{", 400),
    "a preflight": (
        "OPTIONS", "/api/orders", {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}, b"", 200,
    ),
    "no host": ("GET", "/api", {"Host": "evil.example"}, b"", 400),
    "Ecwid's": ("GET", "/api/v3/1/orders/1/repeatURL", {}, b"", 404),
    "WeMasy's": ("POST", "/api/services/webshop/v1/customer/orders/reorder", {}, b"", 401),
    "a client": ("POST", "/oauth/token", {"Content-Type": "application/json"}, b"{}", 400),
    "keys": ("GET", "/.well-known/jwks.json", {}, b"", 200),
    "health": ("GET", "/healthz", {}, b"", 200),
    "metrics": ("GET", "/metrics", {}, b"", 403),
    "the contract": ("GET", "/openapi.yaml", {}, b"", 200),
    "a calendar": ("GET", "/calendars/none.ics", {}, b"", 410),
    "a file": ("GET", "/exports/none", {}, b"", 410),
    "the server": ("OPTIONS", "*", {}, b"", 204),
    "home": ("GET", "/", {}, b"", 200),
    "docs": ("GET", "/docs", {}, b"", 200),
    "Markdown": ("GET", "/docs/quickstart.md", {}, b"", 200),
    "a picture": ("GET", "/docs/three-ways.svg", {}, b"", 200),
    "a reference": ("GET", "/docs/api", {}, b"", 200),
    "for programs": ("GET", "/llms.txt", {}, b"", 200),
    "a link": ("GET", "/repeat-order?id=x&token=y&type=order", {}, b"", 410),
    "a page that isn't there": ("GET", "/demo/nothing", {}, b"", 404),
}  # fmt: skip
PAGES = {"home", "docs", "a reference", "a link", "a page that isn't there"}


@pytest.mark.rule("FM-151")
@pytest.mark.parametrize("name", ASKED)
async def test_every_answer_says_that_it_is_what_it_says(
    app: Starlette, integration: Access, store: Store, name: str
) -> None:
    method, target, headers, body, status = ASKED[name]
    target = target.format(store=store.id)
    sent = {"Host": "127.0.0.1", "Accept": "*/*", "Connection": "close", "Content-Length": str(len(body))}
    sent |= {"Authorization": f"Bearer {integration.token}", "Content-Type": JSON, **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    async with listening(app) as port:
        answer = await exchange(port, f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert int(head.split()[1]) == status, answer
    assert head.count(b"\r\nx-content-type-options: nosniff") == 1
    if name in PAGES:
        for header in ("content-security-policy", "referrer-policy: no-referrer", "x-frame-options: deny",
                       "cross-origin-opener-policy: same-origin"):  # fmt: skip
            assert head.count(f"\r\n{header}".encode()) == 1, header


@pytest.mark.rule("FM-151")
@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, b"WHAT / HTTP/1.1\r\n\r\n"]
)
async def test_so_do_refusals_of_what_is_no_request(app: Starlette, request_: bytes) -> None:
    async with listening(app) as port:
        answer = await exchange(port, request_)
    assert int(answer.split()[1]) in (400, 431, 501)
    assert answer.count(b"\r\nX-Content-Type-Options: nosniff\r\n") == 1
    assert "errors" in orjson.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.rule("FM-151")
async def test_so_does_what_watches_a_worker(settings: Settings) -> None:
    app = create_lookout(settings)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answers = await asyncio.gather(*(client.get(path) for path in ("/healthz", "/readyz", "/metrics", "/api")))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
    assert all(answer.headers.get_list("x-content-type-options") == ["nosniff"] for answer in answers)
