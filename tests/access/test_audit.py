"""Who did what: every write leaves an entry that names the token, the address and the request."""

from __future__ import annotations

import asyncio
import getpass
import os
from datetime import timedelta
from typing import Any

import httpx2
import pytest

import sql
from service import clock
from service.http.facades.wemasy import PATH as WEMASY
from service.jobs import clean
from service.principal import SCOPES, Store
from service.resources import RESOURCES
from service.store.pool import Connection, Database
from tests import factories
from tests.access.fetching import made
from tests.checkout.conftest import Holder
from tests.processes import reprise, serving
from tests.sealed import session_of
from tests.spec.operating import Batches, add
from tests.spec.writing import Api, resource, to, to_all
from tests.support import Access, Grant, make_store

HERE = "127.0.0.1"


@pytest.fixture
def trail(client: httpx2.AsyncClient, grant: Grant) -> Any:
    """The entries of a request, the oldest first, as somebody reads them who may read nothing else."""

    async def of(request_id: str) -> list[dict[str, Any]]:
        auditor = Api(client, await grant(scopes=["read_audit"]))
        found = await auditor.get(f"event_stores?filter[request_id]={request_id}&sort=id&page[size]=100")
        return [one["attributes"] for one in found["data"]]

    return of


def told(entry: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(entry[name] for name in names)


async def test_every_verb_of_a_resource_is_told(
    client: httpx2.AsyncClient, integration: Access, trail: Any, connection: Connection, store: Store
) -> None:
    api = Api(client, integration)
    tag = (await api.create("tags", {"name": "vip"}))["id"]
    sku = await factories.sku(connection, store)
    customer = await factories.customer(connection, store)
    id_ = (await api.create("prices", {"amount_cents": 5, "currency_code": "EUR"}, {"sku": to("skus", sku.id)}))["id"]
    sent: list[tuple[str, str, Any, str]] = [
        ("PATCH", f"prices/{id_}", resource("prices", {"amount_cents": 7}, id=id_), "prices.update"),
        ("DELETE", f"prices/{id_}", None, "prices.destroy"),
        ("POST", f"customers/{customer}/relationships/tags", to_all("tags", tag), "customers.update"),
        ("PATCH", f"customers/{customer}/relationships/customer_group", to("customer_groups", None), ""),
    ]
    for number, (method, path, document, name) in enumerate(sent):
        answer = await api.send(method, path, document, **{"X-Request-Id": f"request-{number}-{store.id}"})
        assert answer.status_code in (200, 204), answer.text
        entries = await trail(f"request-{number}-{store.id}")
        assert [one["name"] for one in entries] == ([name] if name else [])
        for entry in entries:
            assert told(entry, "actor_type", "actor_id", "token_id", "address") == (
                "tokens", integration.id, integration.id, HERE,
            )  # fmt: skip
            assert entry["who"] == {"token": {"id": integration.id}}
            assert entry["event"] == name.partition(".")[2]
    changed = (await trail(f"request-0-{store.id}"))[0]
    assert changed["payload"] == {"amount_cents": {"from": 5, "to": 7}}


async def test_a_batch_is_told_entry_by_entry(
    client: httpx2.AsyncClient, integration: Access, trail: Any, store: Store
) -> None:
    operations = [add("tags", {"name": f"tag{number}"}) for number in range(3)]
    answer = await Batches(client, integration).run(*operations, **{"X-Request-Id": f"batch-{store.id}"})
    assert answer.status_code == 200, answer.text
    entries = await trail(f"batch-{store.id}")
    assert [told(one, "name", "token_id", "address") for one in entries] == [("tags.create", integration.id, HERE)] * 3


async def test_tokens_of_a_client_are_told_with_it(
    client: httpx2.AsyncClient, database: Database, connection: Connection, trail: Any, store: Store
) -> None:
    shown = await made(database, store)
    at = {"X-Request-Id": f"fetch-{store.id}"}
    answer = await client.post(
        "/oauth/token", json={"grant_type": "client_credentials", **shown.credentials}, headers=at
    )
    assert answer.status_code == 200
    (fetched,) = await trail(at["X-Request-Id"])
    assert told(fetched, "name", "actor_type", "actor_id", "api_client_id", "address") == (
        "access_tokens.create", "api_clients", shown.id, shown.id, HERE,
    )  # fmt: skip
    api = Api(client, Access("", answer.json()["access_token"]))
    await api.send("POST", "tags", resource("tags", {"name": "new"}), **{"X-Request-Id": f"write-{store.id}"})
    (entry,) = await trail(f"write-{store.id}")
    token = await connection.fetchval("select id from access_tokens where api_client_id = $1", shown.id)
    assert entry["who"] == {"application": {"id": shown.id}, "token": {"id": token}}
    revoked = {"X-Request-Id": f"revoke-{store.id}"}
    given_back = {**shown.credentials, "token": answer.json()["access_token"]}
    assert (await client.post("/oauth/revoke", json=given_back, headers=revoked)).status_code == 200
    assert [one["name"] for one in await trail(revoked["X-Request-Id"])] == [
        "access_tokens.update", "access_tokens.revoke",
    ]  # fmt: skip


async def test_customers_and_guests_are_told_with_their_token(
    client: httpx2.AsyncClient, grant: Grant, trail: Any, connection: Connection, store: Store
) -> None:
    customer = await factories.customer(connection, store)
    access = await grant(customer_id=customer)
    sku = await factories.sku(connection, store)
    order = await factories.full_order(connection, store, [factories.Line(sku, 1)], customer_id=customer)
    number = await connection.fetchval("select number from orders where id = $1 and store_id = $2", order, store.id)
    headers = access.headers | {"Content-Type": "application/json", "X-Request-Id": f"wemasy-{store.id}"}
    answer = await client.post(WEMASY, json={"order_id": number}, headers=headers)
    assert answer.status_code == 200, answer.text
    entries = await trail(f"wemasy-{store.id}")
    assert {one["name"] for one in entries} >= {"reorders.create", "carts.create"}
    for entry in entries:
        assert entry["who"] == {"token": {"id": access.id}, "owner": {"type": "Customer", "id": customer}}
        assert entry["address"] == HERE
    cart = await factories.cart(connection, store)
    session = await session_of(connection, store, cart)
    change = resource("carts", {"metadata": {"a": "b"}}, id=cart)
    headers = Holder(store, session).headers | {"X-Request-Id": f"guest-{store.id}"}
    assert (await client.patch(f"/api/carts/{cart}", json=change, headers=headers)).status_code == 200
    (entry,) = await trail(f"guest-{store.id}")
    assert entry["who"] == {"owner": {"type": "Cart", "id": cart}}
    assert entry["address"] == HERE


async def test_commands_are_told_with_who_ran_them(
    database_url: str, connection: Connection, store: Store, trail: Any
) -> None:
    del trail
    login = os.environ.get("SUDO_USER") or getpass.getuser()
    at, told_ = ("--store", str(store.id)), {"DATABASE_URL": database_url}
    made_ = await asyncio.to_thread(reprise, "token", "create", *at, **told_)
    assert made_.code == 0, made_.err
    id_ = await connection.fetchval("select id from access_tokens where store_id = $1", store.id)
    commands = (("token", "revoke", id_, *at), ("client", "create", *at, "--name", "A"), ("keys", "rotate"), ("adopt",))
    for command in commands:
        done = await asyncio.to_thread(reprise, *command, REPRISE_SECRET_KEYS="first-key-of-the-tests", **told_)
        assert done.code == 0, done.err
    rows = await connection.fetch(
        "select name, actor_type, actor_id from events where store_id = $1 and name <> 'markets.create'"
        " and name <> 'stores.create' order by id",
        store.id,
    )
    assert [tuple(row) for row in rows] == [
        (name, "operators", login)
        for name in (
            "access_tokens.create", "access_tokens.update", "access_tokens.revoke", "api_clients.create",
            "stores.rotate_keys", "stores.adopt",
        )
    ]  # fmt: skip
    printed = await asyncio.to_thread(reprise, "audit", *at, **told_)
    assert [line.split()[2] for line in printed.out.splitlines()][:2] == ["stores.adopt", "stores.rotate_keys"]
    assert f"operators:{login}" in printed.out


async def test_a_worker_says_for_which_request_it_works(
    client: httpx2.AsyncClient, integration: Access, database_url: str, store: Store, trail: Any
) -> None:
    api, at = Api(client, integration), f"import-{store.id}"
    sent = {"resource_type": "skus", "inputs": [{"code": "A1", "name": "A"}]}
    answer = await api.send("POST", "imports", resource("imports", sent), **{"X-Request-Id": at})
    assert answer.status_code == 201, answer.text
    with serving("work", until="works", DATABASE_URL=database_url, REPRISE_SECRET_KEYS="first-key-of-the-tests"):
        for _ in range(200):
            entries = await trail(at)
            if entries[-1]["name"] in ("imports.complete", "imports.interrupt"):
                break
            await asyncio.sleep(0.1)
    assert [told(one, "name", "actor_type", "token_id", "address") for one in entries] == [
        ("imports.create", "tokens", integration.id, HERE),
        ("imports.start", "workers", integration.id, None),
        ("imports.complete", "workers", integration.id, None),
    ]
    assert entries[-1]["who"] == {"token": {"id": integration.id}, "worker": {"id": None}}


async def test_read_audit_alone_sees_it(client: httpx2.AsyncClient, grant: Grant, database: Database) -> None:
    types = [type_ for type_, entry in RESOURCES.items() if entry.reads == "read_audit"]
    assert types == ["event_stores", "refused_authentications"]
    others = Api(client, await grant(scopes=[scope for scope in SCOPES if scope != "read_audit"]))
    auditor = Api(client, await grant(scopes=["read_audit"]))
    stranger = Api(client, await grant(scopes=["read_audit"], store=await make_store(database)))
    entry = (await auditor.get("event_stores"))["data"][0]["id"]
    for type_ in types:
        assert (await others.send("GET", type_)).status_code == 403
        assert (await others.send("GET", f"{type_}/{entry}")).status_code == 403
    assert (await stranger.send("GET", f"event_stores/{entry}")).status_code == 404
    assert (await auditor.send("GET", "events")).status_code == 403
    shown = (await others.get(f"events/{entry}"))["data"]["attributes"]
    assert not {"address", "token_id", "api_client_id"} & shown.keys()


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_nobody_changes_it_over_the_api(
    client: httpx2.AsyncClient, integration: Access, store: Store, method: str
) -> None:
    del store
    api = Api(client, integration)
    entry = (await api.get("event_stores"))["data"][0]["id"]
    document = resource("event_stores", {"metadata": {"a": "b"}}, id=entry)
    assert (await api.send(method, f"event_stores/{entry}", document)).status_code in (403, 405)
    assert (await api.send("POST", "event_stores", resource("event_stores", {}))).status_code in (403, 405)


def test_who_serves_requests_adds_to_it_and_takes_nothing_away() -> None:
    rights = sql.grants()["api"]
    events, refused = rights["events"], rights["refused_authentications"]
    assert (set(events), set(refused)) == ({"select", "insert", "update"}, {"select", "insert", "update"})
    what = {"name", "resource_type", "resource_id", "changes", "actor_type", "actor_id", "token_id", "created_at"}
    assert not what & set(events["update"] or what)
    assert set(refused["update"] or ()) == {"refusals_count", "updated_at", "version"}


async def test_addresses_are_let_go_of_once_their_time_is_over(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, database: Database, store: Store
) -> None:
    api = Api(client, integration)
    for number in range(3):
        await api.create("tags", {"name": f"tag{number}"})
    addresses = "select count(*) from events where store_id = $1 and address is not null"
    await clean.clean(database, timedelta(hours=1))
    assert await connection.fetchval(addresses, store.id) == 3
    old = clock.first_id(clock.now() - timedelta(hours=2))
    moved = "update events set id = $2 || right(id, 5) where store_id = $1 and resource_type = 'tags'"
    await connection.execute(moved, store.id, old[:21])
    await clean.clean(database, timedelta(hours=1))
    assert await connection.fetchval(addresses, store.id) == 0
    names = "select count(*) from events where store_id = $1 and name = 'tags.create' and token_id is not null"
    assert await connection.fetchval(names, store.id) == 3


async def test_erasing_a_customer_leaves_what_was_done(
    client: httpx2.AsyncClient, grant: Grant, integration: Access, connection: Connection, store: Store
) -> None:
    customer = await factories.customer(connection, store)
    own = Api(client, await grant(customer_id=customer))
    place = {"first_name": "A", "last_name": "B", "line_1": "C", "city": "D", "country_code": "NL"}
    await own.create("addresses", place)
    rows = "select name, address, token_id from events where store_id = $1 and actor_id = $2"
    before = await connection.fetch(rows, store.id, customer)
    assert [row["address"] for row in before] == [HERE]
    assert (await Api(client, integration).update("customers", customer, {"_erase": True})).status_code == 200
    after = await connection.fetch(rows, store.id, customer)
    assert [tuple(row) for row in after] == [(row["name"], None, row["token_id"]) for row in before]
