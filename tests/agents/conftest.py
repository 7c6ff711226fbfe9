"""A server, and a shop in it whose customer has an order and a subscription of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
import pytest_asyncio

from service.principal import Store
from service.settings import Settings
from service.store.pool import Database
from tests import factories, roles
from tests.agents.assisting import Shop
from tests.servers import served_here
from tests.support import KEYS, Access, Grant


@pytest.fixture(scope="session")
def origin(database_url: str) -> Iterator[str]:
    """The URL of a server."""
    settings = Settings(**roles.reached("api", database_url), secret_keys=",".join(KEYS), log_level="warning")
    with served_here(settings) as url:
        yield url


async def subscribe(origin: str, integration: Access, order: str) -> str:
    """The id of a monthly subscription that repeats an order."""
    data = {
        "type": "order_subscriptions",
        "attributes": {"frequency": "monthly"},
        "relationships": {"source_order": {"data": {"type": "orders", "id": order}}},
    }
    async with httpx2.AsyncClient(headers=integration.headers) as client:
        answer = await client.post(f"{origin}/api/order_subscriptions", json={"data": data})
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["data"]["id"]
    return made


@pytest_asyncio.fixture
async def shop(origin: str, database: Database, store: Store, grant: Grant) -> Shop:
    """A customer's past order of two mugs and a shirt, the monthly subscription of it, and a stranger's order."""
    async with database.transaction() as connection:
        mug = await factories.sku(connection, store, price=1250, stock=40, name="Mug")
        shirt = await factories.sku(connection, store, price=2000, name="Shirt")
        customer = await factories.customer(connection, store, email="ada@example.com")
        lines = [factories.Line(mug, 2), factories.Line(shirt)]
        order = await factories.full_order(connection, store, lines, customer_id=customer)
        stranger = await factories.customer(connection, store, email="eve@example.com")
        strangers = await factories.full_order(connection, store, lines, customer_id=stranger)
    subscription, theirs = [await subscribe(origin, await grant(), one) for one in (order, strangers)]
    access = await grant(customer_id=customer)
    known = {
        "customer": customer,
        "order": order,
        "subscription": subscription,
        "strangers": strangers,
        "theirs": theirs,
        "mug": mug.id,
    }
    return Shop(origin, access.token, known)
