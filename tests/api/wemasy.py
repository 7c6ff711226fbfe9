"""What the tests of WeMasy's route share: a customer with a token, orders, and looks into the database."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from starlette.applications import Starlette

from service.app import create_app
from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection
from tests import factories
from tests.conftest import ORIGIN
from tests.factories import Line
from tests.support import Access, Grant

URL = "/api/services/webshop/v1/customer/orders/reorder"


@dataclass(frozen=True)
class Shopper:
    """A customer with a token, behind a client of their own."""

    id: str
    client: httpx2.AsyncClient
    access: Access
    headers: dict[str, str]

    async def reorder(self, number: Any, **headers: str) -> httpx2.Response:
        """The answer to a reorder of the order of this number."""
        return await self.client.post(URL, json={"order_id": number}, headers=self.headers | headers)


async def make_shopper(client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant) -> Shopper:
    id_ = await factories.customer(connection, store)
    access = await grant(customer_id=id_, store=store)
    return Shopper(id_, client, access, {"Authorization": f"Bearer {access.token}"})


async def number_of(connection: Connection, store: Store, order_id: str) -> int:
    found: int = await connection.fetchval(
        "select number from orders where store_id = $1 and id = $2", store.id, order_id
    )
    return found


async def placed(connection: Connection, store: Store, shopper: Shopper, *lines: Line, **columns: Any) -> int:
    """The number of a new order of the shopper."""
    order_id = await factories.order(connection, store, lines, customer_id=shopper.id, **columns)
    return await number_of(connection, store, order_id)


async def items(connection: Connection, store: Store) -> list[dict[str, Any]]:
    """All cart items of the store."""
    rows = await connection.fetch("select * from cart_items where store_id = $1 order by id", store.id)
    return [dict(row) for row in rows]


async def written(connection: Connection, store: Store) -> dict[str, int]:
    """How many rows a reorder could have written."""
    counts = {}
    for table in ("carts", "cart_items", "reorders", "reorder_outcomes", "events"):
        counts[table] = await connection.fetchval(f"select count(*) from {table} where store_id = $1", store.id)
    return counts


@asynccontextmanager
async def application(settings: Settings, address: str = "127.0.0.1") -> AsyncIterator[httpx2.AsyncClient]:
    """A client of another instance of the application."""
    app = create_app(settings)
    async with app.router.lifespan_context(app), visitor(app, address) as opened:
        yield opened


def visitor(app: Starlette, address: str) -> httpx2.AsyncClient:
    """A client at an address of its own: limits of those without a good token are per address."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url=ORIGIN)


def is_limited(response: httpx2.Response) -> bool:
    """Whether all headers of the limit are there and agree."""
    remaining = response.headers["X-RateLimit-Remaining"]
    return (
        response.headers["X-RateLimit-Limit"] == "60"
        and 0 <= int(remaining) < 60
        and response.headers["RateLimit-Policy"] == '"reorders";q=60;w=60'
        and re.fullmatch(rf'"reorders";r={remaining};t=\d+', response.headers["RateLimit"]) is not None
    )
