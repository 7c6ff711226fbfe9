"""Alerts in simulated time: runs to come are announced, and cards that expire, while runs move and prices rise.

The workers' own code runs: the sweep's look for what is due, the batches of alerts and of cards, and their events. What
a run costs is simulated, with all else beneath it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast
from unittest import mock

import asyncpg

from schemas.kinds import render_timestamp
from service.errors import Contended
from service.jobs import engine, sweep
from service.operations.subscriptions import alerts, expiring
from service.operations.subscriptions.estimates import Ahead, Estimate
from service.principal import Store
from service.store import pool
from tests.simulation import doubles, loop
from tests.simulation.alert_statements import BY_TEXT, expiry_due_at, next_alert_at
from tests.simulation.doubles import EPOCH, true_time
from tests.simulation.memory import CALM, Connection, Database, Row, Weather
from tests.simulation.world import SKEW, World

WORKERS, SUBSCRIPTIONS, CARDS, MOVES, RISES = 3, 4, 2, 5, 4
STORM: Final = 3 * 3600.0
QUIET: Final = 1_800.0
"""Seconds of good weather, in which all must be told that is due by then."""
STORMY: Final = Weather(lost=0.03, unanswered=0.05, frozen=0.03, latency=0.3)
LIVES: Final = (30.0, 1800.0)
LOOK: Final = timedelta(minutes=3)
IN_TIME: Final = timedelta(minutes=15)
"""After so long in good weather everybody has looked."""
NEVER_BEFORE: Final = timedelta(seconds=STORM + QUIET)
"""No run comes before all is over: who runs it is another part's concern."""


@dataclass
class Outcome:
    """What came of a seed: `wrong` says which promise is broken."""

    seed: int
    told: int = 0
    kills: int = 0
    rises: int = 0
    cards: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The seed, and what is wrong."""
        counts = f"{self.told} runs and {self.rises} rises told of, {self.cards} cards, {self.kills} kills"
        return f"seed {self.seed}, alerts: {'; '.join(self.wrong) or counts}"


def play(seed: int, *flaws: str) -> Outcome:
    """Live through a seed. With `flaws`, the store does something wrong on purpose."""
    chance = random.Random(seed)
    outcome = Outcome(seed)
    with doubles.playing(chance, outcome.wrong), mock.patch.object(alerts, "outlook", outlook):
        loop.run(_Announcing(World(chance, frozenset(flaws), BY_TEXT, outcome, lives=LIVES), outcome).play())
    return outcome


class Outlook:
    """What runs come to: as much as a price says, as it was when it was looked at."""

    def __init__(self, totals: dict[str, int]) -> None:
        self._totals = totals

    async def estimate(self, run: Ahead) -> Estimate:
        """What a run of those comes to."""
        return Estimate((), self._totals[run.of.order_subscription_id])


async def outlook(connection: pool.Connection, _: Store, wanted: Sequence[Ahead]) -> Outlook:
    """Look at what runs cost."""
    on = cast("Connection", connection)
    await on.database.travel()
    assert on.transaction is not None
    prices = {id_: on.transaction.row("prices", id_) for id_ in (run.of.order_subscription_id for run in wanted)}
    return Outlook({id_: row["cents"] for id_, row in prices.items() if row is not None})


def subscription(id_: str, run_at: datetime, hours: int, source_id: str) -> tuple[Row, Row]:
    """One that is announced so many hours ahead, and its next run."""
    row: Row = {"id": id_, "status": "active", "next_run_at": run_at, "next_index": 1, "renewal_alert_period": hours}
    row |= {"alerted_run_at": None, "alerted_amount_cents": None, "alert_again_at": None, "source_id": source_id}
    run = {"id": f"{id_}-run", "order_subscription_id": id_, "occurrence_index": 1, "status": "planned"}
    return row, {**run, "scheduled_at": run_at, "alerted_at": None}


def card(id_: str, expires_at: datetime) -> Row:
    """One that nobody has looked at."""
    return {"id": id_, "expires_at": expires_at, "expiry_done_at": None, "expiry_again_at": None}


class _Announcing:
    """One run."""

    def __init__(self, world: World, outcome: Outcome) -> None:
        self.world, self.chance, self.memory, self.outcome = world, world.chance, world.memory, outcome
        self.known: dict[str, datetime] = {}
        """When events came to be known, by their ids."""

    def _some_run(self) -> datetime:
        """An instant, to the millisecond another one each time."""
        return EPOCH + NEVER_BEFORE + timedelta(milliseconds=self.chance.randrange(1, 8 * 3_600_000))

    async def play(self) -> None:
        rows = self.memory.rows
        for number in range(CARDS):
            rows("sources")[f"card-{number}"] = card(f"card-{number}", self._some_run())
        for number in range(SUBSCRIPTIONS):
            id_, source_id = f"sub-{number}", f"card-{self.chance.randrange(CARDS)}"
            row, run = subscription(id_, self._some_run(), self.chance.randint(1, 9), source_id)
            rows("subscriptions")[id_], rows("occurrences")[run["id"]] = row, run
            rows("prices")[id_] = {"id": id_, "cents": 100}
        self.memory.watchers.append(self._watch)
        self.memory.weather = STORMY
        workers = [asyncio.create_task(self.world.keep_working(self._work)) for _ in range(WORKERS)]
        writers = [asyncio.create_task(self._move()) for _ in range(MOVES)]
        writers += [asyncio.create_task(self._raise()) for _ in range(RISES)]
        await loop.sleep(STORM)
        self.memory.weather = CALM
        await asyncio.wait(writers)
        await loop.sleep(QUIET)
        self.world.stop.set()
        await asyncio.gather(*workers, return_exceptions=True)
        self._judge(true_time())

    async def _work(self, database: Database) -> None:
        """What `service.jobs.engine` does for alerts."""
        service, stop = cast("pool.Database", database), self.world.stop
        every = engine._every  # noqa: SLF001 -- the workers' own loop
        await every(stop, LOOK, lambda: sweep.run(service, "here"), at_once=True)

    async def _move(self) -> None:
        """Move a run, as its customer does."""
        await loop.sleep(self.chance.uniform(0, STORM - 60))
        id_, run_at = f"sub-{self.chance.randrange(SUBSCRIPTIONS)}", self._some_run()
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, Contended):
            async with Database(self.memory, BY_TEXT).transaction() as connection:
                assert connection.transaction is not None
                await connection.transaction.update("subscriptions", id_, next_run_at=run_at)
                await connection.database.travel()
                await connection.transaction.update("occurrences", f"{id_}-run", scheduled_at=run_at, alerted_at=None)

    async def _raise(self) -> None:
        """Raise a price."""
        await loop.sleep(self.chance.uniform(0, STORM))
        row = self.chance.choice(list(self.memory.rows("prices").values()))
        row["cents"] += self.chance.randint(1, 9)

    def _watch(self) -> None:
        """Take down when events came to be known."""
        for id_ in self.memory.rows("events").keys() - self.known.keys():
            self.known[id_] = true_time()

    def _judge(self, at: datetime) -> None:
        """Hold what was told against what had to be."""
        rows, wrong = self.memory.rows, self.outcome.wrong
        events = sorted(rows("events").values(), key=lambda one: (self.known[one["id"]], one["id"]))
        cards = Counter(one["resource_id"] for one in events if one["name"] == expiring.EXPIRING)
        wrong += [f"{id_} was told to expire {number} times" for id_, number in cards.items() if number > 1]
        for id_, row in rows("sources").items():
            due_at = expiry_due_at(row)
            if due_at is not None and due_at <= at - IN_TIME:
                wrong.append(f"nobody looks at {id_}, which expires")
            if cards[id_] != (row["expires_at"] == row["expiry_done_at"]):
                wrong.append(f"{id_} was told to expire {cards[id_]} times, and is done with {row['expiry_done_at']}")
        told: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        for one in events:
            if one["name"] == alerts.RENEWAL:
                payload = one["payload"]
                told[one["resource_id"], payload["scheduled_at"]].append({"at": self.known[one["id"]], **payload})
        for row in rows("subscriptions").values():
            wrong += _faults(row, told.get((row["id"], str(render_timestamp(row["next_run_at"]))), []), at)
            run = rows("occurrences")[f"{row['id']}-run"]
            if (run["alerted_at"] is None) != (row["alerted_run_at"] != row["next_run_at"]):
                wrong.append(f"{run['id']} was announced at {run['alerted_at']}, as against {row['alerted_run_at']}")
        for (id_, run_at), own in told.items():
            wrong += _repeated(f"{id_} at {run_at}", own)
        self.outcome.told = len(told)
        self.outcome.rises = sum(one["price_increased"] for own in told.values() for one in own)
        self.outcome.cards = cards.total()


def _faults(row: Row, told: Sequence[Row], at: datetime) -> Iterator[str]:
    """What is wrong with what was told of the next run of a subscription."""
    alert_at = row["next_run_at"] - timedelta(hours=row["renewal_alert_period"])
    skew = timedelta(seconds=SKEW)
    if not told and alert_at <= at - IN_TIME:
        yield f"{row['id']} was to be announced at {alert_at}, and wasn't"
    if told and told[0]["at"] < alert_at - skew:
        yield f"{row['id']} was announced at {told[0]['at']}, before {alert_at}"
    if told and row["alerted_amount_cents"] != told[-1]["total_amount_cents"]:
        yield f"{row['id']} was announced at {told[-1]['total_amount_cents']}, noted is {row['alerted_amount_cents']}"
    look_at = next_alert_at(row)
    if look_at is not None and look_at <= at - IN_TIME:
        yield f"nobody looks at {row['id']}, which was to be looked at at {look_at}"


def _repeated(what: str, told: Sequence[Row]) -> Iterator[str]:
    """What was told again though it was told before: prices only rise here."""
    if sum(not one["price_increased"] for one in told) != 1:
        yield f"{what} was announced {len(told)} times"
    totals = [one["total_amount_cents"] for one in told]
    if any(later <= earlier for earlier, later in itertools.pairwise(totals)):
        yield f"{what} was told to cost {totals}"
