"""Workers that are killed and followed by others, in any play; and the queue from which they take jobs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol, cast

from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from service.jobs import engine
from tests.simulation import loop
from tests.simulation.doubles import skew
from tests.simulation.memory import CALM, Database, Handler, Killed, Memory, Row, Weather

STORMY: Final = Weather(lost=0.02, unanswered=0.03, frozen=0.01, latency=0.3)
SKEW: Final = 4.0
"""By how many seconds the clock of a process may be off."""
PICK: Final = 4.0
"""How many seconds at most a worker that is free doesn't look into the queue."""


class Told(Protocol):
    """What comes of a play, as far as its processes tell."""

    kills: int
    wrong: list[str]


@dataclass
class World:
    """A store, its processes, and what a seed decides of them; with `flaws`, something is wrong on purpose."""

    chance: random.Random
    flaws: frozenset[str]
    handlers: dict[str, Handler]
    told: Told
    lives: tuple[float, float] = (5, 150)
    """For how many seconds a worker lives, at least and at most, until it is killed."""
    pick: float = PICK
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Make the store."""
        self.memory = Memory(self.chance, self.flaws)

    async def keep_working(self, work: Callable[[Database], Awaitable[None]]) -> None:
        """A worker that is followed by another when it is killed; its clock is off."""
        while not self.stop.is_set():
            database = Database(self.memory, self.handlers)
            skew.set(timedelta(seconds=round(self.chance.uniform(-SKEW, SKEW), 3)))
            working = asyncio.ensure_future(work(database))
            lives = self.chance.uniform(*self.lives)
            await asyncio.wait([working], timeout=lives if self.memory.weather is not CALM else None)
            await self._kill(database, working)
            await loop.sleep(self.chance.uniform(0.5, 10))

    async def _kill(self, database: Database, working: asyncio.Future[None]) -> None:
        """End a worker: whatever it was at, nothing of it happens any more."""
        database.kill()
        working.cancel()
        self.told.kills += 1
        await asyncio.wait([working])
        error = None if working.cancelled() else working.exception()
        if isinstance(error, BaseExceptionGroup):
            error = error.split(Killed)[1]
        if error is not None and not isinstance(error, Killed):
            self.told.wrong.append(f"a worker ended by {error!r}")

    async def take_jobs(self, database: Database, runs: Mapping[str, Callable[[Job], Awaitable[None]]]) -> None:
        """Run one job after the other, as PgQueuer promises: each once at least, unless it is lost."""

        def pick() -> Row | bool | None:
            return self.stop.is_set() or self._pick(database)

        while isinstance(picked := await loop.until(pick, lambda: self.chance.uniform(0, self.pick)), dict):
            again: float | None = None
            beating = asyncio.create_task(self._beat(picked["id"], database))
            try:
                await runs[picked["entrypoint"]](cast("Job", _Payload(picked["payload"])))
            except RetryRequested as retry:
                again = retry.delay.total_seconds()
            except Exception:  # noqa: BLE001 -- whatever it is, the queue tries again
                again = min(2.0 ** picked["tries"], 300.0)
            finally:
                beating.cancel()
            rows = self.memory.rows("jobs")
            if again is None or picked["tries"] >= engine.ATTEMPTS:
                rows.pop(picked["id"], None)
            elif picked["id"] in rows:
                rows[picked["id"]] |= {"picked": None, "due": loop.time() + again, "tries": picked["tries"] + 1}

    def _pick(self, database: Database) -> Row | None:
        """A job that waits, or whose worker shows no sign of life."""
        if database.is_dead:
            raise Killed
        silent = loop.time() - engine.HEARTBEAT.total_seconds()
        for row in self.memory.rows("jobs").values():
            if row["due"] <= loop.time() and (row["picked"] is None or row["picked"] < silent):
                row["picked"] = loop.time()
                return dict(row)
        return None

    async def _beat(self, id_: str, database: Database) -> None:
        """Show signs of life of a job."""
        while not database.is_dead and id_ in self.memory.rows("jobs"):
            if not database.is_frozen:
                self.memory.rows("jobs")[id_]["picked"] = loop.time()
            await loop.sleep(engine.HEARTBEAT.total_seconds() / 2)

    async def lose_jobs(self) -> None:
        """Lose a job from time to time, as with an emptied queue."""
        while True:
            await loop.sleep(self.chance.uniform(5, 60))
            jobs = self.memory.rows("jobs")
            if jobs:
                del jobs[self.chance.choice(sorted(jobs))]


@dataclass(frozen=True)
class _Payload:
    """A job, of which ours reads no more."""

    payload: bytes
