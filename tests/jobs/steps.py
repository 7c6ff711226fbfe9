"""Steps of a recurring order copy's life, as tests take them one by one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest
from asyncpg import Record

import schemas  # noqa: F401 -- declares the graph
from schemas.graph import graph
from service import clock
from service.jsonapi.body import Draft
from service.operations.copies import recurring_order_copies
from service.operations.copies.priced import CopyFailed
from service.operations.copies.recurring_order_copies import Claim
from service.operations.generic.numbers import Numbers
from service.principal import SCOPES, Principal, Store
from service.store.pool import Connection, Database
from sql import checks
from tests import factories
from tests.factories import Line


def bearer(store: Store, customer_id: str | None = None) -> Principal:
    return Principal(store, "token", customer_id, frozenset(SCOPES))


async def ask(
    database: Database,
    principal: Principal,
    order_id: str,
    subscription_id: str,
    *,
    id_: str | None = None,
    **attributes: Any,
) -> str:
    linked = {"source_order": order_id, "order_subscription": subscription_id}
    draft = Draft(graph["recurring_order_copies"], id_, attributes, linked)
    async with database.transaction() as connection:
        return (await recurring_order_copies.create(connection, principal, draft)).id


async def claim(
    database: Database, store: Store, copy_id: str, *, lease: timedelta = timedelta(minutes=1)
) -> Claim | None:
    async with database.transaction() as connection:
        claims = await recurring_order_copies.claim(connection, store.id, [copy_id], clock.now(), lease=lease)
    return claims[0] if claims else None


async def claim_surely(database: Database, store: Store, copy_id: str) -> Claim:
    claimed = await claim(database, store, copy_id)
    assert claimed is not None
    return claimed


async def finish(database: Database, claimed: Claim) -> str | None:
    number = await Numbers(database, block=1).take(claimed.store.id)
    async with database.transaction() as connection:
        outcome = (await recurring_order_copies.finish(connection, [claimed], [number])).made.get(claimed.copy_id)
    if isinstance(outcome, CopyFailed):
        raise outcome
    return outcome


async def make(database: Database, store: Store, copy_id: str) -> str:
    order_id = await finish(database, await claim_surely(database, store, copy_id))
    assert order_id is not None
    return order_id


async def refusal(database: Database, store: Store, copy_id: str) -> dict[str, list[str]]:
    """Why a copy can't be made; noted in it as a worker would."""
    claimed = await claim_surely(database, store, copy_id)
    with pytest.raises(CopyFailed) as failure:
        await finish(database, claimed)
    async with database.transaction() as connection:
        await recurring_order_copies.fail(connection, claimed, failure.value)
    return failure.value.messages


async def row(connection: Connection, table: str, store: Store, id_: str) -> Record:
    found = await connection.fetchrow(f"select * from {table} where store_id = $1 and id = $2", store.id, id_)
    assert found is not None
    return found


async def names_of(connection: Connection, store: Store, resource_id: str) -> list[str]:
    """The events of a resource in their order, which is that of their sequence without a gap."""
    found = await connection.fetch(
        "select name, sequence from events where store_id = $1 and resource_id = $2 order by sequence",
        store.id,
        resource_id,
    )
    assert [event["sequence"] for event in found] == list(range(1, len(found) + 1))
    return [event["name"] for event in found]


async def offences(connection: Connection, store: Store) -> list[Mapping[str, Any]]:
    """What sql/checks.sql finds wrong in a store."""
    found: list[Mapping[str, Any]] = []
    for check in checks():
        found += [{"check": check.name, **offender} for offender in await connection.fetch(check.text)]
    return [offender for offender in found if offender["store_id"] == store.id]


async def jobs(connection: Connection, store: Store, copy_id: str) -> int:
    payload = orjson.dumps([store.id, copy_id])
    return int(await connection.fetchval("select count(*) from pgqueuer.pgqueuer where payload = $1", payload))


async def pair(connection: Connection, store: Store, **columns: Any) -> tuple[str, str]:
    """An order with two lines and an active subscription of it."""
    shirt = await factories.sku(connection, store, price=1900)
    mug = await factories.sku(connection, store, price=850)
    order_id = await factories.full_order(connection, store, [Line(shirt, 2), Line(mug, 1)])
    return order_id, await factories.subscription(connection, store, order_id, **columns)
