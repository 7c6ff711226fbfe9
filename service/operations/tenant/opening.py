"""Stores, the tenants: making one, and finding the facts that every request needs."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Any

from service import clock
from service.errors import Conflict, Invalid
from service.operations.events import outbox
from service.principal import Store
from service.store.pool import Connection
from sql import queries

STORES = queries("tenant/stores")

OPERATOR = "operators"
"""The actor of what is done at the command line."""


async def create(
    connection: Connection,
    *,
    store_id: int,
    name: str,
    slug: str | None = None,
    url: str | None = None,
    currency_code: str = "EUR",
    timezone: str = "UTC",
    locale: str = "en_US",
    mode: str = "test",
    at: datetime,
) -> Store:
    """Make a store with its market and their events, in the caller's transaction.

    The values are checked by the caller; without a slug the store gets one from its name. Raises Invalid for a blank
    name, Conflict when the number or the slug is taken.
    """
    if not name.strip():
        raise Invalid("{name} - can't be blank", name="name")
    slug = slug or slugify(name) or f"store-{store_id}"
    made = await connection.fetchval(
        STORES["create"], store_id, slug, name, url, currency_code, timezone, locale, mode, at
    )
    if made is None:
        raise Conflict(
            "There is already a store {store_id}, or another one with the slug {slug}.", store_id=store_id, slug=slug
        )
    store = Store(store_id, name, slug, mode, currency_code, locale, timezone)
    market_id = clock.new_id()
    await connection.execute(STORES["create_market"], store_id, market_id, name, slug, at)
    happened = [outbox.Event("stores.create", str(store_id)), outbox.Event("markets.create", market_id)]
    await outbox.record_all(connection, store, happened, actor=OPERATOR)
    return store


async def find(connection: Connection, store_id: int) -> Store | None:
    """The facts of a store, or None when there is none of this number."""
    row = await connection.fetchrow(STORES["find"], store_id)
    return None if row is None else from_row(row)


def from_row(row: Any) -> Store:
    """The store of a row that has the columns of the statement `find`."""
    return Store(
        id=row["store_id"],
        name=row["name"],
        slug=row["slug"],
        mode=row["mode"],
        currency_code=row["currency_code"],
        locale=row["locale"],
        timezone=row["timezone"],
        frozen_at=row["frozen_at"],
        repeat_order_url=row["repeat_order_url"],
    )


def slugify(name: str) -> str:
    """A name as lower-case letters, digits and hyphens, at most 63 of them; empty when nothing of it is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:63].strip("-")
