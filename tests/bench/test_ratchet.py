"""What a request costs may not creep up: the calls that Python makes for it are counted, which no noise changes.

Lower a number here whenever a request has become cheaper. Raise one only with a reason in the commit.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import orjson
import pytest
import structlog
from starlette.applications import Starlette
from starlette.types import Message

from service.cli import logs
from service.http import line
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.support import Access, Grant

CALLS = {
    "one order": 670,
    "with lines, customer, addresses": 860,
    "page of 25": 1_280,
    "reorder": 3_030,
}
"""Calls for each request, those of the event loop and the log line included, as counted on Python 3.11."""
DEARER = 1.25

Ask = Callable[..., Awaitable[int]]


@pytest.fixture
def ask(app: Starlette) -> Ask:
    """Sends a request to the application as a server does; returns its status."""

    async def send_to_app(path: str, access: Access, query: str = "", body: bytes = b"") -> int:
        answer: list[Message] = []
        headers = {name.lower(): value for name, value in access.headers.items()} | {
            "host": "127.0.0.1",
            "content-length": str(len(body)),
        }
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST" if body else "GET",
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


async def _calls(work: Callable[[], Awaitable[int]], status: int) -> int:
    """How many calls a request makes once everything is warm: the fewest of a few times."""
    counts = []
    for _ in range(5):
        calls = 0

        def count(_frame: Any, event: str, _argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            answered = await work()
        finally:
            sys.setprofile(None)
        assert answered == status
        counts.append(calls)
    return min(counts)


@pytest.fixture
def logs_as_served(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lines of requests as a server writes them, which are part of what a request costs.

    A logger stays as it was configured when it was first used, so the edge gets a new one.
    """
    monkeypatch.setattr(line, "log", structlog.get_logger(part="http"))
    before, level = structlog.get_config(), logging.getLogger().level
    handlers = logging.getLogger().handlers
    logs.configure("info")
    yield
    structlog.configure(**before)
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


@pytest.mark.usefixtures("logs_as_served")
async def test_requests_have_not_become_dearer(ask: Ask, grant: Grant, connection: Connection, store: Store) -> None:
    sku = await factories.sku(connection, store)
    customer = await factories.customer(connection, store)
    lines = [factories.Line(sku, 1) for _ in range(3)]
    orders = [await factories.full_order(connection, store, lines, customer_id=customer) for _ in range(25)]
    shop, buyer = await grant(), await grant(customer_id=customer)
    linked = {"source_order": {"data": {"type": "orders", "id": orders[0]}}}
    reorder = orjson.dumps({"data": {"type": "reorders", "relationships": linked}})
    include = "include=line_items,customer,billing_address,shipping_address"
    counted = {
        "one order": await _calls(lambda: ask(f"/api/orders/{orders[0]}", shop), 200),
        "with lines, customer, addresses": await _calls(lambda: ask(f"/api/orders/{orders[0]}", shop, include), 200),
        "page of 25": await _calls(lambda: ask("/api/orders", shop, "page[size]=25&sort=id"), 200),
        "reorder": await _calls(lambda: ask("/api/reorders", buyer, body=reorder), 201),
    }
    dearer = {name: calls for name, calls in counted.items() if calls > DEARER * CALLS[name]}
    assert not dearer, f"{dearer}: dearer than {CALLS}"
