"""Payments of runs in simulated time: cards refuse and are asked anew, while workers and the gateway have troubles.

The workers' own code runs: the job of a payment, what follows its answer, the ladder, the look for what is to be asked
anew, and the look for what was left behind. The gateway is simulated, with all else beneath it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast
from unittest import mock

from service import clock
from service.gateways.port import Answer, Gateway, NoAnswer, Payment
from service.jobs import clean, engine, sweep
from service.jobs.pay import PaymentJob
from service.operations.generic.phases import Interlude
from service.operations.orders import paying, placing
from service.operations.payments import attempts, dunning
from service.operations.payments.attempts import LEASE, Held
from service.principal import Principal
from service.rules import ladders
from service.store import pool
from tests.simulation import doubles, loop
from tests.simulation.doubles import EPOCH
from tests.simulation.memory import CALM, Connection, Database, Memory, Row, Weather
from tests.simulation.payment_statements import BY_TEXT, LADDER, begin_attempt
from tests.simulation.statements import STORE
from tests.simulation.telling import PlainVault
from tests.simulation.world import SKEW, World

WORKERS, CARDS, ORDERS = 2, 3, 6
STORM: Final = 4 * 3600.0
QUIET: Final = 16 * 3600.0
"""Seconds within which every ladder must have ended: a card rests for a window at a time."""
STORMY: Final = Weather(lost=0.03, unanswered=0.05, frozen=0.02, latency=0.3)
LIVES: Final = (30.0, 1800.0)
LOOK, LOOK_BEHIND = timedelta(minutes=5), timedelta(minutes=7)
PICK: Final = 200.0
MOST_RETRIES, WINDOW = 3, timedelta(hours=5)
"""So many retries of a card there may be within this time: fewer than elsewhere, as there is less of everything."""
STEP: Final = timedelta(hours=1)
FATES: Final = ("good", "turning", "soft", "flaky")


@dataclass
class Outcome:
    """What came of a seed: `wrong` says which promise is broken."""

    seed: int
    paid: int = 0
    asked: int = 0
    kills: int = 0
    retries: int = 0
    given_up: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The seed, and what is wrong."""
        told = f"{self.paid} paid, {self.given_up} given up, {self.asked} requests, {self.retries} retries"
        return f"seed {self.seed}, payments: {'; '.join(self.wrong) or told}"


def play(seed: int, *flaws: str) -> Outcome:
    """Live through a seed. With `flaws`, the store does something wrong on purpose."""
    chance = random.Random(seed)
    outcome = Outcome(seed)
    with doubles.playing(chance, outcome.wrong):
        owing = _Owing(World(chance, frozenset(flaws), BY_TEXT, outcome, lives=LIVES, pick=PICK), outcome)
        with _instead():
            loop.run(owing.play())
    return outcome


@contextmanager
def _instead() -> Iterator[None]:
    with ExitStack() as stack:
        for double in DOUBLES:
            stack.enter_context(mock.patch.object(*double))
        yield


class _Vault(PlainVault):
    """Opens what isn't sealed."""

    def open(self, _: str, __: int, ___: str, sealed: str | None, *, copy_of: str | None = None) -> str | None:
        assert copy_of != ""
        return sealed

    def digests(self, _: str, __: int, text: str) -> list[str]:
        """What stands for a text: itself."""
        return [text]


async def _place(
    connection: pool.Connection, principal: Principal, order_id: str, payment: placing.Payment
) -> Interlude[None]:
    """Place an order that lacks nothing: note its payment, and ask for it."""
    on = cast("Connection", connection)
    await on.database.travel()
    assert on.transaction is not None
    await on.transaction.update("orders", order_id, status="placing")
    at = clock.now()
    facts = await begin_attempt(
        on.transaction, order_id, at=at, lease_end=at + LEASE, retried_at=payment.retried_at, id_=clock.new_id()
    )
    return paying.asking(attempts.as_attempt(connection, principal.store, Held(*facts), "workers"))


def put_order(memory: Memory, number: int, card: str, at: datetime) -> None:
    """Put an order of a run there, that its copy has just made; its payment can be asked for from an instant on."""
    id_, rows = f"order-{number}", memory.rows
    rows("subscriptions")[f"sub-{number}"] = {"id": f"sub-{number}", "status": "active", "source_id": card}
    rows("copies")[f"copy-{number}"] = {"id": f"copy-{number}", "errors_log": None, "given_up_at": None}
    order = {"id": id_, "status": "placing", "subscription": f"sub-{number}", "copy": f"copy-{number}"}
    rows("orders")[id_] = order | {"source_id": card}
    row: Row = {"id": f"attempt-{number}", "order_id": id_, "source_id": card, "key": f"{id_}/1", "asked": 0}
    row |= {"status": "pending", "retried_at": None, "retry_at": None, "lease_expires_at": at}
    rows("attempts")[row["id"]] = row | {"answered_at": None, "decline_code": None, "created_at": at}


DOUBLES: Final = (
    (placing, "place", _place),
    (attempts, "vault_of", lambda _: _Vault()),
    (dunning, "vault_of", lambda _: _Vault()),
    (dunning, "MOST_RETRIES", MOST_RETRIES),
    (ladders, "MOST_RETRIES", MOST_RETRIES),
    (ladders, "WINDOW", WINDOW),
)
"""What stands in for the rest of the service: module, name, double."""


@dataclass
class _Card:
    """What a gateway says of it: for `refuses` times no, then, as its fate is, yes, or no for good."""

    fate: str
    refuses: int


class _Gateway:
    """Answers at times, late or not at all; of one key it says the same ever after."""

    needs_source, asks_nobody = True, False

    def __init__(self, owing: _Owing) -> None:
        self._owing, self._chance = owing, owing.world.chance
        self.known: dict[str, Answer] = {}
        self.orders: dict[str, str] = {}

    async def authorize(self, payment: Payment) -> Answer:
        """What it says of a payment, which is settled now."""
        await self._travel()
        if payment.key not in self.known:
            assert payment.source_token is not None
            assert payment.order_id is not None
            self.known[payment.key] = self._say(self._owing.cards[payment.source_token])
            self.orders[payment.key] = payment.order_id
            self._owing.outcome.asked += 1
        await self._travel()
        return self.known[payment.key]

    async def find(self, payment: Payment) -> Answer | None:
        """What became of a payment."""
        await self._travel()
        return self.known.get(payment.key)

    async def void(self, payment: Payment) -> None:
        """Refuse a payment should it still arrive."""
        await self._travel()
        self.known[payment.key] = Answer("voided")

    def _say(self, card: _Card) -> Answer:
        if card.fate == "good" or (card.fate == "flaky" and card.refuses <= 0):
            return Answer("authorized", reference="r")
        card.refuses -= 1
        is_hard = card.fate == "turning" and card.refuses < 0
        return Answer("declined", decline_code="no", detail="no", hard=is_hard)

    async def _travel(self) -> None:
        is_quiet = self._owing.memory.weather is CALM
        await loop.sleep(self._chance.uniform(0, 1 if is_quiet or self._chance.random() < 0.9 else 20))
        if not is_quiet and self._chance.random() < 0.1:
            raise NoAnswer


class _Owing:
    """One run."""

    def __init__(self, world: World, outcome: Outcome) -> None:
        self.world, self.chance, self.outcome, self.memory = world, world.chance, outcome, world.memory
        self.cards = {f"card-{n}": _Card(self.chance.choice(FATES), self.chance.randint(0, 3)) for n in range(CARDS)}
        self.gateway = _Gateway(self)
        self.barred_at: dict[str, datetime] = {}
        self.known: set[str] = set()

    async def play(self) -> None:
        for id_ in self.cards:
            self.memory.rows("sources")[id_] = {"id": id_, "refused_at": None}
        for number in range(ORDERS):
            at = EPOCH + timedelta(seconds=self.chance.randrange(3600))
            put_order(self.memory, number, self.chance.choice(list(self.cards)), at)
        self.memory.watchers.append(self._watch)
        self.memory.weather = STORMY
        workers = [asyncio.create_task(self.world.keep_working(self._work)) for _ in range(WORKERS)]
        await loop.sleep(STORM)
        self.memory.weather = CALM
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                while self._waits():
                    await loop.sleep(300)
        self.world.stop.set()
        await asyncio.gather(*workers, return_exceptions=True)
        self._judge()

    async def _work(self, database: Database) -> None:
        """What `service.jobs.engine` does for payments."""
        service, stop = cast("pool.Database", database), self.world.stop
        gateways: Mapping[str, Gateway] = {"card": self.gateway}
        job = PaymentJob(service, gateways)
        every = engine._every  # noqa: SLF001 -- the workers' own loop
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(every(stop, LOOK, lambda: sweep._retry(service, STORE)))  # noqa: SLF001 -- a part of a sweep
            tasks.create_task(every(stop, LOOK_BEHIND, lambda: clean.rescue(service)))
            for _ in range(2):
                tasks.create_task(self.world.take_jobs(database, {attempts.ENTRYPOINT: job.run}))

    def _watch(self) -> None:
        """Look at each payment as it is noted: its card was not refused for good by then."""
        for id_, source in self.memory.rows("sources").items():
            if source["refused_at"] is not None:
                self.barred_at.setdefault(id_, source["refused_at"])
        for id_, row in self.memory.rows("attempts").items():
            if id_ not in self.known:
                self.known.add(id_)
                barred = self.barred_at.get(row["source_id"])
                if row["retried_at"] is not None and barred is not None and row["retried_at"] > barred + 2 * _SKEW:
                    self.outcome.wrong.append(f"{row['source_id']} was asked anew after it was refused for good")

    def _waits(self) -> bool:
        rows = self.memory.rows("attempts").values()
        return any(row["lease_expires_at"] is not None or row["retry_at"] is not None for row in rows)

    def _judge(self) -> None:
        rows, wrong = self.memory.rows, self.outcome.wrong
        by_order: defaultdict[str, list[Row]] = defaultdict(list)
        for row in sorted(rows("attempts").values(), key=lambda one: one["created_at"]):
            by_order[row["order_id"]].append(row)
        taken = Counter(
            self.gateway.orders[key] for key, said in self.gateway.known.items() if said.status == "authorized"
        )
        happened = Counter((one["name"], one["resource_id"]) for one in rows("events").values())
        for id_, order in rows("orders").items():
            placed, own = order["status"] == "placed", by_order[id_]
            if taken[id_] != placed:
                wrong.append(f"{id_} is {order['status']}, and was paid {taken[id_]} times")
            wrong += [f"{id_} was told to be placed {happened['orders.place', id_]} times"] * (
                happened["orders.place", id_] != placed
            )
            told = happened["order_subscriptions.unpaid", order["subscription"]]
            if told != (not placed):
                wrong.append(f"{id_} is {order['status']}, and was told to stay unpaid {told} times")
            wrong += _too_early(id_, own)
        for id_ in self.cards:
            wrong += _too_often(
                id_, [row["retried_at"] for row in rows("attempts").values() if row["source_id"] == id_]
            )
        self.outcome.paid = sum(order["status"] == "placed" for order in rows("orders").values())
        self.outcome.given_up = len(rows("orders")) - self.outcome.paid
        self.outcome.retries = sum(row["retried_at"] is not None for row in rows("attempts").values())


_SKEW: Final = timedelta(seconds=SKEW)


def _too_early(order: str, own: list[Row]) -> Iterator[str]:
    """Attempts that came before the step of the ladder was over."""
    assert LADDER == "[1, 1]"
    for before, after in itertools.pairwise(own):
        since = after["created_at"] - before["answered_at"]
        if since < STEP - 2 * _SKEW:
            yield f"{order} was asked for anew after {since}"


def _too_often(card: str, retried: list[datetime | None]) -> Iterator[str]:
    """Retries of a card beyond what is allowed within a time."""
    ordered = sorted(at for at in retried if at is not None)
    for first, last in zip(ordered, ordered[MOST_RETRIES:], strict=False):
        if last - first < WINDOW - 2 * _SKEW:
            yield f"{card} was asked anew more than {MOST_RETRIES} times within {last - first}"
