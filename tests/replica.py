"""A streaming replica of a server of the tests, by the programs of the embedded wheel; its replay can be stopped."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx2

from service.http.replicas import HEADER
from service.store import embedded
from service.store.embedded.accounts import Account, nobody, own_folder, run
from service.store.pool import connect

NEWEST = "9" * 19
"""A position that no replica has reached: whoever sends it with a read is answered by the primary."""
SAFE = ("GET", "HEAD")
FOR_EVER = 1e9
"""A lag, in seconds, that no replica comes to."""
_READS = re.compile(r'^reprise_replica_reads_total\{by="(\w+)"\} (\S+)$', re.MULTILINE)
SETTINGS = "-c listen_addresses= -c port=5432 -c hot_standby=on -c max_connections=400"


class Follower:
    """A running replica, at `url` for the database of the server's URL."""

    def __init__(self, folder: Path, server_url: str, account: Account | None) -> None:
        self._data, self._folder, self._account = folder / "data", folder, account
        self._programs = embedded.programs(folder.parent, account)
        parts = urlsplit(server_url)
        asked = parse_qs(parts.query)
        self._run("pg_basebackup", "-h", asked["host"][0], "-p", asked["port"][0], "-U", str(parts.username), "-R",
                  "-c", "fast", "-X", "stream", "-D", str(self._data))  # fmt: skip
        self.start()
        self._server = parts

    def over(self, url: str) -> str:
        """The URL of a server's database, of which this has a copy."""
        return urlsplit(url)._replace(query=f"host={quote(str(self._folder))}&port=5432").geturl()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = str(self._folder / "log")
        self._run(
            "pg_ctl", "start", "-s", "-w", "-D", str(self._data), "-l", log, "-o", f"-k {self._folder} {SETTINGS}"
        )

    def kill(self) -> None:
        """End it at once, with nothing tidied up."""
        self._run("pg_ctl", "stop", "-s", "-D", str(self._data), "-m", "immediate")

    def promote(self) -> None:
        """Have it follow nobody any more."""
        self._run("pg_ctl", "promote", "-s", "-w", "-D", str(self._data))

    async def freeze(self, url: str) -> None:
        """Stop its replay: what is written from here on, it doesn't show."""
        async with connect(self.over(url)) as connection:
            await connection.execute("select pg_wal_replay_pause()")
            while await connection.fetchval("select pg_get_wal_replay_pause_state()") != "paused":
                pass

    async def thaw(self, url: str) -> None:
        """Go on with its replay."""
        async with connect(self.over(url)) as connection:
            await connection.execute("select pg_wal_replay_resume()")

    def _run(self, name: str, *words: str) -> None:
        # pg_ctl leaves its server with what it prints to.
        with (self._folder.with_name(f"{self._folder.name}.log")).open("ab") as output:
            done = run([str(self._programs / name), *words], self._account, output=output)
        assert done.returncode == 0, f"{name}: {done.stderr or output.name}"


@contextmanager
def following(server_url: str) -> Iterator[Follower]:
    """A replica meanwhile."""
    account = nobody() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="reprise-replica-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        follower = Follower(own_folder(Path(folder) / "replica", 0o700, account), server_url, account)
        try:
            yield follower
        finally:
            with suppress(AssertionError):  # killed before
                follower.kill()


@contextmanager
def standing_still(url: str) -> Iterator[str]:
    """The URL of a replica that goes on showing a server's database as it is now."""
    with following(url) as follower:
        asyncio.run(follower.freeze(url))
        yield follower.over(url)


def see_all(request: httpx2.Request) -> None:
    """Have a read see what there is, whatever a replica says; a write is the primary's without it."""
    if request.method in SAFE:
        request.headers[HEADER.decode()] = NEWEST


def reads(metrics: str) -> dict[str, float]:
    """How many reads replica and primary have answered, from what a process tells of itself."""
    return {"replica": 0.0, "primary": 0.0} | {by: float(number) for by, number in _READS.findall(metrics)}
