"""docs/how-to/stream-with-debezium.md on a server of the test's own: a slot has each event, once and in order."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic, sleep

import asyncpg
import pytest
import pytest_asyncio

from service import clock
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.principal import Store
from service.store import embedded, migrate
from service.store.pool import Database, open_database
from tests.database.pgoutput import Decoder, Inserted
from tests.database.test_outbox_router import PAGE, ROUTER, configured
from tests.support import KEYS, make_store, with_database

SLOT = "reprise_outbox"
WRITERS, TURNS, SHARED = 8, 25, 4
"""So many write at once, so often each; and so many resources are everybody's."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Iterator[str]:
    """The URL of a Postgres whose log can be decoded, as the page says."""
    folder = run_folder / f"logical-{tmp_path_factory.getbasetemp().name}"
    deadline = monotonic() + 60
    while monotonic() < deadline:
        # What leaves it stops it, after a moment: it begins with the setting the next time.
        with embedded.start(folder) as running:
            if asyncio.run(_is_logical(running.url)):
                yield running.url
                return
        sleep(0.1)
    pytest.fail("the server never started anew")


async def _is_logical(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("alter system set wal_level = 'logical'")
        return bool(await connection.fetchval("show wal_level") == "logical")
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def outside(server: str) -> AsyncIterator[str]:
    """A migrated database of that server, with the publication and the role of the page; dropped with its slot."""
    url = with_database(server, "outside")
    admin = await asyncpg.connect(server)
    try:
        await admin.execute("create database outside")
        await migrate.migrate(url)
        prepared = re.search(r"^```sql\n(create publication .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        assert prepared is not None
        owner = await asyncpg.connect(url)
        await owner.execute(prepared[1])
        await owner.close()
        yield url
    finally:
        await admin.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        await admin.execute("drop database if exists outside with (force)")
        await admin.execute("drop role if exists debezium")
        await admin.close()


class Reader:
    """Who reads the slot, as the role of the page."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self._decoder = Decoder()
        self.found: list[Inserted] = []

    async def begin(self) -> None:
        """Make the slot."""
        await self._connection.execute("select pg_create_logical_replication_slot($1, 'pgoutput')", SLOT)

    async def read(self) -> None:
        """Take what there is; it isn't there another time."""
        rows = await self._connection.fetch(
            "select data from pg_logical_slot_get_binary_changes($1, null, null, 'proto_version', '1',"
            " 'publication_names', $2)",
            SLOT, configured()["publication.name"],
        )  # fmt: skip
        self.found += self._decoder.read(row["data"] for row in rows)


async def _writes(database: Database, store: Store, number: int) -> Counter[str]:
    """Transactions of one or several events, of resources of its own and of everybody's; a third is rolled back."""
    draw, kept = random.Random(number), Counter[str]()
    for _ in range(TURNS):
        events = [
            Event(*draw.choice([("skus.update", f"own-{number}"), ("tags.update", f"shared-{draw.randrange(SHARED)}")]))
            for _ in range(draw.randint(1, 3))
        ]
        try:
            async with database.transaction() as connection:
                # Who changes resources holds them first, in one order.
                for id_ in sorted({event.resource_id for event in events}):
                    await connection.execute("select pg_advisory_xact_lock(hashtext($1))", id_)
                await outbox.record_all(connection, store, events, actor=outbox.WORKER)
                await asyncio.sleep(draw.choice([0, 0, 0.02]))
                _give_up(draw)
        except _Undone:
            continue
        kept.update(event.id for event in events)
    return kept


def _give_up(draw: random.Random) -> None:
    if draw.random() < 1 / 3:
        raise _Undone


class _Undone(Exception):
    pass


async def test_a_slot_has_every_event_once_and_in_order(outside: str) -> None:
    debezium = await asyncpg.connect(outside, user="debezium")
    reader = Reader(debezium)
    await reader.begin()
    async with open_database(outside, max_size=WRITERS + 2, command_timeout=30.0, keys=KEYS) as database:
        store = await make_store(database)
        before = await debezium.fetch("select id from events")
        async with asyncio.TaskGroup() as group:
            writers = [group.create_task(_writes(database, store, number)) for number in range(WRITERS)]
            while not all(writer.done() for writer in writers):
                await reader.read()
                await asyncio.sleep(0.02)
        kept = sum((writer.result() for writer in writers), Counter(row["id"] for row in before))
        async with database.transaction() as connection:
            # What becomes of events later is no event.
            await connection.execute("update events set address = null, payload = '{}' where store_id = $1", store.id)
            await connection.execute("delete from events where store_id = $1 and name = 'stores.create'", store.id)
        await reader.read()
        rows = await debezium.fetch("select id, sequence, resource_type, transaction_id::text from events")
    await debezium.close()
    assert Counter(one.values["id"] for one in reader.found) == kept
    assert {row["id"] for row in rows} <= kept.keys()
    assert len(kept) > WRITERS * TURNS / 2
    _in_order(reader.found)


def _in_order(found: list[Inserted]) -> None:
    """The events of a resource come by their numbers, and those of a transaction together, by their places."""
    numbers: dict[tuple[str | None, ...], list[int]] = {}
    transactions: list[int] = []
    for one in found:
        of = tuple(one.values[name] for name in ("store_id", "resource_type", "resource_id"))
        numbers.setdefault(of, []).append(int(one.values["sequence"] or 0))
        assert one.values["transaction_id"] == str(one.transaction)
        if one.transaction not in transactions[-1:]:
            transactions.append(one.transaction)
    assert len(transactions) == len(set(transactions))
    assert transactions != sorted(transactions), "transactions end in another order than they write in"
    for of, sequence in numbers.items():
        assert sequence == list(range(1, len(sequence) + 1)), of


async def test_what_the_router_takes_is_in_each_message(outside: str) -> None:
    debezium = await asyncpg.connect(outside, user="debezium")
    reader = Reader(debezium)
    await reader.begin()
    reasons = {"reasons": {"line_items": ["SKU - out_of_stock"]}, "copy_id": "c"}
    async with open_database(outside, max_size=2, command_timeout=30.0, keys=KEYS) as database:
        store = await make_store(database)
        event = Event("order_copies.fail", "abc", reasons, clock.new_id())
        async with database.transaction() as connection:
            await outbox.record_all(connection, store, [event], actor="tokens:t1")
    await reader.read()
    assert await debezium.fetchval("select count(*) from events") == len(reader.found), "its snapshot would have them"
    await debezium.close()
    config = configured()
    (last,) = [one for one in reader.found if one.values["id"] == event.id]
    assert last.table == config["table.include.list"]
    fields = {name: last.values[config[f"{ROUTER}table.field.event.{name}"]] for name in ("id", "key", "payload")}
    assert (fields["id"], fields["key"], json.loads(fields["payload"] or "")) == (event.id, "abc", reasons)
    assert last.values[config[f"{ROUTER}route.by.field"]] == "order_copies"
    placed = [part.split(":") for part in config[f"{ROUTER}table.fields.additional.placement"].split(",")]
    headers = {header: last.values[column] for column, _, header in placed}
    changes = headers.pop("changes")
    assert json.loads(changes or "") == {"status": {"from": "in_progress", "to": "failed"}}
    assert headers == {
        "type": "order_copies.fail", "store": str(store.id), "sequence": "1", "actor_type": "tokens", "actor_id": "t1",
    }  # fmt: skip
    kinds = {column.name: column.type_oid for column in last.columns}
    # jsonb, which `table.expand.json.payload` takes apart, and text.
    assert (kinds["payload"], kinds["id"], kinds["resource_id"], kinds["resource_type"]) == (3802, 25, 25, 25)
