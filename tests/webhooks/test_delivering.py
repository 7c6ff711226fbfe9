"""Events reach whoever asked for them: signed, once, in their order where that was asked for, however long it takes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook

from service import clock
from service.gateways.outbound import Limits
from service.operations.webhooks import delivering
from service.principal import Store
from service.rules import deliveries
from service.rules.outside import Reach
from service.store.pool import Connection, Database
from tests import factories, roles
from tests.jobs.test_worker import until, working
from tests.spec.writing import Api
from tests.webhooks.receiving import Receiver

NEARBY = Limits(connect_timeout=1.0, timeout=1.5, reach=Reach.EVERYWHERE)

PROCESS = """
import asyncio, sys
from datetime import datetime, timedelta
from service.gateways.outbound import Limits
from service.rules.outside import Reach
from service.jobs import engine
from tests.bouncer import most_prepared

second = timedelta(seconds=10)
limits = Limits(timeout=1.5, reach=Reach.EVERYWHERE)
asyncio.run(engine.run(
    sys.argv[1], stop=asyncio.Event(), gateways={}, keys=["first-key-of-the-tests"], receivers=limits,
    concurrency=2, heartbeat=second, lease=second, statement_cache_size=most_prepared(),
))
"""


@asynccontextmanager
async def telling(url: str, **options: Any) -> AsyncIterator[None]:
    """A worker that may tell receivers on this machine."""
    usual: dict[str, Any] = {
        "receivers": NEARBY, "public_url": "https://api.shop.example", "lease": timedelta(seconds=10),
    }  # fmt: skip
    async with working(url, **(usual | options)):
        yield


async def hook(api: Api, url: str, *topics: str, **attributes: Any) -> Any:
    wanted = topics or ("customers.*",)
    return await api.create("webhooks", {"topics": list(wanted), "callback_url": url, **attributes})


async def happens(api: Api, number: int = 1) -> list[str]:
    """Customers are made, each of which is an event."""
    return [(await api.create("customers", {"email": f"{clock.new_id()}@example.com"}))["id"] for _ in range(number)]


async def arrived(hooks: Receiver, url: str, number: int, seconds: float = 60) -> list[dict[str, Any]]:
    """What was sent to a URL, once it is so much."""

    async def enough() -> bool:
        return len(await hooks.sent(url)) >= number

    await until(enough, seconds)
    return await hooks.sent(url)


async def delivered(connection: Connection, store: Store) -> int:
    """How many deliveries of a store have arrived."""
    statement = "select count(*) from event_callbacks where store_id = $1 and status = 'delivered'"
    return int(await connection.fetchval(statement, store.id))


async def health(connection: Connection, store: Store, webhook: Any) -> str:
    return str((await row(connection, store, webhook))["health"])


async def row(connection: Connection, store: Store, webhook: Any) -> Any:
    return await connection.fetchrow("select * from webhooks where store_id = $1 and id = $2", store.id, webhook["id"])


async def make_due(connection: Connection, store: Store) -> None:
    """Have all that waits sent at once."""
    await connection.execute(
        "update event_callbacks set next_attempt_at = $2 where store_id = $1 and status = 'pending'",
        store.id, clock.now(),
    )  # fmt: skip
    await connection.execute("update webhooks set next_delivery_at = $2 where store_id = $1", store.id, clock.now())


async def test_an_event_is_delivered_as_a_request_for_its_resource_returns_it(
    *, api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("ok", store.id)
    group = await factories.insert(connection, "customer_groups", store, name="Gold")
    webhook = await hook(api, url, include_resources=["customer_group"])
    async with telling(database_url):
        await asyncio.sleep(0.5)
        relationships = {"customer_group": {"data": {"type": "customer_groups", "id": group}}}
        customer = await api.create("customers", {"email": "ada@example.com"}, relationships)
        (sent,) = await arrived(hooks, url, 1)
    document = orjson.loads(sent["body"])
    asked = await api.get(f"customers/{customer['id']}?include=customer_group")
    assert document["data"]["attributes"] == asked["data"]["attributes"]
    assert [one["id"] for one in document["included"]] == [group]
    assert document["links"]["self"] == f"https://api.shop.example/api/customers/{customer['id']}"
    event = document["meta"]["event"]
    assert (event["name"], event["sequence"], event["actor_type"]) == ("customers.create", 1, "tokens")
    assert sent["headers"]["x-commercelayer-topic"] == "customers.create"
    assert sent["headers"]["webhook-id"] == event["id"]
    assert (await row(connection, store, webhook))["health"] == "healthy"
    (callback,) = (await api.get(f"webhooks/{webhook['id']}/last_event_callbacks"))["data"]
    told = callback["attributes"]
    assert (told["status"], told["response_code"], told["response_message"]) == ("delivered", "200", "noted")
    assert told["payload"] == document


async def test_signatures_are_those_of_standard_webhooks_and_of_commerce_layer(
    api: Api, hooks: Receiver, database_url: str, store: Store
) -> None:
    url = hooks.url("ok", store.id)
    webhook = await hook(api, url, payload="thin")
    async with telling(database_url):
        (id_,) = await happens(api)
        (sent,) = await arrived(hooks, url, 1)
    secret, body = webhook["attributes"]["shared_secret"], sent["body"]
    data = Webhook(secret).verify(body, sent["headers"])["data"]
    assert data == {"type": "customers", "id": id_}
    expected = base64.b64encode(hmac.digest(secret.encode(), body.encode(), hashlib.sha256)).decode()
    assert sent["headers"]["x-commercelayer-signature"] == expected


@pytest.mark.rule("FM-81")
async def test_a_rotated_secret_signs_along_with_the_new_one(
    api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("ok", store.id)
    webhook = await hook(api, url)
    rotated = (await api.update("webhooks", webhook["id"], {"_rotate_secret": True})).json()["data"]
    old, new = webhook["attributes"]["shared_secret"], rotated["attributes"]["shared_secret"]
    assert old != new
    async with telling(database_url):
        await happens(api)
        (sent,) = await arrived(hooks, url, 1)
        assert len(sent["headers"]["webhook-signature"].split()) == 2
        for secret in (old, new):
            Webhook(secret).verify(sent["body"], sent["headers"])
        await connection.execute(
            "update webhooks set previous_secret_expires_at = $2 where store_id = $1", store.id, clock.now()
        )
        await happens(api)
        later = (await arrived(hooks, url, 2))[1]
    assert len(later["headers"]["webhook-signature"].split()) == 1


@pytest.mark.rule("FM-81")
async def test_what_failed_is_sent_again_under_its_id_and_the_same_to_the_byte(
    api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("alternate", store.id)
    webhook = await hook(api, url)
    async with telling(database_url):
        (id_,) = await happens(api)
        await arrived(hooks, url, 1)

        async def noted() -> bool:
            return await health(connection, store, webhook) == "failing"

        await until(noted, 60)
        assert (await api.update("customers", id_, {"shopper_reference": "changed"})).status_code == 200
        waits = await connection.fetchval(
            "select extract(epoch from next_attempt_at - updated_at) from event_callbacks"
            " where store_id = $1 and attempts_count = 1",
            store.id,
        )
        assert 5 <= waits <= 5.5
        await make_due(connection, store)
        first, *others = await arrived(hooks, url, 3)
    again = next(one for one in others if one["headers"]["webhook-id"] == first["headers"]["webhook-id"])
    assert again["body"] == first["body"]


async def test_a_receiver_that_asks_to_wait_is_waited_for(
    api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("busy", store.id)
    await hook(api, url)
    async with telling(database_url):
        await happens(api)
        await arrived(hooks, url, 1)

        async def noted() -> bool:
            return bool(await connection.fetchval(
                "select count(*) from event_callbacks where store_id = $1 and response_code = '503'", store.id
            ))  # fmt: skip

        await until(noted, 60)
    assert deliveries.next_wait(1, timedelta(seconds=2), 0.0) == timedelta(seconds=5)
    assert deliveries.next_wait(1, timedelta(seconds=90), 0.0) == timedelta(seconds=90)


@pytest.mark.rule("FM-81")
async def test_who_answers_410_is_told_nothing_more_and_redirects_are_not_followed(
    api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    gone, redirecting = hooks.url("gone", store.id), hooks.url("redirect", store.id)
    webhook, other = await hook(api, gone), await hook(api, redirecting)
    async with telling(database_url):
        await happens(api)

        async def noted() -> bool:
            return [(await row(connection, store, one))["health"] for one in (webhook, other)] == [
                "disabled",
                "failing",
            ]

        await until(noted, 60)
        await happens(api)
        await arrived(hooks, redirecting, 2)
    assert len(await hooks.sent(gone)) == 1
    found = (await api.get(f"webhooks/{webhook['id']}"))["data"]["attributes"]
    assert (found["health_reason"], found["disabled_at"] is not None) == ("410 no", True)
    names = await connection.fetch(
        "select name, payload from events where store_id = $1 and name = 'webhooks.disable'", store.id
    )
    assert [orjson.loads(one["payload"])["reason"] for one in names] == ["410 no"]
    code = "select response_code from event_callbacks where store_id = $1 and webhook_id = $2 limit 1"
    assert await connection.fetchval(code, store.id, other["id"]) == "302"


async def test_the_circuit_opens_after_thirty_failures_and_nothing_is_lost(
    *, api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("fail", store.id)
    webhook = await hook(api, url)
    made = await happens(api, 31)
    async with telling(database_url):

        async def opened() -> bool:
            return await health(connection, store, webhook) == "stopped"

        await until(opened, 60)
        count = len(await hooks.sent(url))
        assert 30 <= count <= 30 + delivering.AT_A_TIME
        await make_due(connection, store)
        await happens(api)
        await asyncio.sleep(1)
        assert len(await hooks.sent(url)) == count
        good = hooks.url("ok", store.id)
        answer = await api.update("webhooks", webhook["id"], {"_reset_circuit": True, "callback_url": good})
        assert answer.json()["data"]["attributes"]["circuit_state"] == "closed"
        told = await arrived(hooks, good, 32)
    assert {one["headers"]["webhook-id"] for one in told} >= {
        one["headers"]["webhook-id"] for one in await hooks.sent(url)
    }
    bodies = [orjson.loads(one["body"])["data"]["id"] for one in told]
    assert set(made) < set(bodies)
    assert len(bodies) == len(set(bodies)) == 32
    stops = "select count(*) from events where store_id = $1 and name = 'webhooks.stop'"
    assert await connection.fetchval(stops, store.id) == 1


async def test_a_slow_receiver_delays_no_other(api: Api, hooks: Receiver, database_url: str, store: Store) -> None:
    slow, fast = hooks.url("never", store.id), hooks.url("ok", store.id)
    for number in range(6):
        await hook(api, f"{slow}/{number}")
    await hook(api, fast)
    async with telling(database_url, concurrency=2):
        for _ in range(5):
            await happens(api, 2)
            await asyncio.sleep(0.3)
        told = await arrived(hooks, fast, 10)
    created = {
        (await api.get(f"events/{one['headers']['webhook-id']}"))["data"]["attributes"]["created_at"]: one["at"]
        for one in told
    }
    late = [at - clock_of(created_at) for created_at, at in created.items()]
    # Less than the slow ones take, were they told one after the other.
    assert max(late) < 6 * 2 * NEARBY.timeout


def clock_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def test_the_events_of_a_resource_come_one_after_the_other_where_that_is_asked_for(
    *, api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("alternate", store.id)
    await hook(api, url, ordered=True)
    (first, second) = await happens(api, 2)
    for number in range(6):
        for id_ in (first, second):
            await api.update("customers", id_, {"shopper_reference": str(number)})
    async with telling(database_url):

        async def all_told() -> bool:
            await make_due(connection, store)
            return await delivered(connection, store) == 14

        await until(all_told, 90)
    told = [one for one in await hooks.sent(url) if one["status"] == 200]
    events = [orjson.loads(one["body"]) for one in told]
    for id_ in (first, second):
        sequences = [one["meta"]["event"]["sequence"] for one in events if one["data"]["id"] == id_]
        # What was taken may come again, from a worker that was slow to note it.
        assert sequences == sorted(sequences)
        assert set(sequences) == set(range(1, 8))


async def test_a_test_a_replay_and_what_is_gone(api: Api, hooks: Receiver, database_url: str, store: Store) -> None:
    url = hooks.url("ok", store.id)
    since = clock.now()
    (kept, removed) = await happens(api, 2)
    assert (await api.send("DELETE", f"customers/{removed}")).status_code == 204
    webhook = await hook(api, url)
    async with telling(database_url):
        await api.update("webhooks", webhook["id"], {"_test": True})
        (test,) = await arrived(hooks, url, 1)
        document = orjson.loads(test["body"])
        assert (document["data"]["type"], document["meta"]["event"]["name"]) == ("webhooks", "webhooks.test")
        assert document["data"]["attributes"]["shared_secret"] is None
        await api.update("webhooks", webhook["id"], {"_replay_since": since.isoformat()})
        told = (await arrived(hooks, url, 4))[1:]
        again = await api.update("webhooks", webhook["id"], {"_replay_since": since.isoformat()})
        assert again.status_code == 200
        twice = (await arrived(hooks, url, 7))[4:]
    assert [one["headers"]["webhook-id"] for one in sorted(told, key=str)]
    assert {one["headers"]["webhook-id"] for one in told} == {one["headers"]["webhook-id"] for one in twice}
    by_name = {orjson.loads(one["body"])["meta"]["event"]["name"]: orjson.loads(one["body"]) for one in told}
    assert by_name["customers.destroy"]["data"] == {"type": "customers", "id": removed}
    assert {orjson.loads(one["body"])["data"]["id"] for one in told} == {kept, removed}


async def test_a_worker_killed_while_a_receiver_takes_its_time_loses_nothing_and_makes_no_new_id(
    *, api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("slow", store.id)
    await hook(api, url)
    await happens(api, 3)
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", PROCESS, roles.worker(database_url))
    try:
        await arrived(hooks, url, 1)
    finally:
        worker.kill()
        await worker.wait()
    async with telling(database_url):

        async def all_told() -> bool:
            return await delivered(connection, store) == 3

        await until(all_told, 60)
    ids = {one["headers"]["webhook-id"] for one in await hooks.sent(url)}
    assert len(ids) == 3
    events = "select count(*) from events where store_id = $1 and name = 'customers.create'"
    assert await connection.fetchval(events, store.id) == 3


async def test_what_was_not_sent_counts_as_no_attempt(
    *, api: Api, hooks: Receiver, database: Database, connection: Connection, store: Store
) -> None:
    webhook = await hook(api, hooks.url("ok", store.id))
    await happens(api, 3)
    await connection.execute("update event_cursors set transaction_id = 0, event_id = '' where store_id = $1", store.id)

    async def given() -> bool:
        async with database.transaction() as on:
            await delivering.fan_out(on, store.id)
        return bool(await connection.fetchval("select count(*) = 3 from event_callbacks where store_id = $1", store.id))

    await until(given, 60)
    async with database.transaction() as on:
        taken = await delivering.take_up(on, store.id, webhook["id"])
        assert taken is not None
        receiver, attempts = taken
        assert [attempt.attempt for attempt in attempts] == [1, 1, 1]
        await delivering.note(on, store, receiver, [], attempts[1:])
    rows = await connection.fetch(
        "select attempts_count, last_attempt_at is null as never from event_callbacks where store_id = $1 order by 1",
        store.id,
    )
    assert [tuple(row) for row in rows] == [(0, True), (0, True), (1, False)]


async def test_a_private_address_is_never_connected_to(
    *, api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("ok", store.id)
    webhook = await hook(api, url)
    async with telling(database_url, receivers=Limits()):
        await happens(api)

        async def noted() -> bool:
            return await health(connection, store, webhook) == "failing"

        await until(noted, 60)
    assert await hooks.sent(url) == []


async def test_old_deliveries_are_deleted_and_those_that_wait_are_kept(
    *, api: Api, hooks: Receiver, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("ok", store.id)
    await hook(api, url)
    async with telling(database_url):
        await happens(api, 2)
        await arrived(hooks, url, 2)

        async def noted() -> bool:
            return await delivered(connection, store) == 2

        await until(noted, 60)
    await connection.execute(
        "update event_callbacks set created_at = $2, id = left($3, 10) || substr(id, 11) where store_id = $1",
        store.id, clock.now() - delivering.KEPT - timedelta(seconds=1),
        clock.first_id(clock.now() - delivering.KEPT - timedelta(days=31)),
    )  # fmt: skip
    await connection.execute(
        "update event_callbacks set status = 'pending', delivered_at = null, next_attempt_at = $2 where store_id = $1"
        " and id = (select min(id) from event_callbacks where store_id = $1)",
        store.id, clock.now() + timedelta(days=1),
    )  # fmt: skip
    async with database.connection() as on:
        await delivering.clean(on, clock.now())
    left = await connection.fetch("select status from event_callbacks where store_id = $1", store.id)
    assert [one["status"] for one in left] == ["pending"]
