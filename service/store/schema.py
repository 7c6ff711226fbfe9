"""Whether a database has the schema that this code needs."""

from __future__ import annotations

from pathlib import Path

from service.store.pool import Connection
from service.store.statements import OnlyValue
from sql import MIGRATIONS, migrations

QUEUE = "pgqueuer"
"""The Postgres schema of all of the queue's objects."""

_HAS_QUEUE = OnlyValue("runtime/queue.is_installed", bool)


async def pending(connection: Connection, folder: Path = MIGRATIONS) -> list[str]:
    """The names of what this code needs and the database lacks; empty when it can be served from."""
    known = await applied(connection)
    names = [migration.name for migration in migrations(folder) if migration.version not in known]
    return names if await _HAS_QUEUE(connection) else [*names, QUEUE]


async def unknown(connection: Connection, folder: Path = MIGRATIONS) -> list[str]:
    """The versions in the database that this code does not know: a newer one has migrated it.

    That is no reason not to serve, since migrations only ever widen what older code uses, but worth a line in the log.
    """
    return sorted(await applied(connection) - {migration.version for migration in migrations(folder)})


async def applied(connection: Connection) -> set[str]:
    """The versions of the migrations that a database has."""
    if await connection.fetchval("select to_regclass('schema_migrations') is null"):
        return set()
    return {row["version"] for row in await connection.fetch("select version from schema_migrations")}


PLACED = """
    select c.relname::text from pg_dist_partition p join pg_class c on c.oid = p.logicalrelid
    where p.partmethod = 'h' or (p.partmethod = 'n' and p.repmodel = 't')
"""
"""The tables that Citus has distributed or put on every node; not those that it knows only for their foreign keys."""


async def has_citus(connection: Connection) -> bool:
    """Whether a database can be spread over several nodes."""
    return bool(await connection.fetchval("select exists(select from pg_extension where extname = 'citus')"))


async def is_distributed(connection: Connection) -> bool:
    """Whether the rows of a database's stores are spread over several nodes."""
    return await has_citus(connection) and bool(await connection.fetchval(f"select exists({PLACED})"))
