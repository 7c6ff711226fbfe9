"""GET and HEAD write nothing, at any route: mail scanners, link previews and browsers that look ahead send them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

import httpx2
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Route

from schemas.graph import graph
from service import clock
from service.app import create_app
from service.demo import load, pictures, shop
from service.demo.load import Plan
from service.http import repeat_urls
from service.http.api import event_stream
from service.http.pages import deliveries, pages
from service.http.routes import PARTS, Part
from service.operations.access import tokens
from service.operations.carts import contents
from service.operations.repeating import repeat_links
from service.operations.subscriptions.action_links import ActionLinks
from service.principal import SCOPES, Store
from service.resources import RESOURCES
from service.settings import Settings
from service.store.pool import Connection, connect
from service.store.vault import vault_of
from tests import factories, roles
from tests.contract.conftest import inhabit
from tests.support import KEYS

FETCHES = 50
LOOKING: tuple[Mapping[str, str], ...] = (
    {},
    {"Sec-Purpose": "prefetch", "Purpose": "prefetch"},
    {"User-Agent": "SafeLinks scanner"},
)
"""What those send who only look."""

ENDLESS = {event_stream.PATH: "A stream never ends, so that nobody could look at it fifty times."}
NO_READS = {"/api/services/webshop/v1/customer/orders/reorder", "/mcp", "/api/operations"}
"""Routes that answer 405 to GET themselves, since they know what they offer."""

COUNTED = {
    "anonymous": "Requests without a token are counted by network, so that nobody can ask without end.",
    "forecasts": "A forecast is costly, so that those of each sender are counted.",
    "reorders": "A preview of a repeat link is a reorder that is worked out: these are counted for each sender.",
}
"""What looking leaves in `rate_limits`, and why. Nothing else of a store or of the service may change."""


@dataclass(frozen=True)
class World:
    """A demo store with a resource of every type, and how each route is reached there."""

    connection: Connection
    client: httpx2.AsyncClient
    app: Starlette
    store: Store
    bearer: Mapping[str, str]
    urls: Mapping[str, list[str]]
    link_token: str

    def headers(self, route: Route) -> Mapping[str, str]:
        """What a route asks for beside its URL."""
        if route.path.startswith("/api/repeat_link"):
            return {"Authorization": f"Bearer {self.link_token}"}
        return self.bearer if route.path.startswith(("/api", "/metrics")) else {}

    async def rows(self) -> dict[str, str]:
        """What stands for all rows of the database, by table: it changes with any write."""
        tables = await self.connection.fetch(
            "select table_name from information_schema.tables"
            " where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'rate_limits'"
        )
        whole = "select '{0}', md5(coalesce(string_agg(one::text, '' order by one::text), '')) from {0} as one"
        found = await self.connection.fetch(" union all ".join(whole.format(table) for (table,) in tables))
        return {str(table): str(digest) for table, digest in found}

    async def counted(self) -> set[str]:
        """Which limits something was counted against."""
        found = await self.connection.fetch("select distinct split_part(key, '/', 1) from rate_limits")
        return {name for (name,) in found}


@pytest_asyncio.fixture
async def world(own_url: str, settings: Settings) -> AsyncIterator[World]:
    reached = settings.model_copy(update={**roles.reached("api", own_url), "rate_limit": 1_000_000})
    app = create_app(reached)
    async with connect(own_url, KEYS) as connection, app.router.lifespan_context(app):
        await load.seed(connection, Plan(customers=2, skus=4, orders=3, subscriptions=1), clock.now())
        store = await shop.find(connection)
        assert store is not None
        made = await inhabit(connection, store)
        async with connection.transaction():
            token_id, token = await tokens.issue(
                connection, store.id, customer_id=None, scopes=SCOPES, name=None, expires_at=None, at=clock.now()
            )
        # That a token is in use is noted once an hour, by the process and not by a request.
        await connection.execute("update access_tokens set last_used_at = $2 where id = $1", token_id, clock.now())
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            urls, link_token = await urls_of(connection, app, store, made)
            yield World(connection, client, app, store, {"Authorization": f"Bearer {token}"}, urls, link_token)


async def urls_of(
    connection: Connection, app: Starlette, store: Store, made: Mapping[str, str]
) -> tuple[dict[str, list[str]], str]:
    """How each route that has a part that varies is reached, and the token of a repeat link."""
    keys, sam = app.state.service.url_keys, shop.shopper(store)
    order = await connection.fetchrow(
        "select id, code from orders where customer_id = $1 and placed_at is not null", sam.customer_id
    )
    assert order is not None
    of_sam = "select id, next_index from order_subscriptions where customer_id = $1"
    found = await connection.fetchrow(of_sam, sam.customer_id)
    assert found is not None
    # A delivery that far ahead has no row.
    subscription, later = found["id"], found["next_index"] + deliveries.RUNS - 1
    issued = await repeat_links.of_order(connection, store, keys.links, order["code"], actor="tests")
    links: dict[str, str] = {}
    async with connection.transaction():
        for action in ("manage", "skip"):
            link: dict[str, Any] = {"order_subscription_id": subscription, "action": action}
            link["expires_at"] = clock.now(store) + timedelta(days=1)
            id_ = await ActionLinks().make(connection, sam, graph["action_links"], link)
            links[action] = keys.actions.token(store.id, id_)
    types = [type_ for type_ in RESOURCES if type_ in made]
    # One relationship of each type: all are read by the same code.
    related = [(type_, next(iter(graph[type_].relationships))) for type_ in types if graph[type_].relationships]
    return {
        "/repeat-order": [repeat_urls.url("/repeat-order", issued.order_code, issued.token)],
        "/actions/{token}": [f"/actions/{links['skip']}"],
        "/portal/{token}": [f"/portal/{links['manage']}{query}" for query in ("", "?end", f"?delivery={later}")],
        "/calendars/{token}.ics": [f"/calendars/{keys.calendars.token(store.id, subscription)}.ics"],
        "/exports/{token}": [f"/exports/{keys.exports.token(store.id, await export_of(connection, store))}"],
        "/demo/pictures/{name}.svg": [pictures.path("striped", "mug")],
        "/demo/checkout": [await checkout_of(connection, store)],
        "/demo/orders/{id}": [f"/demo/orders/{order['id']}"],
        "/demo/subscriptions/{id}": [f"/demo/subscriptions/{subscription}"],
        "/docs/assets/{file}": ["/docs/assets/copy.js"],
        "/docs/{page}": ["/docs/quickstart"],
        "/docs/{folder}/{page}": ["/docs/how-to/send-action-links"],
        "/api/v3/{store_id}/orders/{order_id:path}/repeatURL": [f"/api/v3/{store.id}/orders/{order['code']}/repeatURL"],
        "/api/schemas/{type}.json": ["/api/schemas/orders.json"],
        "/api/repeat_link_preview": ["/api/repeat_link_preview"],
        "/api/order_subscriptions/{id}/forecast": [f"/api/order_subscriptions/{subscription}/forecast"],
        "/api/{type}": [f"/api/{type_}" for type_ in types],
        "/api/{type}/{id}": [f"/api/{type_}/{made[type_]}" for type_ in types],
        "/api/{type}/{id}/{relationship}": [f"/api/{type_}/{made[type_]}/{name}" for type_, name in related],
        "/api/{type}/{id}/relationships/{relationship}": [
            f"/api/{type_}/{made[type_]}/relationships/{name}" for type_, name in related
        ],
    }, issued.token


async def export_of(connection: Connection, store: Store) -> str:
    """An export whose file can be fetched."""
    at, text = clock.now(), "{}\n"
    export = await factories.insert(
        connection,
        "exports",
        store,
        resource_type="skus",
        status="completed",
        attempt=1,
        attachment_size=len(text),
        attachment_expires_at=at + timedelta(days=1),
        started_at=at,
        completed_at=at,
    )
    id_ = clock.new_id()
    sealed = vault_of(connection).seal("export_chunks.data", store.id, id_, text)
    chunk = "insert into export_chunks (store_id, id, export_id, attempt, first_byte, size, data)"
    await connection.execute(f"{chunk} values ($1, $2, $3, 1, 0, $4, $5)", store.id, id_, export, len(text), sealed)
    return export


async def checkout_of(connection: Connection, store: Store) -> str:
    """The URL of the demo's checkout for a guest's cart."""
    cart = await factories.cart(connection, store)
    sealed = await connection.fetchval("select session from carts where store_id = $1 and id = $2", store.id, cart)
    return f"/demo/checkout?store={store.id}&session={contents.session(connection, store, cart, sealed)}"


def reads() -> Iterator[tuple[Part, Route]]:
    """Every route that may be looked at, with its part."""
    for part in PARTS:
        for route in part.routes:
            if not route.methods or "GET" in route.methods:
                yield part, route


def test_what_is_not_looked_at_is_known() -> None:
    """Routes that aren't inert are few, and each says why where it is mounted."""
    assert [route.path for part, route in reads() if not part.inert] == [
        "/api/v3/{store_id}/orders/{order_id:path}/repeatURL"
    ]


async def test_fifty_looks_at_every_route_change_no_row(world: World) -> None:
    before = await world.rows()
    for part, route in reads():
        if route.path in ENDLESS:
            continue
        assert route.path in world.urls or "{" not in route.path, f"say how {route.path} is reached"
        urls = world.urls.get(route.path, [route.path])
        if not part.inert:
            await look(world, route, urls[0], "GET", {})
            before = await world.rows()
        for number in range(max(FETCHES, len(urls))):
            url, method = urls[number % len(urls)], "HEAD" if number % 5 == 4 else "GET"
            await look(world, route, url, method, LOOKING[number % len(LOOKING)])
        after = await world.rows()
        assert {table for table in before if before[table] != after[table]} == set(), route.path
    assert await world.counted() == COUNTED.keys()


async def look(world: World, route: Route, url: str, method: str, headers: Mapping[str, str]) -> None:
    answer = await world.client.request(method, url, headers={**world.headers(route), **headers})
    good = {405} if route.path in NO_READS else {200, 303, 403} if route.path == "/metrics" else {200}
    assert answer.status_code in good, (method, url, answer.status_code, answer.text)
    assert "set-cookie" not in answer.headers


async def test_private_answers_say_so_whatever_they_are(world: World) -> None:
    """Every answer below a private part is kept nowhere: pages, redirects, files, refusals and what isn't there."""
    for part in (part for part in PARTS if part.private):
        asked = [("GET", f"{part.at}/nothing-of-the-kind"), ("DELETE", part.at)]
        for route in part.routes:
            urls = world.urls.get(route.path, [route.path])
            asked += product(("GET", "HEAD", "POST", "DELETE"), urls)
        for method, url in asked:
            answer = await world.client.request(method, url)
            where = method, url, answer.status_code
            assert answer.headers["referrer-policy"] == pages.PRIVATE["Referrer-Policy"], where
            assert answer.headers["x-robots-tag"] == pages.PRIVATE["X-Robots-Tag"], where
            assert answer.headers["cache-control"] in ("no-store", "private, no-store", "private, no-cache"), where
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert answer.headers["x-frame-options"] == "DENY", where
                assert "default-src 'none'" in answer.headers["content-security-policy"], where
