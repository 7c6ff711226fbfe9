"""Drills of workers: their network, their clocks, their processes. Each due occurrence is to have one order."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from service.store import migrate
from service.store.pool import connect
from tests.chaos import fleet, world
from tests.chaos.fleet import HASTY, Postgres, Report, Running
from tests.drills import network
from tests.drills.load import Outcome
from tests.drills.server import Size

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None) if shutil.which("faketime") else None
LEASE_SECONDS = 3.0
"""The lease of a hasty worker."""


@asynccontextmanager
async def _working(
    folder: Path, size: Size, outcome: Outcome, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Postgres, Running]]:
    """Three workers and what is due for them; in the end, as many orders as there were occurrences."""
    subscriptions = 100 * size.shoppers
    server = Postgres(folder)
    try:
        await migrate.migrate(server.url)
        async with connect(server.url) as connection:
            made = await world.build(connection, store_count=2, subscriptions=subscriptions)
            await world.send_through_the_queue(connection)
        outcome.acknowledged, outcome.what = sum(made.expected.values()), "orders of occurrences that were due"
        async with asyncio.timeout(600), fleet.workers(HASTY, 3, server.url, **settings or {}) as running:
            yield server, running
            await fleet.drain(server)
        report = Report()
        await fleet.judge(server, made, report)
        outcome.found, outcome.wrong = report.orders, report.wrong
    finally:
        server.stop()


async def frozen(folder: Path, size: Size) -> Outcome:
    """A worker stands still past its lease, and goes on where others have long taken over."""
    seconds = LEASE_SECONDS * 2
    outcome = Outcome(
        suffered=f"a worker frozen {size.blows} times for {seconds:.0f} s, its lease being {LEASE_SECONDS:.0f} s"
    )
    async with _working(folder, size, outcome) as (server, running):
        await fleet.begun(server)
        for blow in range(size.blows):
            worker = running[blow % len(running)]
            worker.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            worker.send_signal(signal.SIGCONT)
            await asyncio.sleep(size.pause)
    return outcome


async def cut(folder: Path, size: Size) -> Outcome:
    """The network between some workers and the database passes nothing for a while, then all that was sent."""
    seconds = LEASE_SECONDS * 2
    outcome = Outcome(
        suffered=f"the network cut {size.blows} times for {seconds:.0f} s, the lease being {LEASE_SECONDS:.0f} s"
    )
    async with (
        _working(folder, size, outcome) as (server, _),
        network.between(server.url) as way,
        fleet.workers(HASTY, 2, way.url),
    ):
        await fleet.begun(server)
        for _ in range(size.blows):
            way.open.clear()
            await asyncio.sleep(seconds)
            way.open.set()
            await asyncio.sleep(size.pause)
        outcome.wrong += [] if way.passed else ["nothing went over the network"]
        await fleet.drain(server)
    return outcome


async def clocks(folder: Path, size: Size) -> Outcome:
    """The clock of the workers' machine is set back by two hours, then forward by half an hour, then right."""
    outcome = Outcome(suffered=f"the workers' clock set back and forward {size.blows} times")
    with _clock(folder.with_name(f"{folder.name}-clock")) as (clock, settings):
        async with _working(folder, size, outcome, settings):
            for _ in range(size.blows):
                # What falls due next is 40 minutes ahead.
                for offset in ("-2h", "+30m", "+0"):
                    await asyncio.sleep(size.pause)
                    clock.write_text(f"{offset}\n")
    return outcome


@contextmanager
def _clock(file: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A file that says how far the clock of processes is off, and the environment of those."""
    file.write_text("+0\n")
    try:
        yield (
            file,
            {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(file),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            },
        )
    finally:
        file.unlink(missing_ok=True)
