"""/readyz and /metrics: what whoever runs the service sees of it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from service import clock
from service.app import create_app
from service.http.state import Service
from service.http.watch import health
from service.http.watch.lookout import Lookout
from service.operations.runtime import watching
from service.principal import Store
from service.settings import Settings
from service.store import deployment, schema, workers
from service.store.pool import Connection, Database, open_database
from service.store.workers import Worker
from tests import factories
from tests.contract.contract import Contract
from tests.jobs.paying import prepare
from tests.jobs.steps import ask, bearer, claim, pair
from tests.support import Access

MINUTE = timedelta(minutes=1)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Starlette, httpx2.AsyncClient]]:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        yield app, client


def forget(app: Starlette) -> None:
    """Let the next request look at the database anew."""
    service: Service = app.state.service
    app.state.service = replace(service, lookout=Lookout(service.database))


async def readiness(app: Starlette, client: httpx2.AsyncClient) -> tuple[int, set[str]]:
    forget(app)
    answer = await client.get("/readyz")
    return answer.status_code, {note["code"] for note in answer.json().get("notes", [])}


def test_every_note_is_in_the_contract(contract: Contract) -> None:
    notes = contract.document["components"]["schemas"]["Health"]["properties"]["notes"]
    (function,) = ast.parse(inspect.getsource(health._notes)).body  # noqa: SLF001 -- what it may yield
    yielded = [node.value.elts[0] for node in ast.walk(function) if isinstance(node, ast.Yield) and node.value]  # type: ignore[attr-defined]
    codes = {code.value if isinstance(code, ast.Constant) else getattr(health, code.id) for code in yielded}
    assert set(notes["items"]["properties"]["code"]["enum"]) == codes


TOKEN = {"Authorization": "Bearer a-secret"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a token for the metrics."""
    return settings.model_copy(update={"metrics_token": "a-secret"})


async def numbers(app: Starlette, client: httpx2.AsyncClient) -> dict[str, float]:
    """All samples of /metrics by name and labels, as they are written."""
    forget(app)
    answer = await client.get("/metrics", headers=TOKEN)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in samples}


async def test_whether_anybody_works_is_noted(settings: Settings, own_url: str) -> None:
    async with serving(settings.model_copy(update={"database_url": own_url})) as (app, client):
        database: Database = app.state.service.database
        assert await readiness(app, client) == (200, {"no_worker"})
        worker = Worker()
        async with database.connection() as connection:
            await workers.seen(connection, worker, at=clock.now())
            assert await readiness(app, client) == (200, set())
            assert (await numbers(app, client))["reprise_workers"] == 1
            await workers.seen(connection, worker, at=clock.now() - watching.ABSENT - timedelta(seconds=1))
            assert await readiness(app, client) == (200, {"no_worker"})
            await workers.forget(connection, before=clock.now())
            assert await connection.fetchval("select count(*) from workers") == 0


@pytest.mark.rule("FM-64")
async def test_a_database_that_was_copied_is_noted_and_can_be_read(settings: Settings, own_url: str) -> None:
    async with open_database(own_url, max_size=1) as own, own.connection() as connection:
        await deployment.adopt(connection, "the original", at=clock.now())
    async with serving(settings.model_copy(update={"database_url": own_url})) as (app, client):
        status, notes = await readiness(app, client)
        assert (status, "foreign_database" in notes) == (200, True)
        assert (await numbers(app, client))["reprise_database_foreign"] == 1
        assert (await client.get("/api")).status_code == 200
        async with app.state.service.database.connection() as connection:
            await deployment.adopt(connection, await deployment.here(connection), at=clock.now())
        assert "foreign_database" not in (await readiness(app, client))[1]


async def test_an_absent_database_is_a_line_of_the_log_for_each_request(
    settings: Settings, own_url: str, server_url: str
) -> None:
    async with serving(settings.model_copy(update={"database_url": own_url})) as (_, client):
        admin, name = await asyncpg.connect(server_url), urlsplit(own_url).path.removeprefix("/")
        try:
            await admin.execute(f"drop database {name} with (force)")
            headers = {"Authorization": f"Bearer secret_1_{'x' * 40}"}
            with capture_logs() as told:
                answers = [await client.get("/api/orders", headers=headers) for _ in range(3)]
        finally:
            await admin.execute(f"create database {name}")
            await admin.close()
    assert {answer.status_code for answer in answers} == {503}
    lines = [line for line in told if line["event"] == "the database does not answer"]
    assert [line["request_id"] for line in lines] == [answer.headers["x-request-id"] for answer in answers]
    assert all(line["reason"] for line in lines)
    assert name in lines[-1]["reason"]
    assert not any("exc_info" in line for line in told)


@pytest.mark.rule("FM-61")
async def test_runs_that_nobody_begins_show(
    app: Starlette, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    before = await numbers(app, client)
    due_at = clock.now() - watching.LATE - MINUTE
    columns = {"frequency": "weekly", "anchor_at": due_at - timedelta(days=7), "next_run_at": due_at}
    _, id_ = await pair(connection, store, **columns)
    try:
        after = await numbers(app, client)
        status, notes = await readiness(app, client)
    finally:
        await connection.execute(
            "update order_subscriptions set next_run_at = null where store_id = $1 and id = $2", store.id, id_
        )
    assert (status, "late_runs" in notes) == (200, True)
    assert after["reprise_late_runs"] == before["reprise_late_runs"] + 1
    due = 'reprise_backlog{state="subscriptions_due"}'
    assert after[due] == before[due] + 1


@pytest.mark.rule("FM-59")
async def test_copies_whose_worker_died_show(
    app: Starlette, client: httpx2.AsyncClient, database: Database, connection: Connection, store: Store
) -> None:
    ends = await pair(connection, store)
    before = await numbers(app, client)
    copy_id = await ask(database, bearer(store), *ends)
    waiting = await numbers(app, client)
    await claim(database, store, copy_id)
    claimed = await numbers(app, client)
    await connection.execute(
        "update order_factories set lease_expires_at = $3 where store_id = $1 and id = $2",
        store.id,
        copy_id,
        clock.now() - watching.LATE - MINUTE,
    )
    dead = await numbers(app, client)

    def grew(now: dict[str, float]) -> tuple[float, ...]:
        states = ('reprise_backlog{state="copies_pending"}', 'reprise_backlog{state="copies_claimed"}')
        return tuple(now[name] - before[name] for name in (*states, "reprise_late_runs"))

    assert [grew(now) for now in (waiting, claimed, dead)] == [(1, 0, 0), (0, 1, 0), (0, 1, 1)]


async def test_stores_on_test_clocks_wait_for_them(
    app: Starlette, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    before = await numbers(app, client)
    due_at = clock.now() - watching.LATE - MINUTE
    await pair(connection, store, frequency="weekly", anchor_at=due_at - timedelta(days=7), next_run_at=due_at)
    clock_id = await factories.insert(connection, "test_clocks", store, name="c", frozen_at=due_at, status="ready")
    await connection.execute("update stores set test_clock_id = $2 where store_id = $1", store.id, clock_id)
    assert (await numbers(app, client))["reprise_late_runs"] == before["reprise_late_runs"]


async def test_requests_are_counted_by_their_template_and_status(
    app: Starlette, client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    before = await numbers(app, client)
    id_ = await factories.customer(connection, store)
    for url in (f"/api/customers/{id_}", "/api/customers/none", "/api/orders", "/nothing/here"):
        await client.get(url, headers=integration.headers)
    await client.request("BREW", "/api/orders", headers=integration.headers)
    async with app.state.service.database.connection():
        after = await numbers(app, client)

    def more(method: str, route: str, status: int) -> float:
        name = f'reprise_http_request_seconds_count{{method="{method}",route="{route}",status="{status}"}}'
        return after.get(name, 0) - before.get(name, 0)

    assert more("GET", "/api/{type}/{id}", 200) == 1
    assert more("GET", "/api/{type}/{id}", 404) == 1
    assert more("GET", "/api/{type}", 200) == 1
    assert more("GET", "", 404) == 1
    assert more("", "/api/{type}", 405) == 1
    assert after["reprise_database_connections_held"] >= 1
    assert after["reprise_database_connections_most"] >= 8
    assert after["reprise_database_connection_wait_seconds_count"] > 0
    written = "".join(after)
    assert id_ not in written
    assert str(store.id) not in re.sub(r"_created.*", "", written)


async def test_metrics_ask_for_the_token_of_the_settings(settings: Settings) -> None:
    async with serving(settings) as (_, client):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-secret"}):
            refused = await client.get("/metrics", headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="metrics"')
        answer = await client.get("/metrics", headers=TOKEN)
        assert answer.status_code == 200
        accept = TOKEN | {"Accept": "application/openmetrics-text; version=1.0.0"}
        assert (await client.get("/metrics", headers=accept)).text.endswith("# EOF\n")


async def test_readiness_and_metrics_without_the_database_or_its_migrations(
    settings: Settings, own_url: str, server_url: str
) -> None:
    async with serving(settings.model_copy(update={"database_url": own_url})) as (app, client):
        async with app.state.service.database.connection() as connection:
            versions = await connection.fetch("delete from schema_migrations returning version")
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["reason"][:23]) == (503, "migrations are pending:")
        metrics = (await client.get("/metrics", headers=TOKEN)).text
        assert "reprise_database_up 1.0" in metrics
        assert "reprise_late_runs" not in metrics
        async with app.state.service.database.connection() as connection:
            await connection.executemany(
                "insert into schema_migrations (version) values ($1)", [(row["version"],) for row in versions]
            )
            assert await schema.pending(connection) == []
        assert (await client.get("/readyz")).status_code == 200
        admin = await asyncpg.connect(server_url)
        try:
            await admin.execute(f"drop database {urlsplit(own_url).path[1:]} with (force)")
        finally:
            await admin.close()
        gone: Any = await client.get("/readyz")
        assert (gone.status_code, gone.json()) == (
            503,
            {"status": "unavailable", "reason": "the database does not answer"},
        )
        assert int(gone.headers["retry-after"]) > 0
        assert "reprise_database_up 0.0" in (await client.get("/metrics", headers=TOKEN)).text


async def test_a_look_at_the_work_is_remembered_for_moments(settings: Settings, own_url: str) -> None:
    async with serving(settings.model_copy(update={"database_url": own_url})) as (app, client):
        assert await readiness(app, client) == (200, {"no_worker"})
        async with app.state.service.database.connection() as connection:
            await workers.seen(connection, Worker(), at=clock.now())
        first, second = [await client.get("/readyz") for _ in range(2)]
        assert [note["code"] for note in first.json()["notes"]] == ["no_worker"]
        assert second.json() == first.json()
        assert await readiness(app, client) == (200, set())


async def test_payments_are_counted_that_anybody_will_ask_for(
    app: Starlette, client: httpx2.AsyncClient, database: Database, connection: Connection, store: Store
) -> None:
    async def waiting() -> float:
        return (await numbers(app, client))['reprise_backlog{state="payments"}']

    before = await waiting()
    run = await prepare(database, connection, store, token="tok_decline")
    await run.begin()
    begun = await waiting()
    await run.pay()
    refused = await waiting()
    subscribed = "update order_subscriptions set status = $2 where store_id = $1"
    await connection.execute(subscribed, store.id, "inactive")
    inactive = await waiting()
    await connection.execute(subscribed, store.id, "active")
    clock_id = await factories.insert(connection, "test_clocks", store, name="c", frozen_at=clock.now(), status="ready")
    await connection.execute("update stores set test_clock_id = $2 where store_id = $1", store.id, clock_id)
    assert [number - before for number in (begun, refused, inactive, await waiting())] == [1, 1, 0, 0]
