"""The service behind PgBouncer in transaction mode, as Debian has it: each transaction is on another session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import httpx2
import pytest

from service.app import create_app
from service.cli.doctor import examine
from service.principal import CUSTOMER_SCOPES, Store
from service.settings import Settings
from service.store.pool import Connection, fetch, is_pooled, open_database
from tests import bouncer, roles
from tests.bouncer import Bouncer
from tests.factories import Line, full_order, sku
from tests.jobs.steps import ask, bearer, pair
from tests.jobs.test_worker import reach, working
from tests.processes import finish, serving, start
from tests.support import KEYS, Access, Grant

pytestmark = pytest.mark.skipif(bouncer.PROGRAM is None, reason=bouncer.MISSING)


@pytest.fixture(scope="module")
def pooler(server_url: str) -> Iterator[Bouncer]:
    """A PgBouncer that has few sessions, so that all are handed on."""
    with bouncer.bouncer(server_url, least=3, most=6) as running:
        yield running


@pytest.fixture
def pooled(settings: Settings, pooler: Bouncer, database_url: str) -> Settings:
    """The settings of an application behind it."""
    direct = roles.direct(database_url, "api")
    named = {"database_url": pooler.over(direct), "direct_url": direct, "statement_cache_size": 0}
    return settings.model_copy(update=named)


async def test_requests_at_the_same_time_leave_nothing_in_sessions(
    pooled: Settings, pooler: Bouncer, connection: Connection, store: Store, grant: Grant
) -> None:
    product = await sku(connection, store, price=100)
    order_ids = [await full_order(connection, store, [Line(product)]) for _ in range(4)]
    customer_ids = [
        await connection.fetchval("select customer_id from orders where store_id = $1 and id = $2", store.id, id_)
        for id_ in order_ids
    ]
    tokens = [await grant(customer_id=id_, scopes=CUSTOMER_SCOPES) for id_ in customer_ids]
    app = create_app(pooled)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):

        async def shop(order_id: str, access: Access) -> None:
            for _ in range(6):
                for path in (f"orders/{order_id}?include=line_items", "orders?sort=-placed_at", f"orders/{order_id}"):
                    answer = await client.get(f"/api/{path}", headers=access.headers)
                    assert answer.status_code == 200, answer.text
                data = {"type": "orders", "id": order_id}
                body = {"data": {"type": "reorders", "relationships": {"source_order": {"data": data}}}}
                answer = await client.post("/api/reorders", json=body, headers=access.headers)
                assert answer.status_code == 201, answer.text

        await asyncio.gather(*(shop(id_, access) for id_, access in zip(order_ids, tokens, strict=True)))
    assert await connection.fetchval("select count(*) from reorders where store_id = $1", store.id) == 24
    assert pooled.direct_url is not None
    assert await pooler.left_behind(pooled.direct_url) == []


async def test_a_worker_works_with_a_direct_url_and_without_one(
    pooler: Bouncer, database_url: str, connection: Connection, store: Store
) -> None:
    direct = roles.direct(database_url, "worker")
    through = pooler.over(direct)
    for own in (direct, None):
        ends = await pair(connection, store)
        async with working(through, as_given=True, statement_cache_size=0, direct_url=own):
            async with open_database(database_url, keys=KEYS) as database:
                copy_id = await ask(database, bearer(store), *ends)
            # Without, it is looked for every five seconds.
            await reach(connection, store, copy_id, "completed", 4 if own else 15)
    assert await pooler.left_behind(direct) == []


async def test_what_is_kept_prepared_is_not_where_nothing_may_be(pooler: Bouncer, database_url: str) -> None:
    """Statements that clients' questions make come again and again, and are prepared by name elsewhere."""
    text = "select $1::int + 1"
    async with open_database(pooler.over(database_url), statement_cache_size=0, max_size=4) as database:

        async def asked(number: int) -> None:
            async with database.connection() as connection:
                assert await is_pooled(connection)
                for _ in range(8):
                    assert [tuple(row) for row in await fetch(connection, text, [number])] == [(number + 1,)]

        await asyncio.gather(*(asked(number) for number in range(4)))
    assert await pooler.left_behind(database_url) == []


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("set statement_timeout = 1000", "has set statement_timeout"),
        ("listen somebody", "listens to somebody"),
        ("select pg_try_advisory_lock(7)", "locks 7"),
        ("create temporary table kept (id int)", "made kept"),
        ("prepare kept as select 1", "kept prepared"),
    ],
)
async def test_what_a_client_leaves_in_a_session_is_found(
    pooler: Bouncer, own_url: str, statement: str, what: str
) -> None:
    connection = await asyncpg.connect(pooler.over(own_url), statement_cache_size=0)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
    (found,) = await pooler.left_behind(own_url)
    assert found.startswith(what)


def test_commands_work_through_it_or_say_what_they_need(pooler: Bouncer, own_url: str) -> None:
    through = {"DATABASE_URL": pooler.over(own_url), "REPRISE_SECRET_KEYS": KEYS[0]}
    with serving("work", until="works", **through, REPRISE_STATEMENT_CACHE_SIZE="0"):
        refused, migrated = [
            finish(process)
            for process in (start(["migrate"], **through), start(["migrate"], **through, REPRISE_DIRECT_URL=own_url))
        ]
    assert (refused.code, "REPRISE_DIRECT_URL" in refused.err) == (1, True)
    assert migrated.code == 0, migrated.err


async def test_doctor_tells_which_settings_it_needs(pooler: Bouncer, own_url: str, database_url: str) -> None:
    async def told(**settings: object) -> tuple[str, bool]:
        given = Settings.model_validate({"database_url": pooler.over(own_url), "secret_keys": KEYS[0]} | settings)
        async for finding in examine(given, "127.0.0.1", 0):
            if finding.what == "pooler":
                return f"{finding.found}: {finding.advice}", finding.advice is None
        raise AssertionError

    zero = {"statement_cache_size": 0}
    assert "set REPRISE_STATEMENT_CACHE_SIZE=0" in (await told())[0]
    assert "name the server itself in REPRISE_DIRECT_URL" in (await told(**zero))[0]
    assert "leads through a pooler" in (await told(**zero, direct_url=pooler.over(own_url)))[0]
    assert "another database" in (await told(**zero, direct_url=database_url))[0]
    assert (await told(**zero, direct_url=own_url))[1]
    assert (await told(database_url=own_url))[1]
