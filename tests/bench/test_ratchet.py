"""What a request costs may not creep up: the calls that Python makes for it are counted, which no noise changes.

So are the statements that a write runs in its transaction. Lower a number here whenever a request has become cheaper.
Raise one only with a reason in the commit.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.types import Message

from service.cli import logs
from service.jobs.pay import PaymentJob
from service.operations.orders.saving import SOURCE, WALLET
from service.principal import Store
from service.store.pool import Connection, Database
from tests import bouncer, factories
from tests.bench.cases import IN_BATCH, add_customers, add_to_cart, reorder
from tests.checkout.conftest import ordering, placing, ready
from tests.gateways import nearby
from tests.jobs.paying import prepare
from tests.support import Access, Grant

pytestmark = pytest.mark.skipif(
    bouncer.wanted(), reason="Through PgBouncer no statement is kept prepared, and each call counts more."
)


class Cost(NamedTuple):
    """What a write costs."""

    statements: int
    calls: int


CALLS = {
    "one order": 555,
    "with lines, customer, addresses": 730,
    "page of 25": 1_105,
    "page of 25, attributes alone": 760,
}
"""Calls for each request, those of the event loop and the log line included, as counted on Python 3.11."""
WRITES = {
    "reorder": Cost(3, 2_240),
    "reorder into a new cart": Cost(5, 2_620),
    "add to cart": Cost(3, 2_000),
    "order a cart": Cost(3, 2_350),
    "place an order": Cost(6, 2_640),
    "an order whose payment is refused": Cost(5, 2_630),
    "keep what an order is paid with": Cost(10, 3_360),
    "batch of 100 customers": Cost(4, 45_400),
}
"""For each write the statements between BEGIN and COMMIT, the one that reads the answer back included, and the calls.

An order is placed in two transactions, around the call to the gateway; nothing is read back where it refuses. What a
customer may have only so many of (carts, sources in the wallet) takes two statements more: a lock, and a count.
"""
DEARER = 1.25

TURNS = 6
REFUSED = 402

Ask = Callable[..., Awaitable[int]]
Turn = Callable[[], Awaitable[int]]


@pytest.fixture
def ask(app: Starlette) -> Ask:
    """Sends a request to the application as a server does; returns its status."""

    async def send_to_app(
        path: str, access: Access, query: str = "", *, body: bytes = b"", method: str = "GET", media: str = ""
    ) -> int:
        answer: list[Message] = []
        headers = {name.lower(): value for name, value in access.headers.items()} | {
            "host": "127.0.0.1",
            "content-length": str(len(body)),
        }
        if media:
            headers |= {"accept": media, "content-type": media}
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "root_path": "",
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            answer.append(message)

        await app(scope, receive, send)
        status: int = answer[0]["status"]
        return status

    return send_to_app


async def _calls(work: Turn) -> int:
    """How many calls a request makes once everything is warm: the fewest of a few times."""
    return min([await _counted(work) for _ in range(5)])


async def _counted(work: Turn) -> int:
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        answered = await work()
    finally:
        sys.setprofile(None)
    assert 200 <= answered < 300 or answered == REFUSED
    return calls


@pytest.fixture
def logs_as_served() -> None:
    """Lines of requests as a server writes them, which are part of what a request costs."""
    logs.configure("info")


@pytest.mark.usefixtures("logs_as_served")
async def test_requests_have_not_become_dearer(ask: Ask, grant: Grant, connection: Connection, store: Store) -> None:
    sku = await factories.sku(connection, store)
    customer = await factories.customer(connection, store)
    lines = [factories.Line(sku, 1) for _ in range(3)]
    orders = [await factories.full_order(connection, store, lines, customer_id=customer) for _ in range(25)]
    shop = await grant()
    include = "include=line_items,customer,billing_address,shipping_address"
    counted = {
        "one order": await _calls(lambda: ask(f"/api/orders/{orders[0]}", shop)),
        "with lines, customer, addresses": await _calls(lambda: ask(f"/api/orders/{orders[0]}", shop, include)),
        "page of 25": await _calls(lambda: ask("/api/orders", shop, "page[size]=25&sort=id")),
        "page of 25, attributes alone": await _calls(
            lambda: ask("/api/orders", shop, "page[size]=25&sort=id&fields[orders]=number,status,placed_at")
        ),
    }
    dearer = {name: calls for name, calls in counted.items() if calls > DEARER * CALLS[name]}
    assert not dearer, f"{dearer}: dearer than {CALLS}"


@pytest.mark.usefixtures("logs_as_served")
async def test_writes_have_not_become_dearer(
    app: Starlette, ask: Ask, grant: Grant, connection: Connection, store: Store
) -> None:
    turns = range(TURNS)
    sku = await factories.sku(connection, store)
    customer = await factories.customer(connection, store)
    order = await factories.full_order(
        connection, store, [factories.Line(sku, 1) for _ in range(3)], customer_id=customer
    )
    first = [await factories.full_order(connection, store, [factories.Line(sku, 1) for _ in range(3)]) for _ in turns]
    carts = [await factories.cart(connection, store) for _ in turns]
    full = [
        await ready(connection, store, customer_id=await factories.customer(connection, store))
        for _ in range(3 * TURNS)
    ]
    shop, buyer = await grant(), await grant(customer_id=customer)

    def write(method: str, path: str, body: str | dict[str, Any], access: Access = shop, media: str = "") -> Turn:
        sent = body if isinstance(body, str) else json.dumps(body)
        return lambda: ask(path, access, body=sent.encode(), method=method, media=media)

    counted = {
        "reorder": await _cost(app, [write("POST", "/api/reorders", reorder(order).body, buyer) for _ in turns]),
        "reorder into a new cart": await _cost(
            app, [write("POST", "/api/reorders", reorder(id_).body) for id_ in first]
        ),
        "add to cart": await _cost(
            app, [write("POST", "/api/cart_items", add_to_cart(cart, sku.code).body) for cart in carts]
        ),
        "order a cart": await _cost(app, [write("POST", "/api/orders", ordering(cart)) for cart in full]),
    }
    made = await connection.fetch("select id from orders where store_id = $1 and cart_id is not null", store.id)
    placed: dict[str, tuple[Sequence[Any], dict[str, Any]]] = {
        "place an order": (made[:TURNS], {SOURCE: "tok_approve"}),
        "an order whose payment is refused": (made[TURNS : 2 * TURNS], {SOURCE: "tok_decline"}),
        "keep what an order is paid with": (made[2 * TURNS :], {SOURCE: "tok_approve", WALLET: True}),
    }
    for name, (orders, sent) in placed.items():
        bodies = {row["id"]: placing(row["id"], **sent) for row in orders}
        counted[name] = await _cost(app, [write("PATCH", f"/api/orders/{id_}", body) for id_, body in bodies.items()])
    assert (
        await connection.fetchval("select count(*) from customer_payment_sources where store_id = $1", store.id)
        == TURNS
    )
    counted["batch of 100 customers"] = await _cost(
        app,
        [write("POST", "/api/operations", _customers(turn), media=IN_BATCH) for turn in turns],
    )
    assert {name: cost.statements for name, cost in counted.items()} == {
        name: cost.statements for name, cost in WRITES.items()
    }
    dearer = {name: cost for name, cost in counted.items() if cost.calls > DEARER * WRITES[name].calls}
    assert not dearer, f"{dearer}: dearer than {WRITES}"


async def test_payments_of_runs_take_few_statements(database: Database, connection: Connection, store: Store) -> None:
    """Each transaction looks for the store first; beside that one statement reads and one writes.

    The order that is placed again is locked before, and takes over what its subscription is paid with.
    """
    run = await prepare(database, connection, store, token="tok_decline")
    await run.begin()
    order, job = (await run.order())["id"], PaymentJob(database, nearby())

    async def pay() -> None:
        await job.go_on(store.id, order)

    assert await _statements(database, pay) == len(("store", "claim", "hold", "refuse"))
    assert await run.statuses() == ["declined"]
    await run.make_due()
    nothing = len(("store", "claim"))
    # A source that has refused before is locked as well, for its retries to be counted.
    claimed = len(("store", "lock", "due", "claim", "lock source", "last retries"))
    again = claimed + len(("read", "place", "hold", "refuse"))
    assert await _statements(database, pay) == nothing + again
    assert await run.statuses() == ["declined", "declined"]
    await run.make_due()
    await connection.execute("update stock_items set quantity = 0 where store_id = $1", store.id)
    # What is rolled back has read only; then the refusal is noted.
    noted = claimed + len(("run", "write"))
    assert await _statements(database, pay) == nothing + claimed + len(("read",)) + noted
    assert await run.statuses() == ["declined", "declined", "failed"]
    await run.make_due()
    await connection.execute("update stock_items set quantity = 10 where store_id = $1", store.id)
    await run.token("tok_approve")
    paid = claimed + len(("read", "place", "hold", "settle", "recover"))
    assert await _statements(database, pay) == nothing + paid
    assert await run.statuses() == ["declined", "declined", "failed", "authorized"]


async def _cost(app: Starlette, turns: Sequence[Turn]) -> Cost:
    """What a write costs once everything is warm: the fewest calls of a few turns, and the statements of the last."""
    database: Database = app.state.service.database
    # All that a task does is on the connection that it holds.
    async with database.connection():
        calls = [await _counted(turn) for turn in turns[:-1]]
        return Cost(await _statements(database, turns[-1]), min(calls))


async def _statements(database: Database, work: Callable[[], Awaitable[object]]) -> int:
    """How many statements some work runs between BEGIN and COMMIT."""
    ran: list[str] = []
    async with database.connection() as held:
        with held.query_logger(lambda record: ran.append(record.query)):
            await work()
            await asyncio.sleep(0)
    inside, number = False, 0
    for text in ran:
        begins, ends = text == "BEGIN;", text in ("COMMIT;", "ROLLBACK;")
        number += inside and not ends
        inside = (inside or begins) and not ends
    return number


def _customers(turn: int) -> str:
    """A hundred customers in one atomic document, each turn others."""
    numbers = itertools.count(1_000 * turn)
    return re.sub("@N@", lambda _: str(next(numbers)), add_customers().body)
