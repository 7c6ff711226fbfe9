"""Whoever asks sees what is theirs, and can't tell what is another's from what isn't there: the whole matrix.

Every identity names a resource of every type in every way, and then one that doesn't exist. Where it isn't theirs, both
answers are the same to the byte, but for the ids; nothing is written. `pytest -rP` shows how many requests were sent.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from schemas.graph import PUBLIC, graph
from service import clock, resources
from service.http.routes import routes
from service.principal import Store
from service.resources import RESOURCES
from service.settings import Settings
from service.store import read
from service.store.compile import Statement
from service.store.pool import Connection, Database
from tests import factories
from tests.access.fetching import fetch
from tests.access.fetching import made as client_of
from tests.checkout.conftest import Holder
from tests.contract.conftest import inhabit
from tests.isolation.asking import Named, Request, about, linking, sweeps
from tests.isolation.identities import Identity, identities
from tests.sealed import session_of
from tests.support import Grant, make_store

TYPES = [type_ for type_ in RESOURCES if type_ != "tokens"]
"""All that can be named: what makes tokens keeps none of its own."""

VARYING = frozenset(
    {"date", "server-timing", "x-request-id", "traceparent", "x-ratelimit-remaining", "ratelimit", "etag"}
)
"""Headers that say nothing of what was asked for; a tag stands for the body, which is compared."""

WHO = (
    "without a token", "guest", "sales channel", "customer", "another customer", "integration of another store",
    "integration without the scope", "integration",
)  # fmt: skip


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with which the number of requests is no matter."""
    return settings.model_copy(update={"rate_limit": 1_000_000})


class Asker:
    """Sends requests as one identity after another, and compares answers."""

    def __init__(self, client: httpx2.AsyncClient, connection: Connection, store: Store, other: Store) -> None:
        self.client = client
        self.other = other
        self.connection = connection
        self.store = store
        self.world: Mapping[str, str] = {}
        self.everybody: Mapping[str, Identity] = {}
        self.requests = 0

    async def send(self, who: Identity, request: Request) -> httpx2.Response:
        """The answer, which is never a 500."""
        self.requests += 1
        headers = {**who.headers, "Accept": request.media, "Content-Type": request.media, **dict(request.headers)}
        headers |= {"X-Request-Id": "one-and-the-same", "Accept-Encoding": "identity"}
        answer = await self.client.request(request.method, request.path, content=request.body, headers=headers)
        assert answer.status_code < 500, f"{who.name}: {request}: {answer.text}"
        return answer

    async def faults(self, who: Identity, types: Iterable[str]) -> list[str]:
        """What somebody is told that they are not to know, of each of these types."""
        before = await self.digest()
        found: list[str] = []
        for type_ in types:
            await self.connection.execute("delete from rate_limits")
            found += await self._swept(who, type_)
            if who.sees(type_):
                answer = await self.send(who, Request("GET", f"/api/{type_}/{self.world[type_]}"))
                found += [] if answer.status_code == 200 else [f"{type_}: {answer.status_code} for what is theirs"]
            else:
                found += await self._pairs(who, type_)
        if await self.digest() != before:
            found.append("something was written")
        return [f"{who.name}: {fault}" for fault in found]

    async def _pairs(self, who: Identity, type_: str) -> list[str]:
        there = Named(type_, self.world[type_], self.world)
        nowhere = there._replace(id=unknown(type_, there.id))
        found = []
        own = await self.own(who, type_)
        for one, other in zip(about(there), about(nowhere), strict=True):
            if (own and one.derived in one.path and one.derived) or (type_ in who.told and "filter" in one.path):
                continue
            answers = [
                told(await self.send(who, request), named.id, request.derived)
                for named, request in ((there, one), (nowhere, other))
            ]
            if answers[0] != answers[1]:
                found.append(f"{one}\n    {answers[0]}\n    {answers[1]}")
            if 200 <= answers[0][0] < 300 and one.method not in ("GET", "HEAD"):
                found.append(f"{one}: {answers[0][0]}")
        return found

    async def _swept(self, who: Identity, type_: str) -> list[str]:
        """Collections hold none of what isn't theirs, in no part of the document, and count none of it."""
        beyond = {"stores"} | who.told
        hidden = {id_ for other, id_ in self.world.items() if not who.sees(other) and other not in beyond}
        found = []
        for path in sweeps(type_):
            answer = await self.send(who, Request("GET", path))
            if answer.status_code != 200:
                refused = who.sight[type_] == "none" or "?page[size]=100&" in path
                found += [] if refused else [f"{path}: {answer.status_code}"]
                continue
            found += [
                f"{path}: {id_} of {other}" for other, id_ in self.world.items() if id_ in hidden and id_ in answer.text
            ]
            number = answer.json()["meta"]["record_count"]
            if not who.sees(type_) and number != await self.own(who, type_):
                found.append(f"{path}: counts {number}")
        return found

    async def own(self, who: Identity, type_: str) -> int:
        """How many there are that somebody sees, who doesn't see that of the inhabited store."""
        if who.name == "integration of another store":
            rows = f"select count(*) from {graph[type_].table} where store_id = $1"
            return int(await self.connection.fetchval(rows, self.other.id))
        return 1 if (who.name, type_) in {("guest", "carts"), ("another customer", "customers")} else 0

    async def digest(self) -> list[str]:
        """What stands for all rows of the store."""
        tables = sorted({graph[type_].table for type_ in TYPES} - {"access_tokens"})
        rows = " union all ".join(
            f"select '{table}', md5(string_agg(one::text, '' order by id)) from {table} one where store_id = $1"
            for table in tables
        )
        return [f"{table}: {md5}" for table, md5 in await self.connection.fetch(rows, self.store.id)]


def unknown(type_: str, id_: str) -> str:
    """An id that no resource has, of the same length."""
    return str(int(id_) + 500_000) if type_ == "stores" else clock.new_id()[: len(id_)].ljust(len(id_), "0")


def told(answer: httpx2.Response, *names: str) -> tuple[int, dict[str, str], str]:
    """What an answer says, without what follows from the id that was asked for."""
    headers = {name: value for name, value in answer.headers.items() if name not in VARYING}
    parts = [str(sorted(headers.items())), answer.text]
    for name in names:
        parts = [part.replace(name, "...") for part in parts] if name else parts
    return answer.status_code, {"all": parts[0]}, parts[1]


@pytest.fixture
async def asker(
    app: Starlette, connection: Connection, database: Database, store: Store, grant: Grant
) -> AsyncIterator[Asker]:
    """An inhabited store, another one, and everybody who may ask."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        made = Asker(client, connection, store, await make_store(database))
        made.world = await inhabit(connection, store)
        channel = await fetch(client, await client_of(database, store, "sales_channel"))
        everybody = await identities(connection, store, made.other, made.world["customers"], grant, channel=channel)
        made.everybody = {who.name: who for who in everybody}
        yield made
        sys.stdout.write(f"{made.requests} requests\n")


@pytest.mark.timeout(280)
@pytest.mark.parametrize("name", WHO)
async def test_nobody_can_tell_what_is_anothers_from_what_is_not_there(asker: Asker, name: str) -> None:
    assert await asker.faults(asker.everybody[name], TYPES) == []
    assert asker.requests > len(TYPES)


@dataclass(frozen=True)
class Owner:
    """Somebody with rows of their own: one of each type that can be linked to something, by type."""

    who: Identity
    rows: Mapping[str, str]


async def _customers_rows(connection: Connection, store: Store, customer: str) -> dict[str, str]:
    """What another customer has, for them to change."""
    sku = await factories.sku(connection, store)
    line = factories.Line(sku)
    placed = await factories.full_order(connection, store, [line], customer_id=customer)
    draft = await factories.order(connection, store, [line], customer_id=customer, status="pending")
    cart = await factories.cart(connection, store, customer_id=customer)
    item = {"sku_id": sku.id, "sku_code": sku.code, "name": sku.name, "currency_code": "EUR", "quantity": 1}
    item |= {"unit_amount_cents": 1000, "total_amount_cents": 1000}
    subscription = await factories.subscription(connection, store, placed)
    code = await connection.fetchval("select code from orders where store_id = $1 and id = $2", store.id, placed)
    link = {"order_id": placed, "order_code": code, "kind": "custom", "key_id": "k"}
    parts: Mapping[str, dict[str, Any]] = {
        "cart_items": {"cart_id": cart, **item},
        "order_subscription_items": {"order_subscription_id": subscription, **item},
        "repeat_links": link,
        "action_links": {
            "order_subscription_id": subscription, "action": "cancel", "expires_at": clock.now() + timedelta(days=30),
        },
        "occurrences": {
            "order_subscription_id": subscription, "occurrence_index": 9, "nominal_at": clock.now(),
            "scheduled_at": clock.now(), "status": "planned",
        },
    }  # fmt: skip
    made = {type_: await factories.insert(connection, type_, store, **columns) for type_, columns in parts.items()}
    once = {"order_subscription_id": subscription, "occurrence_id": made["occurrences"], "occurrence_index": 9, **item}
    made["occurrence_items"] = await factories.insert(connection, "occurrence_items", store, **once)
    return made | {
        "customers": customer,
        "addresses": await factories.address(connection, store, customer_id=customer),
        "customer_payment_sources": await factories.payment_source(
            connection, store, customer, payment_source_token="t"
        ),
        "carts": cart,
        "orders": draft,
        "order_subscriptions": subscription,
    }


@pytest.fixture
async def owners(asker: Asker, connection: Connection, store: Store, grant: Grant) -> Mapping[str, Owner]:
    """Those who can change something that is theirs."""
    customer = await factories.customer(connection, store)
    headers = (await grant(customer_id=customer)).headers
    somebody = replace(asker.everybody["another customer"], headers=headers)
    cart = await factories.cart(connection, store)
    session = await session_of(connection, store, cart)
    guest = replace(asker.everybody["guest"], headers=Holder(store, session).headers)
    theirs = {"carts": cart, "addresses": await factories.address(connection, store, cart_id=cart)}
    shop = asker.everybody["integration of another store"]
    return {
        "another customer": Owner(somebody, await _customers_rows(connection, store, customer)),
        "guest": Owner(guest, theirs),
        shop.name: Owner(shop, await inhabit(connection, asker.other)),
    }


@pytest.mark.timeout(280)
@pytest.mark.parametrize("name", ["another customer", "guest", "integration of another store"])
async def test_nobody_links_their_own_to_what_is_anothers(asker: Asker, owners: Mapping[str, Owner], name: str) -> None:
    """A row of one's own that is to be linked to another's is answered as one that is linked to what isn't there."""
    owner, before = owners[name], await asker.digest()
    sent, found = 0, []
    for type_, id_ in owner.rows.items():
        await asker.connection.execute("delete from rate_limits")
        for target, foreign in asker.world.items():
            if owner.who.sees(target):
                continue
            nowhere = {target: unknown(target, foreign)}
            there = linking(Named(type_, id_, {target: foreign}), target)
            for one, other in zip(there, linking(Named(type_, id_, nowhere), target), strict=True):
                answers = [
                    told(await asker.send(owner.who, request), named)
                    for request, named in ((one, foreign), (other, nowhere[target]))
                ]
                sent += 1
                if answers[0] != answers[1] or (200 <= answers[0][0] < 300 and one.method != "DELETE"):
                    found.append(f"{one}\n    {answers[0]}\n    {answers[1]}")
    assert found == []
    assert await asker.digest() == before
    assert sent > len(owner.rows)


async def test_a_market_of_another_store_is_one_that_is_not_there(
    asker: Asker, connection: Connection, database: Database, store: Store
) -> None:
    """A store has one market, so a token for it is one for all that the store has; no other can be had."""
    client = await client_of(database, store, "integration")

    async def asked(scope: str) -> httpx2.Response:
        sent = {"grant_type": "client_credentials", **client.credentials, "scope": scope}
        asker.requests += 1
        return await asker.client.post("/oauth/token", json=sent)

    markets = await connection.fetch(
        "select store_id, id, code from markets where store_id = any($1)", [store.id, asker.other.id]
    )
    named = {row["store_id"]: (f"market:id:{row['id']}", f"market:code:{row['code']}") for row in markets}
    unknown_ones = ("market:id:x", "market:code:x")
    for own, foreign, nowhere in zip(named[store.id], named[asker.other.id], unknown_ones, strict=True):
        assert (await asked(own)).status_code == 200
        refused, missing = await asked(foreign), await asked(nowhere)
        assert (refused.status_code, refused.content) == (missing.status_code, missing.content)
        assert refused.status_code == 400
        assert (await asked(f"{own} {foreign}")).content == missing.content


ROUTES = {
    "/api/order_subscriptions/{id}/forecast": "asked for by each subscription's id",
    "/api/reorder_previews": "asked for by each order's and cart's id",
    "/api/subscription_previews": "asked for by the id of each subject",
    "/api/v3/{store_id}/orders/{order_id:path}/repeatURL": "asked for by each order's id",
    "/api/services/webshop/v1/customer/orders/reorder": "by numbers, in tests/api/test_wemasy_refusals.py",
    "/api/operations": "asked for with every operation",
    "/api/events/stream": "names no resource; of one store, for integrations: tests/api/test_event_stream.py",
    "/api": "names types",
    "/api/repeat_link_preview": "by a link's token alone",
    "/api/repeat_link_commits": "by a link's token alone",
}
"""Routes that are none of the registry's, and how they are asked for."""


def test_every_route_is_asked_for() -> None:
    """A new route of the API is one of the registry's, or has to be named here, with how it is asked for."""
    paths = {str(getattr(route, "path", "")) for route in routes}
    named = {path for path in paths if path.startswith(("/api/{type}", "/api/schemas"))}
    others = {path for path in paths if path.startswith("/api")} - named
    assert others == set(ROUTES)


def test_everybody_is_asked_for(asker: Asker) -> None:
    assert tuple(asker.everybody) == WHO


async def test_an_answer_under_a_key_is_given_again_to_its_asker_only(asker: Asker) -> None:
    customer = asker.world["customers"]
    change = {"data": {"type": "customers", "id": customer, "attributes": {"metadata": {"a": "b"}}}}
    keyed = Request("PATCH", f"/api/customers/{customer}", change, headers=(("Idempotency-Key", "one-key"),))
    answers = {name: await asker.send(who, keyed) for name, who in reversed(list(asker.everybody.items()))}
    again = {name: await asker.send(who, keyed) for name, who in asker.everybody.items()}
    changed = {name for name, answer in answers.items() if answer.status_code == 200}
    assert changed == {"integration", "customer"}
    assert {name for name, answer in answers.items() if "idempotency-replayed" in answer.headers} == set()
    assert {name for name, answer in again.items() if "idempotency-replayed" in answer.headers} == changed
    plain = replace(keyed, headers=())
    for name, who in asker.everybody.items():
        if name not in changed:
            assert told(answers[name]) == told(again[name]) == told(await asker.send(who, plain)), name


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Statements that were put together by wrong rules are forgotten in the end, and right ones at the beginning."""
    caches = [one for module in (read, resources) for one in vars(module).values() if hasattr(one, "cache_clear")]
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("wrong", ["owner", "scope", "store", "visible"])
async def test_a_rule_that_is_forgotten_is_noticed(asker: Asker, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """With a Schema, a registry or a statement that is wrong on purpose."""
    match wrong:
        case "owner":
            monkeypatch.setitem(graph["addresses"].owners, "customers", PUBLIC)
            name, type_ = "another customer", "addresses"
        case "scope":
            monkeypatch.setitem(RESOURCES, "orders", replace(RESOURCES["orders"], reads="read_catalog"))
            name, type_ = "integration without the scope", "orders"
        case "store":
            monkeypatch.setattr(Statement, "_of_type", staticmethod(lambda *_: ["$1::bigint is not null"]))
            name, type_ = "integration of another store", "events"
        case _:
            monkeypatch.setitem(graph["promotions"].owners, "customers", PUBLIC)
            name, type_ = "customer", "promotions"
    assert await asker.faults(asker.everybody[name], [type_]) != []
