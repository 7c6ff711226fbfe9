"""Postgres gets to know tables that grow before autovacuum looks: plans that were kept for few rows end."""

from __future__ import annotations

import asyncio

import asyncpg

from service.jobs import clean
from service.store import statistics
from service.store.pool import open_database

_ROWS = """
    insert into events (store_id, id, name, resource_type, resource_id, sequence, created_at, updated_at)
    select 1, 'event-' || n, 'orders.place', 'orders', 'order-' || n, 1, '2026-01-01', '2026-01-01'
    from generate_series($1::int, $2::int) as n
"""


async def test_tables_that_have_doubled_are_looked_at_once(own_url: str) -> None:
    connection = await asyncpg.connect(own_url)
    try:
        await connection.execute("alter table events set (autovacuum_enabled = false)")
        assert "events" not in await statistics.gather(connection)
        await connection.execute(_ROWS, 1, 2_000)
        assert "events" in await statistics.gather(connection)
        assert await connection.fetchval("select reltuples from pg_class where relname = 'events'") == 2_000
        await connection.execute(_ROWS, 2_001, 3_000)
        assert "events" not in await statistics.gather(connection)
    finally:
        await connection.close()


async def test_workers_share_what_there_is_to_look_at(own_url: str) -> None:
    """A look at a sample of a table is dear: what one worker has had looked at, others leave alone."""
    async with open_database(own_url) as database, database.connection() as connection:
        tables = [f"grown_{number}" for number in range(8)]
        for table in tables:
            await connection.execute(f"create table {table} as select generate_series(1, 30000) as n")
        gathered: set[str] = set()

        async def gather() -> None:
            async with database.connection() as own:
                gathered.update(await statistics.gather(own))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(gather())
        assert gathered >= set(tables)
        looks = "select sum(analyze_count) from pg_stat_user_tables where relname = any($1)"
        assert await connection.fetchval(looks, tables) < 2 * len(tables)


async def test_a_kept_plan_ends_when_its_table_has_grown(own_url: str) -> None:
    last = "select max(sequence) from events where store_id = $1 and resource_type = $2 and resource_id = $3"
    connection = await asyncpg.connect(own_url)
    try:
        await connection.execute("alter table events set (autovacuum_enabled = false)")
        await connection.execute(_ROWS, 1, 5)
        await connection.execute("analyze events")
        await connection.execute(f"prepare last (bigint, text, text) as {last}")

        async def plan() -> str:
            rows = await connection.fetch("explain execute last (1, 'orders', 'order-1')")
            return "\n".join(row[0] for row in rows)

        for _ in range(6):
            await connection.execute("execute last (1, 'orders', 'order-1')")
        await connection.execute(_ROWS, 6, 5_000)
        assert "Seq Scan" in await plan()
        async with open_database(own_url) as database:
            await clean.gather_statistics(database)
        assert "one_event_per_sequence" in await plan()
    finally:
        await connection.close()
