"""Asking for a recurring order copy: what is kept, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

import schemas  # noqa: F401 -- declares the graph
from schemas.graph import graph
from service.errors import ApiError, Conflict
from service.jsonapi.body import Draft
from service.operations.copies import recurring_order_copies
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.steps import (
    ask,
    bearer,
    jobs,
    names_of,
    pair,
    row,
)


async def test_a_copy_begins_pending_with_the_contract_s_defaults(
    database: Database, connection: Connection, store: Store
) -> None:
    copy_id = await ask(database, bearer(store), *await pair(connection, store))
    copy = await row(connection, "order_factories", store, copy_id)
    assert (copy["kind"], copy["status"]) == ("recurring_order_copies", "pending")
    assert (copy["place_target_order"], copy["reuse_wallet"]) == (False, True)
    assert (copy["errors_log"], copy["errors_count"], copy["occurrence_id"]) == (None, 0, None)
    assert await names_of(connection, store, copy_id) == ["recurring_order_copies.create"]
    assert await jobs(connection, store, copy_id) == 1


async def test_what_a_client_sends_is_kept(database: Database, connection: Connection, store: Store) -> None:
    sent: dict[str, Any] = {
        "place_target_order": True,
        "reuse_wallet": False,
        "reference": "R1",
        "reference_origin": "shop",
        "metadata": {"foo": "bar"},
    }
    ends = await pair(connection, store)
    copy_id = await ask(database, bearer(store), *ends, id_="mine", **sent)
    copy = dict(await row(connection, "order_factories", store, copy_id))
    copy["metadata"] = orjson.loads(copy["metadata"])
    assert copy_id == "mine"
    assert {name: copy[name] for name in sent} == sent
    with pytest.raises(Conflict) as conflict:
        await ask(database, bearer(store), *ends, id_="mine")
    assert conflict.value.source == {"pointer": "/data/id"}


async def test_the_job_is_of_the_same_transaction(database: Database, connection: Connection, store: Store) -> None:
    order_id, subscription_id = await pair(connection, store)
    linked = {"source_order": order_id, "order_subscription": subscription_id}
    draft = Draft(graph["recurring_order_copies"], "undone", {}, linked)
    async with database.connection() as inner:
        undone = inner.transaction()
        await undone.start()
        await recurring_order_copies.create(inner, bearer(store), draft)
        assert await jobs(inner, store, "undone") == 1
        await undone.rollback()
    assert await jobs(connection, store, "undone") == 0


async def test_unknown_and_foreign_ends_are_not_found(database: Database, connection: Connection, store: Store) -> None:
    order_id, subscription_id = await pair(connection, store)
    other = await factories.customer(connection, store)
    asked = (
        (bearer(store), ("nowhere", "nothing")),
        (bearer(store, other), (order_id, subscription_id)),
        (bearer(replace(store, id=store.id + 10_000_000)), (order_id, subscription_id)),
    )
    for principal, ends in asked:
        with pytest.raises(ApiError) as problem:
            await ask(database, principal, *ends)
        assert problem.value.http_status == 404
        assert [one.source["pointer"] for one in problem.value.problems] == [
            "/data/relationships/order_subscription/data",
            "/data/relationships/source_order/data",
        ]
    with pytest.raises(ApiError) as problem:
        await ask(database, bearer(store), "nowhere", subscription_id)
    assert [one.source["pointer"] for one in problem.value.problems] == ["/data/relationships/source_order/data"]


async def test_a_customer_asks_for_copies_of_own_orders(
    database: Database, connection: Connection, store: Store
) -> None:
    order_id, subscription_id = await pair(connection, store)
    owner = (await row(connection, "orders", store, order_id))["customer_id"]
    assert await ask(database, bearer(store, owner), order_id, subscription_id)


@pytest.mark.parametrize("status", ["draft", "cancelled"])
async def test_a_subscription_that_does_not_run_is_refused(
    database: Database, connection: Connection, store: Store, status: str
) -> None:
    ends = await pair(connection, store, status=status)
    with pytest.raises(ApiError) as problem:
        await ask(database, bearer(store), *ends)
    assert problem.value.http_status == 422
    assert problem.value.source == {"pointer": "/data/relationships/order_subscription"}


async def test_a_source_order_that_is_not_the_subscription_s_is_refused(
    database: Database, connection: Connection, store: Store
) -> None:
    _, subscription_id = await pair(connection, store, status="draft")
    other, _ = await pair(connection, store)
    with pytest.raises(ApiError) as problem:
        await ask(database, bearer(store), other, subscription_id)
    assert [(one.status, one.source["pointer"]) for one in problem.value.problems] == [
        (422, "/data/relationships/source_order"),
        (422, "/data/relationships/order_subscription"),
    ]
