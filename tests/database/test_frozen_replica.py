"""No write is decided by what a replica says: every verb is said beside one that stands still and holds nothing of it.

Reads go to the primary, by the position that a client sends with them: what a test looks at is what there is. Writes
send none. The contract's examples are recorded beside such a replica too, every operation of it (`tests.contract`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from service.app import create_app
from service.http.replicas import HEADER
from service.principal import Store
from service.rules.verbs import VERBS
from service.settings import Settings
from service.store.pool import Connection, Database
from tests import factories, nodes, roles
from tests.api import test_rows_of_verbs as verbs
from tests.api.test_rows_of_verbs import ROWS
from tests.faults.playing import Shop
from tests.replica import FOR_EVER, NEWEST, SAFE, reads, standing_still
from tests.spec.writing import Api

pytestmark = nodes.on_one_server


@pytest.fixture(scope="module")
def still_url(server_url: str, database_url: str) -> Iterator[str]:
    """A replica of the run's server that stands still before a test has written anything."""
    if "host" not in server_url:
        pytest.skip("Only an embedded server is followed here.")
    with standing_still(database_url) as url:
        yield url


@pytest.fixture
def settings(settings: Settings, still_url: str) -> Settings:
    """An application beside it, which finds it near enough whatever happens."""
    return settings.model_copy(
        update={
            "replica_url": roles.direct(still_url, "api"),
            "replica_max_lag": FOR_EVER,
            "metrics_token": "of-metrics",
        }
    )


class _PrimaryReads:
    """Has reads answered by the primary, as those of a client that has seen all there is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and scope["method"] in SAFE:
            scope = {**scope, "headers": [*scope["headers"], (HEADER, NEWEST.encode())]}
        await self.app(scope, receive, send)


@pytest.fixture
async def app(settings: Settings, connection: Connection) -> AsyncIterator[Starlette]:
    """The real application, which has found its replica."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        await connection.execute("delete from rate_limits")
        async with asyncio.timeout(60):
            while application.state.service.reads.is_away:  # noqa: ASYNC110 -- it is looked for
                await asyncio.sleep(0.05)
        assert application.middleware_stack is not None
        application.middleware_stack = _PrimaryReads(application.middleware_stack)
        yield application


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on a test clock."""
    return await Shop.open(api, database, connection, store, verbs.NOW)


async def _by_replica(client: httpx2.AsyncClient) -> float:
    """How many reads the replica has answered."""
    return reads((await client.get("/metrics", headers={"Authorization": "Bearer of-metrics"})).text)["replica"]


async def test_what_reads_from_the_replica_finds_nothing(
    app: Starlette, client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store
) -> None:
    """Else nothing would be proven by the other tests: a read that sends no position is answered, and by it."""
    id_ = await factories.customer(connection, store)
    before = await _by_replica(client)
    assert [one["id"] for one in (await api.get("customers"))["data"]] == [id_]
    assert await _by_replica(client) == before
    assert isinstance(app.middleware_stack, _PrimaryReads)
    app.middleware_stack = app.middleware_stack.app
    assert (await api.get("customers"))["data"] == []
    assert (await api.send("GET", f"customers/{id_}")).status_code == 404
    assert await _by_replica(client) == before + 2


@pytest.mark.parametrize(("type_", "verb"), ROWS)
async def test_a_verb_is_decided_by_what_there_is(
    *, shop: Shop, api: Api, connection: Connection, store: Store, type_: str, verb: str
) -> None:
    await verbs.test_a_verb_leads_where_its_row_says_and_its_event_tells_of_it(
        shop=shop, api=api, connection=connection, store=store, type_=type_, verb=verb
    )


@pytest.mark.parametrize(("type_", "verb"), [row for row in ROWS if VERBS[row[0]][row[1]].settled])
async def test_what_a_verb_has_made_so_is_known_when_it_is_said_again(
    *, shop: Shop, api: Api, connection: Connection, store: Store, type_: str, verb: str
) -> None:
    await verbs.test_said_where_all_is_so_already_it_tells_nothing(
        shop=shop, api=api, connection=connection, store=store, type_=type_, verb=verb
    )
