"""All events reach a stream: whole, in their order, under one id each, whoever dies or is away meanwhile."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest

from service import clock
from service.jobs import metrics
from service.jobs.publish import Feed
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.runtime import watching
from service.operations.webhooks import delivering, publishing
from service.operations.webhooks.publishing import NATS
from service.principal import Store
from service.store.horizon import horizon
from service.store.pool import Connection, Database
from tests.chaos import fleet
from tests.jobs.test_worker import until, working
from tests.processes import start
from tests.streams.jetstream import Server, out_of_order
from tests.support import make_store

Publishing = Callable[..., Any]


@asynccontextmanager
async def publishing_to(url: str, feed: Feed, **options: Any) -> AsyncIterator[asyncio.Event]:
    """A worker that publishes meanwhile."""
    async with working(url, feed=feed, public_url="https://api.shop.example", **options) as stop:
        yield stop


async def happen(connection: Connection, store: Store, number: int, *, of: int = 5) -> list[str]:
    """Events of some skus: their ids."""
    events = [Event("skus.update", f"sku-{turn % of}") for turn in range(number)]
    await outbox.record_all(connection, store, events, actor=outbox.WORKER)
    return [event.id for event in events]


async def written(connection: Connection) -> list[str]:
    """The ids of all events, in their order."""
    rows = await connection.fetch("select id from events order by store_id, transaction_id, id")
    return [row["id"] for row in rows]


async def all_published(database: Database) -> bool:
    """Whether nothing waits."""
    async with database.connection() as connection:
        return (await publishing.standing(connection, NATS)).waiting == 0


async def test_an_event_is_a_cloud_event_whose_data_is_what_a_thin_webhook_is_sent(
    *, stream: Server, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    async with publishing_to(database_url, stream.feed(history=True)):
        payload = {"reasons": ["café"]}
        id_ = await outbox.record(connection, store, "skus.update", "sku-1", actor="tokens:T", payload=payload)
        await until(lambda: all_published(database))
    kept = await stream.kept()
    (one,) = [one for one in kept if one.id == id_]
    assert one.subject == f"reprise.{store.id}.skus.update"
    assert one.headers["Nats-Msg-Id"] == id_
    assert one.headers["Content-Type"] == "application/cloudevents+json"
    created = await connection.fetchval("select created_at from events where store_id = $1 and id = $2", store.id, id_)
    at = created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert one.event == {
        "specversion": "1.0",
        "id": id_,
        "source": f"https://api.shop.example/api/stores/{store.id}",
        "type": "skus.update",
        "subject": "skus/sku-1",
        "time": at,
        "datacontenttype": "application/vnd.api+json",
        "data": {
            "jsonapi": {"version": "1.1"},
            "links": {"self": "https://api.shop.example/api/skus/sku-1"},
            "data": {"type": "skus", "id": "sku-1"},
            "meta": {
                "event": {
                    "id": id_, "name": "skus.update", "sequence": 1, "payload": payload, "changes": {},
                    "actor_type": "tokens", "actor_id": "T", "created_at": at,
                }
            },
        },
    }  # fmt: skip
    assert [one.id for one in kept] == await written(connection)


async def test_what_happened_before_the_first_start_is_published_only_where_that_is_asked_for(
    *, stream: Server, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    await happen(connection, store, 10)

    async def settled() -> bool:
        last = await connection.fetchval("select max(transaction_id) from events where store_id = $1", store.id)
        return bool(last < await horizon(connection))

    # What older transactions hold up may still be news, and those of other tests on this server do.
    await until(settled)
    async with publishing_to(database_url, stream.feed()):

        async def begun() -> bool:
            return bool(await connection.fetchval("select count(*) from destinations"))

        await until(begun)
        new = await happen(connection, store, 3)
        other = await make_store(database)
        await until(lambda: all_published(database))
        late = await happen(connection, other, 2)
        await until(lambda: all_published(database))
    found = [one.id for one in await stream.kept()]
    assert found[:3] == new
    assert found[-2:] == late
    assert set(found[3:-2]) == set(
        await connection.fetchval("select array_agg(id) from events where store_id = $1", other.id)
    ) - set(late)
    assert (await connection.fetchval("select count(*) from events where store_id = $1", store.id)) > 10


@pytest.mark.rule("FM-81")
async def test_killed_workers_and_a_killed_server_lose_nothing_and_repeat_nothing(
    *, stream: Server, database: Database, database_url: str, store: Store
) -> None:
    chance, over = random.Random(3), asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            async with database.transaction() as connection:
                await happen(connection, store, chance.randint(1, 60))
            await asyncio.sleep(0.01)

    command = (*fleet.HASTY[:1], "-m", "tests.streams.worker", database_url, stream.url)
    async with fleet.workers(command, 2, database_url) as running:
        writing = [asyncio.create_task(write()) for _ in range(2)]
        for strike in ("worker", "server", "worker", "server", "worker"):
            await asyncio.sleep(chance.uniform(0.7, 1.5))
            if strike == "server":
                stream.kill()
                await asyncio.sleep(chance.uniform(0.2, 0.8))
                stream.start()
            elif running:
                chance.choice(running).kill()
        over.set()
        await asyncio.gather(*writing)
        await stream.answers()
        await until(lambda: all_published(database), 60)
    async with database.connection() as connection:
        wanted = await written(connection)
    kept = await stream.kept()
    assert len(wanted) > 500
    assert sorted(one.id for one in kept) == sorted(wanted)
    assert out_of_order(kept) == []


async def test_a_server_that_is_away_is_told_of_and_gets_everything_once_it_is_back(
    *, stream: Server, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    failures = metrics.done().unpublished
    async with publishing_to(database_url, stream.feed(history=True)):
        await happen(connection, store, 10)
        await until(lambda: all_published(database))
        stream.kill()
        began = clock.now()
        missed = await happen(connection, store, 1_200)

        async def noted() -> bool:
            return (await publishing.standing(connection, NATS)).error is not None

        await until(noted)
        now = await publishing.standing(connection, NATS)
        assert now.waiting == 1_200
        assert now.since is not None
        assert now.since >= began
        assert now.failing_since is not None
        stream.start()
        await until(lambda: all_published(database), 60)
        after = await publishing.standing(connection, NATS)
    assert (after.error, after.failing_since, after.since) == (None, None, None)
    assert metrics.done().unpublished > failures
    assert [one.id for one in await stream.kept()][-1_200:] == missed


async def test_a_server_that_was_away_from_the_first_start_on_is_told_of_too(
    *, stream: Server, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    before = await written(connection)
    stream.kill()

    async def noted() -> bool:
        return (await publishing.standing(connection, NATS)).error is not None

    async with publishing_to(database_url, stream.feed()):
        await until(noted)
        began = (await publishing.standing(connection, NATS)).failing_since
        await happen(connection, store, 3)
        # A shop that is opened meanwhile begins with its first event.
        await make_store(database)
        failures = metrics.done().unpublished

        async def tried() -> bool:
            return metrics.done().unpublished > failures

        await until(tried)
        wanted = [id_ for id_ in await written(connection) if id_ not in before]
        now = await publishing.standing(connection, NATS)
        # Other transactions of this server may hold up what it begins behind, so that more waits.
        assert now.waiting >= len(wanted) == 5
        assert now.failing_since == began
        stream.start()
        await until(lambda: all_published(database), 60)
        assert (await publishing.standing(connection, NATS)).error is None
    assert {one.id for one in await stream.kept()} >= set(wanted)


async def test_what_is_published_again_is_dropped_by_the_stream(
    *, stream: Server, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    first = await happen(connection, store, 700)
    async with publishing_to(database_url, stream.feed(history=True)):
        await until(lambda: all_published(database))
    kept = await stream.number()
    # As if the worker had died before it noted anything.
    await connection.execute("delete from destination_cursors")
    async with publishing_to(database_url, stream.feed(history=True)):
        new = await happen(connection, store, 5)
        await until(lambda: all_published(database))
    assert await stream.number() == kept + 5
    assert [one.id for one in await stream.kept()][-705:] == [*first, *new]


async def test_one_worker_publishes_and_another_goes_on_when_it_stops(
    *, stream: Server, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    async def holder() -> str:
        return str(await connection.fetchval("select holder from destinations where leased_until > $1", clock.now()))

    patient = {"lease": timedelta(seconds=20)}
    async with publishing_to(database_url, stream.feed(history=True), **patient) as stop:
        await happen(connection, store, 5)
        await until(lambda: all_published(database))
        first = await holder()
        async with publishing_to(database_url, stream.feed(), **patient):
            await asyncio.sleep(1)
            assert await holder() == first
            stop.set()
            await happen(connection, store, 5)
            await until(lambda: all_published(database))
            assert await holder() != first


async def test_events_of_one_resource_keep_their_order_when_their_transactions_overlap(
    *, stream: Server, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    """The transaction with the lower number writes later: first it waits, as for a row that another holds."""
    number = publishing.BATCH + 20
    async with database.transaction() as early:
        await outbox.record(early, store, "skus.create", "other", actor=outbox.WORKER)

        async def quick() -> None:
            for turn in range(number):
                async with database.transaction() as later:
                    name = "skus.update" if turn == number - 1 else "skus.create"
                    sku = "contended" if turn == number - 1 else f"sku-{turn}"
                    await outbox.record(later, store, name, sku, actor=outbox.WORKER)

        await asyncio.create_task(quick())
        await outbox.record(early, store, "skus.update", "contended", actor=outbox.WORKER)
    by_place = await connection.fetch(
        "select sequence from events where store_id = $1 and resource_id = 'contended' order by transaction_id, id",
        store.id,
    )
    assert [row["sequence"] for row in by_place] == [2, 1]
    async with publishing_to(database_url, stream.feed(history=True)):
        await until(lambda: all_published(database))
    kept = await stream.kept()
    assert out_of_order(kept) == []
    assert sorted(one.id for one in kept) == sorted(await written(connection))


async def test_events_from_the_dump_of_another_server_are_published_on_from_where_that_one_was(
    *, stream: Server, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    old = await happen(connection, store, 4)
    far = 10**15
    await connection.execute("update events set transaction_id = $1 where id = any($2)", far, old)
    await connection.execute("insert into destinations values ('nats', 'gone', $1)", clock.now())
    await connection.execute("insert into destination_cursors values ($1, 'nats', $2, $3)", store.id, far, old[1])
    await delivering.put_back(connection)
    new = await happen(connection, store, 3)
    async with publishing_to(database_url, stream.feed()):
        await until(lambda: all_published(database))
    assert [one.id for one in await stream.kept()] == [*old[2:], *new]


async def test_a_database_of_another_installation_publishes_nothing(
    *, stream: Server, database_url: str, connection: Connection, store: Store
) -> None:
    await connection.execute("insert into deployment (id, adopted_at) values ('original', $1)", clock.now())
    async with publishing_to(database_url, stream.feed(history=True), deployment_id="copy"):
        await happen(connection, store, 5)
        await asyncio.sleep(2)
    assert await stream.number() == 0
    assert await connection.fetchval("select count(*) from destinations") == 0


async def test_a_large_event_is_told_of_and_holds_up_what_comes_after_it(
    stream: Server, database_url: str, connection: Connection, store: Store
) -> None:
    """Rather than to leave one out: a server that takes no more than a megabyte has to be told to."""
    async with publishing_to(database_url, stream.feed(history=True)):
        before = await happen(connection, store, 3)
        large = await outbox.record(
            connection, store, "skus.update", "sku-0", actor=outbox.WORKER, payload={"reasons": "x" * 1_100_000}
        )
        await happen(connection, store, 3)

        async def noted() -> bool:
            return (await publishing.standing(connection, NATS)).error is not None

        await until(noted)
        now = await publishing.standing(connection, NATS)
    assert (now.waiting, orjson.dumps(now.error).decode()) == (4, '"nats: maximum payload exceeded"')
    found = [one.id for one in await stream.kept()]
    assert found[-3:] == before
    assert large not in found


async def test_a_worker_publishes_by_its_settings_and_shows_it(
    stream: Server, database_url: str, connection: Connection, store: Store
) -> None:
    environment = {"REPRISE_NATS_URL": stream.url, "REPRISE_NATS_HISTORY": "true", "REPRISE_SECRET_KEYS": "k" * 32}
    await happen(connection, store, 20)
    wanted = len(await written(connection))
    process = start(["work", "--metrics-port", "0"], DATABASE_URL=database_url, **environment)
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found is not None
        async with httpx2.AsyncClient(base_url=found[0]) as client:

            async def shown(*lines: str) -> bool:
                text = (await client.get("/metrics", timeout=30)).text
                return all(f"\n{line}" in text for line in lines)

            done = f"reprise_events_published_total {float(wanted)}"
            await until(lambda: shown(done, "reprise_events_waiting 0.0", "reprise_stream_failing_seconds 0.0"), 60)
            stream.kill()
            late = clock.now() - watching.LATE - timedelta(minutes=1)
            await happen(connection, store, 1)
            await connection.execute(
                "update events set id = $1 || substr(id, 11) where store_id = $2 and id = (select max(id) from events)",
                "01KB000000", store.id,
            )  # fmt: skip
            assert clock.made_at("01KB000000" + "0" * 16) < late  # type: ignore[operator]  # it is an id of ours

            async def noted() -> bool:
                notes = {one["code"]: one["detail"] for one in (await client.get("/readyz")).json().get("notes", [])}
                return "events to be published: 1, the first since" in notes.get("late_events", "")

            await until(noted, 60)
            assert await shown("reprise_events_waiting 1.0")
    finally:
        process.kill()
        process.communicate()
