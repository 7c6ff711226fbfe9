"""Events say what happened: who did it, what changed, and why; and nothing of a person."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.test_worker import until
from tests.spec.writing import Api, to
from tests.support import Access


async def last(connection: Connection, store: Store, name: str) -> dict[str, Any]:
    """The last event of a name."""
    found = await connection.fetchrow(
        "select * from events where store_id = $1 and name = $2 order by id desc limit 1", store.id, name
    )
    assert found is not None
    return {**found, "changes": orjson.loads(found["changes"]), "payload": orjson.loads(found["payload"])}


async def test_a_change_is_told_as_it_was_and_as_it_is(
    api: Api, connection: Connection, store: Store, integration: Access
) -> None:
    method = await api.create("shipping_methods", {"name": "Post", "currency_code": "EUR", "price_amount_cents": 495})
    assert (await last(connection, store, "shipping_methods.create"))["changes"] == {}
    await api.update("shipping_methods", method["id"], {"price_amount_cents": 595, "name": "Post", "reference": "mine"})
    told = await last(connection, store, "shipping_methods.update")
    assert told["changes"] == {"price_amount_cents": {"from": 495, "to": 595}, "reference": {}}
    assert (told["actor_type"], told["actor_id"]) == ("tokens", integration.id)
    (event,) = (await api.get("events?filter[name]=shipping_methods.update"))["data"]
    assert event["attributes"]["changes"] == told["changes"]


async def test_of_a_person_and_of_a_credential_only_the_name_is_told(
    api: Api, connection: Connection, store: Store
) -> None:
    customer = await api.create("customers", {"email": "ada@example.com"})
    group = await factories.insert(connection, "customer_groups", store, name="Gold")
    await api.update("customers", customer["id"], {"email": "lovelace@example.com", "metadata": {"a": 1}}, {
        "customer_group": to("customer_groups", group)
    })  # fmt: skip
    told = await last(connection, store, "customers.update")
    assert (told["changes"]["email"], told["changes"]["metadata"]) == ({}, {})
    assert "lovelace" not in str(told)
    webhook = await api.create("webhooks", {"topic": "*", "callback_url": "https://shop.example.com/"})
    await api.update("webhooks", webhook["id"], {"_rotate_secret": True})
    rotated = await last(connection, store, "webhooks.rotate_secret")
    assert rotated["changes"]["shared_secret"] == {}
    assert rotated["payload"] == {"verbs": ["_rotate_secret"]}
    assert "whsec_" not in str(rotated)


async def test_a_long_value_is_not_repeated(api: Api, connection: Connection, store: Store) -> None:
    await api.update("stores", str(store.id), {"policies": {"carried_metadata": ["x" * 100] * 20}})
    assert (await last(connection, store, "stores.update"))["changes"] == {"policies": {}}


@pytest.mark.rule("FM-150")
async def test_subscriptions_can_be_filtered_by_how_they_went(api: Api, connection: Connection, store: Store) -> None:
    order_id = await factories.full_order(connection, store, [factories.Line(await factories.sku(connection, store))])
    failed = await factories.subscription(connection, store, order_id, errors_count=2, succeeded_on_last_run=False)
    await factories.subscription(connection, store, order_id, errors_count=0, succeeded_on_last_run=True)
    for query in ("filter[succeeded_on_last_run]=false", "filter[q][errors_count_gt]=0", "filter[errors_count]=2"):
        assert [one["id"] for one in (await api.get(f"order_subscriptions?{query}"))["data"]] == [failed], query


async def test_who_goes_on_from_the_last_cursor_misses_nothing_that_commits_late(
    *, api: Api, database: Database, connection: Connection, store: Store
) -> None:
    first = await outbox.record(connection, store, "skus.create", "a", actor=outbox.WORKER)

    async def page(url: str) -> tuple[list[str], str]:
        document = await api.get(url)
        return [one["id"] for one in document["data"]], document["links"]["next"] or ""

    begin = "events?page[after]=start&page[size]=2&filter[resource_type]=skus"

    async def settled() -> bool:
        return (await page(begin))[0] == [first]

    # Transactions of other tests on this server hold events up too.
    await until(settled)
    cursor = (await api.get(begin))["data"][-1]["meta"]["page"]["cursor"]
    go_on = begin.replace("start", cursor)
    async with database.transaction() as slow:
        late = await outbox.record(slow, store, "skus.create", "b", actor=outbox.WORKER)

        async def early() -> str:
            async with database.transaction() as quick:
                return await outbox.record(quick, store, "skus.create", "c", actor=outbox.WORKER)

        soon = await asyncio.create_task(early())
        assert await asyncio.create_task(page(go_on)) == ([], "")
        assert soon in str(await asyncio.create_task(api.get("events?filter[resource_type]=skus")))

    async def both() -> bool:
        return (await page(go_on))[0] == [late, soon]

    await until(both)


def test_what_is_no_topic_can_not_be_written() -> None:
    with pytest.raises(ValueError, match=r"orders\.placed is no topic"):
        Event("orders.placed", "x")
