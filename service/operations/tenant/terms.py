"""What a store decides for new carts and orders."""

from __future__ import annotations

from typing import NamedTuple

from service.operations.generic.change import Change
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Only


class Terms(NamedTuple):
    """How order codes begin and end, whether prices include tax, and the language of a store."""

    order_prefix: str
    order_suffix: str
    prices_include_tax: bool
    locale: str


_TERMS = Only("tenant/stores.terms", Terms)

TERMS = "terms"
"""Under which name a change keeps them where they were read with something else."""


async def terms_of(change: Change) -> Terms:
    """Return what the store of a change decides for new carts and orders, unless that was read before."""
    known: Terms | None = change.kept.get(TERMS)
    return known or await of_store(change.connection, change.store)


async def of_store(connection: Connection, store: Store) -> Terms:
    """Return what a store decides for new carts and orders."""
    return await _TERMS(connection, store=store.id)
