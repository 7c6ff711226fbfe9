"""What the tests of the chapters start from: an order to read, a document that creates something, a walk over links."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.principal import Store
from service.store.pool import Connection
from tests import factories

COPIES = "/api/recurring_order_copies"
UNKNOWN = "https://x.example/unknown"


async def order(connection: Connection, store: Store) -> str:
    """An order with a customer, addresses and two lines; gives the id."""
    lines = [
        factories.Line(await factories.sku(connection, store), 2),
        factories.Line(await factories.sku(connection, store)),
    ]
    return await factories.full_order(connection, store, lines)


async def copy_document(connection: Connection, store: Store, **attributes: Any) -> dict[str, Any]:
    """A document that POST /api/recurring_order_copies takes."""
    order_id = await order(connection, store)
    subscription_id = await factories.subscription(connection, store, order_id)
    return {
        "data": {
            "type": "recurring_order_copies",
            "attributes": attributes,
            "relationships": {
                "source_order": {"data": {"type": "orders", "id": order_id}},
                "order_subscription": {"data": {"type": "order_subscriptions", "id": subscription_id}},
            },
        }
    }


async def copies(connection: Connection, store: Store) -> int:
    """How many copies the store has."""
    found: int = await connection.fetchval("select count(*) from order_factories where store_id = $1", store.id)
    return found


def links(value: Any) -> Iterator[Any]:
    """Every link in a document, wherever it is."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "links":
                yield from inner.values()
            elif name != "attributes":
                yield from links(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from links(inner)
