"""A reader of events never passes one that may still commit, whatever transactions do beside it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import clock
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.webhooks import delivering
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.test_worker import until
from tests.support import make_store


async def told(connection: Connection, store: Store) -> list[str]:
    """The events of SKUs that the store's webhook was given, in the order in which it was.

    A transaction of another test may hold up what the store's own beginning told, so that the webhook is told that too.
    """
    rows = await connection.fetch(
        "select c.event_id from event_callbacks c join events e on e.store_id = c.store_id and e.id = c.event_id"
        " where c.store_id = $1 and e.resource_type = 'skus' order by e.transaction_id, e.id",
        store.id,
    )
    return [row["event_id"] for row in rows]


async def listening(connection: Connection, store: Store) -> None:
    """A webhook of all topics, to which events are given from now on."""
    await factories.insert(
        connection, "webhooks", store,
        topic="*", topics=["*"], callback_url="https://shop.example.com/", shared_secret="s", health_since=clock.now(),
    )  # fmt: skip
    await delivering.begin(connection, store.id)


async def fan_out(database: Database, store: Store) -> None:
    async with database.transaction() as connection:
        await delivering.fan_out(connection, store.id)


async def test_what_a_slow_transaction_writes_holds_up_what_came_later_and_is_not_passed(
    database: Database, connection: Connection, store: Store
) -> None:
    await listening(connection, store)
    async with database.transaction() as slow:
        first = await outbox.record(slow, store, "skus.create", "a", actor=outbox.WORKER)

        async def later() -> str:
            async with database.transaction() as quick:
                return await outbox.record(quick, store, "skus.create", "b", actor=outbox.WORKER)

        second = await asyncio.create_task(later())
        await asyncio.create_task(fan_out(database, store))
        assert await asyncio.create_task(_told(database, store)) == []

    async def both() -> bool:
        # Transactions of other tests on this server hold events up too.
        await fan_out(database, store)
        return await told(connection, store) == [first, second]

    await until(both)


async def _told(database: Database, store: Store) -> list[str]:
    async with database.connection() as connection:
        return await told(connection, store)


async def test_events_from_the_dump_of_another_server_come_before_those_that_this_one_writes(
    database: Database, connection: Connection, store: Store
) -> None:
    await listening(connection, store)
    old = [await outbox.record(connection, store, "skus.create", f"old-{n}", actor=outbox.WORKER) for n in range(4)]
    far = 10**15
    for n, id_ in enumerate(old):
        # The first of them is of a time at which that server had not come further than this one.
        await connection.execute(
            "update events set transaction_id = $3 where store_id = $1 and id = $2", store.id, id_, far * min(n, 1) + n
        )
    await connection.execute(
        "update event_cursors set transaction_id = $2, event_id = $3 where store_id = $1", store.id, far + 1, old[1]
    )
    new = await outbox.record(connection, store, "skus.create", "new", actor=outbox.WORKER)
    assert store.id in await delivering.put_back(connection)
    assert store.id not in await delivering.put_back(connection)

    async def rest() -> bool:
        await fan_out(database, store)
        return await told(connection, store) == [*old[2:], new]

    await until(rest)


async def test_what_is_written_while_somebody_looks_is_of_no_other_server(
    database: Database, connection: Connection, store: Store
) -> None:
    """Found by `make histories`: all of a store's events were moved behind the cursors of those who follow them."""
    done = asyncio.Event()

    async def write() -> None:
        while not done.is_set():
            async with database.transaction() as writing:
                await outbox.record(writing, store, "skus.create", clock.new_id(), actor=outbox.WORKER)

    writers = [asyncio.create_task(write()) for _ in range(3)]
    moved = [await delivering.put_back(connection) for _ in range(60)]
    done.set()
    await asyncio.gather(*writers)
    assert [stores for stores in moved if store.id in stores] == []


@dataclass
class Writing:
    """A transaction: what it writes, after which waits, and whether it commits."""

    resources: Sequence[str]
    waits: Sequence[float]
    commits: bool
    written: list[str] = field(default_factory=list)

    async def run(self, database: Database, store: Store) -> None:
        async with database.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            for resource, wait in zip(self.resources, self.waits, strict=True):
                event = Event("skus.update", resource)
                await outbox.record_all(connection, store, [event], actor=outbox.WORKER)
                self.written.append(event.id)
                await asyncio.sleep(wait)
            if self.commits:
                await transaction.commit()
            else:
                await transaction.rollback()
                self.written.clear()


WRITINGS = st.lists(
    st.builds(
        lambda ids, seed, commits: Writing(
            # In one order, so that no two wait for each other in a circle.
            sorted(ids), [random.Random(seed + i).choice([0, 0.001, 0.02, 0.05]) for i in range(len(ids))], commits
        ),
        st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True),
        st.integers(0, 1_000),
        st.booleans(),
    ),
    min_size=2,
    max_size=12,
)  # fmt: skip


@pytest.mark.rule("FM-81")
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writings=WRITINGS)
async def test_every_event_that_commits_is_given_and_no_other(writings: list[Writing], database: Database) -> None:
    store = await make_store(database)
    async with database.connection() as connection:
        await listening(connection, store)
    over = asyncio.Event()

    async def read() -> None:
        while not over.is_set():
            await fan_out(database, store)
            await asyncio.sleep(0)

    readers = [asyncio.create_task(read()) for _ in range(2)]
    await asyncio.gather(*(writing.run(database, store) for writing in writings))
    committed = {id_ for writing in writings for id_ in writing.written}

    async def all_given() -> bool:
        return len(await _told(database, store)) >= len(committed)

    await until(all_given)
    over.set()
    await asyncio.gather(*readers)
    deliveries = await _told(database, store)
    assert sorted(deliveries) == sorted(committed)
