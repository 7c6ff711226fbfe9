"""`exports` over HTTP: asked for by an integration, written by a worker, fetched by a URL that ends."""

from __future__ import annotations

import asyncio
import csv
import io
import signal
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from service import clock
from service.demo import load
from service.jobs import clean
from service.operations.data import exports, imports
from service.operations.tenant import tenants
from service.principal import SCOPES, Store
from service.rules.named_tokens import NamedKeys
from service.store.pool import Connection, Database, connect
from tests import roles
from tests.history.bringing import TABLES, bring, rows, shop, sound, told, written
from tests.history.test_round_trip import state
from tests.processes import serving
from tests.spec.writing import Api, resource
from tests.support import KEYS, Access, Grant, make_store


@dataclass
class Served:
    """A store with a shop's history, served over HTTP."""

    api: Api
    client: httpx2.AsyncClient
    connection: Connection
    database: Database
    store: Store

    async def written(self, id_: str) -> dict[str, Any]:
        """The attributes of an export once a worker has had it."""
        await exports.take_out(self.database, self.store.id, id_)
        return await self.shown(id_)

    async def shown(self, id_: str) -> dict[str, Any]:
        """The attributes of an export."""
        shown: dict[str, Any] = (await self.api.get(f"exports/{id_}"))["data"]["attributes"]
        return shown

    async def exported(self, **attributes: object) -> dict[str, Any]:
        """The attributes of an export of this, which is complete."""
        shown = await self.written((await self.api.create("exports", attributes))["id"])
        assert (shown["status"], shown["progress"]) == ("completed", 100), shown
        assert shown["processed_count"] == shown["records_count"]
        return shown

    async def records(self, shown: dict[str, Any]) -> list[dict[str, Any]]:
        """What an export holds."""
        answer = await self.client.get(path_of(shown))
        assert answer.status_code == 200, answer.text
        assert len(answer.content) == shown["attachment_size"]
        found: list[dict[str, Any]] = answer.json()
        return found

    async def imported(self, **attributes: object) -> dict[str, Any]:
        """The attributes of an import, once it was brought in."""
        made = await self.api.create("imports", attributes)
        await imports.go_on(self.connection, self.store.id, made["id"])
        shown: dict[str, Any] = (await self.api.get(f"imports/{made['id']}"))["data"]["attributes"]
        return shown

    async def customers(self, amount: int) -> None:
        """Have so many more of them, each with a note."""
        many = [{"id": f"c{n}", "email": f"c{n}@example.com", "metadata": {"note": "ü" * 100}} for n in range(amount)]
        assert (await self.imported(resource_type="customers", inputs=many))["created_count"] == amount

    async def changed(self, type_: str, id_: str, attributes: dict[str, Any]) -> dict[str, Any]:
        """A resource after a change."""
        answer = await self.api.update(type_, id_, attributes)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()["data"]
        return made

    async def rows(self, table: str) -> list[asyncpg.Record]:
        """All rows of a table."""
        return await rows(self.connection, self.store, table)


def path_of(shown: dict[str, Any]) -> str:
    """Where the file of an export is fetched."""
    return str(urlsplit(shown["attachment_url"]).path)


@pytest_asyncio.fixture
async def at(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, database: Database, store: Store
) -> Served:
    """A store that nothing is in yet."""
    return Served(Api(client, integration), client, connection, database, store)


@pytest_asyncio.fixture
async def full(at: Served, tmp_path: Path) -> Served:
    """One with a shop's history."""
    await bring(at.connection, at.store, written(tmp_path, shop()))
    return at


async def served(at: Served, grant: Grant, store: Store | None) -> Served:
    """Another store, served the same way."""
    assert store is not None
    return replace(at, api=Api(at.client, await grant(store=store)), store=store)


async def test_import_of_export_is_the_same_store_over_http(at: Served, grant: Grant) -> None:
    plan = load.Plan(store=820_001, seed=1, customers=12, skus=12, orders=30, subscriptions=6)
    await load.seed(at.connection, plan, clock.now())
    one = await served(at, grant, await tenants.find(at.connection, plan.store))
    other = await served(at, grant, await make_store(at.database))
    sent = await one.records(await one.exported())
    shown = await other.imported(inputs=sent)
    assert (shown["status"], shown["errors_log"], shown["created_count"]) == ("completed", None, len(sent))
    before, after = await state(at.connection, one.store), await state(at.connection, other.store)
    for table in TABLES:
        assert after[table] == before[table], table
    assert await other.records(await other.exported()) == sent
    assert await sound(at.connection, other.store) == []


async def test_a_worker_writes_what_was_asked_for(full: Served, database_url: str) -> None:
    made = await full.api.create(
        "exports", {"resource_type": "orders", "filters": {"placed_at_lt": "2019-06-01T00:00:00Z"}}
    )
    shown = made["attributes"]
    assert (shown["status"], shown["attachment_url"], shown["progress"], shown["format"]) == (
        "pending",
        None,
        0,
        "json",
    )
    settings = {"DATABASE_URL": database_url, "REPRISE_SECRET_KEYS": ",".join(KEYS)}
    with serving("work", until="works", **roles.of("worker", settings)):
        async with asyncio.timeout(60):
            while shown["status"] != "completed":
                shown = await full.shown(made["id"])
                await asyncio.sleep(0.05)
    assert [one["id"] for one in await full.records(shown)] == ["o1"]
    assert [shown[name] for name in ("records_count", "processed_count", "progress")] == [1, 1, 100]
    assert shown["started_at"] <= shown["completed_at"] < shown["attachment_expires_at"]
    (chunk,) = await full.rows("export_chunks")
    assert '"id"' not in chunk["data"], "pieces are sealed"
    events = (await full.api.get(f"exports/{made['id']}/events?sort=created_at"))["data"]
    assert [one["attributes"]["name"] for one in events] == ["exports.create", "exports.start", "exports.complete"]
    trail = (await full.api.get(f"exports/{made['id']}/event_stores?sort=created_at"))["data"]
    assert [one["attributes"]["event"] for one in trail] == ["create", "start", "complete"]


async def test_what_comes_along_and_what_is_left_out(full: Served) -> None:
    whole = await full.exported(resource_type="orders", includes=["customer", "shipping_address"])
    first = (await full.records(whole))[0]
    assert first["customer"]["email"] == "ada@example.com"
    assert first["shipping_address"]["city"] == "Utrecht"
    assert "shipping_address_id" not in first
    fields = ["code", "line_items.sku_code", "customer.*"]
    some = await full.records(await full.exported(resource_type="orders", fields=fields))
    assert some[0].keys() == {"code", "line_items", "customer"}
    assert sorted(one["sku_code"] for one in some[0]["line_items"]) == ["GONE", "TEA"]
    assert {len(one) for one in some[0]["line_items"]} == {1}
    skus = await full.records(await full.exported(resource_type="skus", includes=["prices"]))
    assert {one["code"]: [price["amount_cents"] for price in one["prices"]] for one in skus} == {
        "TEA": [450],
        "POT": [],
    }
    everything = await full.records(await full.exported(resource_type="skus", fields=["*"]))
    assert everything == await full.records(await full.exported(resource_type="skus"))


async def test_dry_data_can_be_imported_where_ids_are_others(full: Served, grant: Grant) -> None:
    other = await served(full, grant, await make_store(full.database))
    wanted = ("customer_groups", "skus", "prices", "stock_items", "customers", "orders", "order_subscriptions")
    for type_ in wanted:
        dry = await full.records(await full.exported(resource_type=type_, dry_data=True))
        assert not [one for one in dry if {"id", "created_at", "updated_at"} & one.keys()], type_
        for one in dry:  # a wallet's source has no key, so it is none that another store has
            one.pop("customer_payment_source_id", None)
        shown = await other.imported(resource_type=type_, inputs=dry)
        assert (shown["errors_log"], shown["created_count"]) == (None, len(dry)), type_
    for table in ("orders", "prices"):
        columns = ("code", "number", "total_amount_cents", "placed_at") if table == "orders" else ("amount_cents",)
        there, here = [
            sorted([row[name] for name in columns] for row in await one.rows(table)) for one in (full, other)
        ]
        assert there == here
    assert await sound(full.connection, other.store) == []


@pytest.mark.parametrize("type_", ["customers", "skus", "orders", "order_subscriptions"])
async def test_a_table_is_imported_as_the_same(full: Served, tmp_path: Path, type_: str) -> None:
    shown = await full.exported(resource_type=type_, format="csv")
    answer = await full.client.get(path_of(shown))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{type_}-')
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["id"] for row in table} == {row["id"] for row in await full.rows(type_)}
    file = tmp_path / f"{type_}.csv"
    file.write_bytes(answer.content)
    tally, refusals = await bring(full.connection, full.store, file, policy="update")
    assert told(refusals) == []
    assert (tally.same, tally.changed, tally.made) == (shown["records_count"], 0, 0)


async def test_a_table_of_some_fields(full: Served) -> None:
    fields = ["code", "line_items.sku_code", "customer.email"]
    wanted = {"includes": ["line_items", "customer"], "fields": fields, "jwt_filters": True, "dry_data": False}
    filters = {"status_in": ["placed", "approved"], "customer_email_eq": "ada@example.com"}
    shown = await full.exported(resource_type="orders", format="csv", filters=filters, **wanted)
    table = list(csv.DictReader(io.StringIO((await full.client.get(path_of(shown))).text)))
    assert sorted((row["code"], row["line_items.sku_code"], row["customer.email"]) for row in table) == [
        ("OLD-4711", "GONE", "ada@example.com"),
        ("OLD-4711", "TEA", ""),
    ]


async def test_one_that_never_comes_to_its_end_fails(full: Served) -> None:
    made = await full.api.create("exports", {"resource_type": "tags"})
    await full.connection.execute("update exports set attempt = $2 where id = $1", made["id"], exports.MOST_ATTEMPTS)
    shown = await full.written(made["id"])
    assert (shown["status"], shown["errors_log"].keys()) == ("failed", {"attempts"})
    assert (await full.changed("exports", made["id"], {"_start": True}))["attributes"]["status"] == "pending"
    assert (await full.written(made["id"]))["status"] == "completed"


async def test_a_list_is_read_by_the_command_as_well(full: Served, tmp_path: Path) -> None:
    shown = await full.exported()
    file = tmp_path / "store.json"
    file.write_bytes((await full.client.get(path_of(shown))).content)
    tally, refusals = await bring(full.connection, full.store, file, policy="update")
    assert (told(refusals), tally.same, tally.made) == ([], shown["records_count"], 0)


async def test_one_customer_alone(full: Served) -> None:
    await full.api.create("customers", {"email": "bo@example.com"})
    shown = await full.exported(customer_id="ada")
    found = await full.records(shown)
    assert {one["type"] for one in found} == {
        "customers", "addresses", "customer_payment_sources", "orders", "order_subscriptions",
    }  # fmt: skip
    assert "bo@example.com" not in str(found)


async def test_the_file_is_fetched_in_parts(full: Served) -> None:
    await full.customers(1_200)
    shown = await full.exported(resource_type="customers")
    assert len(await full.rows("export_chunks")) > 2
    path, size = path_of(shown), shown["attachment_size"]
    whole = await full.client.get(path, headers={"Accept-Encoding": "identity"})
    head = await full.client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(size))
    tag = whole.headers["etag"]
    assert (await full.client.get(path, headers={"If-None-Match": tag})).status_code == 304
    for asked, first, behind in (
        ("bytes=10-", 10, size),
        ("bytes=70000-140000", 70_000, 140_001),
        ("bytes=-7", size - 7, size),
    ):
        part = await full.client.get(path, headers={"Range": asked, "Accept-Encoding": "gzip", "If-Range": tag})
        assert (part.status_code, part.content) == (206, whole.content[first:behind])
        assert part.headers["content-range"] == f"bytes {first}-{behind - 1}/{size}"
    beyond = await full.client.get(path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    for headers in ({"Range": "bytes=9-1"}, {"Range": "lines=1-2"}, {"Range": "bytes=1-", "If-Range": '"other"'}):
        assert (await full.client.get(path, headers=headers)).content == whole.content


async def test_the_url_is_worth_nothing_to_others_and_ends(full: Served) -> None:
    shown = await full.exported(resource_type="skus")
    path = path_of(shown)
    token = path.removeprefix("/exports/")
    id_ = token.split(".")[1]
    wrong = [
        "nothing",
        f"1{token}",
        NamedKeys(["another"], "export").token(full.store.id, id_),
        NamedKeys(KEYS, "calendar").token(full.store.id, id_),
    ]
    assert {(await full.client.get(f"/exports/{one}")).status_code for one in wrong} == {410}
    assert (await full.client.get(path)).status_code == 200
    await exports.let_go(full.connection, clock.now() + timedelta(days=6))
    assert (await full.client.get(path)).status_code == 200
    await exports.let_go(full.connection, clock.now() + timedelta(days=8))
    assert (await full.client.get(path)).status_code == 410
    assert await full.rows("export_chunks") == []
    assert (await full.api.get(f"exports/{id_}"))["data"]["attributes"]["attachment_url"] is None
    again = await full.exported(resource_type="skus")
    await full.api.send("DELETE", f"exports/{path_of(again).split('.')[1]}")
    assert (await full.client.get(path_of(again))).status_code == 410
    assert await full.rows("export_chunks") == []


async def test_it_takes_the_scope_and_those_to_read(full: Served, grant: Grant) -> None:
    without = await grant(scopes=[scope for scope in SCOPES if scope != "export_data"])
    for method, document in (("POST", resource("exports", {"resource_type": "skus"})), ("GET", None)):
        answer = await Api(full.client, without).send(method, "exports", document)
        assert (answer.status_code, "export_data" in answer.text) == (403, True)
    catalogue = Api(full.client, await grant(scopes=["export_data", "read_catalog"]))
    assert (await catalogue.create("exports", {"resource_type": "skus"}))["attributes"]["status"] == "pending"
    for attributes in ({"resource_type": "customers"}, {}, {"resource_type": "orders"}):
        answer = await catalogue.send("POST", "exports", resource("exports", attributes))
        assert answer.status_code == 403
    told_ = await full.api.create("exports", {"resource_type": "customers"})
    await exports.take_out(full.database, full.store.id, told_["id"])
    assert (await full.shown(told_["id"]))["attachment_url"] is not None
    assert (await catalogue.get(f"exports/{told_['id']}"))["data"]["attributes"]["attachment_url"] is None
    refused = await catalogue.send(
        "PATCH", f"exports/{told_['id']}", resource("exports", {"_interrupt": True}, id=told_["id"])
    )
    assert refused.status_code == 403, refused.text


@pytest.mark.parametrize(
    ("attributes", "pointer", "status"),
    [
        ({"resource_type": "carts"}, "resource_type", 422),
        ({"resource_type": "skus", "includes": ["price"]}, "includes/0", 422),
        ({"resource_type": "skus", "fields": ["code", "nmae"]}, "fields/1", 422),
        ({"resource_type": "skus", "fields": ["prices.amuont"]}, "fields/0", 422),
        ({"resource_type": "skus", "filters": {"colour_eq": "red"}}, "filters/colour_eq", 422),
        ({"resource_type": "orders", "filters": {"cart_id_null": "x"}}, "filters/cart_id_null", 422),
        ({"resource_type": "orders", "filters": {"number_gt": "many"}}, "filters/number_gt", 422),
        ({"format": "csv"}, "format", 422),
        ({"filters": {"code_eq": "x"}}, "filters", 422),
        ({"customer_id": "nobody"}, "customer_id", 404),
        ({"resource_type": "skus", "status": "completed"}, "status", 403),
    ],
)
async def test_what_is_no_export(full: Served, attributes: dict[str, Any], pointer: str, status: int) -> None:
    answer = await full.api.send("POST", "exports", resource("exports", attributes))
    assert answer.status_code == status, answer.text
    assert [problem["source"]["pointer"] for problem in answer.json()["errors"]] == [f"/data/attributes/{pointer}"]


async def test_one_that_was_interrupted_starts_anew(full: Served) -> None:
    made = await full.api.create("exports", {"resource_type": "customers"})
    ended = await full.changed("exports", made["id"], {"_interrupt": True})
    assert (ended["attributes"]["status"], ended["attributes"]["interrupted_at"] is not None) == ("interrupted", True)
    await exports.take_out(full.database, full.store.id, made["id"])
    assert (await full.shown(made["id"]))["status"] == "interrupted"
    again = await full.changed("exports", made["id"], {"_start": True})
    assert (again["attributes"]["status"], again["attributes"]["interrupted_at"]) == ("pending", None)
    shown = await full.written(made["id"])
    assert [one["id"] for one in await full.records(shown)] == ["ada"]
    events = await full.connection.fetch(
        "select name from events where store_id = $1 and resource_id = $2 order by id", full.store.id, made["id"]
    )
    assert [row["name"] for row in events if row["name"] != "exports.update"] == [
        "exports.create", "exports.interrupt", "exports.restart", "exports.start", "exports.complete",
    ]  # fmt: skip


async def test_only_the_last_worker_writes(full: Served, database_url: str) -> None:
    await full.customers(1_200)
    made = await full.api.create("exports", {"resource_type": "customers"})
    first = asyncio.create_task(exports.take_out(full.database, full.store.id, made["id"]))
    begun = "select processed_count > 0 from exports where store_id = $1 and id = $2"
    async with connect(database_url) as separate:
        while not await separate.fetchval(begun, full.store.id, made["id"]):  # noqa: ASYNC110 -- the rows tell, no event
            await asyncio.sleep(0)
    await exports.take_out(full.database, full.store.id, made["id"])
    await first
    shown = await full.shown(made["id"])
    assert len(await full.records(shown)) == shown["records_count"] == 1_201
    chunks = await full.rows("export_chunks")
    assert sum(row["size"] for row in chunks) == shown["attachment_size"]


async def test_a_worker_that_was_killed_leaves_it_to_the_next(full: Served, database_url: str) -> None:
    await full.customers(1_200)
    made = await full.api.create("exports", {"resource_type": "customers"})
    settings = {"DATABASE_URL": database_url, "REPRISE_SECRET_KEYS": ",".join(KEYS)}
    begun = "select processed_count > 0 from exports where store_id = $1 and id = $2"
    with serving("work", until="works", **roles.of("worker", settings)) as service:
        async with connect(database_url) as separate, asyncio.timeout(60):
            while not await separate.fetchval(begun, full.store.id, made["id"]):  # noqa: ASYNC110 -- another process's rows
                await asyncio.sleep(0)
        service.stop(signal.SIGKILL)
    shown = await full.shown(made["id"])
    assert (shown["status"], 0 < shown["processed_count"] < 1_201, shown["attachment_url"]) == (
        "in_progress",
        True,
        None,
    )
    await clean.rescue(full.database)
    shown = await full.written(made["id"])
    assert shown["status"] == "completed"
    assert sorted(one["id"] for one in await full.records(shown)) == sorted(["ada", *(f"c{n}" for n in range(1_200))])


async def test_what_is_worked_on_is_left_out_and_named(full: Served) -> None:
    await full.connection.execute(
        "update orders set status = 'placing' where store_id = $1 and id = 'o2'", full.store.id
    )
    made = await full.api.create("exports", {"resource_type": "orders"})
    shown = await full.written(made["id"])
    assert shown["errors_log"] == {"orders": {"o2": "is placing, and was left out"}}
    assert (shown["status"], shown["records_count"], shown["processed_count"]) == ("completed", 2, 1)
    assert [one["id"] for one in await full.records(shown)] == ["o1"]


async def test_who_is_erased_is_in_no_file(full: Served) -> None:
    shown = await full.exported(resource_type="customers", filters={"email_eq": "ada@example.com"})
    running = await full.api.create("exports", {"resource_type": "customers"})
    await full.connection.execute("update exports set status = 'in_progress', attempt = 7 where id = $1", running["id"])
    await full.changed("customers", "ada", {"_erase": True})
    assert (await full.client.get(path_of(shown))).status_code == 410
    assert await full.rows("export_chunks") == []
    assert "ada@example.com" not in str(await full.rows("exports"))
    held = await full.connection.fetchrow("select status, attempt from exports where id = $1", running["id"])
    assert held is not None
    assert tuple(held) == ("pending", 8)


async def test_a_store_has_so_many_on_their_way(full: Served) -> None:
    for _ in range(exports.MOST_WAITING):
        await full.api.create("exports", {"resource_type": "tags"})
    answer = await full.api.send("POST", "exports", resource("exports", {"resource_type": "tags"}))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "QUOTA_EXCEEDED")


async def test_an_import_is_interrupted(full: Served) -> None:
    made = await full.api.create(
        "imports", {"resource_type": "tags", "inputs": [{"name": "blue"}], "skip_errors": True}
    )
    ended = await full.changed("imports", made["id"], {"_interrupt": True})
    assert (ended["attributes"]["status"], ended["attributes"]["interrupted_at"] is not None) == ("interrupted", True)
    await imports.go_on(full.connection, full.store.id, made["id"])
    assert "blue" not in [row["name"] for row in await full.rows("tags")]
    events = (await full.api.get(f"imports/{made['id']}/events?sort=created_at"))["data"]
    assert [one["attributes"]["name"] for one in events] == ["imports.create", "imports.update", "imports.interrupt"]
