"""Who is refused is counted by minute, address and reason, and nobody fills the disk with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest_asyncio
from starlette.applications import Starlette

from service import clock
from service.http import refusals
from service.jobs import clean
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.access.fetching import JWT_BEARER, asked, made
from tests.processes import reprise
from tests.spec.writing import Api
from tests.support import Access, Grant

ROWS = "select * from refused_authentications where store_id = $1"


@pytest_asyncio.fixture
async def counted(app: Starlette, connection: Connection) -> AsyncIterator[Any]:
    """Writes what was noted, and gives how often which reason was counted of a store."""
    await connection.execute("delete from refused_authentications")
    await connection.execute("delete from collection_changes where collection = 'refused_authentications'")

    async def write(store_id: int) -> Counter[str]:
        await app.state.service.refusals.write()
        found: Counter[str] = Counter()
        for row in await connection.fetch(ROWS, store_id):
            found[row["kind"]] += row["refusals_count"]
        return found

    yield write
    await connection.execute("delete from refused_authentications where store_id = 0")
    await connection.execute("delete from collection_changes where store_id = 0")


def from_address(app: Starlette, address: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def test_kinds_are_told_apart(
    *,
    client: httpx2.AsyncClient,
    database: Database,
    grant: Grant,
    connection: Connection,
    store: Store,
    counted: Any,
) -> None:
    expired, revoked = await grant(), await grant()
    await connection.execute("update access_tokens set expires_at = now() where id = $1", expired.id)
    await connection.execute("update access_tokens set revoked_at = now() where id = $1", revoked.id)
    unknown = Access("", f"secret_{store.id}_{'x' * 43}")
    for access, times in ((expired, 1), (revoked, 2), (unknown, 3)):
        for _ in range(times):
            assert (await client.get("/api/orders", headers=access.headers)).status_code == 401
    shown = await made(database, store)
    assertion = {"grant_type": JWT_BEARER, **shown.credentials, "assertion": "none"}
    assert (await asked(client, **assertion)).status_code == 400
    wrong = {"client_id": shown.client_id, "client_secret": "wrong"}
    assert (await asked(client, grant_type="client_credentials", **wrong)).status_code == 401
    signed_in = await grant(customer_id=await factories.customer(connection, store))
    session = signed_in.headers | {"X-Cart-Session": "x" * 32}
    assert (await client.get("/api/carts", headers=session)).status_code == 401
    assert await counted(store.id) == {
        "expired": 1, "revoked": 2, "unknown": 3, "grant": 1, "client": 1, "session": 1,
    }  # fmt: skip
    await client.get("/api/orders")
    for token in ("nonsense", f"secret_999999999_{'x' * 43}"):
        await client.get("/api/orders", headers=Access("", token).headers)
    assert await counted(0) == {"missing": 1, "malformed": 1, "unknown": 1}


async def test_they_are_read_with_the_audit_s_scope(
    client: httpx2.AsyncClient, grant: Grant, store: Store, counted: Any
) -> None:
    for _ in range(2):
        await client.get("/api/orders", headers=Access("", f"secret_{store.id}_{'x' * 43}").headers)
        await counted(store.id)
    auditor = Api(client, await grant(scopes=["read_audit"]))
    (shown,) = (await auditor.get("refused_authentications?filter[kind]=unknown"))["data"]
    assert (shown["attributes"]["address"], shown["attributes"]["refusals_count"]) == ("127.0.0.1", 2)
    assert (await auditor.get("refused_authentications"))["meta"]["record_count"] == 1


async def test_addresses_of_ipv6_are_networks(app: Starlette, connection: Connection, counted: Any) -> None:
    for host in range(3):
        async with from_address(app, f"2001:db8::{host + 1}") as client:
            assert (await client.get("/api/orders")).status_code == 401
    await counted(0)
    rows = await connection.fetch(ROWS, 0)
    assert [(row["address"], row["refusals_count"]) for row in rows] == [("2001:db8::/64", 3)]


async def test_ten_thousand_refusals_from_many_addresses_are_few_rows(
    app: Starlette, connection: Connection, store: Store, counted: Any
) -> None:
    token = f"secret_{store.id}_{'x' * 43}"
    for number in range(5_000):
        async with from_address(app, f"10.{number // 250}.0.{number % 250}") as client:
            assert (await client.get("/api/orders")).status_code == 401
            assert (await client.get("/api/orders", headers=Access("", token).headers)).status_code == 401
    of_none, of_store = await counted(0), await counted(store.id)
    assert of_none["missing"] == 5_000
    assert of_store["unknown"] + of_none["unknown"] == 5_000
    rows = await connection.fetch("select kind, address, started_at from refused_authentications")
    minutes = len({row["started_at"] for row in rows})
    hours = len({row["started_at"].replace(minute=0) for row in rows})
    assert len(rows) <= 2 * (refusals.MOST * hours + minutes)
    # The flood of one kind leaves room for another.
    gone = await connection.fetchval("select count(*) from refused_authentications where address is null")
    assert gone >= 2


async def test_a_flood_of_one_kind_hides_none_of_another(
    app: Starlette, grant: Grant, connection: Connection, store: Store, counted: Any
) -> None:
    for number in range(refusals.MOST + 20):
        async with from_address(app, f"10.0.1.{number}") as client:
            await client.get("/api/orders")
    revoked = await grant()
    await connection.execute("update access_tokens set revoked_at = now() where id = $1", revoked.id)
    async with from_address(app, "203.0.113.9") as client:
        await client.get("/api/orders", headers=revoked.headers)
    assert (await counted(store.id))["revoked"] == 1
    assert await connection.fetchval(f"{ROWS} and address = '203.0.113.9'", store.id) is not None


async def test_they_go_with_their_time_and_are_printed_before(
    client: httpx2.AsyncClient, database: Database, database_url: str, connection: Connection, counted: Any
) -> None:
    await client.get("/api/orders")
    await counted(0)
    printed = await asyncio.to_thread(reprise, "audit", "--refused", DATABASE_URL=database_url)
    (line,) = printed.out.splitlines()
    assert line.split()[2:] == ["1", "missing", "127.0.0.1"]
    await clean.clean(database, timedelta(hours=1))
    assert await connection.fetchval("select count(*) from refused_authentications") == 1
    past = "update refused_authentications set started_at = $1"
    await connection.execute(past, clock.now() - timedelta(hours=2))
    await clean.clean(database, timedelta(hours=1))
    assert await connection.fetchval("select count(*) from refused_authentications") == 0
