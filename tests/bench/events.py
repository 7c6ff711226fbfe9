"""`make bench-events`: how fast a worker publishes events to a stream and tells one fast receiver, in how much memory.

Wall time is that of the machine and of whatever else runs on it; beside it stands the processor time of the worker.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from service import clock
from service.gateways.signing import new_secret
from service.operations.tenant import tenants
from service.operations.webhooks import delivering
from service.principal import Store
from service.store import migrate
from service.store.pool import connect
from tests import factories
from tests.chaos import fleet
from tests.chaos.fleet import Postgres
from tests.streams.jetstream import server
from tests.support import KEYS
from tests.webhooks.receiving import receiver

EVENTS = """
    insert into events (store_id, id, name, resource_type, resource_id, sequence, payload, created_at, updated_at)
    select $1, 'E' || lpad(n::text, 25, '0'), 'skus.update', 'skus', 'sku-' || n % 1000, n / 1000 + 1,
        '{"reasons": {"line_items": ["MUG - out_of_stock"]}}', $3, $3
    from generate_series(0, $2 - 1) n
"""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Figures:
    """How one way out went: `memory` are megabytes at a quarter of the events, and at their end."""

    way: str
    events: int
    seconds: float = 0.0
    processor: float = 0.0
    memory: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    def __str__(self) -> str:
        """The figures in one line."""
        each = self.processor / self.events * 1e6
        return (
            f"{self.way}: {self.events} events in {self.seconds:.1f} s, {self.rate:.0f} a second; the worker took"
            f" {each:.0f} us of processor time for each, and {self.memory[0]:.0f} MB at a quarter,"
            f" {self.memory[-1]:.0f} MB in the end"
        )


def _used(pid: int) -> float:
    """The seconds of processor time of a process."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(values[11]) + int(values[12])) / TICKS


def _megabytes(pid: int) -> float:
    """What a process holds in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def _worked(figures: Figures, url: str, done: Callable[[], Awaitable[int]], **settings: str) -> None:
    """Let a worker work until all is done, from the first event on."""
    async with fleet.workers(fleet.PATIENT, 1, url, **settings) as running:
        while not await done():  # noqa: ASYNC110 -- what is waited for happens elsewhere
            await asyncio.sleep(0.05)
        (pid,) = [process.pid for process in running]
        began, used, before = time.monotonic(), _used(pid), await done()
        while (number := await done()) < figures.events:
            if number > figures.events / 4 and not figures.memory:
                figures.memory.append(_megabytes(pid))
            await asyncio.sleep(0.1)
        figures.seconds = (time.monotonic() - began) * figures.events / (figures.events - before)
        figures.processor = (_used(pid) - used) * figures.events / (figures.events - before)
        figures.memory.append(_megabytes(pid))


async def published(folder: Path, events: int) -> Figures:
    """Publish so many events."""
    postgres, figures = Postgres(folder / "data"), Figures("JetStream", events)
    try:
        await migrate.migrate(postgres.url)
        await _happened(postgres, events)
        async with server(folder / "nats") as stream:
            settings = {"REPRISE_NATS_URL": stream.url, "REPRISE_NATS_HISTORY": "true"}
            # The store itself was made with events of its own.
            await _worked(figures, postgres.url, stream.number, **settings)
    finally:
        postgres.stop()
    return figures


async def told(folder: Path, events: int) -> Figures:
    """Tell a fast receiver of so many events."""
    postgres, figures = Postgres(folder / "data"), Figures("a fast receiver", events)
    try:
        await migrate.migrate(postgres.url)
        async with receiver() as hooks:
            url = hooks.url("count", "bench")
            await _happened(postgres, events, url)
            await _worked(figures, postgres.url, lambda: hooks.number(url), REPRISE_ALLOW_PRIVATE_ADDRESSES="true")
    finally:
        postgres.stop()
    return figures


async def _happened(postgres: Postgres, events: int, url: str = "") -> Store:
    """A store in which so many events have happened, with a webhook that is to be told of them if there is a URL."""
    async with connect(postgres.url, KEYS) as connection:
        store = await tenants.create(connection, store_id=1, name="Bench", at=clock.now())
        if url:
            await factories.insert(
                connection, "webhooks", store,
                topic="skus.update", topics=["skus.update"], callback_url=url, shared_secret=new_secret(),
                payload="thin", health_since=clock.now(),
            )  # fmt: skip
            await delivering.begin(connection, store.id)
        await connection.execute(EVENTS, store.id, events, clock.now())
        await connection.execute("analyze")
    return store


def main() -> None:
    """Measure both; exit code 1 where a worker's memory grew."""
    parser = argparse.ArgumentParser(prog="make bench-events")
    parser.add_argument("--events", type=int, default=100_000)
    asked = parser.parse_args()
    grew = False
    for way in (published, told):
        with fleet.own_folder("events") as data:
            figures = asyncio.run(way(data.parent, asked.events))
        sys.stdout.write(f"{figures}\n")
        sys.stdout.flush()
        grew |= figures.memory[-1] > figures.memory[0] + 30
    sys.exit(1 if grew else 0)


if __name__ == "__main__":
    main()
