"""A Postgres of its own and worker processes, all of which can be killed with -9 and come back."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL

import asyncpg

from service.errors import StartupError
from service.store import embedded, migrate
from service.store.checks import violations
from tests import nodes
from tests.chaos import world
from tests.chaos.world import World
from tests.support import KEYS

ROOT = Path(__file__).parents[2]

HASTY = (sys.executable, "-m", "tests.chaos.hasty_worker")
"""A worker that takes up what a dead one left behind within seconds."""

PATIENT = (sys.executable, "-m", "service", "work")
"""The worker as it is run everywhere."""

LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, StartupError, TimeoutError)


@contextmanager
def own_folder(what: str) -> Iterator[Path]:
    """A data folder for a server of our own, where its account can reach it; removed once that has stopped."""
    with tempfile.TemporaryDirectory(prefix=f"reprise-{what}-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        yield data
        nodes.await_end(data)


class Postgres:
    """An embedded server that comes back when it was killed, at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = embedded.start(folder)
        self.url = self._server.url

    @property
    def postmaster(self) -> int:
        """The process id of the first process."""
        note = self._folder / "location"
        home = Path(note.read_text().strip()) if note.exists() else self._folder
        return int((home / "postgres" / "postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """kill -9 of the first process, and begin anew from what was on disk."""
        os.kill(self.postmaster, signal.SIGKILL)
        restarted = embedded.start(self._folder)
        self._server.stop()
        self._server = restarted
        assert self.url == restarted.url

    def stop(self) -> None:
        """Leave it: it stops by itself."""
        self._server.stop()


@dataclass(kw_only=True)
class Suffering:
    """What is killed, and what has to bear it for so many seconds at most.

    `pauses` are the least and most seconds from one kill to the next.
    """

    workers: int = 3
    worker_kills: int = 12
    postgres_kills: int = 2
    pauses: tuple[float, float] = (1.0, 4.0)
    command: Sequence[str] = HASTY
    seconds: float = 900.0
    seed: int = 1


@dataclass(kw_only=True)
class Suffered:
    """What was killed, and how that ended. `wrong` says what is not as it must be."""

    worker_kills: int = 0
    postgres_kills: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def tell(self) -> None:
        """Print it, with all that is wrong."""
        sys.stdout.writelines(f"{line}\n" for line in (str(self), *self.wrong))
        sys.stdout.flush()


@dataclass(kw_only=True)
class Plan(Suffering):
    """How much there is to do."""

    stores: int = 5
    subscriptions: int = 5_000
    pauses: tuple[float, float] = (0.5, 2.0)
    command: Sequence[str] = PATIENT


@dataclass(kw_only=True)
class Report(Suffered):
    """How it ended: how many were due, and how many orders there are; so many copies were begun again."""

    due: int = 0
    orders: int = 0
    retried: int = 0

    def __str__(self) -> str:
        """The counts in one line."""
        return (
            f"{self.due} occurrences due, {self.orders} orders made, {self.retried} copies begun more than once, "
            f"{self.worker_kills} workers and {self.postgres_kills} servers killed, {self.seconds:.0f} seconds"
        )


async def play(plan: Plan, folder: Path) -> Report:
    """Let workers copy what is due while they and their server are killed; gives what came of it."""
    postgres = Postgres(folder)
    try:
        await migrate.migrate(postgres.url)
        connection = await asyncpg.connect(postgres.url)
        made = await world.build(connection, store_count=plan.stores, subscriptions=plan.subscriptions)
        await world.send_through_the_queue(connection)
        await connection.close()
        report, began = Report(due=sum(made.expected.values())), time.monotonic()
        async with asyncio.timeout(plan.seconds), workers(plan.command, plan.workers, postgres.url) as running:
            await begun(postgres)
            await strike(plan, postgres, running, report)
            await drain(postgres)
        report.seconds = time.monotonic() - began
        await judge(postgres, made, report)
        return report
    finally:
        postgres.stop()


Running = list[asyncio.subprocess.Process]


@asynccontextmanager
async def workers(command: Sequence[str], number: int, url: str, **settings: str) -> AsyncIterator[Running]:
    """So many workers, each of which is followed by another when it ends; none is left in the end."""
    own = {"DATABASE_URL": url, "REPRISE_SECRET_KEYS": ",".join(KEYS), "PYTHONPATH": str(ROOT)}
    environment = os.environ | own | settings
    running: Running = []

    async def keep() -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=environment, stdout=DEVNULL, stderr=DEVNULL
            )
            running.append(process)
            try:
                await process.wait()
            finally:
                running.remove(process)
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            await asyncio.sleep(0.1)

    keepers = [asyncio.create_task(keep()) for _ in range(number)]
    try:
        yield running
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def strike(plan: Suffering, postgres: Postgres, running: Running, report: Suffered) -> None:
    """Kill workers at moments that the seed decides, and the server in between, as often as planned."""
    chance = random.Random(plan.seed)
    strikes = ["worker"] * plan.worker_kills + ["server"] * plan.postgres_kills
    chance.shuffle(strikes)
    for strike in strikes:
        await asyncio.sleep(chance.uniform(*plan.pauses))
        if strike == "server":
            await asyncio.to_thread(postgres.kill)
            report.postgres_kills += 1
        elif running:
            chance.choice(running).kill()
            report.worker_kills += 1


async def begun(postgres: Postgres) -> None:
    """Wait for the first order: what is killed before it has nothing to lose."""
    connection = await asyncpg.connect(postgres.url)
    try:
        made = "select exists (select from orders where occurrence_id is not null)"
        while not await connection.fetchval(made):  # noqa: ASYNC110 -- what is waited for happens in the database
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def drain(postgres: Postgres) -> None:
    """Wait until nothing is due and no copy unfinished."""
    while True:
        with suppress(*LOST):
            connection = await asyncpg.connect(postgres.url)
            try:
                if not await world.left(connection):
                    return
            finally:
                await connection.close()
        await asyncio.sleep(0.3)


async def judge(postgres: Postgres, made: World, report: Report) -> None:
    """Count the orders, and note what is wrong."""
    connection = await asyncpg.connect(postgres.url)
    try:
        report.orders = await connection.fetchval("select count(*) from orders where order_subscription_id is not null")
        report.retried = await connection.fetchval("select count(*) from order_factories where attempt > 1")
        report.wrong = await world.verdict(connection, made)
        report.wrong += [str(violation) for violation in await violations(connection)]
    finally:
        await connection.close()
