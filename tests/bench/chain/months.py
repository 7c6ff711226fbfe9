"""What partitions by month give and cost: deliveries that are deleted, and events as they are and as they could be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from service import clock
from service.operations.tenant import tenants
from service.operations.webhooks import delivering
from service.store import migrate, partitions
from service.store.pool import Connection, connect, open_database
from sql import statement
from tests.bench import report
from tests.bench.buffers import Meter
from tests.bench.chain.loading import PATIENT
from tests.bench.world import KEYS, execute
from tests.support import with_database

MONTHS = 24
TURNS = 9
_NAME = "chain_months"
_STORE = 1


@dataclass(frozen=True)
class Deleted:
    """How so many deliveries were deleted: in seconds, and with how much write-ahead log."""

    seconds: float
    megabytes: float


async def deliveries(url: str, number: int) -> tuple[Deleted, Deleted]:
    """Delete as many deliveries of a month that is over: at once, then row by row, since one of them has to stay."""
    async with _anew(url) as own, connect(own, [KEYS]) as connection:
        then = datetime(2026, 1, 20, tzinfo=UTC)
        at = then + timedelta(days=100)
        found = []
        for stays in (False, True):
            await partitions.make_ahead(connection, then)
            await connection.execute(
                _DELIVERIES, _STORE, clock.first_id(then)[:10], then, number, at if stays else then
            )
            await connection.execute("vacuum (analyze) event_callbacks")
            began, log = time.monotonic(), await connection.fetchval(_LOG)
            await delivering.clean(connection, at)
            took, written = time.monotonic() - began, await connection.fetchval(_LOG) - log
            left = await connection.fetchval("select count(*) from event_callbacks")
            assert left == stays, left
            found.append(Deleted(took, float(written) / 1_000_000))
        return found[0], found[1]


async def events(url: str, each: int) -> str:
    """What the statements of events touch, in one table and in one with a partition for each of 24 months."""
    rows: dict[str, list[str]] = {}
    for parted in (False, True):
        async with _anew(url) as own:
            if parted:
                await execute(own, *_PARTED)
            begin = datetime(2024, 1, 1, tzinfo=UTC)
            for _ in range(MONTHS):
                month = partitions.month("events", begin)
                if parted:
                    await execute(
                        own,
                        f"create table {month.name} partition of events"
                        f" for values from ('{month.first}') to ('{month.until}')",
                    )
                async with connect(own) as connection:
                    await connection.execute(_EVENTS, _STORE, month.first[:10], begin, each)
                begin += timedelta(days=32)
                begin = begin.replace(day=1)
            await execute(own, "vacuum (analyze)")
            for name, touched in (await _touched(own, partitions.month("events", begin - timedelta(days=20)))).items():
                rows.setdefault(name, [name]).append(str(touched))
    head = ["pages touched", "one table", f"{MONTHS} partitions"]
    return "\n".join(report.rows(head, list(rows.values())))


async def _touched(url: str, month: partitions.Month) -> dict[str, int]:
    """The pages that statements touch, in the middle of some turns."""
    # A partition can't hold what is unique over all of them.
    write = statement("events/events.write").text.replace(
        "on conflict (store_id, resource_type, resource_id, sequence) do nothing", ""
    )
    after = statement("events/events.after")
    async with open_database(url, max_size=2) as database:
        meter = Meter(database)
        await meter.calibrate()

        async def run(text: str, *binds: object) -> None:
            async with database.connection() as connection:
                await connection.fetch(text, *binds)

        async def turns(works: Sequence[tuple[str, tuple[object, ...]]]) -> int:
            return round(median([await meter.touched(lambda work=work: run(work[0], *work[1])) for work in works]))  # type: ignore[misc]

        given = {"store": _STORE, "transaction": 0, "event": "", "horizon": 2**60, "most": 25}
        ids = [f"{month.first[:10]}{n:016}" for n in range(1, TURNS + 1)]
        return {
            "write an event of a resource": await turns([(write, _written(n)) for n in range(TURNS)]),
            "read 25 events from a cursor": await turns(
                [(after.text, tuple(given[name] for name in after.parameters))] * TURNS
            ),
            "read an event by its id": await turns(
                [("select * from events where store_id = $1 and id = $2", (_STORE, id_)) for id_ in ids]
            ),
        }


def _written(n: int) -> tuple[object, ...]:
    event = f'[{{"position": 1, "id": "{clock.new_id()}", "name": "orders.update", "resource_id": "r{n + 1}"'
    values = {
        "events": event + ', "payload": {}, "changes": {}}]',
        "store": _STORE,
        "at": clock.now(),
    }
    return tuple(values.get(name) for name in statement("events/events.write").parameters)


class _anew:  # noqa: N801 -- read as a function
    """A migrated database of its own with one store, dropped in the end."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> str:
        await self.__aexit__()
        await execute(self._url, PATIENT, f"create database {_NAME}")
        own = with_database(self._url, _NAME)
        await migrate.migrate(own)
        await execute(own, f"alter database {_NAME} set statement_timeout = 0")
        async with connect(own, [KEYS]) as connection:
            await tenants.create(connection, store_id=_STORE, name="Months", at=clock.now())
            await _webhook(connection)
        return own

    async def __aexit__(self, *_: object) -> None:
        await execute(self._url, PATIENT, f"drop database if exists {_NAME} with (force)")


async def _webhook(connection: Connection) -> None:
    await connection.execute(
        """
        insert into webhooks (
            store_id, id, topic, topics, callback_url, shared_secret, health_since, created_at, updated_at
        )
        values ($1, 'w', '*', '{*}', 'http://127.0.0.1:9/', 'sealed', $2, $2, $2)
        """,
        _STORE,
        clock.now(),
    )
    await connection.execute("insert into event_cursors values ($1, 0, '')", _STORE)


_LOG = "select pg_current_wal_lsn() - '0/0'::pg_lsn"
_DELIVERIES = """
    with told as (
        insert into events (
            store_id, id, name, resource_type, resource_id, sequence, created_at, updated_at
        )
        select $1, $2 || to_char(n, 'FM0000000000000000'), 'orders.update', 'orders', 'o' || n, 1, $3, $3
        from generate_series(1, $4::int) as n
        on conflict do nothing
    )
    insert into event_callbacks (
        store_id, id, webhook_id, event_id, callback_url, payload, status, delivered_at, created_at, updated_at
    )
    select
        $1, $2 || to_char(n, 'FM0000000000000000') || '-0123456789ab', 'w',
        $2 || to_char(n, 'FM0000000000000000'), 'http://127.0.0.1:9/',
        jsonb_build_object('data', jsonb_build_object('id', n, 'attributes', repeat(md5(n::text), 30))),
        'delivered', $3, case n when 1 then $5::timestamptz else $3 end, $3
    from generate_series(1, $4::int) as n
"""
_EVENTS = """
    insert into events (
        store_id, id, name, resource_type, resource_id, sequence, transaction_id, created_at, updated_at
    )
    select
        $1, $2 || to_char(n, 'FM0000000000000000'), 'orders.create', 'orders', $2 || 'r' || n, 1, n, $3, $3
    from generate_series(1, $4::int) as n
"""
_PARTED = (
    "alter table event_callbacks drop constraint event_callbacks_tell_of_a_known_event",
    "alter table events rename to events_whole",
    "create table events (like events_whole including defaults) partition by range (id)",
    "create table events_of_no_month partition of events default",
    "alter table events add primary key (store_id, id)",
    "create index on events (store_id, resource_type, resource_id, sequence)",
    "create index on events (store_id, created_at, id)",
    "create index on events (store_id, transaction_id, id)",
)
