"""What the tests of the HTTP API share."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette

from service.contract import openapi
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection, Database
from tests import factories
from tests.api.pressing import NOW
from tests.contract.contract import Contract
from tests.faults.playing import Shop
from tests.pages import Link, url_of
from tests.spec.writing import Api


@pytest.fixture
async def no_wrong_links(connection: Connection) -> None:
    """Wrong links that other tests tried from this address are forgotten."""
    await connection.execute("delete from rate_limits where store_id = 0")


@pytest.fixture(scope="session")
def contract() -> Contract:
    """What `openapi.yaml` says."""
    return Contract(openapi.build(RESOURCES))


@pytest.fixture
async def link(app: Starlette, connection: Connection, store: Store, no_wrong_links: None) -> Link:  # noqa: ARG001
    """Two shirts and a mug, ordered by Sam Rivers of Utrecht."""
    shirt = await factories.sku(connection, store, price=2500, name="Blue <T-Shirt>")
    mug = await factories.sku(connection, store, price=900, name="Cotton Mug")
    order_id = await factories.full_order(
        connection, store, [factories.Line(shirt, 2), factories.Line(mug, 1)], code="JJ5HH"
    )
    await connection.execute(
        "update addresses set email = 'sam@example.com', notes = 'third floor' where store_id = $1", store.id
    )
    return Link(store, order_id, shirt, mug, await url_of(app, connection, store, "JJ5HH"))


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on a test clock, on the day on which pages of action links are opened."""
    return await Shop.open(api, database, connection, store, NOW)
