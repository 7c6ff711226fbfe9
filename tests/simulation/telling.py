"""Webhooks in simulated time: workers tell receivers of events, while all of them and the writers have their troubles.

The workers' own code runs: the look for news, the giving of events to webhooks, the rounds of each receiver, what is
noted of them. Receivers are simulated, with all else beneath it. The seed decides everything.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast
from unittest import mock

import asyncpg
import orjson

from service.gateways import receivers
from service.gateways.outbound import DEFAULT
from service.gateways.receivers import Delivery, Reply
from service.jobs import deliver, engine
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.events.reading import Happened
from service.operations.webhooks import delivering, documents
from service.principal import Store
from service.rules import deliveries
from service.store import pool
from tests.simulation import doubles, loop
from tests.simulation.doubles import EPOCH
from tests.simulation.memory import CALM, Database, Killed, Row
from tests.simulation.statements import FACTS, STORE
from tests.simulation.webhook_statements import BY_TEXT, CURSOR, next_delivery_at, wants
from tests.simulation.world import STORMY, World

WORKERS, RESOURCES, WRITERS = 2, 2, 14
STORM: Final = 90.0
QUIET: Final = 3 * 3600.0
"""Seconds within which all must be told: the fourth step of the ladder takes two hours, leases end meanwhile."""
LOOK, LOOK_WHEN_QUIET = timedelta(seconds=2), timedelta(minutes=1)
OPENS_AFTER: Final = 8
"""Failures in a row that open a circuit: fewer than elsewhere, as less happens."""
SLOWEST: Final = 25.0
"""Seconds that a receiver takes at most for its answer: less than a webhook is held."""
ANY: Final = ("*", "orders.*", "orders.place")
TOPICS: Final = ("orders.place", "orders.update")


@dataclass
class Outcome:
    """What came of a seed: `wrong` says which promise is broken."""

    seed: int
    events: int = 0
    kills: int = 0
    sent: int = 0
    stopped: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The seed, and what is wrong."""
        told = f"{self.events} events, {self.sent} requests, {self.kills} kills, {self.stopped} circuits opened"
        return f"seed {self.seed}, deliveries: {'; '.join(self.wrong) or told}"


def play(seed: int, *flaws: str) -> Outcome:
    """Live through a seed. With `flaws`, the store or a receiver does something wrong on purpose."""
    chance = random.Random(seed)
    outcome = Outcome(seed)
    with doubles.playing(chance, outcome.wrong):
        telling = _Telling(World(chance, frozenset(flaws), BY_TEXT, outcome), outcome)
        with telling.receiving():
            loop.run(telling.play())
    return outcome


@dataclass
class _Receiver:
    """Who is told: how good its answers are, until all is quiet, and what it has got."""

    webhook: Row
    good: float
    got: list[Delivery] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    is_stopped: bool = False
    held_until: datetime | None = None


class PlainVault:
    """Opens what isn't sealed."""

    def open(self, _: str, __: int, ___: str, sealed: str | None) -> str | None:
        return sealed


class _Telling:
    """One run."""

    def __init__(self, world: World, outcome: Outcome) -> None:
        self.world, self.chance, self.outcome = world, world.chance, outcome
        self.memory, self.texts = world.memory, itertools.count(1)
        self.is_over = asyncio.Event()
        """Whether the storm is."""
        receivers_ = [self._receiver(number, topic) for number, topic in enumerate(ANY)]
        self.receivers = {str(one.webhook["id"]): one for one in receivers_}

    def _receiver(self, number: int, topic: str) -> _Receiver:
        row: Row = {"id": f"webhook-{number}", "topics": [topic], "shared_secret": "secret", "ordered": number != 1}
        row |= {"circuit_state": "closed", "circuit_failure_count": 0, "health": "healthy", "health_since": EPOCH}
        row |= {"created_at": EPOCH - timedelta(days=1), "disabled_at": None, "leased_until": None}
        self.memory.rows("webhooks")[row["id"]] = row | {"next_delivery_at": None}
        return _Receiver(row, self.chance.choice((0.0, 0.5, 0.9, 1.0)))

    async def play(self) -> None:
        self.memory.rows("event_cursors")[CURSOR] = {"id": CURSOR, "transaction_id": 0, "event_id": ""}
        self.memory.watchers.append(self._watch_circuits)
        self.memory.weather = STORMY
        workers = [asyncio.create_task(self.world.keep_working(self._work)) for _ in range(WORKERS)]
        writers = [asyncio.create_task(self._write(self.chance.uniform(0, STORM - 20))) for _ in range(WRITERS)]
        await loop.sleep(STORM)
        self.memory.weather = CALM
        self.is_over.set()
        await asyncio.wait(writers)
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                while self._waits():
                    await self._reset_circuits()
                    await loop.sleep(30)
        self.world.stop.set()
        await asyncio.gather(*workers, return_exceptions=True)
        self._judge()

    async def _work(self, database: Database) -> None:
        """What `service.jobs.engine` does for webhooks."""
        telling = deliver.Deliveries(cast("pool.Database", database), limits=DEFAULT, base="")
        every = engine._every  # noqa: SLF001 -- the workers' own loop
        await every(self.is_over, LOOK, lambda: telling.look("here"))
        await every(self.world.stop, LOOK_WHEN_QUIET, lambda: telling.look("here"))

    async def _write(self, after: float) -> None:
        """A transaction that writes events, takes its time, and may not come to its end."""
        await loop.sleep(after)
        database = Database(self.memory, BY_TEXT)
        resource, number = f"order-{self.chance.randrange(RESOURCES)}", self.chance.randint(1, 3)
        events = [Event(self.chance.choice(TOPICS), resource, {}) for _ in range(number)]
        with suppress(Killed, asyncpg.PostgresError, asyncpg.InterfaceError, LookupError):
            async with database.transaction() as connection:
                on = cast("pool.Connection", connection)
                await outbox.record_all(on, Store(STORE, *FACTS), events, actor=outbox.WORKER)
                await loop.sleep(self.chance.uniform(0, 20))
                if self.chance.random() < 0.1:
                    raise LookupError

    # receivers

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Meanwhile they are reached, in simulated time."""
        with ExitStack() as stack:
            for module, name, double in (
                (receivers, "reaching", self._reaching),
                (receivers, "deliver_by", self._answer),
                (documents, "written", self._written),
                (delivering, "vault_of", lambda _: PlainVault()),
                (deliver, "monotonic", loop.time),
                (deliveries, "OPENS_AFTER", OPENS_AFTER),
            ):
                stack.enter_context(mock.patch.object(module, name, double))
            yield

    @asynccontextmanager
    async def _reaching(self, url: str, _: object) -> AsyncIterator[str]:
        yield url

    async def _written(
        self, connection: pool.Connection, _: Store, __: object, events: Sequence[Happened], *, base: str
    ) -> list[str]:
        """What is told of events: each time it is written it is another text."""
        assert not base
        await cast("object", connection).database.travel()  # type: ignore[attr-defined]  # the double's
        return [orjson.dumps({"event": event.id, "number": next(self.texts)}).decode() for event in events]

    async def _answer(self, way: str, sent: Delivery) -> Reply:
        receiver = self.receivers[way]
        receiver.got.append(sent)
        self.outcome.sent += 1
        is_quiet = self.memory.weather is CALM
        await loop.sleep(self.chance.uniform(0, 0.5 if is_quiet or self.chance.random() < 0.9 else SLOWEST))
        if not is_quiet and self.chance.random() > receiver.good:
            wait = timedelta(seconds=self.chance.randint(1, 60)) if self.chance.random() < 0.3 else None
            return Reply(self.chance.choice((None, 302, 429, 500)), "no", wait)
        receiver.accepted.append(sent.id)
        return Reply(200, "")

    def _watch_circuits(self) -> None:
        """Take down when a circuit has opened, as all know of it: who holds its webhook then, nobody follows."""
        for id_, receiver in self.receivers.items():
            row = self.memory.rows("webhooks")[id_]
            is_open, until = row["circuit_state"] == "open", row["leased_until"]
            self.outcome.stopped += is_open and not receiver.is_stopped
            if is_open and until not in (None, receiver.held_until):
                self.outcome.wrong.append(f"{id_} was held though its circuit is open")
            receiver.is_stopped, receiver.held_until = is_open, until

    async def _reset_circuits(self) -> None:
        """Close them, as the shop does that has mended its receiver."""
        for id_, receiver in self.receivers.items():
            if not receiver.is_stopped:
                continue
            transaction = Database(self.memory, BY_TEXT).begin()
            await transaction.lock("webhooks", id_)
            healthy = {"circuit_state": "closed", "circuit_failure_count": 0, "health": "healthy"}
            at = next_delivery_at(transaction, id_)
            await transaction.update("webhooks", id_, **healthy, next_delivery_at=at)
            transaction.end(commit=True)

    # what has come of it

    def _waits(self) -> bool:
        """Whether anything is to be told yet."""
        rows = self.memory.rows
        cursor = rows("event_cursors")[CURSOR]
        given = (cursor["transaction_id"], cursor["event_id"])
        news = any((row["transaction_id"], row["id"]) > given for row in rows("events").values())
        return news or any(row["status"] == "pending" for row in rows("event_callbacks").values())

    def _judge(self) -> None:
        events = sorted(self.memory.rows("events").values(), key=lambda row: row["sequence"])
        self.outcome.events = len(events)
        for id_, receiver in self.receivers.items():
            self.outcome.wrong += [f"{id_}: {text}" for text in _faults(receiver, events)]


def _faults(receiver: _Receiver, events: Sequence[Row]) -> Iterator[str]:
    """What a receiver was told that it shouldn't have been, or wasn't told."""
    wanted = [one for one in events if wants(receiver.webhook, one)]
    ids = {one["id"] for one in wanted}
    accepted = set(receiver.accepted)
    yield from (f"{id_} was never told" for id_ in sorted(ids - accepted))
    yield from (f"{id_} was told, and never happened" for id_ in sorted({one.id for one in receiver.got} - ids))
    bodies: defaultdict[str, set[bytes]] = defaultdict(set)
    for sent in receiver.got:
        bodies[sent.id].add(sent.body)
    yield from (f"{id_} was told in {len(told)} ways" for id_, told in bodies.items() if len(told) > 1)
    if receiver.webhook["ordered"]:
        first = {id_: place for place, id_ in reversed(list(enumerate(receiver.accepted)))}
        by_resource: defaultdict[str, list[int]] = defaultdict(list)
        for one in wanted:
            if one["id"] in first:
                by_resource[one["resource_id"]].append(first[one["id"]])
        yield from (f"{id_} was told out of order" for id_, told in by_resource.items() if told != sorted(told))
