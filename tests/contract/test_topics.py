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
from tests.api.test_rows_of_verbs import NOW, SUBJECTS, saying
from tests.contract.scenes import SCENES, SERVED, Scene, Served
from tests.contract.telling import ORIGIN, Payload, keep
from tests.faults.playing import Shop
from tests.jobs.test_worker import until
from tests.spec.writing import Api
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
    texts = await documents.written(connection, shop.store, Shape("thin"), happened, base=f"{ORIGIN}/api")
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


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_what_happens_besides_is_told(
    *, scene: Scene, make: Callable[[], Awaitable[Shop]], connection: Connection,
    schemas: dict[str, jsonschema_rs.Draft7Validator],
) -> None:  # fmt: skip
    shop = await make()
    await scene(shop)
    await hold(connection, shop, schemas)


@pytest.mark.parametrize("scene", SERVED, ids=lambda scene: scene.__name__)
async def test_what_processes_lead_to_is_told(
    *, scene: Served, make: Callable[[], Awaitable[Shop]], connection: Connection, database_url: str,
    schemas: dict[str, jsonschema_rs.Draft7Validator],
) -> None:  # fmt: skip
    shop = await make()
    await scene(shop, database_url)
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


def test_every_topic_is_recorded_and_says_when(schemas: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    assert told().keys() == topics.NAMES
    for name, payload in told().items():
        assert payload["meta"]["event"]["name"] == name
        assert schemas[name].is_valid(payload), name
    assert all(when(name) for name in topics.NAMES)


def test_a_payload_of_another_topic_does_not_fit(schemas: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    payload = told()["orders.place"]
    assert not schemas["orders.cancel"].is_valid(payload)
    assert not schemas["orders.place"].is_valid(payload | {"data": {"type": "carts", "id": "x"}})
