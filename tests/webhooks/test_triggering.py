"""An event is given to its webhooks again by who may do that: under its id, to those that want it, unchanged."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import orjson
import pytest

from service import clock
from service.operations.webhooks import delivering
from service.principal import SCOPES, Store
from service.store.pool import Connection, Database
from tests import counted, factories
from tests.jobs.test_worker import until
from tests.spec.operating import Batches
from tests.spec.writing import Api, offenders, pointers
from tests.support import Access, Grant, make_store
from tests.webhooks.receiving import Receiver
from tests.webhooks.test_delivering import arrived, happens, hook, telling

MANY = 1_000
URL = "https://shop.example.com/hooks"
TRIGGER: dict[str, object] = {"_trigger": True}
CHANGES: list[dict[str, object]] = [{"metadata": {"a": 1}}, {"reference": "mine"}, {"name": "orders.place"}]
NO_CHANGES: list[dict[str, object]] = [{}, {"_trigger": False}, {"metadata": {}, "reference": None}]


async def event_of(api: Api, type_: str, id_: str) -> str:
    """The first event of a resource."""
    found = await api.get(f"events?filter[resource_type]={type_}&filter[resource_id]={id_}&sort=id")
    return str(found["data"][0]["id"])


async def row_of(connection: Connection, store: Store, event: str) -> tuple[Any, ...]:
    (found,) = await connection.fetch("select * from events where store_id = $1 and id = $2", store.id, event)
    return tuple(found)


async def waiting(connection: Connection, store: Store, event: str) -> list[str]:
    """The webhooks that are to be told of an event."""
    rows = await connection.fetch(
        "select webhook_id from event_callbacks where store_id = $1 and event_id = $2 and status = 'pending'",
        store.id, event,
    )  # fmt: skip
    return sorted(row[0] for row in rows)


async def test_it_is_given_again_under_its_id_to_those_that_want_it(
    *, api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    told, late = hooks.url("ok", f"told-{store.id}"), hooks.url("ok", f"late-{store.id}")
    never = hooks.url("ok", f"never-{store.id}")
    await hook(api, told, "customers.create")
    stopped = await hook(api, never, "customers.create")
    await hook(api, never, "customers.destroy", "orders.*")
    await api.update("webhooks", stopped["id"], {"_disable": True})
    async with telling(database_url):
        (id_,) = await happens(api)
        (first,) = await arrived(hooks, told, 1)
        event = await event_of(api, "customers", id_)
        before = await row_of(connection, store, event)
        await hook(api, late, "customers.*")
        answer = await api.update("events", event, TRIGGER)
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["id"] == event
        (_, again), (once,) = await arrived(hooks, told, 2), await arrived(hooks, late, 1)
    assert [sent["headers"]["webhook-id"] for sent in (first, again, once)] == [event] * 3
    assert again["body"] == first["body"]
    assert await hooks.sent(never) == []
    assert await row_of(connection, store, event) == before
    (entry,) = (await api.get(f"events/{event}/event_stores"))["data"]
    shown = entry["attributes"]
    assert (shown["name"], shown["resource_id"], shown["actor_type"]) == ("events.trigger", event, "tokens")
    (triggered,) = (await api.get(f"events?filter[resource_type]=events&filter[resource_id]={event}"))["data"]
    assert triggered["attributes"]["payload"] == {"verbs": ["_trigger"], "webhooks_count": 2}
    assert await offenders(connection, store) == []


async def test_that_it_was_triggered_can_be_triggered_too(api: Api, connection: Connection, store: Store) -> None:
    webhook = await hook(api, URL, "events.trigger", "customers.*")
    (id_,) = await happens(api)
    event = await event_of(api, "customers", id_)
    assert (await api.update("events", event, TRIGGER)).status_code == 200
    above = await event_of(api, "events", event)
    assert (await api.update("events", above, TRIGGER)).status_code == 200
    assert await waiting(connection, store, above) == [webhook["id"]]


async def test_what_was_given_up_is_tried_from_the_first_attempt_on(
    api: Api, connection: Connection, store: Store
) -> None:
    webhook = await hook(api, URL)
    (id_,) = await happens(api)
    event = await event_of(api, "customers", id_)
    assert (await api.update("events", event, TRIGGER)).status_code == 200
    await connection.execute(
        "update event_callbacks set status = 'failed', attempts_count = 10, next_attempt_at = null where store_id = $1",
        store.id,
    )
    assert (await api.update("events", event, TRIGGER)).status_code == 200
    (callback,) = (await api.get(f"events/{event}/last_event_callbacks"))["data"]
    assert (callback["attributes"]["status"], callback["attributes"]["attempts_count"]) == ("pending", 0)
    assert await waiting(connection, store, event) == [webhook["id"]]
    assert (await api.get(f"event_callbacks/{callback['id']}/event_stores"))["data"] == []
    assert await offenders(connection, store) == []


async def test_what_cannot_be_is_refused_and_says_why(api: Api, connection: Connection, store: Store) -> None:
    (id_,) = await happens(api)
    event = await event_of(api, "customers", id_)
    for topics in ((), ("orders.*",)):
        if topics:
            await hook(api, URL, *topics)
        refusal = await api.update("events", event, TRIGGER)
        (error,) = refusal.json()["errors"]
        assert (refusal.status_code, error["code"], pointers(refusal)) == (
            409, "INVALID_STATE", ["/data/attributes/_trigger"],
        )  # fmt: skip
        assert error["detail"] == "_trigger - no webhook that is enabled has the topic customers.create"
    await hook(api, URL, "customers.*")
    assert (await api.update("customers", id_, {"_erase": True})).status_code == 200
    refusal = await api.update("events", event, TRIGGER)
    assert refusal.status_code == 409
    assert "erased" in refusal.json()["errors"][0]["detail"]
    assert (await api.update("events", clock.new_id(), TRIGGER)).status_code == 404
    assert await waiting(connection, store, event) == []


async def test_it_changes_in_no_way(api: Api, connection: Connection, store: Store) -> None:
    await hook(api, URL)
    (id_,) = await happens(api)
    event = await event_of(api, "customers", id_)
    before, number = await row_of(connection, store, event), (await api.get("events?page[total]=true"))["meta"]
    for attributes in CHANGES:
        refusal = await api.update("events", event, attributes | TRIGGER)
        assert refusal.status_code == 403, (attributes, refusal.text)
    for attributes in NO_CHANGES:
        assert (await api.update("events", event, attributes)).status_code == 200
    assert await row_of(connection, store, event) == before
    assert (await api.get("events?page[total]=true"))["meta"] == number
    assert await waiting(connection, store, event) == []
    for method, path in (("DELETE", f"events/{event}"), ("POST", "events")):
        assert (await api.send(method, path, {"data": {"type": "events"}})).status_code in (403, 405)


def triggering(*events: str) -> list[dict[str, object]]:
    """Operations that trigger events."""
    return [{"op": "update", "data": {"type": "events", "id": event, "attributes": TRIGGER}} for event in events]


async def test_several_are_triggered_by_operations_all_or_none(
    *, api: Api, client: httpx2.AsyncClient, grant: Grant, integration: Access, connection: Connection, store: Store
) -> None:
    webhook = await hook(api, URL)
    events = [await event_of(api, "customers", id_) for id_ in await happens(api, 3)]
    done = await Batches(client, integration).run(*triggering(*events, events[0]))
    assert done.status_code == 200, done.text
    assert [await waiting(connection, store, event) for event in events] == [[webhook["id"]]] * 3
    number = "select count(*) from events where store_id = $1 and name = 'events.trigger'"
    assert await connection.fetchval(number, store.id) == 4
    assert (await api.send("DELETE", f"webhooks/{webhook['id']}")).status_code == 204
    await hook(api, URL, "orders.*")
    await hook(api, URL, "skus.create")
    await api.create("skus", {"code": f"S{store.id}", "name": "Tea"})
    (sku,) = (await api.get("events?filter[name]=skus.create"))["data"]
    half = await Batches(client, integration).run(*triggering(sku["id"], events[1]))
    assert half.status_code == 409, half.text
    assert await waiting(connection, store, sku["id"]) == []
    assert await connection.fetchval(number, store.id) == 4
    customer = await grant(customer_id=await factories.customer(connection, store))
    assert (await Batches(client, customer).run(*triggering(sku["id"]))).status_code == 403
    assert await offenders(connection, store) == []


async def test_the_same_request_sent_twice_triggers_once(api: Api, connection: Connection, store: Store) -> None:
    await hook(api, URL)
    (id_,) = await happens(api)
    event = await event_of(api, "customers", id_)
    document = {"data": {"type": "events", "id": event, "attributes": TRIGGER}}
    answers = [
        await api.send("PATCH", f"events/{event}", document, **{"Idempotency-Key": f"once-{event}"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    number = "select count(*) from events where store_id = $1 and name = 'events.trigger'"
    assert await connection.fetchval(number, store.id) == 1


@pytest.mark.parametrize("lacking", ["update_webhooks", "read_store_profile"])
async def test_it_takes_the_right_to_both_events_and_webhooks(
    *, api: Api, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, lacking: str
) -> None:
    await hook(api, URL)
    (id_,) = await happens(api)
    event = await event_of(api, "customers", id_)
    lesser = Api(client, await grant(scopes=[scope for scope in SCOPES if scope != lacking]))
    for attributes in (TRIGGER, {}):
        refusal = await lesser.update("events", event, attributes)
        assert refusal.status_code == 403, refusal.text
        assert id_ not in refusal.text
    assert await waiting(connection, store, event) == []


async def test_it_is_nothing_for_customers_and_strangers(
    *, api: Api, client: httpx2.AsyncClient, grant: Grant, database: Database, connection: Connection, store: Store
) -> None:
    await hook(api, URL)
    own = await factories.customer(connection, store)
    assert (await api.update("customers", own, {"reference": "mine"})).status_code == 200
    event = await event_of(api, "customers", own)
    for sender, status in (
        (Api(client, await grant(customer_id=own)), 403),
        (Api(client, await grant(store=await make_store(database))), 404),
    ):
        assert (await sender.update("events", event, TRIGGER)).status_code == status
    anonymous = await client.patch(
        f"/api/events/{event}",
        content=orjson.dumps({"data": {"type": "events", "id": event, "attributes": TRIGGER}}),
        headers={"Content-Type": "application/vnd.api+json"},
    )
    assert anonymous.status_code == 401
    assert await waiting(connection, store, event) == []


async def test_a_shop_with_a_thousand_webhooks(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    webhook = await hook(api, URL)
    await connection.execute(
        "insert into webhooks (store_id, id, topic, topics, callback_url, shared_secret, health_since, created_at,"
        " updated_at) select store_id, id || '-' || number, topic, topics, callback_url, shared_secret, health_since,"
        " created_at, updated_at from webhooks, generate_series(2, $3) as number where store_id = $1 and id = $2",
        store.id, webhook["id"], MANY,
    )  # fmt: skip
    await counted.anew(connection, store)
    (id_,) = await happens(api)
    event = await event_of(api, "customers", id_)
    given = asyncio.create_task(given_all(database, store))
    answers = await asyncio.gather(*[api.update("events", event, TRIGGER) for _ in range(4)])
    await given
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(await waiting(connection, store, event)) == MANY
    number = await connection.fetchval(
        "select count(*) from events where store_id = $1 and name = 'events.trigger'", store.id
    )
    assert number == len(answers)


@pytest.mark.rule("FM-81")
async def test_givers_and_senders_never_wait_for_each_other_in_circles(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    webhooks = [(await hook(api, URL, ordered=bool(number % 2)))["id"] for number in range(12)]
    events = [await event_of(api, "customers", id_) for id_ in await happens(api, 6)]
    since = {"_replay_since": "2020-01-01T00:00:00Z"}
    for _ in range(4):
        await happens(api, 2)
        found = await asyncio.gather(
            given_all(database, store),
            *[sent_nothing(database, store, webhook) for webhook in webhooks],
            *[api.update("events", event, TRIGGER) for event in events],
            *[api.update("webhooks", webhook, since) for webhook in reversed(webhooks)],
        )
        assert [answer.text for answer in found if answer is not None and answer.status_code != 200] == []
    for event in events:
        assert len(await waiting(connection, store, event)) == len(webhooks)


async def given_all(database: Database, store: Store) -> None:
    """Give what has happened to customers to webhooks, as a worker does."""

    async def given() -> bool:
        async with database.transaction() as connection:
            await delivering.fan_out(connection, store.id)
            left = await connection.fetchval(
                "select count(*) from events, event_cursors where events.store_id = $1 and event_cursors.store_id = $1"
                " and events.name like 'customers.%' and (events.transaction_id, events.id) >"
                " (event_cursors.transaction_id, event_cursors.event_id)",
                store.id,
            )
        return bool(left == 0)

    await until(given, 60)


async def sent_nothing(database: Database, store: Store, webhook: str) -> None:
    """Take deliveries up and put them down again, as a worker does that is stopped."""
    async with database.transaction() as connection:
        taken = await delivering.take_up(connection, store.id, webhook)
    if taken is not None:
        async with database.transaction() as connection:
            await delivering.note(connection, store, taken[0], [], taken[1])
