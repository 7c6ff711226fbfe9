"""What webhooks were sent of a person is found for erasing, whatever it was sent of and however much else was sent."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest

from service import clock
from service.operations.events.reading import Happened
from service.operations.webhooks import delivering, documents
from service.principal import Store
from service.rules import mentions
from service.store import people
from service.store.people import Person
from service.store.pool import Connection
from sql import statement
from tests import counted, factories
from tests.spec.writing import Api

MANY = 4_000
URL = "http://127.0.0.1:9/"
EMAIL = "ada.bell@shop.example"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ('{"data":{"type":"customers","id":"ada_1"}}', ["ada_1"]),
        ('{"data": {"type": "customers", "id": "ada_1"}}', ["ada_1"]),
        ('{"self":"https://shop.example/api/customers/ada_1/orders"}', ["ada_1"]),
        ('{"actor_type":"customers","actor_id":"ada_1","x":{"type":"orders","id":"o1"}}', ["ada_1"]),
        ('{"payload":{"customer_id":"ada_1","order_id":"o1"}}', ["ada_1"]),
        ('{"note":"Write to ada@x.example."}', ["ada@x.example", "ada@x.example."]),
        ('{"note":"<mailto:o\'hara@x.example>"}', ["mailto:o'hara@x.example", "o'hara@x.example"]),
        ('{"type":"orders","id":"customers"}', []),
    ],
)
def test_a_document_names_whom_it_is_about(said: str, named: list[str]) -> None:
    assert mentions.named(said) == named


async def sent(connection: Connection, store: Store, hook: str, type_: str, id_: str) -> str:
    """Tell a webhook of a resource as it is now; the delivery's id."""
    at = clock.now()
    topic = f"{type_}.update"
    about = {"name": topic, "resource_type": type_, "resource_id": id_, "sequence": 1_000}
    event = await factories.insert(connection, "events", store, created_at=at, updated_at=at, **about)
    to = {"webhook_id": hook, "event_id": event, "callback_url": URL, "next_attempt_at": at}
    delivery = await factories.insert(connection, "event_callbacks", store, **to)
    happened = Happened(event, topic, type_, id_, 1_000, "{}", "{}", None, None, at, 0)
    texts = await documents.written(connection, store, documents.Shape(), [happened], base="https://shop.example/api")
    await delivering.settle_payloads(connection, store.id, {delivery: texts[0]})
    return delivery


async def test_what_was_sent_of_a_person_is_found(connection: Connection, store: Store, api: Api) -> None:
    ada = await factories.customer(connection, store, email=EMAIL)
    bob = await factories.customer(connection, store, email="bob@shop.example")
    hook = (await api.create("webhooks", {"topic": "addresses.*", "callback_url": URL}))["id"]
    address = await factories.address(connection, store, customer_id=ada)
    of_address = await sent(connection, store, hook, "addresses", address)
    tag = await api.create("tags", {"name": "a", "metadata": {"asked by": f"Ada ({EMAIL}), twice"}})
    of_tag = await sent(connection, store, hook, "tags", tag["id"])
    of_bob = await sent(connection, store, hook, "customers", bob)
    # What is gone, and what was never hers, leads to no event of hers.
    await connection.execute("delete from addresses where store_id = $1 and id = $2", store.id, address)
    found = await people.found(connection, Person(store.id, ada, EMAIL))
    assert {*found["event_callbacks"]} == {of_address, of_tag}
    await people.erase(connection, Person(store.id, ada, EMAIL), found, nobody="nobody@erased", at=clock.now())
    kept = "select id from event_callbacks where store_id = $1 and payload is not null and people is not null"
    assert [row[0] for row in await connection.fetch(kept, store.id)] == [of_bob]
    await counted.anew(connection, store)


async def test_finding_it_reads_no_more_where_much_was_sent(connection: Connection, store: Store, api: Api) -> None:
    hook = (await api.create("webhooks", {"topic": "tags.*", "callback_url": URL}))["id"]
    await connection.execute(
        "insert into events (store_id, id, name, resource_type, resource_id, sequence, created_at, updated_at)"
        " select $1, 'e' || n, 'tags.update', 'tags', 't' || n, 1, $2, $2 from generate_series(1, $3::integer) as n",
        store.id, clock.now(), MANY,
    )  # fmt: skip
    await connection.execute(
        "insert into event_callbacks (store_id, id, webhook_id, event_id, callback_url, status, delivered_at,"
        " created_at, updated_at, payload, people)"
        " select $1, 'd' || n, $4, 'e' || n, 'http://x/', 'delivered', $2, $2, $2,"
        " jsonb_build_object('email', 'c' || n || '@x.example', 'said', repeat('word ', 200)),"
        " array['c' || n, 'c' || n || '@x.example'] from generate_series(1, $3::integer) as n",
        store.id, clock.now(), MANY, hook,
    )  # fmt: skip
    await counted.anew(connection, store)
    await connection.execute("analyze event_callbacks")  # a plan made before the first statistics is a guess
    deliveries = statement("data/people.deliveries")
    binds: Mapping[str, object] = {"store": store.id, "events": ["e1", "e2"], "people": ["c7", "c7@x.example"]}
    arguments = [binds[name] for name in deliveries.parameters]
    rows = await connection.fetch(deliveries.text, *arguments)
    assert {row[0] for row in rows} == {"d1", "d2", "d7"}
    plan = await connection.fetchval(f"explain (analyze, buffers, format json) {deliveries.text}", *arguments)
    top = orjson.loads(plan)[0]["Plan"]
    touched = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    assert touched < 100, plan
