"""Load from `wrk`, and the processor time that a server and Postgres spend on it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from service.store.pool import Connection
from tests.processes import ROOT

CONNECTIONS = 8
_TICKS = os.sysconf("SC_CLK_TCK")
_SCRIPT = Path(__file__).with_name("load.lua")
_ALONG = ("walwriter", "io worker")
"""Processes of Postgres that work for backends; others, such as autovacuum, would fall on whoever is measured then."""


@dataclass(frozen=True)
class Request:
    """One request; `@N@` in its body is a number that no other request has."""

    method: str
    path: str
    body: str = ""


@dataclass(frozen=True)
class Server:
    """A server that answers: its name in the report, where it listens, and its first process."""

    name: str
    port: int
    pid: int


@dataclass
class Load:
    """Requests of one kind to one server, sent one after the other and from the start again.

    `position` is the next one, so that a request that works once is sent once.
    """

    server: Server
    requests: Sequence[Request]
    headers: Mapping[str, str] = field(default_factory=dict)
    position: int = 0


@dataclass(frozen=True)
class Spent:
    """Microseconds of processor time a request, and what went wrong."""

    requests: int
    server: float
    postgres: float
    errors: int

    @property
    def total(self) -> float:
        """Of both together."""
        return self.server + self.postgres


class Missing(Exception):
    """A program is not on this machine."""


def program() -> str:
    """The path of wrk. Raises Missing with what to do."""
    found = shutil.which("wrk")
    if found is None:
        raise Missing("wrk is not on the PATH. `make bench` installs it on Debian and Ubuntu; elsewhere, install it.")
    return found


def press(load: Load, postmaster: int, database: str, seconds: int) -> Spent:
    """Send requests for so many seconds over some connections, as fast as they are answered.

    `postmaster` is the first process of Postgres, `database` the one that the server uses.
    """
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    lines = folder / f"requests-{os.getpid()}.txt"
    lines.write_text("".join(f"{one.method}\t{one.path}\t{one.body}\n" for one in load.requests))
    headers = [part for name, value in load.headers.items() for part in ("-H", f"{name}: {value}")]
    command = [program(), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", *headers, "-s", str(_SCRIPT)]
    command += [f"http://127.0.0.1:{load.server.port}", "--", str(lines), str(load.position), next(_PREFIXES)]
    before = ticks_of(tree(load.server.pid)), ticks_of(at_work(postmaster, database))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = ticks_of(tree(load.server.pid)), ticks_of(at_work(postmaster, database))
    told = json.loads(done.stdout.splitlines()[-1])
    # Each connection may hold a request that was sent and not counted.
    load.position += told["requests"] + 2 * CONNECTIONS
    server, postgres = (spent(*both) / max(told["requests"], 1) for both in zip(before, after, strict=True))
    return Spent(told["requests"], server, postgres, told["refused"] + told["broken"])


_PREFIXES = (f"n{os.getpid()}-{number}-" for number in itertools.count())


def tree(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for known in found:
        found.extend(_children(known))
    return found


def memory(pids: Iterable[int], kind: str = "VmRSS") -> float:
    """What processes hold together, in MB: now, as `RssAnon` for themselves alone, as `VmHWM` at most so far."""
    shown = (Path(f"/proc/{pid}/status").read_text() for pid in pids)
    return sum(int(one.partition(f"{kind}:")[2].split()[0]) for one in shown) / 1024


async def postmaster_of(connection: Connection) -> int:
    """The first process of the Postgres that a connection leads to, which is on this machine."""
    return parent(await connection.fetchval("select pg_backend_pid()"))


def parent(pid: int) -> int:
    """The process that started this one."""
    return int(_stat(pid)[1])


def at_work(postmaster: int, database: str) -> Iterable[int]:
    """The processes of Postgres that work for the clients of a database."""
    for pid in _children(postmaster):
        with suppress(OSError):  # it may be gone by now
            title = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            if any(name in title for name in (f" {database} ", *_ALONG)):
                yield pid


def spent(before: Mapping[int, int], after: Mapping[int, int]) -> float:
    """Microseconds of processor time between two counts of ticks, of the processes that are there in the end."""
    return sum(late - before.get(pid, 0) for pid, late in after.items()) * 1_000_000 / _TICKS


def _children(pid: int) -> list[int]:
    # By thread: each has the children that it has started itself.
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found.extend(map(int, children.read_text().split()))
    return found


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def ticks_of(pids: Iterable[int]) -> dict[int, int]:
    """Ticks of processor time, in user and system mode, of processes that are still there."""
    counted = {}
    for pid in pids:
        with suppress(OSError):
            fields = _stat(pid)
            counted[pid] = int(fields[11]) + int(fields[12])
    return counted


def spent_by_ended(pid: int) -> float:
    """Seconds of processor time of the processes that a process has started and that have ended."""
    fields = _stat(pid)
    return (int(fields[13]) + int(fields[14])) / _TICKS
