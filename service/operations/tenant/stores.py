"""Stores, the tenants: what a shop says of its own, how one is made, and the facts that every request needs."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from service import clock
from service.errors import Conflict, Invalid
from service.gateways.external import is_secret
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.principal import Store
from service.rules.ladders import POLICY, is_ladder
from service.store.pool import Connection
from sql import queries


class Stores(Writer):
    """Stores: only one in test mode can keep the time of a test clock."""

    async def before_write(self, change: Change) -> None:
        """Check clock, gateway and policies."""
        if change.sets("test_clock_id") and change.value("test_clock_id") is not None and change.store.mode != "test":
            change.problems.append(
                Invalid("test_clock - is for stores in test mode", pointer=change.draft.pointer("test_clock"))
            )
        url: str | None = change.value("gateway_url")
        if change.sets("gateway_url") and url is not None and not _may_be_asked(url):
            change.problems.append(
                Invalid(
                    "gateway_url - must be an https URL without a name and password",
                    pointer=change.draft.pointer("gateway_url"),
                )
            )
        _take_secret(change)
        ladder = orjson.loads(change.value("policies")).get(POLICY, [])
        if change.sets("policies") and not is_ladder(ladder):
            change.problems.append(
                Invalid(
                    "policies - {name} must be at most 10 whole numbers of hours from 1 to 720",
                    name=POLICY,
                    pointer=change.draft.pointer("policies"),
                )
            )


def _take_secret(change: Change) -> None:
    secret: str | None = change.draft.triggers.get("_gateway_secret")
    if secret is None:
        return
    if is_secret(secret):
        change.columns["gateway_secret"] = secret
    else:
        change.problems.append(
            Invalid(
                "_gateway_secret - must be whsec_ followed by 24 to 64 bytes in base64",
                pointer=change.draft.pointer("_gateway_secret"),
            )
        )


def _may_be_asked(url: str) -> bool:
    """Whether a gateway may be there: over TLS, or on this very machine, where it is being developed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or host in ("localhost", "127.0.0.1", "::1")


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
