"""What a store decides for new carts and orders."""

from __future__ import annotations

from typing import Any

from service.operations.generic.change import Change
from sql import queries

STORES = queries("tenant/stores")


async def terms_of(change: Change) -> Any:
    """What the store decides for new carts and orders: locale, taxes, how order codes begin and end."""
    return await change.connection.fetchrow(STORES["store_terms"], change.store.id)
