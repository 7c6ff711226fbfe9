"""Counters of rate limits: exact under concurrency, windows that end, keys that don't mix."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from service.principal import Store
from service.store.limits import Limit, Window, hit
from service.store.pool import Connection, Database

LIMIT = Limit("tests", 60)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def test_a_window_begins_with_the_first_hit_and_ends_after_its_length(
    connection: Connection, store: Store
) -> None:
    end = NOON + timedelta(seconds=60)
    assert await hit(connection, store.id, LIMIT, "a", at=NOON) == Window(1, end)
    assert await hit(connection, store.id, LIMIT, "a", at=NOON + timedelta(seconds=59.999)) == Window(2, end)
    assert await hit(connection, store.id, LIMIT, "a", at=end) == Window(1, end + timedelta(seconds=60))


async def test_stores_limits_and_bearers_are_counted_apart(connection: Connection, store: Store) -> None:
    await hit(connection, store.id, LIMIT, "a", at=NOON)
    other = Limit("others", 60)
    for store_id, limit, who in [(store.id + 10**9, LIMIT, "a"), (store.id, other, "a"), (store.id, LIMIT, "b")]:
        assert (await hit(connection, store_id, limit, who, at=NOON)).hits == 1


async def test_parallel_hits_are_all_counted(database: Database, store: Store) -> None:
    async def once() -> int:
        async with database.connection() as connection:
            return (await hit(connection, store.id, LIMIT, "a", at=NOON)).hits

    assert sorted(await asyncio.gather(*(once() for _ in range(50)))) == list(range(1, 51))
