"""The pool: what it gives, what it takes back, and what it says when there is nothing to connect to."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
import pytest_asyncio

from service.errors import StartupError
from service.store.pool import Database, connect, open_database


@pytest_asyncio.fixture
async def single(empty_url: str) -> AsyncIterator[Database]:
    """A pool of one connection: a connection that is not given back blocks the next test of it."""
    async with open_database(empty_url, max_size=1, command_timeout=5) as database:
        yield database


async def in_another_task(database: Database) -> int:
    async def ask() -> int:
        async with database.connection() as connection:
            return int(await connection.fetchval("select 1"))

    return await asyncio.wait_for(asyncio.create_task(ask()), 5)


async def insert_and_fail(database: Database, n: int) -> None:
    async with database.transaction() as connection:
        await connection.execute("insert into notes values ($1)", n)
        raise ZeroDivisionError


async def test_jsonb_is_text_in_and_out(single: Database) -> None:
    async with single.connection() as connection:
        assert await connection.fetchval("select $1::jsonb", '{"a": [1, null]}') == '{"a": [1, null]}'


async def test_a_transaction_is_kept_or_undone_as_a_whole(single: Database) -> None:
    async with single.transaction() as connection:
        await connection.execute("create table notes (n int)")
        await connection.execute("insert into notes values (1)")
        with pytest.raises(ZeroDivisionError):
            await insert_and_fail(single, 2)
    with pytest.raises(ZeroDivisionError):
        await insert_and_fail(single, 3)
    async with single.connection() as connection:
        assert [row["n"] for row in await connection.fetch("select n from notes")] == [1]


async def test_a_commit_that_fails_gives_the_connection_back(single: Database) -> None:
    async with single.transaction() as connection:
        await connection.execute("create table notes (n int unique deferrable initially deferred)")
    with pytest.raises(asyncpg.UniqueViolationError):
        async with single.transaction() as connection:
            await connection.execute("insert into notes values (1), (1)")
    assert await in_another_task(single) == 1


async def test_a_cancelled_task_gives_the_connection_back(single: Database) -> None:
    async def sleep() -> None:
        async with single.transaction() as connection:
            await connection.execute("select pg_sleep(30)")

    task = asyncio.create_task(sleep())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await in_another_task(single) == 1


async def test_a_transaction_left_open_does_not_come_back_from_the_pool(single: Database) -> None:
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    try:
        async with single.connection() as connection:
            await connection.execute("begin")
    finally:
        loop.set_exception_handler(None)
    assert complaints
    async with single.connection() as connection:
        assert not connection.is_in_transaction()


async def test_without_a_statement_cache_nothing_is_prepared_on_the_session(empty_url: str) -> None:
    async def prepared(cache: int) -> int:
        async with (
            open_database(empty_url, statement_cache_size=cache) as database,
            database.connection() as connection,
        ):
            for _ in range(2):
                await connection.fetch("select $1::text[], $2::jsonb", ["a"], "{}")
            count = "select count(*) from pg_prepared_statements where statement like 'select $1%'"
            return int(await connection.fetchval(count))

    assert await prepared(0) == 0
    assert await prepared(100) == 1


async def test_a_statement_is_given_up_after_the_timeout(empty_url: str) -> None:
    async with open_database(empty_url, command_timeout=0.2) as database:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with database.connection() as connection:
                await connection.execute("select pg_sleep(30)")
        assert time.monotonic() - began < 5


async def test_the_whole_url_reaches_the_server(empty_url: str) -> None:
    url = f"{empty_url}&application_name=reprise%20tests&sslmode=disable"
    async with open_database(url) as database, database.connection() as connection:
        assert await connection.fetchval("select current_setting('application_name')") == "reprise tests"


@pytest.mark.parametrize("opener", [connect, open_database])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:hunter2@127.0.0.1:1/shop", "127.0.0.1:1/shop can't be reached"),
        ("postgresql://u:hunter2@no-such-host.invalid/shop", "no-such-host.invalid/shop can't be reached"),
        ("postgresql://u:hunter2@/shop?host=/no/such/folder", "/no/such/folder/shop can't be reached"),
        ("mysql://u:hunter2@127.0.0.1/shop", "is not of the form postgresql://"),
        ("postgresql://u:hunter2#x@127.0.0.1/shop", "is not of the form postgresql://"),
        ("postgresql://u:hunter2@x@127.0.0.1/shop", "is not of the form postgresql://"),
        ("postgresql://u@127.0.0.1:hunter2/shop", "is not of the form postgresql://"),
        ("hunter2", "is not of the form postgresql://"),
    ],
)
async def test_no_server_is_one_sentence_without_the_password(
    opener: Callable[[str], AbstractAsyncContextManager[object]], url: str, reason: str
) -> None:
    with pytest.raises(StartupError) as caught:
        async with opener(url):
            pass
    said = str(caught.value)
    assert reason in said
    assert "hunter2" not in said
    assert "\n" not in said


async def test_an_unknown_database_or_role_is_one_sentence(empty_url: str) -> None:
    for url, reason in (
        (empty_url.replace("/empty_", "/missing_"), "does not exist"),
        (empty_url.replace("reprise@", "stranger:hunter2@"), 'role "stranger" does not exist'),
    ):
        with pytest.raises(StartupError, match=reason) as caught:
            async with open_database(url):
                pass
        assert "hunter2" not in str(caught.value)


async def test_a_wrong_password_is_one_sentence() -> None:
    """A server that asks for a password and refuses ours, in Postgres's protocol (version 3, "Message Formats")."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "u"\0\0'
        writer.write(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
        await writer.drain()
        writer.close()

    folder = Path(tempfile.mkdtemp())
    path = folder / ".s.PGSQL.5432"
    server = await asyncio.start_unix_server(refuse, path)
    try:
        with pytest.raises(StartupError, match="password authentication failed") as caught:
            async with open_database(f"postgresql://u:hunter2@/shop?host={quote(str(folder))}&port=5432"):
                pass
        assert "hunter2" not in str(caught.value)
    finally:
        server.close()
        shutil.rmtree(folder)
