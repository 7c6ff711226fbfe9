"""Bring a database to the schema this code needs: our migrations, the queue's tables, the database's defaults.

Migrations are dbmate's files and its table `schema_migrations`, so that dbmate may be used in this one's place. They
run on one direct connection, not through PgBouncer in transaction mode: a lock of the session lets one in at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from service import clock
from service.errors import StartupError
from service.store import partitions, queue, roles, schema
from service.store.pool import Connection, connect
from service.texts import Phrase
from sql import MIGRATIONS, Migration, migrations, split

DEFAULTS = {
    "timezone": "UTC",
    "jit": "off",  # plans of many small joins cost more to compile than to run
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
}
"""What every new session on the database begins with; PgBouncer refuses these as startup parameters."""

_LOCK = 0x7265_7072_6973_65  # "reprise"
_POLL_SECONDS = 0.1


def silent(_: str) -> None:
    """Say nothing."""


async def migrate(url: str, folder: Path = MIGRATIONS, progress: Callable[[str], None] = silent) -> list[str]:
    """Apply what is missing and return the names of the migrations applied. Safe to run several times at once.

    `progress` is told a line per step: a Phrase, or the name of a migration. Raises StartupError for a database that
    can't be reached, for files that can't be read (before anything is changed) and for a statement that fails:
    migrations before that one stay applied.
    """
    known = migrations(folder)
    async with connect(url) as connection, alone(connection, progress):
        await connection.execute("set statement_timeout = 0")
        await connection.execute("set client_min_messages = warning")
        await roles.become_owner(connection)
        await connection.execute("create table if not exists schema_migrations (version varchar(128) primary key)")
        applied = await schema.applied(connection)
        missing = [migration for migration in known if migration.version not in applied]
        for migration in missing:
            progress(migration.name)
            await _apply(connection, migration)
        if await queue.install(connection):
            progress(Phrase("tables of {schema}", schema=schema.QUEUE))
        await partitions.make_ahead(connection, clock.now())
        # The database itself is whose it was.
        await connection.execute("reset role")
        await _set_defaults(connection, progress)
    return [migration.name for migration in missing]


@asynccontextmanager
async def alone(connection: Connection, progress: Callable[[str], None]) -> AsyncIterator[None]:
    """Let one migrator in at a time."""
    told = False
    # Asking again and again: a session that waits inside pg_advisory_lock holds a snapshot, and `create index
    # concurrently` in the session it waits for would wait for that one in turn.
    while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
        if not told:
            progress(Phrase("waiting for another migration to finish"))
            told = True
        await asyncio.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.fetchval("select pg_advisory_unlock($1)", _LOCK)


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        if migration.transaction:
            async with connection.transaction():
                await connection.execute(migration.text)
                await _remember(connection, migration)
        else:
            for statement in split(migration.text):
                await connection.execute(statement)
            await _remember(connection, migration)
    except asyncpg.PostgresError as error:
        detail = f" ({error.detail})" if error.detail else ""
        raise StartupError(
            "The migration {name} failed: {reason}.", name=migration.name, reason=f"{error.message}{detail}"
        ) from error


async def _remember(connection: Connection, migration: Migration) -> None:
    await connection.execute("insert into schema_migrations (version) values ($1)", migration.version)


async def _set_defaults(connection: Connection, progress: Callable[[str], None]) -> None:
    """Set the defaults that nobody has set on this database yet: what its owner chose stays."""
    rows = await connection.fetch(
        """
        select split_part(entry, '=', 1) as name
        from pg_db_role_setting cross join unnest(setconfig) as entry
        where setrole = 0 and setdatabase = (select oid from pg_database where datname = current_database())
        """
    )
    chosen = {row["name"].lower() for row in rows}
    for name, value in DEFAULTS.items():
        if name in chosen:
            continue
        statement = await connection.fetchval(
            "select format('alter database %I set %I = %L', current_database(), $1::text, $2::text)", name, value
        )
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            progress(Phrase("not permitted, do it as the database's owner: {statement}", statement=statement))
