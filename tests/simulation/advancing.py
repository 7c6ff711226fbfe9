"""Test clocks in simulated time: a store's own time is advanced while the workers who do it are killed.

The workers' own code runs: the job that advances a clock, the sweep and the copies at each instant at which it stops,
the look for clocks that nobody advances. Other workers sweep meanwhile, and must leave the store alone.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

import asyncpg

from service.errors import Contended
from service.jobs import clean, engine, sweep
from service.jobs.advance import AdvanceJob
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.operations.copies import recurring_order_copies
from service.operations.tenant import test_clocks
from service.store import pool
from tests.simulation import doubles, loop
from tests.simulation.clock_statements import BY_TEXT, CLOCK, clock_row
from tests.simulation.doubles import EPOCH
from tests.simulation.memory import CALM, Database
from tests.simulation.play import EVERY, LOOK_BEHIND, subscription
from tests.simulation.statements import STORE
from tests.simulation.world import STORMY, World

WORKERS, SUBSCRIPTIONS, ADVANCES = 3, 3, 2
STORM: Final = 150.0
QUIET: Final = 1_800.0
"""Seconds within which a clock must arrive once all is quiet: leases end, jobs are tried again and looked for."""
FARTHEST: Final = 4
"""How many hours a clock goes at most."""


@dataclass
class Outcome:
    """What came of a seed: `wrong` says which promise is broken."""

    seed: int
    orders: int = 0
    kills: int = 0
    stops: int = 0
    attempts: int = 0
    given_up: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The seed, and what is wrong."""
        told = f"{self.orders} orders, {self.stops} stops of the clock, {self.kills} kills, {self.attempts} attempts"
        return f"seed {self.seed}, clocks: {'; '.join(self.wrong) or told}"


def play(seed: int, *flaws: str) -> Outcome:
    """Live through a seed. With `flaws`, the store does something wrong on purpose."""
    chance = random.Random(seed)
    outcome = Outcome(seed)
    with doubles.playing(chance, outcome.wrong):
        loop.run(_Advancing(World(chance, frozenset(flaws), BY_TEXT, outcome), outcome).play())
    return outcome


class _Advancing:
    """One run."""

    def __init__(self, world: World, outcome: Outcome) -> None:
        self.world, self.chance, self.memory, self.outcome = world, world.chance, world.memory, outcome
        self.stands_at, self.goal = EPOCH, EPOCH

    async def play(self) -> None:
        self.memory.rows("test_clocks")[CLOCK] = clock_row(EPOCH)
        for number in range(SUBSCRIPTIONS):
            first = EPOCH + timedelta(seconds=self.chance.randrange(1, 3600))
            self.memory.rows("subscriptions")[f"sub-{number}"] = subscription(f"sub-{number}", first)
        self.memory.watchers.append(self._watch)
        self.memory.weather = STORMY
        workers = [asyncio.create_task(self.world.keep_working(self._work)) for _ in range(WORKERS)]
        thief = asyncio.create_task(self.world.lose_jobs())
        calming = asyncio.create_task(self._calm_down(thief))
        with suppress(TimeoutError):
            async with asyncio.timeout(STORM + QUIET):
                for _ in range(ADVANCES):
                    await self._advance()
                    while self._is_on_its_way():
                        await loop.sleep(1)
        self.world.stop.set()
        for task in (thief, calming):
            task.cancel()
        await asyncio.gather(*workers, thief, calming, return_exceptions=True)
        self._judge()

    async def _calm_down(self, thief: asyncio.Task[None]) -> None:
        await loop.sleep(STORM)
        thief.cancel()
        self.memory.weather = CALM

    async def _work(self, database: Database) -> None:
        """What `service.jobs.engine` does for a store on a test clock, and for those that are on none."""
        service, stop = cast("pool.Database", database), self.world.stop
        copies = CopyJob(service)
        advancing = AdvanceJob(service, copies, PaymentJob(service, {}))
        runs = {recurring_order_copies.ENTRYPOINT: copies.run, test_clocks.ENTRYPOINT: advancing.run}
        every = engine._every  # noqa: SLF001 -- the workers' own loop
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(every(stop, sweep.PERIOD * 4, lambda: sweep.run(service, "here"), at_once=True))
            tasks.create_task(every(stop, LOOK_BEHIND, lambda: clean.rescue(service)))
            for _ in range(2):
                tasks.create_task(self.world.take_jobs(database, runs))

    async def _advance(self) -> None:
        """Set the clock on its way, as its verb does, until that is acknowledged or seen to be done."""
        self.goal += timedelta(minutes=self.chance.randint(30, FARTHEST * 60))
        while not self._is_on_its_way():
            database = Database(self.memory, BY_TEXT)
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, Contended):
                async with database.transaction() as connection:
                    assert connection.transaction is not None
                    await connection.transaction.update(
                        "test_clocks", CLOCK, status="advancing", advancing_to=self.goal
                    )
                    await test_clocks.enqueue(cast("pool.Connection", connection), STORE, CLOCK, self.goal)

    def _is_on_its_way(self) -> bool:
        return bool(self.memory.rows("test_clocks")[CLOCK]["status"] == "advancing")

    def _watch(self) -> None:
        """Look at the clock as it is moved: it goes ahead, and no run that it has passed waits for its order."""
        at: datetime = self.memory.rows("test_clocks")[CLOCK]["frozen_at"]
        if at == self.stands_at:
            return
        if not self.stands_at < at <= self.goal:
            self.outcome.wrong.append(f"the clock went from {self.stands_at} to {at}, with {self.goal} for its goal")
        self.stands_at = at
        self.outcome.stops += 1

    def _judge(self) -> None:
        """Hold what there is against a plain count of what there has to be."""
        rows, wrong = self.memory.rows, self.outcome.wrong
        clock = rows("test_clocks")[CLOCK]
        if (clock["status"], clock["frozen_at"]) != ("ready", self.goal):
            wrong.append(f"the clock is {clock['status']} at {clock['frozen_at']}, and was to go to {self.goal}")
        ready = sum(one["name"] == "test_clocks.ready" for one in rows("events").values())
        wrong += [f"the clock was told to be ready {ready} times"] * (ready != ADVANCES)
        copies, orders = list(rows("copies").values()), list(rows("orders").values())
        given_up = {one["occurrence_id"] for one in copies if one["status"] == "failed"}
        made = Counter(one["occurrence"] for one in orders)
        occurrences = rows("occurrences")
        for id_, one in occurrences.items():
            is_due = one["scheduled_at"] <= self.goal
            if made[id_] != (is_due and id_ not in given_up):
                wrong.append(f"{made[id_]} orders of {id_}, which is {one['status']}")
        for row in rows("subscriptions").values():
            due = int((self.goal - row["first"]) / EVERY) + 1 if self.goal >= row["first"] else 0
            own = (one for one in occurrences.values() if one["order_subscription_id"] == row["id"])
            there = sum(one["status"] not in ("planned", "skipped") for one in own)
            wrong += [f"{there} runs of {row['id']}, of which {due} were due"] * (there != due)
        for one in orders:
            due_at = occurrences[one["occurrence"]]["scheduled_at"]
            if one["at"] != due_at:
                wrong.append(f"{one['id']} is of {one['at']}, and was due at {due_at}")
        self.outcome.orders, self.outcome.given_up = len(orders), len(given_up)
        self.outcome.attempts = sum(one["attempt"] for one in copies)
