"""Whoever asks sees what is theirs, and can't tell what is another's from what isn't there: the whole matrix.

Every identity names a resource of every type in every way, and then one that doesn't exist. Where it isn't theirs, both
answers are the same to the byte, but for the ids; nothing is written. `pytest -rP` shows how many requests were sent.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace

import httpx2
import pytest
from starlette.applications import Starlette

from schemas.graph import PUBLIC, graph
from service import clock, resources
from service.principal import Store
from service.resources import RESOURCES
from service.settings import Settings
from service.store import read
from service.store.compile import Statement
from service.store.pool import Connection, Database
from tests.contract.conftest import inhabit
from tests.isolation.asking import Named, Request, about, sweeps
from tests.isolation.identities import Identity, identities
from tests.support import Grant, make_store

TYPES = [type_ for type_ in RESOURCES if type_ != "tokens"]
"""All that can be named: what makes tokens keeps none of its own."""

VARYING = frozenset(
    {"date", "server-timing", "x-request-id", "traceparent", "x-ratelimit-remaining", "ratelimit", "etag"}
)
"""Headers that say nothing of what was asked for; a tag stands for the body, which is compared."""

WHO = (
    "without a token", "guest", "customer", "another customer", "integration of another store",
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
        everybody = await identities(connection, store, made.other, made.world["customers"], grant)
        made.everybody = {who.name: who for who in everybody}
        yield made
        sys.stdout.write(f"{made.requests} requests\n")


@pytest.mark.timeout(280)
@pytest.mark.parametrize("name", WHO)
async def test_nobody_can_tell_what_is_anothers_from_what_is_not_there(asker: Asker, name: str) -> None:
    assert await asker.faults(asker.everybody[name], TYPES) == []
    assert asker.requests > len(TYPES)


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
