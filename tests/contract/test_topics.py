"""Each topic has an event that was told for real, by somebody, about something, and fits its schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx2
import jsonschema_rs
import orjson
import pytest

from schemas.fields import HARMLESS
from schemas.graph import graph
from service.contract import asyncapi
from service.contract.topics import told
from service.operations.events import reading
from service.operations.webhooks import documents
from service.operations.webhooks.documents import Shape
from service.resources import RESOURCES
from service.rules import topics
from service.rules.occasions import when
from service.rules.verbs import VERBS
from service.store.pool import Connection, Database
from tests import factories
from tests.api.test_rows_of_verbs import (
    NOW,
    PLACED,
    SUBJECTS,
    api_client,
    item,
    link,
    occurrence,
    order,
    saying,
    token,
    webhook,
)
from tests.checkout.test_subscribing import bought, model
from tests.contract.telling import ORIGIN, Payload, keep
from tests.factories import Line
from tests.faults.playing import Shop, on
from tests.jobs.playing import said
from tests.jobs.test_worker import until
from tests.spec.writing import Api, to
from tests.support import Grant, make_store


async def payloads_of(connection: Connection, shop: Shop) -> list[Payload]:
    """What a webhook would be told of all that has happened in a shop."""
    number = await connection.fetchval("select count(*) from events where store_id = $1", shop.store.id)

    async def settled() -> bool:
        # Transactions of other tests on this server hold events up.
        found = await reading.after(connection, shop.store.id, reading.START, most=1_000)
        return bool(len(found) >= number)

    await until(settled, 60)
    happened = await reading.after(connection, shop.store.id, reading.START, most=1_000)
    events = [one.event for one in happened]
    texts = await documents.written(connection, shop.store, Shape("thin"), events, base=f"{ORIGIN}/api")
    return [orjson.loads(text) for text in texts]


@pytest.fixture(scope="module")
def schemas() -> dict[str, jsonschema_rs.Draft7Validator]:
    """Topic -> what checks its payloads."""
    document = asyncapi.build(RESOURCES)
    registry = jsonschema_rs.Registry([("urn:told", {"components": document["components"]})])
    return {
        name: jsonschema_rs.Draft7Validator({"$ref": f"urn:told#/components/schemas/{name}"}, registry=registry)
        for name in topics.NAMES
    }


@pytest.fixture
def make(
    client: httpx2.AsyncClient, grant: Grant, database: Database, connection: Connection
) -> Callable[[], Awaitable[Shop]]:
    """What opens shops."""

    async def opened() -> Shop:
        store = await make_store(database)
        api = Api(client, await grant(store=store))
        return await Shop.open(api, database, connection, store, NOW)

    return opened


async def hold(connection: Connection, shop: Shop, schemas: dict[str, jsonschema_rs.Draft7Validator]) -> list[Payload]:
    """Hold all that has happened in a shop against its schemas, and see that nothing of a person is told."""
    payloads = await payloads_of(connection, shop)
    for payload in payloads:
        event = payload["meta"]["event"]
        assert schemas[event["name"]].is_valid(payload), payload
        assert event["actor_type"], payload
        marks = {name: field.mark for name, field in graph[payload["data"]["type"]].attributes.items()}
        shown = [name for name, both in event["changes"].items() if both]
        assert [name for name in shown if not (marks.get(name) or HARMLESS).harmless] == []
    keep(payloads)
    return payloads


async def no_line(shop: Shop) -> None:
    """An order loses its last line."""
    id_ = await order(shop)
    for line in (await shop.api.get(f"orders/{id_}/line_items"))["data"]:
        assert (await shop.api.send("DELETE", f"line_items/{line['id']}")).status_code == 204


async def moved(shop: Shop) -> None:
    """A run is moved."""
    at = {"scheduled_at": said(on("2026-04-03 09:00"))}
    assert (await shop.api.update("occurrences", await occurrence(shop, "planned"), at)).status_code == 200


async def ended(shop: Shop) -> None:
    """A subscription comes to its end."""
    await shop.subscribe(PLACED, max_occurrences=1)
    await shop.wait_until("2026-05-02 09:00")


async def replaced(shop: Shop) -> None:
    """A customer's cart is replaced by another."""
    customer = await factories.customer(shop.connection, shop.store)
    order_id = await factories.full_order(shop.connection, shop.store, [Line(shop.sku)], customer_id=customer)
    for strategy in ("append", "new"):
        await shop.api.create("reorders", {"strategy": strategy}, {"source_order": to("orders", order_id)})


async def draft(shop: Shop) -> str:
    order_id = await factories.full_order(shop.connection, shop.store, [Line(shop.sku)])
    return await factories.subscription(shop.connection, shop.store, order_id, status="draft")


async def cancelled(shop: Shop) -> None:
    """An order is cancelled, and its subscriptions with it."""
    await model(shop.connection, shop.store, "weekly", auto_cancel=True)
    order_id = await bought(shop.connection, shop.store, "weekly")
    for verb in ("_create_subscriptions", "_cancel"):
        assert (await shop.api.update("orders", order_id, {verb: True})).status_code == 200


async def deleted(shop: Shop) -> None:
    """What can be deleted of what has come of other things."""
    for id_, type_ in (
        (await item(shop), "order_subscription_items"),
        (await link(shop), "repeat_links"),
        (await order(shop), "orders"),
        (await webhook(shop), "webhooks"),
        (await token(shop), "access_tokens"),
        (await api_client(shop), "api_clients"),
        (await draft(shop), "order_subscriptions"),
    ):
        await shop.api.send("DELETE", f"{type_}/{id_}")


@pytest.mark.parametrize(
    "scene", [no_line, moved, ended, replaced, cancelled, deleted], ids=lambda scene: scene.__name__
)
async def test_what_happens_besides_is_told(
    *, scene: Callable[[Shop], Awaitable[None]], make: Callable[[], Awaitable[Shop]], connection: Connection,
    schemas: dict[str, jsonschema_rs.Draft7Validator],
) -> None:  # fmt: skip
    shop = await make()
    await scene(shop)
    await hold(connection, shop, schemas)


@pytest.mark.parametrize("type_", VERBS)
async def test_what_a_verb_leads_to_is_told(
    *,
    type_: str,
    make: Callable[[], Awaitable[Shop]],
    connection: Connection,
    schemas: dict[str, jsonschema_rs.Draft7Validator],
) -> None:
    for verb in VERBS[type_]:
        shop = await make()
        id_ = await SUBJECTS[type_, verb](shop)
        answer = await shop.api.update(type_, id_, saying(type_, verb))
        assert answer.status_code == 200, answer.text
        payloads = await hold(connection, shop, schemas)
        assert f"{type_}.{VERBS[type_][verb].event}" in [one["meta"]["event"]["name"] for one in payloads]


UNTOLD = {
    "exports.fail", "order_copies.fail", "order_subscriptions.park", "orders.payment_failed", "stores.adopt",
    "stores.rotate_keys", "webhooks.stop",
}  # fmt: skip
"""Topics whose events other tests lead to, and of which none is recorded yet."""


def test_every_topic_is_recorded_and_says_when(schemas: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    assert topics.NAMES - told().keys() == UNTOLD
    assert told().keys() <= topics.NAMES
    for name, payload in told().items():
        assert payload["meta"]["event"]["name"] == name
        assert schemas[name].is_valid(payload), name
    assert all(when(name) for name in topics.NAMES)


def test_a_payload_of_another_topic_does_not_fit(schemas: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    payload = told()["orders.place"]
    assert not schemas["orders.cancel"].is_valid(payload)
    assert not schemas["orders.place"].is_valid(payload | {"data": {"type": "carts", "id": "x"}})
