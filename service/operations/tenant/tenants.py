"""Stores as the rest of the service knows them: found, made, and told of what happens to all of them."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from service import clock
from service.errors import Conflict, Invalid
from service.operations.events import outbox
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Command, Many, One, OnlyValue, Value

_CREATE = Value("tenant/stores.create", int)
_CREATE_MARKET = Command("tenant/stores.create_market")
_MARKET = OnlyValue("tenant/stores.market", str)
_FIND = One("tenant/stores.find", Store)
_CHECKOUT_URL = Value("tenant/stores.checkout_url", str)
_ALL = Many("tenant/stores.all", Store)

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
    actor: str = OPERATOR,
) -> Store:
    """Make a store with its market and their events, in the caller's transaction.

    The caller has checked the values; without a slug the store gets one from its name. Raises Invalid for a blank
    name, Conflict when the number or the slug is taken.
    """
    if not name.strip():
        raise Invalid("{name} - can't be blank", name="name")
    slug = slug or slugify(name) or f"store-{store_id}"
    made = await _CREATE(
        connection,
        store=store_id,
        slug=slug,
        name=name,
        url=url,
        currency_code=currency_code,
        timezone=timezone,
        locale=locale,
        mode=mode,
        at=at,
    )
    if made is None:
        raise Conflict(
            "There is already a store {store_id}, or another one with the slug {slug}.", store_id=store_id, slug=slug
        )
    store = Store(store_id, name, slug, mode, currency_code, locale, timezone)
    market_id = clock.new_id()
    await _CREATE_MARKET(connection, store=store_id, id=market_id, name=name, code=slug, at=at)
    happened = [outbox.Event("stores.create", str(store_id)), outbox.Event("markets.create", market_id)]
    await outbox.record_all(connection, store, happened, actor=actor)
    return store


async def tell_all(connection: Connection, happened: str, *, actor: str) -> None:
    """Write in the trail of every store what was done to all of them: the last part of an event's name."""
    for store in await _ALL(connection):
        await outbox.record(connection, store, f"stores.{happened}", str(store.id), actor=actor)


async def market_id(connection: Connection, store_id: int) -> str:
    """Return the id of the market of a store that there is."""
    return await _MARKET(connection, store=store_id)


async def checkout_url(connection: Connection, store: Store) -> str | None:
    """Return the template of the URL of a store's own checkout, with `{session}`; None when it has none."""
    return await _CHECKOUT_URL(connection, store=store.id)


async def find(connection: Connection, store_id: int) -> Store | None:
    """Return the facts of a store, or None when no store has this number."""
    return await _FIND(connection, store=store_id)


def slugify(name: str) -> str:
    """Return a name as lower-case letters, digits and hyphens, at most 63; empty when no character of it remains."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:63].strip("-")
