"""How much may be read, written and asked for without a token in a minute, and what counting that costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx2
import pytest
from starlette.applications import Starlette

from service import clock
from service.app import create_app
from service.http import limits
from service.http.leases import LOTS, Leases
from service.principal import Store
from service.settings import Settings
from service.store import pool
from service.store.limits import Limit
from service.store.pool import Connection, Database
from tests import factories
from tests.access.fetching import fetch, made
from tests.spec.operating import MEDIA_TYPE as ATOMIC
from tests.spec.operating import update
from tests.support import Access, Grant

READ, WRITTEN = "/api/orders", "/api/customers"
LINK = "/repeat-order?id=x&token=y&type=order"


@asynccontextmanager
async def served(settings: Settings, peer: str = "127.0.0.1", **changes: int) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with these limits, that asks from an address."""
    app = create_app(settings.model_copy(update=changes))
    transport = httpx2.ASGITransport(app, client=(peer, 1))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield client


@pytest.fixture
async def shopper(connection: Connection, store: Store, grant: Grant) -> Access:
    await connection.execute("delete from rate_limits")
    return await grant(customer_id=await factories.customer(connection, store))


def told(answer: httpx2.Response, name: str, most: int, left: int) -> None:
    """Both families of headers say the same."""
    headers = answer.headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == (str(most), str(left))
    assert headers["ratelimit-policy"] == f'"{name}";q={most};w=60'
    assert headers["ratelimit"].startswith(f'"{name}";r={left};t=')
    assert ("retry-after" in headers) == (answer.status_code == 429)


async def test_answers_say_what_is_left_of_their_class(settings: Settings, shopper: Access) -> None:
    async with served(settings, read_limit=2, write_limit=1, anonymous_limit=1) as client:
        for left in (1, 0):
            told(await client.get(READ, headers=shopper.headers), "reading", 2, left)
        for _ in range(2):
            refused = await client.get(READ, headers=shopper.headers)
            assert refused.status_code == 429
            told(refused, "reading", 2, 0)
        wrong = await client.post(WRITTEN, headers=shopper.headers, content=b"{}")
        assert wrong.status_code == 400
        told(wrong, "writing", 1, 0)
        told(await client.post(WRITTEN, headers=shopper.headers, content=b"{}"), "writing", 1, 0)
        page = await client.get(LINK)
        assert page.status_code == 410
        told(page, "anonymous", 1, 0)
        told(await client.get(LINK), "anonymous", 1, 0)
        costly = await client.post("/api/reorders", headers=shopper.headers, content=b"{}")
        assert (costly.status_code, costly.headers["x-ratelimit-limit"]) == (400, "60")


async def test_what_is_costly_is_counted_as_that_alone(
    settings: Settings, connection: Connection, store: Store, grant: Grant
) -> None:
    customer = await factories.customer(connection, store)
    shirt = await factories.sku(connection, store)
    order = await factories.full_order(connection, store, [factories.Line(shirt)], customer_id=customer)
    subscription = await factories.subscription(connection, store, order)
    access = await grant(customer_id=customer)
    async with served(settings, read_limit=1, write_limit=1, rate_limit=5) as client:
        for left in (4, 3):
            url = f"/api/order_subscriptions/{subscription}/forecast"
            told(await client.get(url, headers=access.headers), "forecasts", 5, left)
            told(await client.post("/api/reorders", headers=access.headers, content=b"{}"), "reorders", 5, left)
        told(await client.get(READ, headers=access.headers), "reading", 1, 0)


async def test_settings_say_how_much(settings: Settings, shopper: Access, integration: Access) -> None:
    async def limit(access: Access, **changes: int) -> tuple[str | None, str | None]:
        async with served(settings, "127.0.0.1", **changes) as client:
            answers = [await client.get(READ, headers=access.headers)]
            answers.append(await client.post(WRITTEN, headers=access.headers, content=b"{}"))
        read, written = (answer.headers.get("x-ratelimit-limit") for answer in answers)
        return read, written

    assert await limit(shopper) == ("1200", "300")
    assert await limit(integration) == (None, None)
    assert await limit(shopper, rate_limit=7) == ("140", "35")
    assert await limit(shopper, read_limit=0, write_limit=0) == (None, None)
    assert await limit(integration, read_limit=90, write_limit=80) == ("900", "800")


async def test_every_operation_of_a_batch_is_a_write(
    settings: Settings, connection: Connection, store: Store, shopper: Access
) -> None:
    customer = await connection.fetchval("select customer_id from access_tokens where id = $1", shopper.id)
    address = await factories.address(connection, store, customer_id=customer)
    operation = update("addresses", {"reference": "x"}, id=address)
    headers = shopper.headers | {"Content-Type": ATOMIC, "Accept": ATOMIC}
    async with served(settings, write_limit=10) as client:
        for number, left, status in ((4, 6, 200), (4, 2, 200), (4, 0, 429), (1, 1, 200)):
            answer = await client.post(
                "/api/operations", json={"atomic:operations": [operation] * number}, headers=headers
            )
            assert answer.status_code == status, answer.text
            if status == 200:
                assert int(answer.headers["x-ratelimit-remaining"]) <= left
    async with served(settings, write_limit=5) as client:
        await connection.execute("delete from rate_limits")
        answer = await client.post("/api/operations", json={"atomic:operations": [operation] * 9}, headers=headers)
        assert answer.status_code == 200, "a batch that is larger than the limit takes all of it"
        assert answer.headers["x-ratelimit-remaining"] == "0"


async def test_shoppers_of_a_sales_channel_are_counted_by_their_network(
    settings: Settings, client: httpx2.AsyncClient, database: Database, store: Store
) -> None:
    channel = await fetch(client, await made(database, store, "sales_channel"))
    for peer in ("198.51.100.1", "198.51.100.2", "2001:db8::1"):
        async with served(settings, peer, read_limit=1) as shop:
            answers = [await shop.get("/api/skus", headers=channel.headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429], peer
    async with served(settings, "2001:db8::2", read_limit=1) as shop:
        assert (await shop.get("/api/skus", headers=channel.headers)).status_code == 429, "of the same network"


async def test_carts_that_nobody_owns_are_so_many_from_one_network(
    settings: Settings, client: httpx2.AsyncClient, connection: Connection, database: Database, store: Store
) -> None:
    """A sales channel's shoppers make them, and whoever has a link. What a batch tries to make is counted too."""
    await connection.execute("delete from rate_limits")
    channel = await fetch(client, await made(database, store, "sales_channel"))
    in_batch = channel.headers | {"Content-Type": ATOMIC, "Accept": ATOMIC}
    cart = {"data": {"type": "carts"}}
    async with served(settings, "198.51.100.3", rate_limit=1, read_limit=0, write_limit=0) as shop:
        answers = [await shop.post("/api/carts", json=cart, headers=channel.headers) for _ in range(8)]
        assert {answer.status_code for answer in answers} == {201}
        batch = {"atomic:operations": [{"op": "add", **cart}] * 3}
        assert (await shop.post("/api/operations", json=batch, headers=in_batch)).status_code == 429
        refused = await shop.post("/api/carts", json=cart, headers=channel.headers)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 60
        link = {"Authorization": f"Bearer {store.id}.x.y"}
        assert (await shop.post("/api/repeat_link_commits", headers=link)).status_code == 429
    made_of_it = await connection.fetchval("select count(*) from carts where store_id = $1", store.id)
    assert made_of_it == 8
    async with served(settings, "198.51.100.4", rate_limit=1, write_limit=0) as elsewhere:
        assert (await elsewhere.post("/api/carts", json=cart, headers=channel.headers)).status_code == 201


@pytest.mark.parametrize("path", ["/demo", "/demo/cart", "/demo/checkout?cart=x", "/.well-known/jwks.json", LINK])
async def test_what_needs_no_token_is_limited_by_network_before_any_work(
    settings: Settings, connection: Connection, path: str
) -> None:
    await connection.execute("delete from rate_limits")
    async with served(settings, "198.51.100.5", anonymous_limit=2) as client:
        answers = [await client.get(path) for _ in range(3)]
    assert 429 not in [answer.status_code for answer in answers[:2]]
    assert answers[2].status_code == 429
    told(answers[2], "anonymous", 2, 0)


async def test_nothing_is_asked_where_nothing_is_limited(
    app: Starlette, client: httpx2.AsyncClient, *, integration: Access, shopper: Access
) -> None:
    database: Database = app.state.service.database

    async def statements(access: Access, number: int) -> tuple[int, int]:
        """How many statements so many requests run in all, and how many of them count."""
        ran: list[str] = []
        async with database.connection() as held:
            with held.query_logger(lambda record: ran.append(record.query)):
                for _ in range(number):
                    assert (await client.get(READ, headers=access.headers)).status_code == 200
                await asyncio.sleep(0)
        return len(ran), sum("rate_limits" in text for text in ran)

    assert await statements(integration, 1) != (0, 0), "they are seen"
    assert (await statements(integration, 30))[1] == 0
    most = limits.of_requests(app.state.service.settings, limits.READING, None)
    assert most is not None
    lot = most.amount // LOTS
    assert (await statements(shopper, 3 * lot))[1] == 3


async def test_leases_never_give_more_than_the_limit_and_end_with_their_window(
    database: Database, store: Store
) -> None:
    limit, at = Limit("leased", 200), clock.now()
    processes = [Leases(database) for _ in range(3)]

    async def spend(number: int, *, later: int = 0) -> int:
        """How many are allowed of so many requests, which all processes get."""
        when = at + timedelta(seconds=later)
        windows = await asyncio.gather(
            *(processes[n % 3].spend(store.id, limit, "somebody", at=when) for n in range(number))
        )
        return sum(window.hits <= limit.amount for window in windows)

    assert await spend(150) == 150
    assert await spend(150) == 50
    assert await spend(30) == 0
    assert await spend(30, later=61) == 30
    alone = Leases(database)
    hits = [(await alone.spend(store.id, limit, "else", at=at)).hits for _ in range(5)]
    assert hits == [1, 2, 3, 4, 5], "what is left of a lot is left"


async def test_limits_and_turns_go_together(settings: Settings, shopper: Access) -> None:
    """A request that is refused takes nobody's turn, and what waits for its turn was counted."""
    async with served(settings, pool_size=2, read_limit=3) as client:
        answers = await asyncio.gather(*(client.get(READ, headers=shopper.headers) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 5
        again = await asyncio.gather(
            *(client.post("/api/reorders", headers=shopper.headers, content=b"{}") for _ in range(3))
        )
        assert [answer.status_code for answer in again] == [400] * 3


async def test_an_overloaded_process_says_when_to_come_back(
    app: Starlette, client: httpx2.AsyncClient, integration: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WAIT_SECONDS", 0.2)
    database: Database = app.state.service.database
    held = [await database.lend() for _ in range(app.state.service.settings.pool_size)]
    try:
        answer = await client.get(READ, headers=integration.headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["errors"][0]["code"] == "SERVICE_UNAVAILABLE"
        assert (await client.get("/readyz")).status_code == 200, "who watches has a connection of its own"
    finally:
        for connection in held:
            await database.release(connection)
    assert (await client.get(READ, headers=integration.headers)).status_code == 200


async def test_a_token_that_is_none_is_told_so_a_few_times_and_a_good_one_always(
    settings: Settings, shopper: Access, connection: Connection
) -> None:
    await connection.execute("delete from rate_limits")
    async with served(settings, "198.51.100.9") as client:
        wrong = [await client.get(READ, headers={"Authorization": f"Bearer secret_1_{n}"}) for n in range(62)]
        assert [answer.status_code for answer in wrong] == [401] * 60 + [429] * 2
        assert int(wrong[-1].headers["retry-after"]) >= 1
        assert (await client.get(READ, headers=shopper.headers)).status_code == 200
        assert (await client.get(READ)).status_code == 401, "no token is no guess"
