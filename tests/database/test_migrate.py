"""The migration runner, on empty databases and tiny folders of migrations, and on our own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

import sql
from service.errors import StartupError
from service.store import migrate, queue, schema

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a migration; return its folder."""

    def add(name: str, text: str, *, option: str = "") -> Path:
        (tmp_path / f"{name}.sql").write_text(f"-- migrate:up{option}\n{text}\n")
        return tmp_path

    return add


@pytest_asyncio.fixture
async def empty(empty_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection to the empty database."""
    connection = await asyncpg.connect(empty_url)
    yield connection
    await connection.close()


async def tables(connection: asyncpg.Connection[asyncpg.Record]) -> set[str]:
    rows = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def test_our_own_migrations_apply_once(empty_url: str, empty: asyncpg.Connection[asyncpg.Record]) -> None:
    names = [migration.name for migration in sql.migrations()]
    assert await schema.pending(empty) == [*names, "pgqueuer"]
    said: list[str] = []
    assert await migrate.migrate(empty_url, progress=said.append) == names
    assert said == [*names, "tables of pgqueuer"]
    assert await schema.pending(empty) == []
    assert await schema.unknown(empty) == []
    said.clear()
    assert await migrate.migrate(empty_url, progress=said.append) == []
    assert said == []
    for check in sql.checks():
        assert await empty.fetch(check.text) == [], check.name


async def test_only_what_is_missing_is_applied_in_order(
    empty_url: str, empty: asyncpg.Connection[asyncpg.Record], write: Write
) -> None:
    folder = write("0002_b", "alter table a add column n int;")
    write("0001_a", "create table a ();")
    assert await migrate.migrate(empty_url, folder) == ["0001_a", "0002_b"]
    write("0003_c", "alter table a rename to c;")
    assert await schema.pending(empty, folder) == ["0003_c"]
    assert await migrate.migrate(empty_url, folder) == ["0003_c"]
    assert await tables(empty) == {"c", "schema_migrations"}


async def test_a_schema_newer_than_the_code_is_served_and_reported(
    empty_url: str, empty: asyncpg.Connection[asyncpg.Record], write: Write
) -> None:
    folder = write("0001_a", "create table a ();")
    write("0002_b", "create table b ();")
    await migrate.migrate(empty_url, folder)
    (folder / "0002_b.sql").unlink()
    assert await schema.pending(empty, folder) == []
    assert await schema.unknown(empty, folder) == ["0002"]
    assert await migrate.migrate(empty_url, folder) == []


async def test_dbmate_and_this_runner_know_each_others_migrations(
    empty_url: str, empty: asyncpg.Connection[asyncpg.Record], write: Write
) -> None:
    await empty.execute("create table schema_migrations (version character varying(128) primary key)")
    await empty.execute("insert into schema_migrations (version) values ('0001')")
    folder = write("0001_a", "create table a ();")
    write("0002_b", "create table b ();")
    assert await migrate.migrate(empty_url, folder) == ["0002_b"]


async def test_a_failing_migration_leaves_nothing_of_itself(
    empty_url: str, empty: asyncpg.Connection[asyncpg.Record], write: Write
) -> None:
    folder = write("0001_a", "create table a ();")
    write("0002_b", "create table b (); select 1 from missing;")
    with pytest.raises(StartupError, match='migration 0002_b failed: relation "missing" does not exist'):
        await migrate.migrate(empty_url, folder)
    assert await tables(empty) == {"a", "schema_migrations"}
    assert await schema.pending(empty, folder) == ["0002_b", "pgqueuer"]


async def test_a_malformed_file_is_named_before_anything_is_changed(
    empty_url: str, empty: asyncpg.Connection[asyncpg.Record], write: Write
) -> None:
    folder = write("0001_a", "create table a ();")
    (folder / "0002_b.sql").write_text("create table b ();")
    with pytest.raises(StartupError, match=r"0002_b\.sql: a migration needs a line `-- migrate:up`"):
        await migrate.migrate(empty_url, folder)
    assert await tables(empty) == set()


async def test_statements_that_refuse_transactions(
    empty_url: str, empty: asyncpg.Connection[asyncpg.Record], write: Write
) -> None:
    write("0001_a", "create table a (n int, t text default ';');")
    folder = write(
        "0002_b",
        "create index concurrently a_by_n on a (n); -- ;\ncreate index concurrently a_by_t on a (t);",
        option=" transaction:false",
    )
    await migrate.migrate(empty_url, folder)
    rows = await empty.fetch("select indexname from pg_indexes where tablename = 'a'")
    assert {row["indexname"] for row in rows} == {"a_by_n", "a_by_t"}


async def test_three_at_once_apply_everything_once(empty_url: str, write: Write) -> None:
    folder = write("0001_a", "create table a (n int); select pg_sleep(0.4);")
    # Waits for every other session's snapshot: it would never end beside one that waits for a lock in a statement.
    write("0002_b", "create index concurrently a_by_n on a (n);", option=" transaction:false")
    said: list[str] = []
    async with asyncio.timeout(20):
        runs = await asyncio.gather(*(migrate.migrate(empty_url, folder, said.append) for _ in range(3)))
    assert sorted(runs) == [[], [], ["0001_a", "0002_b"]]
    assert said.count("waiting for another migration to finish") == 2
    assert said.count("tables of pgqueuer") == 1


async def test_new_sessions_begin_with_our_defaults_unless_somebody_chose(
    empty_url: str, empty: asyncpg.Connection[asyncpg.Record], write: Write
) -> None:
    name = await empty.fetchval("select current_database()")
    await empty.execute(f"alter database {name} set statement_timeout = '40s'")
    await migrate.migrate(empty_url, write("0001_a", "select 1;"))
    session = await asyncpg.connect(empty_url)
    try:
        settings = {name: await session.fetchval("select current_setting($1)", name) for name in migrate.DEFAULTS}
    finally:
        await session.close()
    assert settings == migrate.DEFAULTS | {"statement_timeout": "40s"}


async def test_an_account_that_does_not_own_the_database_is_told_and_goes_on(
    empty_url: str, empty: asyncpg.Connection[asyncpg.Record], write: Write
) -> None:
    name = await empty.fetchval("select current_database()")
    role = f"tenant_of_{name}"
    await empty.execute(f"create role {role} login; grant create on schema public to {role}")
    await empty.execute(f"grant create on database {name} to {role}")
    try:
        said: list[str] = []
        url = empty_url.replace("reprise@", f"{role}@")
        assert await migrate.migrate(url, write("0001_a", "create table a ();"), said.append) == ["0001_a"]
        assert f"not permitted, do it as the database's owner: alter database {name} set jit = 'off'" in said
    finally:
        await empty.execute(f"drop owned by {role}; drop role {role}")


async def test_a_job_lives_and_dies_with_the_transaction_that_enqueues_it(
    empty_url: str, empty: asyncpg.Connection[asyncpg.Record], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGQUEUER_PREFIX", "other_")
    await migrate.migrate(empty_url, write("0001_a", "select 1;"))
    undone = empty.transaction()
    await undone.start()
    await queue.enqueue(empty, "copy", b"lost")
    await undone.rollback()
    async with empty.transaction():
        await queue.enqueue(empty, "copy", b"kept", dedupe_key="copy:1")
        await queue.enqueue(empty, "copy", b"again", dedupe_key="copy:1")
        await queue.enqueue(empty, "retry", b"later", execute_after=timedelta(hours=1))
    jobs = await empty.fetch(
        "select entrypoint, payload, execute_after > created + interval '59 min' as later "
        f"from {queue.queue_settings().qualified.queue_table} order by id"
    )
    assert [tuple(job) for job in jobs] == [("copy", b"kept", False), ("retry", b"later", True)]
    assert queue.queue_settings().qualified.queue_table == "pgqueuer.pgqueuer"
