"""Workers in simulated time: what they sweep, claim and finish, while their connections are lost and they are killed.

The workers' own code runs: the loop of periodic tasks, the sweep, batches, the job that makes copies, the look for what
was left behind. What they stand on is simulated (`memory`, `statements`, `doubles`). The seed decides everything.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, cast

from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from service.jobs import clean, engine, sweep
from service.jobs.copy import CopyJob
from service.operations.generic.numbers import Numbers
from service.operations.subscriptions.ledgers import Terms
from service.operations.subscriptions.sweep import NUMBERS
from service.store import pool
from tests.simulation import doubles, loop
from tests.simulation.doubles import EPOCH, skew, true_time
from tests.simulation.memory import CALM, Database, Killed, Memory, Row, Weather
from tests.simulation.statements import BY_TEXT

STORMY: Final = Weather(lost=0.02, unanswered=0.03, frozen=0.01, latency=0.3)
WORKERS, SUBSCRIPTIONS = 3, 6
STORM: Final = 240.0
"""Seconds of bad weather; what follows is quiet."""
QUIET: Final = 900.0
"""Seconds within which all must be done: leases end, jobs are tried again, what was lost is looked for."""
EVERY: Final = timedelta(hours=1)
SKEW: Final = 4.0
"""By how many seconds the clock of a worker may be off."""
PICK: Final = 1.0
LOOK_BEHIND: Final = timedelta(seconds=30)


@dataclass
class Outcome:
    """What came of a seed: `wrong` says which promise is broken."""

    seed: int
    orders: int = 0
    kills: int = 0
    attempts: int = 0
    given_up: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The seed, and what is wrong."""
        told = "; ".join(self.wrong) or f"{self.orders} orders, {self.kills} kills, {self.attempts} attempts"
        return f"seed {self.seed}: {told}"


def play(seed: int, *flaws: str) -> Outcome:
    """Live through a seed. With `flaws`, the store or the workers do something wrong on purpose."""
    chance = random.Random(seed)
    with doubles.instead(chance) as unexpected:
        outcome = loop.run(_Simulation(seed, chance, frozenset(flaws)).play())
    outcome.wrong += sorted({f"a worker logged {error!r}"[:200] for error in unexpected})
    return outcome


class _Simulation:
    """One run."""

    def __init__(self, seed: int, chance: random.Random, flaws: frozenset[str]) -> None:
        self.outcome, self.chance, self.flaws = Outcome(seed), chance, flaws
        self.memory = Memory(chance, flaws)
        self.at_once = chance.random() < 0.5
        self.stop = asyncio.Event()

    async def play(self) -> Outcome:
        for number in range(SUBSCRIPTIONS):
            row = self._subscription(f"sub-{number}")
            self.memory.rows("subscriptions")[row["id"]] = row
        self.memory.weather = STORMY
        workers = [asyncio.create_task(self._keep_working()) for _ in range(WORKERS)]
        thief = asyncio.create_task(self._lose_jobs())
        await asyncio.sleep(STORM)
        thief.cancel()
        self.memory.weather = CALM
        self.ends = true_time()
        for row in self.memory.rows("subscriptions").values():
            row["expires_at"] = self.ends + timedelta(seconds=SKEW + 1)
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                while self._is_anything_left():  # noqa: ASYNC110 -- time is simulated
                    await asyncio.sleep(1)
        self.stop.set()
        await asyncio.gather(*workers, thief, return_exceptions=True)
        self._judge()
        return self.outcome

    def _subscription(self, id_: str) -> Row:
        """One that runs every hour, is up to three runs behind, and has one to come during the storm."""
        first = EPOCH + timedelta(seconds=self.chance.randrange(int(STORM) - 30)) - EVERY * self.chance.randint(0, 3)
        anchor = first - EVERY
        terms = dict.fromkeys(Terms._fields) | {
            "id": id_,
            "status": "active",
            "frequency": "hourly",
            "timezone": "UTC",
            "last_day": False,
            "anchor_at": anchor,
            "anchor_index": 0,
            "next_index": 1,
            "next_run_at": first,
            "catchup_policy": "run_all",
            "cutoff_hours": 0,
        }
        return {**terms, "occurrencies": 0, "first": first}

    async def _keep_working(self) -> None:
        """A worker that is followed by another when it is killed."""
        while not self.stop.is_set():
            database = Database(self.memory, BY_TEXT)
            skew.set(timedelta(seconds=round(self.chance.uniform(-SKEW, SKEW), 3)))
            working = asyncio.create_task(self._work(database))
            lives = self.chance.uniform(5, 150)
            await asyncio.wait([working], timeout=lives if self.memory.weather is not CALM else None)
            await self._kill(database, working)
            await asyncio.sleep(self.chance.uniform(0.5, 10))

    async def _kill(self, database: Database, working: asyncio.Task[None]) -> None:
        """End a worker: whatever it was at, nothing of it happens any more."""
        database.kill()
        working.cancel()
        self.outcome.kills += 1
        await asyncio.wait([working])
        error = None if working.cancelled() else working.exception()
        if isinstance(error, BaseExceptionGroup):
            error = error.split(Killed)[1]
        if error is not None and not isinstance(error, Killed):
            self.outcome.wrong.append(f"a worker ended by {error!r}")

    async def _work(self, database: Database) -> None:
        """What `service.jobs.engine` does, but for the queue, which is PgQueuer's."""
        service = cast("pool.Database", database)
        numbers = Numbers(service, block=NUMBERS) if self.at_once else None
        job = CopyJob(service)
        every = engine._every  # noqa: SLF001 -- the workers' own loop
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(every(self.stop, sweep.PERIOD, lambda: sweep.run(service, "here", numbers), at_once=True))
            if "unrescued" not in self.flaws:
                tasks.create_task(every(self.stop, LOOK_BEHIND, lambda: clean.rescue(service)))
            for _ in range(2):
                tasks.create_task(self._take_jobs(database, job))

    async def _take_jobs(self, database: Database, job: CopyJob) -> None:
        """Run one job after the other, as PgQueuer promises: each once at least, unless it is lost."""
        while not self.stop.is_set():
            await asyncio.sleep(self.chance.uniform(0, PICK))
            picked = self._pick(database)
            if picked is None:
                continue
            again: float | None = None
            beating = asyncio.create_task(self._beat(picked["id"], database))
            try:
                await job.run(cast("Job", _Payload(picked["payload"])))
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
                rows[picked["id"]] |= {"picked": None, "due": _time() + again, "tries": picked["tries"] + 1}

    def _pick(self, database: Database) -> Row | None:
        """A job that waits, or whose worker shows no sign of life."""
        if database.is_dead:
            raise Killed
        silent = _time() - engine.HEARTBEAT.total_seconds()
        for row in self.memory.rows("jobs").values():
            if row["due"] <= _time() and (row["picked"] is None or row["picked"] < silent):
                row["picked"] = _time()
                return dict(row)
        return None

    async def _beat(self, id_: str, database: Database) -> None:
        """Show signs of life of a job."""
        while not database.is_dead and id_ in self.memory.rows("jobs"):
            if not database.is_frozen:
                self.memory.rows("jobs")[id_]["picked"] = _time()
            await asyncio.sleep(engine.HEARTBEAT.total_seconds() / 2)

    async def _lose_jobs(self) -> None:
        """Lose a job from time to time, as with an emptied queue."""
        while True:
            await asyncio.sleep(self.chance.uniform(5, 60))
            jobs = self.memory.rows("jobs")
            if jobs:
                del jobs[self.chance.choice(sorted(jobs))]

    def _is_anything_left(self) -> bool:
        due = any(
            row["next_run_at"] is not None and row["next_run_at"] <= true_time()
            for row in self.memory.rows("subscriptions").values()
        )
        open_ = any(row["status"] in ("pending", "in_progress") for row in self.memory.rows("copies").values())
        return due or open_

    def _judge(self) -> None:
        """Hold what there is against a plain count of what there has to be."""
        rows, wrong = self.memory.rows, self.outcome.wrong
        orders, copies, occurrences = (list(rows(name).values()) for name in ("orders", "copies", "occurrences"))
        given_up = {one["occurrence_id"] for one in copies if one["status"] == "failed"}
        places = Counter((one["order_subscription_id"], one["occurrence_index"]) for one in occurrences)
        wrong += [f"two rows of a ledger at {place}" for place, number in places.items() if number > 1]
        made = Counter(one["occurrence"] for one in orders)
        for one in occurrences:
            number, is_due = made[one["id"]], one["status"] not in ("planned", "skipped")
            place = f"{one['order_subscription_id']}/{one['occurrence_index']}"
            if number != (is_due and one["id"] not in given_up):
                wrong.append(f"{number} orders of {place}, which is {one['status']}")
        for row in rows("subscriptions").values():
            due = int((self.ends - row["first"]) / EVERY) + 1
            there = sum(
                one["order_subscription_id"] == row["id"] and one["status"] not in ("planned", "skipped")
                for one in occurrences
            )
            if there not in (due, due + 1):
                wrong.append(f"{there} runs of {row['id']}, of which {due} were due")
            own = [one for one in orders if one["subscription"] == row["id"]]
            if row["occurrencies"] != len(own):
                wrong.append(f"{row['id']} counts {row['occurrencies']} runs, and has {len(own)} orders")
        scheduled = {one["id"]: one["scheduled_at"] for one in occurrences}
        early = timedelta(seconds=SKEW)
        wrong += [f"{one['id']} came early" for one in orders if one["true_at"] + early < scheduled[one["occurrence"]]]
        ended = Counter(
            one["resource_id"] for one in rows("events").values() if one["name"] == "recurring_order_copies.complete"
        )
        wrong += [f"{id_} was completed {number} times" for id_, number in ended.items() if number > 1]
        left = Counter(one["status"] for one in copies) - Counter({"completed": len(copies), "failed": len(copies)})
        wrong += [f"{number} copies are {status}" for status, number in left.items()]
        self.outcome.orders, self.outcome.given_up = len(orders), len(given_up)
        self.outcome.attempts = sum(one["attempt"] for one in copies)


def _time() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class _Payload:
    """A job, of which ours reads no more."""

    payload: bytes
