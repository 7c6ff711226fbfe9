"""Stores, the tenants: what a shop sets of its own, how one is made, and the facts that every request needs."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import NamedTuple

import orjson

from schemas.failures import UNPAID_POLICIES
from schemas.kinds import render_timestamp
from service import clock
from service.errors import Conflict, Invalid, InvalidState
from service.gateways.signing import is_secret
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.generic.outside import check_url
from service.operations.generic.writing import Writer
from service.principal import Store
from service.rules.ladders import POLICY, UNPAID, is_ladder
from service.store import notices
from service.store.pool import Connection
from service.store.statements import Command, Many, One, OnlyValue, Value
from service.texts import Either


class Stores(Writer):
    """Stores: only one in test mode can keep the time of a test clock."""

    async def before_write(self, change: Change) -> None:
        """Check clock, gateway and policies."""
        if change.sets("test_clock_id") and change.value("test_clock_id") is not None and change.store.mode != "test":
            change.problems.append(
                Invalid("test_clock - is for stores in test mode", pointer=change.draft.pointer("test_clock"))
            )
        await _check_time(change)
        check_url(change, "gateway_url")
        _take_secret(change)
        policies = orjson.loads(change.value("policies"))
        if change.sets("policies") and policies.get(UNPAID) not in (None, *UNPAID_POLICIES):
            change.problems.append(
                Invalid(
                    "policies - {name} must be {choices}",
                    name=UNPAID,
                    choices=Either(UNPAID_POLICIES),
                    pointer=change.draft.pointer("policies"),
                )
            )
        if change.sets("policies") and not is_ladder(policies.get(POLICY, [])):
            change.problems.append(
                Invalid(
                    "policies - {name} must be at most 10 whole numbers of hours from 1 to 720",
                    name=POLICY,
                    pointer=change.draft.pointer("policies"),
                )
            )

    async def after_write(self, change: Change) -> None:
        """Have every process learn anew what it knows of the store, which it knows with its tokens."""
        await notices.forget(change.connection, change.store.id)


async def _check_time(change: Change) -> None:
    """Time doesn't go back: what a store's clock, or its subscriptions, have seen isn't seen again."""
    clock_id: str | None = change.value("test_clock_id")
    found = None
    if change.sets("test_clock_id") and clock_id is not None:
        found = await _CLOCK(change.connection, store=change.store.id, clock=clock_id)
    if found is None:
        return
    seen = [at for at in (change.store.frozen_at, found.last_run_at) if at is not None and at > found.frozen_at]
    if seen:
        change.problems.append(
            InvalidState(
                "The store has seen {seen}, the clock stands at {at}: advance the clock to then, or take a later one.",
                seen=render_timestamp(max(seen)),
                at=render_timestamp(found.frozen_at),
                pointer=change.draft.pointer("test_clock"),
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


class _Clock(NamedTuple):
    frozen_at: datetime
    last_run_at: datetime | None


_CLOCK = One("tenant/stores.clock", _Clock)
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
