"""Access tokens: made, found again, refused; over the API and below it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from service import clock
from service.errors import Conflict, Invalid, NotFound
from service.operations.access import tokens
from service.principal import CUSTOMER_SCOPES, SCOPES, Store
from service.store.pool import Connection, Database
from tests import factories
from tests.support import Access, Grant, make_store


async def issue(connection: Connection, store: Store, **options: Any) -> tuple[str, str]:
    defaults = {"customer_id": None, "scopes": SCOPES, "name": None, "expires_at": None, "at": clock.now()}
    return await tokens.issue(connection, store.id, **(defaults | options))


async def test_a_token_is_found_with_its_store_scopes_and_customer(connection: Connection, store: Store) -> None:
    id_, token = await issue(connection, store, scopes=["update_orders", "read_orders"])
    assert token.startswith(f"secret_{store.id}_")
    found = await tokens.find(connection, token, clock.now())
    assert found is not None
    assert (found.store, found.token_id, found.customer_id) == (store, id_, None)
    assert found.scopes == {"read_orders", "update_orders"}

    customer_id = await factories.customer(connection, store)
    _, token = await issue(connection, store, customer_id=customer_id, scopes=CUSTOMER_SCOPES)
    assert token.startswith(f"customer_{store.id}_")
    found = await tokens.find(connection, token, clock.now())
    assert found is not None
    assert (found.customer_id, found.scopes) == (customer_id, CUSTOMER_SCOPES)


async def test_only_a_hash_is_kept(connection: Connection, store: Store) -> None:
    id_, token = await issue(connection, store)
    row = await connection.fetchrow("select * from access_tokens where store_id = $1 and id = $2", store.id, id_)
    assert row is not None
    assert row["hash"] == hashlib.sha256(token.encode()).digest()
    assert row["hint"] == token[-4:]
    assert token not in str(dict(row))


async def test_two_tokens_share_nothing(connection: Connection, store: Store) -> None:
    made = {(await issue(connection, store))[1].split("_", 2)[2] for _ in range(20)}
    assert len(made) == 20
    assert all(len(random) >= 32 for random in made)


async def test_what_is_no_live_token_finds_nobody(connection: Connection, store: Store) -> None:
    at = clock.now()
    _, token = await issue(connection, store, expires_at=at + timedelta(seconds=10))
    assert await tokens.find(connection, token, at + timedelta(seconds=9))
    assert await tokens.find(connection, token, at + timedelta(seconds=10)) is None

    id_, token = await issue(connection, store)
    assert await tokens.find(connection, token, at)
    await connection.execute(
        "update access_tokens set revoked_at = $3 where store_id = $1 and id = $2", store.id, id_, at
    )
    assert await tokens.find(connection, token, at) is None

    _, token = await issue(connection, store)
    assert await tokens.find(connection, token[:-1] + ("A" if token[-1] != "A" else "B"), at) is None
    assert await tokens.find(connection, token.replace("secret", "customer"), at) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "secret_1003",
        "secret_1003_short",
        "secret_0_" + "a" * 43,
        "secret_99999999999999999999_" + "a" * 43,
        "secret_1003_" + "a" * 43 + "\n",
        "secret_١٠٠٣_" + "a" * 43,
        "secret_1003_" + "a" * 42 + "\x00",
        "secret_1003_" + "a" * 100_000,
    ],
)
async def test_what_is_no_token_needs_no_statement(database: Database, text: str) -> None:
    async with database.connection() as connection:
        # In an aborted transaction any statement would raise.
        transaction = connection.transaction()
        await transaction.start()
        with pytest.raises(Exception, match="division by zero"):
            await connection.execute("select 1 / 0")
        assert await tokens.find(connection, text, clock.now()) is None
        await transaction.rollback()


async def test_a_token_of_another_store_is_of_no_use_here(
    database: Database, connection: Connection, store: Store
) -> None:
    other = await make_store(database)
    _, token = await issue(connection, other)
    assert await tokens.find(connection, token.replace(str(other.id), str(store.id)), clock.now()) is None


async def test_a_token_brings_the_time_of_its_store(connection: Connection, store: Store) -> None:
    _, token = await issue(connection, store)
    frozen = datetime(2030, 1, 31, 12, tzinfo=UTC)
    clock_id = await factories.insert(connection, "test_clocks", store, frozen_at=frozen)
    await connection.execute("update stores set test_clock_id = $2 where store_id = $1", store.id, clock_id)
    found = await tokens.find(connection, token, clock.now())
    assert found is not None
    assert clock.now(found.store) == frozen


async def test_what_cannot_be_issued_is_refused(database: Database, connection: Connection, store: Store) -> None:
    with pytest.raises(Invalid, match="read_minds"):
        await issue(connection, store, scopes=["read_orders", "read_minds"])
    customer_id = await factories.customer(connection, store)
    with pytest.raises(Invalid, match="create_tokens"):
        await issue(connection, store, customer_id=customer_id, scopes=["create_tokens"])
    with pytest.raises(NotFound):
        await issue(connection, store, customer_id="nobody", scopes=[])
    with pytest.raises(NotFound):
        await issue(connection, await make_store(database), customer_id=customer_id, scopes=[])
    id_, _ = await issue(connection, store)
    with pytest.raises(Conflict):
        await issue(connection, store, id=id_)


def document(customer_id: str | None, **attributes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"type": "tokens", "attributes": attributes}
    if customer_id is not None:
        data["relationships"] = {"customer": {"data": {"type": "customers", "id": customer_id}}}
    return {"data": data}


async def test_a_backend_mints_a_customers_token(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    customer_id = await factories.customer(connection, store)
    backend = await grant(scopes=["create_tokens", *CUSTOMER_SCOPES])
    before = clock.now()
    answer = await client.post("/api/tokens", json=document(customer_id, name="app"), headers=backend.headers)
    assert answer.status_code == 201
    attributes = answer.json()["data"]["attributes"]
    assert attributes["kind"] == "customer"
    assert sorted(attributes["scopes"]) == sorted(CUSTOMER_SCOPES)
    lifetime = datetime.fromisoformat(attributes["expires_at"]) - before
    assert timedelta(seconds=3595) < lifetime < timedelta(seconds=3630)

    minted = Access(answer.json()["data"]["id"], attributes["token"])
    theirs = await client.get(f"/api/customers/{customer_id}", headers=minted.headers)
    assert theirs.status_code == 200
    again = await client.get(answer.headers["location"], headers=(await grant()).headers)
    assert again.status_code == 200
    assert minted.token not in again.text
    event = "select actor_id from events where store_id = $1 and name = 'access_tokens.create' and resource_id = $2"
    assert await connection.fetchval(event, store.id, minted.id) == backend.id


@pytest.mark.parametrize("seconds", [1, 86_400])
async def test_a_token_lives_for_as_long_as_was_asked(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access, seconds: int
) -> None:
    sent, before = document(await factories.customer(connection, store), expires_in=seconds), clock.now()
    answer = await client.post("/api/tokens", json=sent, headers=integration.headers)
    after = clock.now()
    assert answer.status_code == 201, answer.text
    attributes = answer.json()["data"]["attributes"]
    lifetime = timedelta(seconds=seconds)
    assert before + lifetime <= datetime.fromisoformat(attributes["expires_at"]) <= after + lifetime
    assert "expires_in" not in attributes


async def test_nobody_hands_out_more_than_they_hold(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    customer_id = await factories.customer(connection, store)
    backend = await grant(scopes=["create_tokens", "read_orders"])
    answer = await client.post("/api/tokens", json=document(customer_id), headers=backend.headers)
    assert answer.json()["data"]["attributes"]["scopes"] == ["read_orders"]
    poor = await grant(scopes=["create_tokens"])
    for access, sent in (
        (backend, document(customer_id, scopes=["read_orders", "update_orders"])),
        (backend, document(customer_id, scopes=[])),
        (poor, document(customer_id)),
    ):
        refused = await client.post("/api/tokens", json=sent, headers=access.headers)
        assert refused.status_code == 422, refused.text


async def test_minting_asks_for_its_scope_and_a_customer_never_has_it(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    customer_id = await factories.customer(connection, store)
    for access in (
        await grant(scopes=[scope for scope in SCOPES if scope != "create_tokens"]),
        await grant(customer_id=customer_id),
    ):
        answer = await client.post("/api/tokens", json=document(customer_id), headers=access.headers)
        assert answer.status_code == 403


async def test_what_cannot_be_minted_is_refused_with_a_pointer(
    client: httpx2.AsyncClient, database: Database, connection: Connection, store: Store, integration: Access
) -> None:
    customer_id = await factories.customer(connection, store)
    foreign = await factories.customer(connection, await make_store(database))
    later = (clock.now() + timedelta(days=2)).isoformat()
    past = (clock.now() - timedelta(seconds=1)).isoformat()
    soon = (clock.now() + timedelta(hours=1)).isoformat()
    for sent, status, pointer in (
        (document(None), 422, "/data"),
        (document(foreign), 404, "/data/relationships/customer/data"),
        (document(customer_id, scopes=["create_tokens"]), 422, "/data/attributes/scopes"),
        (document(customer_id, expires_at=later), 422, "/data/attributes/expires_at"),
        (document(customer_id, expires_at=past), 422, "/data/attributes/expires_at"),
        (document(customer_id, expires_in=0), 422, "/data/attributes/expires_in"),
        (document(customer_id, expires_in=86_401), 422, "/data/attributes/expires_in"),
        (document(customer_id, expires_in=None), 422, "/data/attributes/expires_in"),
        (document(customer_id, expires_in=60, expires_at=soon), 422, "/data/attributes/expires_in"),
        (document(customer_id, expires_in=60, expires_at=None), 422, "/data/attributes/expires_in"),
    ):
        answer = await client.post("/api/tokens", json=sent, headers=integration.headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["errors"][0]["source"]["pointer"] == pointer
    assert await connection.fetchval("select count(*) from access_tokens where store_id = $1", store.id) == 1
