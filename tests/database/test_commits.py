"""What follows a commit comes behind it, once, and never where something is rolled back."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from service.operations.payments import recovery
from service.store.commits import after_commit
from service.store.pool import Connection, Database, connect
from tests.jobs.test_recovery_figures import counted, since


async def test_it_comes_once_behind_the_commit_in_its_order(database: Database) -> None:
    done: list[int] = []
    async with database.transaction() as connection:
        after_commit(connection, lambda: done.append(1))
        async with connection.transaction():
            after_commit(connection, lambda: done.append(2))
        async with database.transaction() as nested:
            after_commit(nested, lambda: done.append(3))
        assert done == []
    assert done == [1, 2, 3]
    async with database.transaction() as connection:
        await connection.execute("select 1")
    assert done == [1, 2, 3]


async def test_what_fails_behind_a_commit_takes_nothing_with_it(database: Database) -> None:
    done: list[int] = []

    def fail() -> None:
        done.append(0)
        raise LookupError

    with capture_logs() as logged:
        async with database.transaction() as connection:
            after_commit(connection, lambda: done.append(1))
            after_commit(connection, fail)
            after_commit(connection, lambda: done.append(2))
        async with database.connection() as connection:
            after_commit(connection, fail)
    assert done == [1, 0, 2, 0]
    assert [line["log_level"] for line in logged] == ["error", "error"]
    async with database.transaction() as connection:
        await connection.execute("select 1")
    assert done == [1, 0, 2, 0]


async def test_without_a_transaction_it_comes_at_once(database: Database) -> None:
    done: list[int] = []
    async with database.connection() as connection:
        after_commit(connection, lambda: done.append(1))
        assert done == [1]


async def test_a_savepoint_takes_back_its_own_alone(database: Database) -> None:
    done: list[int] = []
    async with database.transaction() as connection:
        after_commit(connection, lambda: done.append(1))
        rehearsal = connection.transaction()
        await rehearsal.start()
        after_commit(connection, lambda: done.append(2))
        await rehearsal.rollback()
        with suppress(LookupError):
            async with connection.transaction():
                after_commit(connection, lambda: done.append(3))
                raise LookupError
        after_commit(connection, lambda: done.append(4))
    assert done == [1, 4]


async def test_a_connection_of_its_own_does_the_same(database_url: str) -> None:
    done: list[int] = []
    async with connect(database_url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        after_commit(connection, lambda: done.append(1))
        assert done == []
        await transaction.commit()
    assert done == [1]


async def _count_and_fail(database: Database) -> None:
    async with database.transaction() as connection:
        recovery.failed(connection, "payment")
        recovery.lost(connection, "payment")
        recovery.recovered(connection, 3)
        await connection.execute("select 1 / 0")


async def test_what_is_rolled_back_is_not_counted(database: Database) -> None:
    before = counted()
    with pytest.raises(asyncpg.DivisionByZeroError):
        await _count_and_fail(database)
    assert since(before) == {}
    async with database.transaction() as connection:
        recovery.failed(connection, "payment")
    assert since(before) == {"failed": 1}


async def test_a_connection_that_is_lost_on_the_way_hands_nothing_on(
    database: Database, connection: Connection
) -> None:
    done: list[int] = []
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        async with database.transaction() as lost:
            after_commit(lost, lambda: done.append(1))
            await connection.execute("select pg_terminate_backend($1)", lost.get_server_pid())
            await lost.execute("select 1")
    async with database.transaction() as other:
        await other.execute("select 1")
    assert done == []


def test_operations_count_nothing_before_the_commit() -> None:
    """What they do may be rolled back: they hand counts to `after_commit`."""
    root = Path(recovery.__file__).parents[1]
    counting = re.compile(r"\.(inc|dec|observe)\(")
    assert [str(path) for path in sorted(root.rglob("*.py")) if counting.search(path.read_text())] == []
