"""`imports` over HTTP: sent by an integration, brought in by a worker, told with counts and reasons."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import httpx2
import pytest

from service.jobs import clean
from service.operations.data import imports, running
from service.principal import SCOPES, Store
from service.store.pool import Connection, Database, connect
from tests import roles
from tests.history.bringing import rows, shop, sound
from tests.jobs.test_worker import working
from tests.processes import serving
from tests.spec.writing import Api, resource
from tests.support import KEYS, Access, Grant


async def over(api: Api, id_: str) -> dict[str, Any]:
    """The attributes of an import once a worker has come to its end."""
    async with asyncio.timeout(60):
        while True:
            shown: dict[str, Any] = (await api.get(f"imports/{id_}"))["data"]["attributes"]
            if shown["status"] in ("completed", "interrupted"):
                return shown
            await asyncio.sleep(0.05)


async def test_a_worker_brings_in_what_was_sent(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, database_url: str
) -> None:
    api = Api(client, integration)
    wrong = {"type": "customers", "id": "b", "emial": "b@example.com"}
    made = await api.create("imports", {"inputs": [*shop(), wrong]})
    assert made["attributes"]["status"] == "pending"
    assert made["attributes"]["inputs_size"] == len(shop()) + 1
    assert "inputs" not in made["attributes"]
    async with working(database_url):
        shown = await over(api, made["id"])
    assert shown["status"] == "completed"
    counts = ("processed_count", "created_count", "errors_count", "updated_count", "unchanged_count", "skipped_count")
    assert [shown[name] for name in counts] == [14, 13, 1, 0, 0, 0]
    assert shown["errors_log"] == {"14": {"emial": ["is no field of customers"]}}
    nothing = {"updated": 0, "unchanged": 0, "skipped": 0}
    assert shown["counts_by_type"]["customers"] == {"created": 1, "refused": 1} | nothing
    assert shown["counts_by_type"]["orders"] == {"created": 2, "refused": 0} | nothing
    assert shown["started_at"] <= shown["completed_at"]
    (row,) = await rows(connection, store, "imports")
    assert row["inputs"] is None, "what was brought in is not kept twice"
    assert (await api.get("orders/o1"))["data"]["attributes"]["placed_at"] == "2019-05-06T07:08:09.123Z"
    events = (await api.get(f"imports/{made['id']}/events?sort=created_at"))["data"]
    assert [one["attributes"]["name"] for one in events] == ["imports.create", "imports.start", "imports.complete"]
    told = await connection.fetch("select resource_type from events where store_id = $1", store.id)
    assert {row["resource_type"] for row in told} == {"stores", "markets", "imports"}
    assert await sound(connection, store) == []


async def test_a_table_and_what_is_none(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, database_url: str
) -> None:
    api = Api(client, integration)
    table = await api.create("imports", {"resource_type": "skus", "inputs": "code,name\nTEA,Tea\nPOT,Pot\n"})
    broken = await api.create("imports", {"resource_type": "skus", "inputs": 'code,name\n"TEA,Tea\n'})
    async with working(database_url):
        assert (await over(api, table["id"]))["created_count"] == 2
        shown = await over(api, broken["id"])
    assert (shown["status"], shown["interrupted_at"] is not None) == ("interrupted", True)
    assert "is no table of text" in shown["errors_log"][""]["inputs"][0]
    assert sorted(row["code"] for row in await rows(connection, store, "skus")) == ["POT", "TEA"]


def mixed(amount: int) -> list[dict[str, Any]]:
    """Customers and skus in turns; every tenth pair has a customer without an e-mail address."""
    return [
        record
        for n in range(amount)
        for record in (
            {"type": "customers", "id": f"c{n}", "email": "nowhere" if n % 10 == 9 else f"c{n}@example.com"},
            {"type": "skus", "code": f"S{n}", "name": "Tea"},
        )
    ]


async def test_a_common_mistake_hides_no_other(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    api = Api(client, integration)
    alike = [{"type": "customers", "id": f"c{n}", "emial": "b@example.com"} for n in range(1, 601)]
    other = {"type": "skus", "code": "TEA", "nmae": "Tea"}
    made = await api.create("imports", {"inputs": [*alike, other, alike[0]]})
    await imports.go_on(connection, store.id, made["id"])
    shown = (await api.get(f"imports/{made['id']}"))["data"]["attributes"]
    assert shown["errors_count"] == 602
    told = {str(n): {"emial": ["is no field of customers"]} for n in range(1, running.MOST_ALIKE + 1)}
    assert shown["errors_log"] == told | {"601": shown["errors_log"]["601"]}
    assert shown["errors_log"]["601"]["nmae"] == ["is no field of skus"]


async def test_an_import_goes_on_where_a_worker_was_killed(
    client: httpx2.AsyncClient, integration: Access, database: Database, database_url: str, store: Store
) -> None:
    api = Api(client, integration)
    made = await api.create("imports", {"inputs": mixed(2_000)})
    assert made["attributes"]["counts_by_type"] == {}
    settings = {"DATABASE_URL": database_url, "REPRISE_SECRET_KEYS": ",".join(KEYS)}
    begun = "select processed_count > 0 from imports where store_id = $1 and id = $2"
    with serving("work", until="works", **roles.of("worker", settings)) as service:
        async with connect(database_url) as other, asyncio.timeout(60):
            while not await other.fetchval(begun, store.id, made["id"]):  # noqa: ASYNC110 -- another process's rows
                await asyncio.sleep(0)
        service.stop(signal.SIGKILL)
    shown = (await api.get(f"imports/{made['id']}"))["data"]["attributes"]
    assert 0 < shown["processed_count"] < 4_000
    assert shown["status"] == "in_progress"
    assert sum(sum(counts.values()) for counts in shown["counts_by_type"].values()) == shown["processed_count"]
    await clean.rescue(database)
    async with database.connection() as connection:
        await imports.go_on(connection, store.id, made["id"])
        await imports.go_on(connection, store.id, made["id"])
    shown = (await api.get(f"imports/{made['id']}"))["data"]["attributes"]
    assert (shown["status"], shown["created_count"], shown["errors_count"]) == ("completed", 3_800, 200)
    nothing = {"updated": 0, "unchanged": 0, "skipped": 0}
    assert shown["counts_by_type"] == {
        "customers": {"created": 1_800, "refused": 200} | nothing,
        "skus": {"created": 2_000, "refused": 0} | nothing,
    }


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({}, "/data/attributes"),
        ({"inputs": []}, "/data/attributes/inputs"),
        ({"inputs": [1]}, "/data/attributes/inputs/0"),
        ({"inputs": [{}, {}, None]}, "/data/attributes/inputs/2"),
        ({"inputs": {"id": "x"}}, "/data/attributes/inputs"),
        ({"inputs": [{}] * 10_001}, "/data/attributes/inputs"),
        ({"inputs": [{}], "resource_type": "carts"}, "/data/attributes/resource_type"),
        ({"inputs": [{}], "status": "completed"}, "/data/attributes/status"),
    ],
)
async def test_what_is_no_import(
    client: httpx2.AsyncClient, integration: Access, attributes: dict[str, Any], pointer: str
) -> None:
    answer = await Api(client, integration).send("POST", "imports", resource("imports", attributes))
    assert answer.status_code in (403, 422)
    assert [problem["source"]["pointer"] for problem in answer.json()["errors"]] == [pointer]


async def test_it_takes_the_scope(client: httpx2.AsyncClient, grant: Grant) -> None:
    others = await grant(scopes=[scope for scope in SCOPES if scope != "import_data"])
    for method, document in (("POST", resource("imports", {"inputs": [{"id": "x"}]})), ("GET", None)):
        answer = await Api(client, others).send(method, "imports", document)
        assert answer.status_code == 403
        assert "import_data" in answer.text
