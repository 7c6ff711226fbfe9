"""Debian's PgBouncer in transaction mode over a Postgres server, each transaction on another of its connections.

`PGBOUNCER=1` has the tests' databases reached through one (`make test PGBOUNCER=1`).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from service.store.embedded.accounts import nobody

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
MISSING = "PgBouncer is not installed: `make pgbouncer` installs Debian's"
SECONDS = 20.0

_SETTINGS = """
[databases]
* = {server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
server_round_robin = 1
min_pool_size = {least}
default_pool_size = {most}
max_client_conn = 2000
auth_type = trust
auth_user = {user}
auth_query = select rolname::text, null::text from pg_roles where rolname = $1
admin_users = {user}
server_idle_timeout = 10
server_connect_timeout = 5
server_login_retry = 0.2
query_wait_timeout = 20
log_connections = 0
log_disconnections = 0
"""
"""Round robin: what a session was left in is met by another client at once, which last in, first out would hide."""


WANTED = "PGBOUNCER"
_LEFT_BEHIND = """
    select 'kept prepared: ' || statement as what from pg_prepared_statements
    union all
    select 'listens to ' || channel from pg_listening_channels() as channel
    union all
    select 'locks ' || objid from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and granted
    union all
    select 'has set ' || name || ' to ' || setting from pg_settings
    where source = 'session' and setting is distinct from reset_val and not name = any($1)
    union all
    select 'made ' || relname from pg_class where relpersistence = 't' and relnamespace = pg_my_temp_schema()
"""
_ITS_OWN = ("client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "application_name")
"""What PgBouncer itself sets, anew for each client."""


class Bouncer:
    """A running PgBouncer. `over` gives the URL of a database through it."""

    def __init__(self, folder: Path, server_url: str, *, least: int = 2, most: int = 20) -> None:
        self.port, self._most = _free_port(), most
        self._folder, self._account = folder, nobody() if os.geteuid() == 0 else None
        parts = urlsplit(server_url)
        self.leads_to = parts.hostname, parts.query
        asked = parse_qs(parts.query)
        host, port = asked.get("host", [parts.hostname])[0], asked.get("port", [parts.port or 5432])[0]
        self._settings = folder / "pgbouncer.ini"
        self._settings.write_text(
            _SETTINGS.format(
                server=f"host={host} port={port}", port=self.port, user=parts.username, least=least, most=most
            )
        )
        self.process = self._start()

    def over(self, url: str) -> str:
        """The URL of a server's database, by way of this."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{user}@127.0.0.1:{self.port}", query="").geturl()

    async def left_behind(self, url: str) -> list[str]:
        """What clients left in the sessions of a database that it holds for a URL's user: of transactions, nothing."""
        found: list[str] = []
        async with AsyncExitStack() as held:
            for _ in range(self._most):
                connection = await asyncpg.connect(self.over(url), statement_cache_size=0)
                held.push_async_callback(connection.close)
                await held.enter_async_context(connection.transaction())
                found += [row[0] for row in await connection.fetch(_LEFT_BEHIND, _ITS_OWN)]
        return found

    def restart(self) -> None:
        """Kill it, with every connection that it holds, and begin anew at the same port."""
        self.kill()
        self.process = self._start()

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it at once: SIGTERM is that, of PgBouncer."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        self.process.wait(SECONDS)

    def _start(self) -> subprocess.Popen[bytes]:
        assert PROGRAM is not None, MISSING
        with (self._folder / "pgbouncer.log").open("ab") as log:
            process = subprocess.Popen(
                [PROGRAM, str(self._settings)],
                stdout=log,
                stderr=log,
                # PgBouncer refuses to run as root, and only Postgres' own account may enter the folder of its socket.
                user=self._account and self._account.uid,
                group=self._account and self._account.gid,
            )
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return process
            time.sleep(0.02)
        process.kill()
        raise AssertionError((self._folder / "pgbouncer.log").read_text())


@contextmanager
def bouncer(server_url: str, *, least: int = 2, most: int = 20) -> Iterator[Bouncer]:
    """A PgBouncer over a server meanwhile."""
    with tempfile.TemporaryDirectory(prefix="reprise-pgbouncer-") as folder:
        Path(folder).chmod(0o755)
        running = Bouncer(Path(folder), server_url, least=least, most=most)
        try:
            yield running
        finally:
            running.stop()


_running: Bouncer | None = None


@contextmanager
def wherever_wanted(server_url: str) -> Iterator[None]:
    """Meanwhile the tests' databases on a server are reached through a PgBouncer, with `PGBOUNCER=1`."""
    global _running  # noqa: PLW0603 -- a process of tests has one server
    if not wanted():
        yield
        return
    with bouncer(server_url, most=40) as _running:
        yield
    _running = None


def wanted() -> bool:
    """Whether the tests go through PgBouncer."""
    return os.environ.get(WANTED, "") not in ("", "0")


def through(url: str) -> str:
    """The URL of a tests' database, by way of PgBouncer where that is wanted."""
    parts = urlsplit(url)
    if _running is None or (parts.hostname, parts.query) != _running.leads_to:
        return url
    return _running.over(url)


def most_prepared() -> int:
    """How many statements a connection on such a URL may keep prepared."""
    return 0 if wanted() else 512


def inherited() -> dict[str, str]:
    """What a process of the tests must know of this, where it doesn't inherit all."""
    return {WANTED: "1"} if wanted() else {}


async def check(url: str) -> None:
    """Fail where something was left in the sessions of a database that was reached through PgBouncer."""
    if _running is not None:
        assert await _running.left_behind(url) == []


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
