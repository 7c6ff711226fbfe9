"""Which installation a database belongs to, so that a copy of it doesn't run the original's subscriptions once more.

A database that is restored or cloned elsewhere, for staging say, brings along subscriptions that are due, and a queue
of copies to be made and payments to be asked for. Its workers leave both alone until somebody says that the copy is the
real one now (`reprise adopt`); everything else works.
"""

from __future__ import annotations

from datetime import datetime

from service.store.pool import Connection
from sql import queries

DEPLOYMENT = queries("runtime/deployment")


async def here(connection: Connection, given: str = "") -> str:
    """The id of this installation: the one that is given by the settings, else what tells the database from copies."""
    return given or str(await connection.fetchval(DEPLOYMENT["here"]))


async def claim(connection: Connection, id_: str, *, at: datetime) -> None:
    """Make a new database this installation's; one that belongs to an installation stays that one's."""
    await connection.execute(DEPLOYMENT["claim"], id_, at)


async def adopt(connection: Connection, id_: str, *, at: datetime) -> None:
    """Make the database this installation's, whoever's it was."""
    await connection.execute(DEPLOYMENT["adopt"], id_, at)


async def owner(connection: Connection) -> str | None:
    """The installation that the database belongs to, None when it was never claimed."""
    found: str | None = await connection.fetchval(DEPLOYMENT["owner"])
    return found
