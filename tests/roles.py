"""The roles that the service has in tests: those that `reprise migrate --roles` makes, and users in them who log in.

With `TEST_ROLES=off` the service is whoever the tests are: for a server where they may not make roles.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TypedDict
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from service.store import roles
from service.store.pool import Connection, connect
from tests import bouncer

PREFIX = "reprise_tests"
_PASSWORD = "of-the-tests"


def api(url: str) -> str:
    """The URL of a database for a process that serves the API."""
    return bouncer.through(_by(url, "api"))


def worker(url: str) -> str:
    """The URL of a database for a worker."""
    return bouncer.through(_by(url, "worker"))


def direct(url: str, process: str) -> str:
    """The URL of a database for a process, without what tests may be reached through."""
    return _by(url, process)


class Reached(TypedDict, total=False):
    """The settings that say how a process reaches its database."""

    database_url: str
    direct_url: str
    statement_cache_size: int


def reached(process: str, url: str) -> Reached:
    """The settings of a process on a database, as that process has it."""
    direct = _by(url, process)
    through = bouncer.through(direct)
    if through == direct:
        return Reached(database_url=direct)
    return Reached(database_url=through, direct_url=direct, statement_cache_size=0)


def of(process: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process, with the same settings in the place of its `DATABASE_URL`."""
    names = {"database_url": "DATABASE_URL"}
    # What is reached through a pooler already is that of another process: its server's own URL is the one to go by.
    found = reached(process, environment.get("REPRISE_DIRECT_URL", environment["DATABASE_URL"]))
    return {**environment, **{names.get(name, f"REPRISE_{name.upper()}"): str(value) for name, value in found.items()}}


async def grant(url: str) -> None:
    """Give the roles of the tests their rights in a database; make them and their users where there are none."""
    if not _wanted():
        return
    async with connect(url) as connection:
        await roles.apply(connection, PREFIX)
        for process in ("api", "worker"):
            with suppress(asyncpg.DuplicateObjectError):
                await connection.execute(
                    f"create role {_user(process)} login password '{_PASSWORD}' in role {PREFIX}_{process}"
                )


async def grant_table(connection: Connection, table: str) -> None:
    """Let the API do with a new table what it does with those of other types."""
    if _wanted():
        await connection.execute(f"grant select, insert, update, delete on {table} to {PREFIX}_api")


def _wanted() -> bool:
    return os.environ.get("TEST_ROLES", "on") != "off"


def _user(process: str) -> str:
    return f"{PREFIX}_{process}_user"


def _by(url: str, process: str) -> str:
    if not _wanted():
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{_user(process)}:{_PASSWORD}@{parts.netloc.rpartition('@')[2]}"))
