"""What takes the database too long is a 400 that says what to narrow; deep pages cost what the first does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import orjson
import pytest

from schemas.graph import graph
from service import clock
from service.app import create_app
from service.errors import TooCostly
from service.jsonapi.pagination import Cursors, ordering
from service.jsonapi.query import Query, parse
from service.principal import Store, Viewer
from service.settings import Settings
from service.store import read
from service.store.pool import Connection
from tests import counted, factories
from tests.conftest import ORIGIN
from tests.spec.reading import Reader
from tests.support import Access


@pytest.fixture
async def hurried(settings: Settings, integration: Access) -> AsyncIterator[Reader]:
    """A reader of an application that gives statements up after a fifth of a second."""
    application = create_app(settings.model_copy(update={"command_timeout": 0.2}))
    transport = httpx2.ASGITransport(application, raise_app_exceptions=False)
    async with (
        application.router.lifespan_context(application),
        httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client,
    ):
        yield Reader(client, integration)


@pytest.fixture
async def locked(connection: Connection, store: Store) -> AsyncIterator[None]:
    """There is a sku, and reading tags waits for as long as the test takes."""
    await factories.sku(connection, store)
    async with connection.transaction():
        await connection.execute("lock table tags in access exclusive mode")
        yield


@pytest.mark.usefixtures("locked")
async def test_our_own_limit(hurried: Reader) -> None:
    for query, words in (
        ("filter[name][cont]=a", "filter by attributes"),
        ("sort=-name&page[after]=start", "sort by fewer"),
        ("page[size]=100", "make the pages smaller"),
        ("page[number]=5", "page by cursor"),
    ):
        error = await hurried.refused(f"/api/tags?{query}", None)
        assert error["code"] == "QUERY_TOO_COSTLY"
        assert words in error["detail"]
    error = await hurried.refused("/api/skus?include=tags", None)
    assert "include less" in error["detail"]


@pytest.mark.usefixtures("locked")
async def test_nothing_to_narrow_is_not_the_clients_fault(hurried: Reader) -> None:
    for url in ("/api/tags", "/api/tags/x"):
        answer = await hurried.get(url, 503)
        assert answer.headers["retry-after"] == "1"


async def test_the_databases_own_limit(database_url: str, store: Store) -> None:
    """`reprise migrate` may have set a statement_timeout on the role or the database."""
    asking, locking = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    try:
        await asking.execute("set statement_timeout = '100ms'")
        async with locking.transaction():
            await locking.execute("lock table tags in access exclusive mode")
            for page in (("page[number]", "2"), ("page[after]", "start")):
                query = parse(graph["tags"], [("filter[name][cont]", "a"), page], shape="many")
                with pytest.raises(TooCostly, match="filter by attributes"):
                    await read.page(asking, Viewer(store.id), query)
    finally:
        await asking.close()
        await locking.close()


@pytest.mark.parametrize("sort", ["", "-id", "reference", "-reference", "created_at", "-updated_at"])
async def test_a_deep_page_reads_no_more_rows_than_the_first(connection: Connection, store: Store, sort: str) -> None:
    """CP: counted by Postgres itself, on a table with many equal and missing values."""
    await connection.execute(MANY_CUSTOMERS, store.id, clock.now(), CUSTOMERS)
    await counted.anew(connection, store)
    await connection.execute("analyze customers")
    pairs = [("sort", sort)] if sort else []
    deep = f"c{CUSTOMERS - 500:05}"
    row = await connection.fetchrow(
        "select id, reference, created_at, updated_at from customers where store_id = $1 and id = $2", store.id, deep
    )
    assert row is not None
    keys = parse(graph["customers"], pairs, shape="many").sort
    at = Cursors(graph["customers"], keys).at([row[key.path[0]] for key in ordering(keys)])
    for key, bound in (("after", "start"), ("after", at), ("before", at), ("before", "end")):
        query = parse(graph["customers"], [*pairs, (f"page[{key}]", bound)], shape="many")
        assert await rows_read(connection, store, query) < 300, (key, bound)


CUSTOMERS = 4_000
MANY_CUSTOMERS = """
    insert into customers (store_id, id, email, status, reference, created_at, updated_at)
    select $1, 'c' || lpad(n::text, 5, '0'), n || '@example.com', case when n % 3 = 0 then 'repeat' else 'acquired' end,
        case when n % 2 = 0 then 'r' || n % 1000 end, $2, $2::timestamptz + make_interval(secs => n % 1500)
    from generate_series(1, $3::int) n
"""


async def rows_read(connection: Connection, store: Store, query: Query) -> int:
    """How many rows and index entries Postgres looks at for a page."""
    asked: list[Any] = []
    raw = getattr(connection, "_con", connection)
    # What comes for the first time is asked in a way that the logger doesn't see.
    await read.page(connection, Viewer(store.id), query)
    with raw.query_logger(asked.append):
        found = await read.page(connection, Viewer(store.id), query)
        await asyncio.sleep(0)  # loggers are called when the loop is free
    assert found.rows
    assert len(asked) == 1
    plan = await connection.fetchval(f"explain (analyze, format json) {asked[0].query}", *asked[0].args)
    return leaves(orjson.loads(plan)[0]["Plan"])


def leaves(plan: dict[str, Any]) -> int:
    """The rows that the scans of a plan looked at, those thrown away included."""
    inner = sum(leaves(part) for part in plan.get("Plans", []))
    if "Scan" not in plan["Node Type"] or "Subquery" in plan["Node Type"]:
        return inner
    looked = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return inner + int(looked * plan["Actual Loops"])
