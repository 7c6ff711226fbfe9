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
from datetime import datetime, timedelta
from typing import Final, cast

from service.jobs import clean, engine, sweep
from service.jobs.copy import CopyJob
from service.operations.copies import recurring_order_copies
from service.operations.generic.numbers import Numbers
from service.operations.subscriptions.ledgers import Terms
from service.operations.subscriptions.sweep import NUMBERS
from service.store import pool
from tests.simulation import doubles, loop
from tests.simulation.doubles import EPOCH, true_time
from tests.simulation.memory import CALM, Database, Row
from tests.simulation.statements import BY_TEXT
from tests.simulation.world import SKEW, STORMY, World

WORKERS, SUBSCRIPTIONS = 3, 6
STORM: Final = 240.0
"""Seconds of bad weather; what follows is quiet."""
QUIET: Final = 900.0
"""Seconds within which all must be done: leases end, jobs are tried again, what was lost is looked for."""
EVERY: Final = timedelta(hours=1)
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
    outcome = Outcome(seed)
    with doubles.playing(chance, outcome.wrong):
        loop.run(_Simulation(outcome, chance, frozenset(flaws)).play())
    return outcome


def subscription(id_: str, first: datetime) -> Row:
    """One that runs every hour, from this instant on."""
    terms = dict.fromkeys(Terms._fields) | {
        "id": id_,
        "status": "active",
        "frequency": "hourly",
        "timezone": "UTC",
        "last_day": False,
        "anchor_at": first - EVERY,
        "anchor_index": 0,
        "next_index": 1,
        "next_run_at": first,
        "catchup_policy": "run_all",
        "cutoff_hours": 0,
        "prepaid_occurrences_left": 0,
    }
    return {**terms, "occurrencies": 0, "first": first}


class _Simulation:
    """One run."""

    def __init__(self, outcome: Outcome, chance: random.Random, flaws: frozenset[str]) -> None:
        self.outcome, self.chance, self.flaws = outcome, chance, flaws
        self.world = World(chance, flaws, BY_TEXT, self.outcome)
        self.memory, self.stop = self.world.memory, self.world.stop
        self.at_once = chance.random() < 0.5

    async def play(self) -> None:
        for number in range(SUBSCRIPTIONS):
            id_ = f"sub-{number}"
            self.memory.rows("subscriptions")[id_] = subscription(id_, self._first())
        self.memory.weather = STORMY
        workers = [asyncio.create_task(self.world.keep_working(self._work)) for _ in range(WORKERS)]
        thief = asyncio.create_task(self.world.lose_jobs())
        await loop.sleep(STORM)
        thief.cancel()
        self.memory.weather = CALM
        self.ends = true_time()
        for row in self.memory.rows("subscriptions").values():
            row["expires_at"] = self.ends + timedelta(seconds=SKEW + 1)
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                while self._is_anything_left():
                    await loop.sleep(1)
        self.stop.set()
        await asyncio.gather(*workers, thief, return_exceptions=True)
        self._judge()

    def _first(self) -> datetime:
        """The first run of one that is up to three runs behind, and has one to come during the storm."""
        return EPOCH + timedelta(seconds=self.chance.randrange(int(STORM) - 30)) - EVERY * self.chance.randint(0, 3)

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
                tasks.create_task(self.world.take_jobs(database, {recurring_order_copies.ENTRYPOINT: job.run}))

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
