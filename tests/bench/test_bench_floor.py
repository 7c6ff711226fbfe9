"""The floor writes what the service writes: so many rows, made and changed as often, in the same tables."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx2
import pytest

from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.bench import cases, floor_writes
from tests.bench.load import Request
from tests.factories import Line
from tests.support import Grant

TABLES = ("carts", "cart_items", "customers", "events", "order_factories", "reorder_outcomes", "reorders")

Rows = Mapping[str, tuple[int, int]]
"""By table: how many rows, and how many versions they have had together."""


@dataclass(frozen=True)
class Subject:
    """A customer's order of three lines, active cart and subscription, and a sku that is in neither."""

    order: str
    cart: str
    subscription: str
    sku: str


async def _subject(connection: Connection, store: Store) -> Subject:
    customer = await factories.customer(connection, store)
    skus = [await factories.sku(connection, store) for _ in range(4)]
    order = await factories.full_order(connection, store, [Line(sku) for sku in skus[:3]], customer_id=customer)
    cart = await factories.cart(connection, store, customer_id=customer)
    return Subject(order, cart, await factories.subscription(connection, store, order), skus[3].code)


async def _rows(connection: Connection, store: Store) -> Rows:
    found = {}
    for table in TABLES:
        counted = f"select count(*), coalesce(sum(version), 0)::bigint from {table} where store_id = $1"
        rows, versions = await connection.fetchrow(counted, store.id) or (0, 0)
        found[table] = rows, versions
    found["collection_changes"] = (
        await connection.fetchval("select count(*) from collection_changes where store_id = $1", store.id),
        0,
    )
    jobs = "select (select count(*) from pgqueuer.pgqueuer), (select count(*) from pgqueuer.pgqueuer_log)"
    queued, logged = await connection.fetchrow(jobs) or (0, 0)
    return found | {"jobs": (queued, logged)}


async def _written(connection: Connection, store: Store, work: Callable[[], Awaitable[None]]) -> Rows:
    before = await _rows(connection, store)
    await work()
    after = await _rows(connection, store)
    changes = {name: (rows - before[name][0], versions - before[name][1]) for name, (rows, versions) in after.items()}
    return {name: change for name, change in changes.items() if change != (0, 0)}


@pytest.mark.parametrize("path", floor_writes.WRITES)
async def test_floor_and_service_write_the_same(
    path: str, connection: Connection, store: Store, client: httpx2.AsyncClient, grant: Grant
) -> None:
    access, one, other = await grant(), await _subject(connection, store), await _subject(connection, store)
    id_, body, request = {
        "/reorder": (one.order, None, cases.reorder(other.order)),
        "/cart-item": (one.cart, one.sku, cases.add_to_cart(other.cart, other.sku)),
        "/copy": (one.subscription, None, cases.copy(other.subscription, other.order)),
        "/batch": ("1", json.dumps([f"{n}@example.com" for n in range(100)]), cases.add_customers()),
    }[path]

    async def ask_floor() -> None:
        binds = [store.id, id_, clock.now(store), clock.new_id(), *([] if body is None else [body])]
        assert await connection.fetchval(floor_writes.WRITES[path], *binds) is not None

    async def ask_service() -> None:
        media = cases.IN_BATCH if path == "/batch" else cases.PLAIN
        headers = access.headers | {"Accept": media, "Content-Type": media}
        answer = await client.request(request.method, request.path, content=_numbered(request), headers=headers)
        assert answer.is_success, answer.text

    written = await _written(connection, store, ask_floor)
    assert written
    assert written == await _written(connection, store, ask_service)


def _numbered(request: Request) -> bytes:
    parts = request.body.split("@N@")
    return (parts[0] + "".join(f"{n}{part}" for n, part in enumerate(parts[1:]))).encode()
