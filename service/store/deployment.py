"""The installation that a database belongs to, so that a copy doesn't run the original's subscriptions again.

A database that is restored or cloned elsewhere, for staging say, brings along due subscriptions and a queue of copies
and payments. Its workers leave both alone until an operator declares the copy to be the real one (`reprise adopt`);
everything else works.
"""

from __future__ import annotations

from datetime import datetime

from service.store.pool import Connection
from service.store.statements import Command, OnlyValue, Value

_HERE = OnlyValue("runtime/deployment.here", str)
_OWNER = Value("runtime/deployment.owner", str)
_CLAIM = Command("runtime/deployment.claim")
_ADOPT = Command("runtime/deployment.adopt")


async def here(connection: Connection, given: str = "") -> str:
    """Return the id of this installation: that of the settings if given, else what distinguishes the database."""
    return given or await _HERE(connection)


async def claim(connection: Connection, id_: str, *, at: datetime) -> None:
    """Give a new database to an installation; a database that belongs to one already stays as it is."""
    await _CLAIM(connection, id=id_, at=at)


async def adopt(connection: Connection, id_: str, *, at: datetime) -> None:
    """Give the database to an installation, whichever it belonged to."""
    await _ADOPT(connection, id=id_, at=at)


async def owner(connection: Connection) -> str | None:
    """Return the id of the installation that the database belongs to, None when none has claimed it."""
    return await _OWNER(connection)
