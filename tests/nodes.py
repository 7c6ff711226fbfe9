"""Databases that tests make on the server of a run, and drop.

With TEST_CITUS the server is the coordinator of a cluster, and TEST_DATABASE_URL names a database there that has Citus
and its workers. A database is made on every node then; one that is made from a template has its tables in place.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from service.store import distributing, migrate
from tests import roles
from tests.support import with_database

CITUS = bool(os.environ.get("TEST_CITUS"))
"""Whether the tests run on several nodes."""

ACTIVITY = "citus_stat_activity" if CITUS else "pg_stat_activity"
"""What says of every session what it does, wherever its rows lie."""

WAITING = (
    "select count(*) from citus_lock_waits"
    if CITUS
    else "select count(*) from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))"
)
"""How many wait for what the connection that asks holds, on several nodes for what anybody holds."""

on_nodes = pytest.mark.skipif(not CITUS, reason="There is no Citus: `make test DATABASE_URL=... CITUS=1`.")
"""Marks tests of what only happens where rows lie on several nodes."""

on_one_server = pytest.mark.skipif(CITUS, reason="It looks at what one server does by itself.")
"""Marks tests of what is of no use, or is known to be different, where rows lie on several nodes."""


@asynccontextmanager
async def made(server_url: str, name: str, template: str) -> AsyncIterator[str]:
    """The URL of a database that is made from a template, and dropped in the end."""
    nodes = await _nodes(server_url)
    for node in nodes:
        await execute(node, f"create database {name} template {template} strategy file_copy")
        # A copy has none of its template's settings. Without this one Debian's Postgres takes seconds to learn a type.
        await execute(node, f"alter database {name} set jit = {migrate.DEFAULTS['jit']}")
    try:
        yield with_database(server_url, name)
    finally:
        await _drop_all(nodes, name)


async def make_template(server_url: str, name: str) -> None:
    """Make a migrated database that others can be made from, where it isn't there; its tables are in their places."""
    url, nodes = with_database(server_url, name), await _nodes(server_url)
    admin = await asyncpg.connect(server_url)
    try:
        made = "select exists (select from pg_database where datname = $1 and datistemplate)"
        if await admin.fetchval(made, name):
            return
        await _drop_all(nodes, name)
        for node in nodes:
            await execute(node, f"create database {name}")
        if CITUS:
            await _join(server_url, name)
        await migrate.migrate(url)
        if CITUS:
            await distributing.distribute(url)
        await roles.grant(url)
        for node in nodes:
            await _close(node, name)
    finally:
        await admin.close()


async def _nodes(server_url: str) -> Sequence[str]:
    """The URLs of all nodes, workers first, so that a coordinator's database is complete as soon as it is there."""
    if not CITUS:
        return [server_url]
    admin = await asyncpg.connect(server_url)
    try:
        found = await admin.fetch("select node_name, node_port from citus_get_active_worker_nodes() order by 2")
        return [*(_at(server_url, f"{host}:{port}") for host, port in found), server_url]
    finally:
        await admin.close()


def _at(url: str, place: str) -> str:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{place}"))


async def _join(server_url: str, name: str) -> None:
    """Make a cluster of the databases of one name."""
    *workers, coordinator = [with_database(node, name) for node in await _nodes(server_url)]
    for node in (*workers, coordinator):
        await execute(node, "create extension citus")
    parts = [urlsplit(node) for node in (coordinator, *workers)]
    first, *others = [f"'{part.hostname}', {part.port}" for part in parts]
    await execute(coordinator, f"select citus_set_coordinator_host({first})")
    for other in others:
        await execute(coordinator, f"select citus_add_node({other})")


async def _close(node: str, name: str) -> None:
    """Make a template of a database: nobody may be in it, nor the process by which Citus looks after it."""
    await execute(node, f"alter database {name} is_template true allow_connections false")
    while await _count(node, name):
        await execute(node, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        await asyncio.sleep(0.1)


async def _count(node: str, name: str) -> int:
    admin = await asyncpg.connect(node)
    try:
        return int(await admin.fetchval("select count(*) from pg_stat_activity where datname = $1", name))
    finally:
        await admin.close()


async def _drop_all(nodes: Sequence[str], name: str) -> None:
    """Drop a database on all nodes, on the coordinator first, which looks after the others."""
    for node in reversed(nodes):
        await _drop(node, name)


async def _drop(node: str, name: str) -> None:
    with suppress(asyncpg.InvalidCatalogNameError):
        await execute(node, f"alter database {name} is_template false")
        while True:
            # Citus comes back to a database that it looks after.
            with suppress(asyncpg.ObjectInUseError):
                return await execute(node, f"drop database {name} with (force)")


def await_end(data_dir: Path) -> None:
    """Wait until the embedded server of a data folder has ended: it lives a moment longer than its last user."""
    with (data_dir / "server").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


async def execute(url: str, statement: str) -> None:
    """Run a statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
