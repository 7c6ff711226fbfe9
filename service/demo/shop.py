"""Who is at the demo shop: the demo store while it is in test mode, and its customer Sam."""

from __future__ import annotations

from service.demo import load
from service.demo.documents import CUSTOMER_ID
from service.operations.tenant import tenants
from service.principal import CUSTOMER_SCOPES, Principal, Store
from service.store.pool import Connection

_SHOPPER = "demo-shop"
"""The actor of what is done at the demo shop, as events name it: of a token that nobody holds."""


async def find(connection: Connection) -> Store | None:
    """Return the demo store; None where there is none, or where it isn't in test mode any more."""
    store = await tenants.find(connection, load.STORE)
    if store is None or store.mode != "test" or not await load.holds_demo(connection):
        return None
    return store


def shopper(store: Store) -> Principal:
    """Return the demo store's customer Sam, with the rights of a customer's token."""
    return Principal(store, _SHOPPER, CUSTOMER_ID, CUSTOMER_SCOPES)
