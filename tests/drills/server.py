"""Drills of what the API stands on: Postgres, its disk, the pooler, the pool, other people's statements."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import DEVNULL, run

import asyncpg

from service.store import migrate
from service.store.pool import connect
from tests import bouncer
from tests.chaos import fleet
from tests.chaos.fleet import LOST, Postgres
from tests.drills import load
from tests.drills.load import Outcome


@dataclass(frozen=True)
class Size:
    """How long a drill takes: seconds between two blows, how many blows, how many shoppers."""

    pause: float = 5.0
    blows: int = 6
    shoppers: int = 8


SHORT = Size(pause=0.7, blows=1, shoppers=3)


@asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[Postgres]:
    """A migrated server of the drill's own."""
    server = Postgres(folder)
    try:
        await migrate.migrate(server.url)
        yield server
    finally:
        server.stop()


Blow = Callable[[], Awaitable[None]]


async def _suffer(server: Postgres, outcome: Outcome, size: Size, blow: Blow, **settings: str) -> Outcome:
    """Strike again and again while shoppers reorder at a process with these settings; then count."""
    people = await load.shoppers(server.url, size.shoppers)
    with load.api(server.url, **settings) as served:
        async with load.shopping(served.url, people, outcome):
            for _ in range(size.blows):
                await asyncio.sleep(size.pause)
                await blow()
            await asyncio.sleep(size.pause)
    await load.count(server.url, outcome)
    return outcome


async def killed(folder: Path, size: Size) -> Outcome:
    """Postgres is killed with -9 and comes back, while shoppers reorder."""
    outcome = Outcome(suffered=f"Postgres killed {size.blows} times")
    async with postgres(folder) as server:
        return await _suffer(server, outcome, size, lambda: asyncio.to_thread(server.kill))


async def restarted(folder: Path, size: Size) -> Outcome:
    """The embedded Postgres is killed, and the service that runs it brings it back itself."""
    outcome = Outcome(suffered=f"the embedded Postgres killed {size.blows} times, and nobody but the service there")

    async def kill() -> None:
        os.kill(server.postmaster, signal.SIGKILL)
        await _answers(server.url)

    async with postgres(folder) as server:
        return await _suffer(server, outcome, size, kill, DATABASE_URL="", REPRISE_DATA_DIR=str(folder))


async def exhausted(folder: Path, size: Size) -> Outcome:
    """A process with two connections answers many times as many shoppers at once."""
    many = replace(size, shoppers=size.shoppers * 6)
    outcome = Outcome(suffered=f"{many.shoppers} shoppers on a pool of 2 connections")
    async with postgres(folder) as server:
        return await _suffer(server, outcome, many, lambda: asyncio.sleep(0), REPRISE_POOL_SIZE="2")


async def bounced(folder: Path, size: Size) -> Outcome:
    """PgBouncer is killed and started again, while shoppers reorder through it."""
    outcome = Outcome(suffered=f"PgBouncer restarted {size.blows} times")
    async with postgres(folder) as server:
        with bouncer.bouncer(server.url) as pooler:
            settings = {"DATABASE_URL": pooler.over(server.url), "REPRISE_DIRECT_URL": server.url}
            settings |= {"REPRISE_STATEMENT_CACHE_SIZE": "0"}
            return await _suffer(server, outcome, size, lambda: asyncio.to_thread(pooler.restart), **settings)


async def stormed(folder: Path, size: Size) -> Outcome:
    """Others flood the database with slow statements, and with locks on what shoppers write."""
    outcome = Outcome(suffered=f"{size.blows} storms of 12 slow statements, and of locks on every cart")

    async def storm() -> None:
        await asyncio.gather(_hold(server.url, size.pause), *(_burden(server.url) for _ in range(12)))

    async with postgres(folder) as server:
        return await _suffer(server, outcome, size, storm)


async def _burden(url: str) -> None:
    async with connect(url) as connection:
        await connection.fetchval("select count(*) from generate_series(1, 1000000) a where a % 7 = 3")


async def _hold(url: str, seconds: float) -> None:
    async with connect(url) as connection, connection.transaction():
        await connection.execute("select from carts for update")
        await asyncio.sleep(seconds)


async def full(folder: Path, size: Size) -> Outcome:
    """The disk of Postgres is full for a while: it refuses, or goes down, and comes back when there is room again."""
    outcome, data = Outcome(suffered=f"the disk of Postgres full {size.blows} times"), folder / "data"

    async def fill() -> None:
        outcome.wrong += await _fill(server, folder / "ballast", size.pause * 4)

    with _small_disk(folder):
        async with postgres(data) as server:
            return await _suffer(server, outcome, size, fill, DATABASE_URL="", REPRISE_DATA_DIR=str(data))


async def _fill(server: Postgres, ballast: Path, seconds: float) -> list[str]:
    """Take all that is free, have Postgres write until it can't, then give it back; tell if it never noticed."""
    try:
        await asyncio.to_thread(_take_all, ballast)
        async with asyncio.timeout(seconds + 20):
            while not await _is_refused(server.url):
                pass
        await asyncio.sleep(seconds)
    except TimeoutError:
        return ["the disk was never full"]
    finally:
        os.unlink(ballast)  # noqa: PTH108 -- a call that takes no time
    await _answers(server.url)
    return []


def _take_all(ballast: Path) -> None:
    """Write until there is no room."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1_000_000)):
            pass


async def _is_refused(url: str) -> bool:
    """Whether Postgres has no room for a megabyte more."""
    try:
        async with connect(url) as connection:
            await connection.execute("create table if not exists ballast (text text)")
            await connection.execute(
                "insert into ballast select repeat(md5(n::text), 32) from generate_series(1, 1000) n"
            )
            return False
    except (asyncpg.DiskFullError, *LOST):
        return True


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own at a folder, with room for a small database."""
    folder.mkdir(mode=0o755, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", "size=320m,mode=0755", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        run(["umount", "--lazy", str(folder)], check=True)


def may_mount(folder: Path) -> bool:
    """Whether we may mount a file system."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], stderr=DEVNULL, check=False).returncode:
        return False
    run(["umount", str(folder)], check=True)
    return True


async def _answers(url: str, seconds: float = 60) -> None:
    """Wait until the server answers, at the same address."""
    async with asyncio.timeout(seconds):
        while True:
            with suppress(*fleet.LOST):
                async with connect(url) as connection:
                    await connection.fetchval("select 1")
                    return
            await asyncio.sleep(0.1)
