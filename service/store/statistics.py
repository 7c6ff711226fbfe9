"""What Postgres knows of our tables. Autovacuum looks after a minute at the earliest, which is long in a growing table.

A plan that was made for a table of a few rows reads all of it, and is kept: a worker that fills the table goes through
ever more rows with each statement, and with each check of a foreign key. New statistics end all kept plans.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.store.pool import Connection
from service.store.statements import Values

_OUTGROWN = Values("runtime/statistics.outgrown", str)
_NEVER_GATHERED = Values("runtime/statistics.never_gathered", str)


async def gather(connection: Connection) -> Sequence[str]:
    """Have Postgres look at the tables that have doubled since it last did, but for those that somebody holds.

    Returns their names. Each doubling of a table costs a look at a sample of it. What another process has had looked at
    in the meantime is left out.
    """
    gathered: list[str] = []
    while outgrown := [table for table in await _OUTGROWN(connection) if table not in gathered]:
        await connection.execute(f"analyze (skip_locked) {outgrown[0]}")
        gathered.append(outgrown[0])
    return gathered


async def never_gathered(connection: Connection) -> Sequence[str]:
    """The names of the larger tables that Postgres knows nothing of."""
    return await _NEVER_GATHERED(connection)
