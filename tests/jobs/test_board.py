"""`reprise work` as a real process: what it shows on a terminal, what it logs elsewhere, what it tells whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
import pytest_asyncio

from service import clock
from service.principal import Store
from service.store import deployment
from service.store.pool import Connection, Database, open_database
from tests import factories
from tests.factories import Line
from tests.jobs.steps import ask, bearer, pair
from tests.jobs.test_worker import held, reach, until
from tests.processes import ROOT
from tests.support import KEYS


@pytest.fixture
def database_url(own_url: str) -> str:
    """One that nobody else works on: a worker shows all that there is to do."""
    return own_url


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, max_size=10, keys=KEYS) as opened:
        yield opened


@dataclass
class Screen:
    """What a process writes to its terminal, or to a pipe in its place."""

    fd: int
    written: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # so a terminal ends whose last writer is gone
            while chunk := os.read(self.fd, 65536):
                self.written += chunk
        os.close(self.fd)

    @property
    def text(self) -> str:
        """Without the sequences that move the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.written.decode(errors="replace")).replace("\r", "")


@dataclass
class Worker:
    process: subprocess.Popen[str]
    screen: Screen
    introduction: str

    async def shows(self, pattern: str, seconds: float = 15) -> None:
        async def shown() -> bool:
            return re.search(pattern, self.screen.text) is not None

        try:
            await until(shown, seconds)
        except TimeoutError:
            pytest.fail(f"{pattern!r} is not in {self.screen.text[-2000:]!r}")

    async def ended(self) -> int:
        code = await asyncio.to_thread(self.process.wait, 30)
        await asyncio.to_thread(self.screen.reader.join, 10)
        return code


@contextmanager
def work(url: str, *options: str, terminal: bool, **environment: str) -> Iterator[Worker]:
    ours = {
        "DATABASE_URL": url,
        "REPRISE_SECRET_KEYS": ",".join(KEYS),
        "NO_COLOR": "1",
        "TERM": "xterm",
        "COLUMNS": "160",
    }
    read, write = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "work", *options],
        cwd=ROOT,
        env=dict(os.environ) | ours | environment,
        stdout=subprocess.PIPE,
        stderr=write,
        text=True,
    )
    os.close(write)
    screen = Screen(read)
    assert process.stdout is not None
    try:
        introduction = process.stdout.readline()
        assert introduction.startswith("Reprise "), screen.text
        yield Worker(process, screen, introduction)
    finally:
        process.kill()
        process.communicate(timeout=30)


async def test_a_terminal_shows_what_is_done_and_what_stopping_waits_for(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    ends = await pair(connection, store)
    scarce = await factories.sku(connection, store, stock=0)
    poor_order = await factories.full_order(connection, store, [Line(scarce)])
    poor = poor_order, await factories.subscription(connection, store, poor_order)
    with work(database_url, terminal=True) as worker:
        assert worker.introduction == "Reprise works.\n"
        await worker.shows(r"working +for 0:\d\d")
        await worker.shows(r"workers +[1-9]")
        await ask(database, bearer(store), *ends)
        await ask(database, bearer(store), *poor, place_target_order=True)
        await worker.shows(r"copies +[0-9.]+/s, 1 completed, 1 failed")
        await worker.shows(r"sweeps +[1-9]\d*, 0 failed; 0 jobs failed")
        async with held(database, store):
            copy_id = await asyncio.create_task(ask(database, bearer(store), *ends))  # on a connection of its own
            await reach(connection, store, copy_id, "in_progress")
            await worker.shows(r"jobs +order_factories 1")
            await worker.shows(r"backlog +\d+ due, \d+ pending, [1-9]\d* claimed, \d+ payments waiting")
            worker.process.send_signal(signal.SIGINT)
            await worker.shows(r"stopping +waits for jobs: order_factories 1")
            assert worker.process.poll() is None
        assert await worker.ended() == 0
        await reach(connection, store, copy_id, "completed")
        assert "2 completed, 1 failed" in worker.screen.text
        assert "Traceback" not in worker.screen.text


async def test_a_terminal_keeps_the_last_error(database_url: str, connection: Connection, store: Store) -> None:
    here = await deployment.here(connection)
    await deployment.adopt(connection, here, at=clock.now())
    with work(database_url, terminal=True) as worker:
        await worker.shows(r"last error +none")

        async def told() -> bool:
            # More than once: it may not have come to the queue yet.
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and query like '%pgqueuer%' and pid <> pg_backend_pid()"
            )
            await asyncio.sleep(1)
            return re.search(r"last error +\d\d:\d\d:\d\d lost the queue", worker.screen.text) is not None

        await until(told, 30)
        copy_id = await ask_anew(connection, store)
        await reach(connection, store, copy_id, "completed", 30)


async def test_a_terminal_is_told_in_its_own_language(database_url: str) -> None:
    with work(database_url, terminal=True, LC_ALL="nl_NL.UTF-8") as worker:
        assert worker.introduction == "Reprise werkt.\n"
        await worker.shows(r"werkt +al 0:\d\d \(Ctrl-C maakt af wat begonnen is en stopt dan\)")
        await worker.shows(r"taken +geen")
        await worker.shows(r"kopieën +0\.0/s, 0 gelukt, 0 mislukt")
        await worker.shows(r"wachtend +0 aan de beurt, 0 in de wachtrij, 0 in behandeling, 0 wachtende betalingen")
        await worker.shows(r"workers +[1-9]")
        await worker.shows(r"rondes +\d+, 0 mislukt; 0 taken mislukt")
        await worker.shows(r"laatste fout +geen")
        worker.process.send_signal(signal.SIGINT)
        await worker.shows(r"stopt +wacht op taken: geen")
        assert await worker.ended() == 0


async def ask_anew(connection: Connection, store: Store) -> str:
    """A copy that comes from the schedule: of a subscription that is due."""
    due_at = clock.now() - timedelta(minutes=1)
    columns: dict[str, Any] = {
        "frequency": "weekly",
        "anchor_at": due_at - timedelta(days=7),
        "next_run_at": due_at,
    }
    _, id_ = await pair(connection, store, **columns)
    found = "select id from order_factories where store_id = $1 and order_subscription_id = $2"

    async def ordered() -> bool:
        return await connection.fetchval(found, store.id, id_) is not None

    await until(ordered)
    return str(await connection.fetchval(found, store.id, id_))


async def test_elsewhere_there_are_log_lines_alone(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    ends = await pair(connection, store)
    with work(database_url, terminal=False) as worker:
        async with held(database, store):
            copy_id = await asyncio.create_task(ask(database, bearer(store), *ends))  # on a connection of its own
            await reach(connection, store, copy_id, "in_progress")
            worker.process.send_signal(signal.SIGTERM)
            await worker.shows('"stopping"')
        assert await worker.ended() == 0
        assert await connection.fetchval("select status from order_factories where id = $1", copy_id) == "completed"
    lines = [orjson.loads(line) for line in worker.screen.text.splitlines()]
    events = {line["event"]: line for line in lines}
    assert events["stopping"]["waiting_for"] == {"order_factories": 1}
    assert events["worked"]["copies_completed"] == 1


async def test_health_and_metrics_of_a_worker(
    database: Database, connection: Connection, database_url: str, store: Store
) -> None:
    await deployment.adopt(connection, await deployment.here(connection), at=clock.now())
    with work(database_url, "--metrics-port", "0", terminal=False) as worker:
        found = re.search(r"http://127\.0\.0\.1:\d+", worker.introduction)
        assert found is not None
        async with httpx2.AsyncClient(base_url=found[0]) as client:
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            assert "no_worker" not in (await client.get("/readyz")).text
            copy_id = await ask_anew(connection, store)
            await reach(connection, store, copy_id, "completed")
            # One that somebody asks for is made by a job.
            copy_id = await ask(database, bearer(store), *await pair(connection, store))
            await reach(connection, store, copy_id, "completed")

            async def counted() -> bool:
                metrics = (await client.get("/metrics")).text
                wanted = (
                    r'reprise_copies_total{outcome="completed",type="recurring_order_copies"} 2.0',
                    r'reprise_job_seconds_count{job="order_factories",outcome="completed"} 1.0',
                    "reprise_copy_lateness_seconds_count 1.0",
                    'reprise_copy_lateness_seconds_bucket{le="30.0"} 0.0',
                    'reprise_copy_lateness_seconds_bucket{le="300.0"} 1.0',
                )
                return all(line in metrics for line in wanted)

            await until(counted)
            assert (await client.get("/api")).status_code == 404
        worker.process.send_signal(signal.SIGTERM)
        assert await worker.ended() == 0
        name = f"%/{worker.process.pid}"
        assert await connection.fetchval("select count(*) from workers where name like $1", name) == 0
