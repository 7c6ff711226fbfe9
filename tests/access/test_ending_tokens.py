"""Tokens that are listed, used and ended: over the API, at the command line, in every process."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from starlette.applications import Starlette

from service import clock
from service.operations.access import tokens
from service.principal import Store
from service.settings import Settings
from service.store import notices
from service.store.pool import Connection, Database
from tests import factories
from tests.processes import reprise
from tests.servers import server
from tests.spec.writing import Api
from tests.support import Access, Grant, make_store

SOON = 2.0
"""Seconds within which a notice arrives, on a busy machine too; far below what tokens are believed for here."""


async def refused_soon(client: httpx2.AsyncClient, access: Access) -> bool:
    """Whether a token comes to be refused before its time in the cache is over."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        if (await client.get("/api/skus", headers=access.headers)).status_code == 401:
            return True
        await asyncio.sleep(0.02)
    return False


async def events(connection: Connection, store: Store, id_: str) -> list[tuple[str, str]]:
    rows = await connection.fetch(
        "select name, actor_type from events where store_id = $1 and resource_id = $2 order by id", store.id, id_
    )
    return [tuple(row) for row in rows]


@pytest.mark.rule("FM-147")
@pytest.mark.parametrize("way", ["verb", "delete"])
async def test_a_token_is_ended_over_the_api(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access, grant: Grant, *, way: str
) -> None:
    access, api = await grant(), Api(client, integration)
    assert (await client.get("/api/skus", headers=access.headers)).status_code == 200
    if way == "verb":
        answer = await api.update("access_tokens", access.id, {"_revoke": True})
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["attributes"]["revoked_at"] is not None
        again = await api.update("access_tokens", access.id, {"_revoke": True})
        assert again.headers["etag"] == answer.headers["etag"]
        assert (await events(connection, store, access.id))[-1] == ("access_tokens.revoke", "tokens")
    else:
        answer = await client.delete(f"/api/access_tokens/{access.id}", headers=integration.headers)
        assert answer.status_code == 204, answer.text
        assert (await events(connection, store, access.id))[-1] == ("access_tokens.destroy", "tokens")
    refused = await client.get("/api/skus", headers=access.headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (401, "INVALID_TOKEN")


@pytest.mark.rule("FM-147")
async def test_tokens_are_listed_without_what_they_are_used_by(
    client: httpx2.AsyncClient, integration: Access, grant: Grant, connection: Connection, store: Store
) -> None:
    customer = await factories.customer(connection, store)
    whole, of_customer = await grant(), await grant(customer_id=customer)
    answer = await client.get("/api/access_tokens?sort=created_at&include=customer", headers=integration.headers)
    assert answer.status_code == 200, answer.text
    found = {one["id"]: one["attributes"] for one in answer.json()["data"]}
    assert set(found) == {integration.id, whole.id, of_customer.id}
    assert found[whole.id]["hint"] == whole.token[-4:]
    assert found[of_customer.id]["kind"] == "customer"
    assert all(access.token not in answer.text for access in (whole, of_customer, integration))
    assert not {"token", "hash"} & set(found[whole.id])


async def test_who_may_look_after_tokens(
    client: httpx2.AsyncClient, database: Database, grant: Grant, connection: Connection, store: Store
) -> None:
    customer = await grant(customer_id=await factories.customer(connection, store))
    other = await grant(store=await make_store(database))
    reader = await grant(scopes=["read_store_profile"])
    victim, url = await grant(), "/api/access_tokens"
    revoke = {"data": {"type": "access_tokens", "id": victim.id, "attributes": {"_revoke": True}}}
    for access, read, write in ((customer, 403, 403), (other, 404, 404), (reader, 200, 403)):
        assert (await client.get(f"{url}/{victim.id}", headers=access.headers)).status_code == read
        answer = await client.patch(f"{url}/{victim.id}", json=revoke, headers=access.headers)
        assert answer.status_code == write, answer.text
        assert (await client.delete(f"{url}/{victim.id}", headers=access.headers)).status_code == write
    made = await client.post(url, json={"data": {"type": "access_tokens"}}, headers=(await grant()).headers)
    assert made.status_code == 405
    assert (await client.get("/api/skus", headers=victim.headers)).status_code == 200


@pytest.mark.rule("FM-147")
async def test_use_is_noted_once_an_hour_and_not_by_the_request_itself(
    app: Starlette, client: httpx2.AsyncClient, connection: Connection, grant: Grant
) -> None:
    access, uses = await grant(), app.state.service.uses
    used_at = "select last_used_at from access_tokens where id = $1"
    assert (await client.get("/api/skus", headers=access.headers)).status_code == 200
    assert await connection.fetchval(used_at, access.id) is None
    await uses.write()
    noted = await connection.fetchval(used_at, access.id)
    assert clock.now() - noted < timedelta(minutes=1)
    version = await connection.fetchval("select xmin::text from access_tokens where id = $1", access.id)
    assert (await client.get("/api/skus", headers=access.headers)).status_code == 200
    await uses.write()
    assert await connection.fetchval("select xmin::text from access_tokens where id = $1", access.id) == version

    await connection.execute(
        "update access_tokens set last_used_at = $2 where id = $1", access.id, clock.now() - timedelta(hours=1)
    )
    assert (await client.get("/api/skus", headers=access.headers)).status_code == 200
    await uses.write()
    assert await connection.fetchval(used_at, access.id) >= noted


async def test_what_other_processes_have_noted_is_not_written_again(
    connection: Connection, store: Store, grant: Grant
) -> None:
    access, at = await grant(), datetime(2026, 5, 1, 12, tzinfo=UTC)
    used_at = "select last_used_at from access_tokens where id = $1"
    await tokens.note_use(connection, store.id, [access.id], at)
    await tokens.note_use(connection, store.id, [access.id], at + timedelta(minutes=59))
    assert await connection.fetchval(used_at, access.id) == at
    await tokens.note_use(connection, store.id, [access.id], at + timedelta(minutes=60))
    assert await connection.fetchval(used_at, access.id) == at + timedelta(minutes=60)


@pytest.mark.rule("FM-147")
async def test_every_process_refuses_an_ended_token_once_it_has_heard(
    database: Database, database_url: str, store: Store, grant: Grant
) -> None:
    revoker = await grant()
    async with server(database_url, "--remember=600") as (_, one), server(database_url, "--remember=600") as (_, two):
        for way in ("api", "command", "erasing"):
            async with database.connection() as connection:
                customer = await factories.customer(connection, store, email=f"{way}@example.com")
            access = await grant(customer_id=customer if way == "erasing" else None)
            for client in (one, two):
                assert (await client.get("/api/skus", headers=access.headers)).status_code == 200
            if way == "command":
                done = await asyncio.to_thread(
                    reprise, "token", "revoke", access.id, "--store", str(store.id), DATABASE_URL=database_url
                )
                assert done.code == 0, done.err
            else:
                type_, id_, verb = (
                    ("access_tokens", access.id, "_revoke") if way == "api" else ("customers", customer, "_erase")
                )
                sent = {"data": {"type": type_, "id": id_, "attributes": {verb: True}}}
                answer = await one.patch(f"/api/{type_}/{id_}", json=sent, headers=revoker.headers)
                assert answer.status_code == 200, answer.text
                assert (await one.get("/api/skus", headers=access.headers)).status_code == 401
            assert await refused_soon(one, access), way
            assert await refused_soon(two, access), way
            assert (await two.get("/api/skus", headers=revoker.headers)).status_code == 200


@pytest.mark.parametrize("lost", [False, True])
async def test_notices_are_heard_again_after_the_connection_was_lost(
    database: Database, settings: Settings, *, lost: bool
) -> None:
    heard: asyncio.Queue[int | None] = asyncio.Queue()
    listening = asyncio.create_task(notices.listen(settings, forgets=heard.put_nowait))
    try:
        # What happened before anybody listened may have been missed.
        assert await asyncio.wait_for(heard.get(), 30) is None
        if lost:
            async with database.connection() as connection:
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%'"
                    " and datname = current_database()"
                )
            assert await asyncio.wait_for(heard.get(), 30) is None
        async with database.transaction() as connection:
            await notices.forget(connection, 77)
            assert heard.empty()
        assert await asyncio.wait_for(heard.get(), 30) == 77
    finally:
        listening.cancel()


@pytest.mark.rule("FM-147")
async def test_without_a_notice_an_ended_token_is_refused_when_its_time_in_the_cache_is_over(
    database_url: str, connection: Connection, store: Store, grant: Grant
) -> None:
    access = await grant()
    async with server(database_url, "--remember=0.5") as (_, client):
        assert (await client.get("/api/skus", headers=access.headers)).status_code == 200
        await connection.execute(
            "update access_tokens set revoked_at = now() where store_id = $1 and id = $2", store.id, access.id
        )
        assert await refused_soon(client, access)


async def test_tokens_of_the_command_line_end_by_themselves_are_listed_and_tell_of_themselves(
    database_url: str, connection: Connection, store: Store
) -> None:
    at, told = ("--store", str(store.id)), {"DATABASE_URL": database_url}
    made = await asyncio.to_thread(reprise, "token", "create", *at, "--name", "ERP", **told)
    lasting = await asyncio.to_thread(reprise, "token", "create", *at, "--expires-in", "never", **told)
    assert (made.code, lasting.code) == (0, 0), made.err + lasting.err
    rows = await connection.fetch(
        "select id, expires_at - created_at as lives from access_tokens where store_id = $1 order by created_at",
        store.id,
    )
    assert [row["lives"] for row in rows] == [timedelta(days=90), None]
    assert await events(connection, store, rows[0]["id"]) == [("access_tokens.create", "operators")]

    revoked = await asyncio.to_thread(reprise, "token", "revoke", rows[0]["id"], *at, **told)
    assert revoked.code == 0, revoked.err
    assert (await events(connection, store, rows[0]["id"]))[-1] == ("access_tokens.revoke", "operators")
    unknown = await asyncio.to_thread(reprise, "token", "revoke", "nobody", *at, **told)
    assert (unknown.code, unknown.out) == (1, "")
    shown = await asyncio.to_thread(reprise, "token", "list", *at, **told)
    assert shown.code == 0, shown.err
    newest, oldest = shown.out.splitlines()
    assert [rows[1]["id"], "live", "integration"] == newest.split()[:3]
    assert "never" in newest
    assert oldest.split()[:2] == [rows[0]["id"], "revoked"]
    assert oldest.endswith("ERP")
    assert made.out.strip() not in shown.out
