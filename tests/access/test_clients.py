"""Clients of the API: made, shown once, rotated and ended."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from service.principal import CUSTOMER_SCOPES, SCOPES, Store
from service.store.pool import Connection, Database
from tests.access.fetching import Client, fetch, made
from tests.processes import reprise
from tests.spec.writing import Api
from tests.support import Access, Grant, make_store


async def test_a_client_is_made_its_secret_shown_once_and_kept_as_a_hash(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    api = Api(client, integration)
    data = await api.create("api_clients", {"name": "ERP", "scopes": ["read_orders"]})
    shown = data["attributes"]
    assert (shown["kind"], shown["scopes"]) == ("integration", ["read_orders"])
    assert shown["client_id"].startswith(f"client_{store.id}_")
    row = await connection.fetchrow("select * from api_clients where id = $1", data["id"])
    assert shown["client_secret"] not in str(dict(row or {}))
    again = await api.get(f"api_clients/{data['id']}")
    assert "client_secret" not in again["data"]["attributes"]
    got = await fetch(client, Client(shown["client_id"], shown["client_secret"]))
    answer = await client.get("/api/orders", headers=got.headers)
    assert answer.status_code == 200
    assert (await client.get("/api/carts", headers=got.headers)).status_code == 403


async def test_no_token_gives_a_client_more_than_it_holds(
    client: httpx2.AsyncClient, integration: Access, grant: Grant
) -> None:
    backend = Api(client, await grant(scopes=["create_tokens", "read_orders"]))
    granted = await backend.create("api_clients", {"name": "A"})
    assert granted["attributes"]["scopes"] == ["read_orders", "create_tokens"]
    whole = Api(client, integration)
    assert (await whole.create("api_clients", {"name": "A"}))["attributes"]["scopes"] == list(SCOPES)
    channel = await whole.create("api_clients", {"name": "A", "kind": "sales_channel"})
    assert set(channel["attributes"]["scopes"]) == CUSTOMER_SCOPES
    wrong: list[dict[str, Any]] = [
        {"name": "A", "scopes": ["update_orders"]},
        {"name": "A", "scopes": []},
        {"name": "A", "kind": "sales_channel", "scopes": ["create_tokens"]},
    ]
    for attributes in wrong:
        sent = {"data": {"type": "api_clients", "attributes": attributes}}
        answer = await backend.send("POST", "api_clients", sent)
        assert (answer.status_code, answer.json()["errors"][0]["source"]["pointer"]) == (
            422,
            "/data/attributes/scopes",
        ), answer.text
    refused = await backend.update("api_clients", granted["id"], {"scopes": ["read_orders", "update_orders"]})
    assert refused.status_code == 422
    assert (await backend.update("api_clients", granted["id"], {"scopes": ["read_orders"]})).status_code == 200


@pytest.mark.parametrize("way", ["verb", "delete", "command"])
async def test_the_end_of_a_client_ends_its_tokens(
    client: httpx2.AsyncClient, database_url: str, integration: Access, store: Store, database: Database, *, way: str
) -> None:
    shown = await made(database, store)
    other = await made(database, store)
    got, of_other = await fetch(client, shown), await fetch(client, other)
    api = Api(client, integration)
    listed = await api.get(f"api_clients/{shown.id}/access_tokens")
    assert [one["attributes"]["kind"] for one in listed["data"]] == ["integration"]
    if way == "verb":
        assert (await api.update("api_clients", shown.id, {"_revoke": True})).status_code == 200
    elif way == "delete":
        assert (await api.send("DELETE", f"api_clients/{shown.id}")).status_code == 204
    else:
        done = await asyncio.to_thread(
            reprise, "client", "revoke", shown.id, "--store", str(store.id), DATABASE_URL=database_url
        )
        assert done.code == 0, done.err
    assert (await client.get("/api/skus", headers=got.headers)).status_code == 401
    assert (await client.get("/api/skus", headers=of_other.headers)).status_code == 200
    answer = await client.post("/oauth/token", json={"grant_type": "client_credentials", **shown.credentials})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_clients_of_another_store_are_none_of_ours(
    client: httpx2.AsyncClient, database: Database, integration: Access
) -> None:
    foreign, api = await made(database, await make_store(database)), Api(client, integration)
    assert (await api.send("GET", f"api_clients/{foreign.id}")).status_code == 404
    assert (await api.update("api_clients", foreign.id, {"_revoke": True})).status_code == 404
    got = await fetch(client, foreign)
    assert (await client.get("/api/orders", headers=got.headers)).json()["data"] == []


async def test_clients_are_looked_after_at_the_command_line(
    client: httpx2.AsyncClient, database_url: str, connection: Connection, store: Store
) -> None:
    at, told = ("--store", str(store.id)), {"DATABASE_URL": database_url}
    done = await asyncio.to_thread(reprise, "client", "create", *at, "--name", "ERP", "--scopes", "read_orders", **told)
    assert done.code == 0, done.err
    lines = dict(line.split(" ") for line in done.out.splitlines())
    assert list(lines) == ["client_id", "client_secret"]
    first = Client(lines["client_id"], lines["client_secret"])
    got = await fetch(client, first)

    listed = await asyncio.to_thread(reprise, "client", "list", *at, **told)
    id_, state, kind, client_id, name = listed.out.split()
    assert (state, kind, client_id, name) == ("live", "integration", first.client_id, "ERP")
    assert first.secret not in listed.out
    rotated = await asyncio.to_thread(reprise, "client", "rotate", id_, *at, **told)
    second = Client(first.client_id, rotated.out.removeprefix("client_secret ").strip())
    assert (await client.get("/api/orders", headers=got.headers)).status_code == 200
    assert (await client.get("/api/orders", headers=(await fetch(client, second)).headers)).status_code == 200
    answer = await client.post("/oauth/token", json={"grant_type": "client_credentials", **first.credentials})
    assert answer.status_code == 401
    names = "select name, actor_type from events where store_id = $1 and resource_id = $2 order by id"
    assert [tuple(row) for row in await connection.fetch(names, store.id, id_)] == [
        ("api_clients.create", "operators"),
        ("api_clients.update", "operators"),
        ("api_clients.rotate", "operators"),
    ]
    channel = ("--name", "Shop", "--kind", "sales_channel", "--scopes", "create_tokens")
    wrong = await asyncio.to_thread(reprise, "client", "create", *at, *channel, **told)
    assert wrong.code == 2
    assert "create_tokens" in wrong.err
