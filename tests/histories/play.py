"""Clients, and what they ask: processes that serve the API, a worker and a Postgres, all of which are killed."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx2

from service.store import migrate
from service.store.checks import violations
from tests.chaos import fleet
from tests.chaos.fleet import Postgres, Running
from tests.drills.load import NO_LIMITS
from tests.histories import actions, judging
from tests.histories.actions import Action
from tests.histories.client import Client
from tests.histories.history import Operation, Outcome, Recorder
from tests.histories.judging import Verdict
from tests.histories.replicas import beside
from tests.histories.shop import Shop, open_shop
from tests.proxying import free_port
from tests.replica import NEWEST

QUIET_SECONDS = 120.0
"""How long what was begun may take to come to its end."""


@dataclass
class Plan:
    """How much is done and suffered: `kills` are of processes that serve the API, and of the worker."""

    operations: int = 100_000
    clients: int = 12
    customers: int = 6
    processes: int = 2
    kills: int = 40
    postgres_kills: int = 1
    seconds: float = 7200.0
    seed: int = 1
    replica: bool = False
    """Whether a replica answers reads, whose replay stands still again and again."""
    mix: Mapping[Action, int] = field(default_factory=lambda: actions.MIX)


@dataclass
class Report:
    """What came of a run; `wrong` says what the history doesn't show."""

    history: list[Operation]
    verdict: Verdict
    process_kills: int
    postgres_kills: int
    seconds: float
    wrong: list[str]
    by_replica: Mapping[str, float]
    """How many reads replica and primary have answered, where there is a replica."""

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.verdict.findings and not self.wrong

    def __str__(self) -> str:
        """The counts, and a line for each thing that is wrong."""
        acted = max(one.ended for one in self.history) - min(one.began for one in self.history)
        suffered = (
            f"{self.process_kills} processes and {self.postgres_kills} servers killed in {self.seconds:.0f} seconds,"
            f" {len(self.history) / acted:.1f} operations a second"
        )
        if self.by_replica:
            suffered += ", reads by " + ", ".join(f"{who} {number:.0f}" for who, number in self.by_replica.items())
        return "\n".join([f"{suffered}; {self.verdict}", *self.wrong])


@dataclass
class _Blows:
    process_kills: int = 0
    postgres_kills: int = 0


async def play(plan: Plan, folder: Path) -> Report:
    """Let clients act while what they ask is killed; gives what they were told, judged."""
    postgres = Postgres(folder)
    try:
        await migrate.migrate(postgres.url)
        shop = await open_shop(postgres.url, plan.customers)
        blows, began = _Blows(), time.monotonic()
        async with AsyncExitStack() as stack:
            replica = stack.enter_context(beside(postgres.url)) if plan.replica else None
            await stack.enter_async_context(asyncio.timeout(plan.seconds))
            settings = NO_LIMITS | ({} if replica is None else replica.settings)
            urls, running = await stack.enter_async_context(_processes(plan, postgres.url, settings))
            stage = Stage(shop, urls)
            others = [_strike(plan, postgres, running, stage.recorder, blows)]
            if replica is not None:
                others.append(replica.trouble(plan.seed, urls, lambda: stage.is_over(plan)))
            wrong = await act(plan, stage, lambda: _drained(postgres), *others)
        wrong += await _broken(postgres)
    finally:
        postgres.stop()
    history = stage.recorder.operations
    seconds = time.monotonic() - began
    verdict = judging.judge(history, by_replica=plan.replica)
    by = {} if replica is None else replica.reads
    return Report(history, verdict, blows.process_kills, blows.postgres_kills, seconds, wrong, by)


@asynccontextmanager
async def _processes(
    plan: Plan, url: str, settings: Mapping[str, str]
) -> AsyncIterator[tuple[list[str], Sequence[Running]]]:
    """Processes that serve the API, with their URLs, and a worker; whoever is killed is followed by another."""
    ports = [free_port() for _ in range(plan.processes)]
    serve = (sys.executable, "-m", "service", "serve", "--port")
    async with AsyncExitStack() as stack:
        served = [fleet.workers((*serve, str(port)), 1, url, **settings) for port in ports]
        running = [
            await stack.enter_async_context(one) for one in (*served, fleet.workers(fleet.HASTY, 1, url, **NO_LIMITS))
        ]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        async with httpx2.AsyncClient() as http:
            for one in urls:
                await _answers(http, one)
        yield urls, running


async def _answers(http: httpx2.AsyncClient, url: str) -> None:
    while True:
        with suppress(httpx2.HTTPError):
            await http.get(f"{url}/healthz")
            return
        await asyncio.sleep(0.05)


async def _strike(
    plan: Plan, postgres: Postgres, running: Sequence[Running], recorder: Recorder, blows: _Blows
) -> None:
    """Kill one after the other, spread over the operations, in an order that the seed decides."""
    chance = random.Random(plan.seed)
    strikes = ["process"] * plan.kills + ["server"] * plan.postgres_kills
    chance.shuffle(strikes)
    for number, strike in enumerate(strikes, 1):
        due = plan.operations * number / (len(strikes) + 1)
        while len(recorder.operations) < due:  # noqa: ASYNC110 -- what is waited for is done by others
            await asyncio.sleep(0.02)
        living = [process for group in running for process in group]
        if strike == "server":
            await asyncio.to_thread(postgres.kill)
            blows.postgres_kills += 1
        elif living:
            chance.choice(living).kill()
            blows.process_kills += 1


@dataclass
class Stage:
    """Where clients act: the shop, the URLs that serve it, and who takes down what they are told."""

    shop: Shop
    urls: Sequence[str]
    recorder: Recorder = field(default_factory=Recorder)

    def is_over(self, plan: Plan) -> bool:
        """Whether as much was done as is planned."""
        return len(self.recorder.operations) >= plan.operations

    def __post_init__(self) -> None:
        """Take down what there is."""
        self.recorder.note(-1, "open", time.monotonic(), Outcome.OK, actions.opened(self.shop))


Quiet = Callable[[], Awaitable[None]]
"""Waits until all that was begun has come to its end."""


async def act(plan: Plan, stage: Stage, quiet: Quiet, *others: Awaitable[None]) -> list[str]:
    """Let clients do what they do, at random, while others do something else; then read everything.

    Returns what went wrong.
    """
    with ExitStack() as stack:

        def client(number: int) -> Client:
            made = Client(number, stage.urls, stage.shop, stage.recorder)
            stack.callback(made.close)
            return made

        clients = [client(plan.seed * 1_000 + n) for n in range(plan.clients)]
        acting = [_busy(client, plan, stage) for client in clients]
        done = await asyncio.gather(*acting, *others, return_exceptions=True)
        async with asyncio.timeout(QUIET_SECONDS):
            await quiet()
        stage.recorder.quiet = True
        # Workers write too, of which nobody tells: what came of it all is read where it is.
        for token in list(stage.shop.positions):
            stage.shop.tell(token, int(NEWEST))
        await actions.read_all(client(-1))
    return [repr(one) for one in done if one is not None]


async def _busy(client: Client, plan: Plan, stage: Stage) -> None:
    """Do one thing after the other until there are enough operations."""
    while not stage.is_over(plan):
        (action,) = client.chance.choices(list(plan.mix), list(plan.mix.values()))
        await action(client)


async def _drained(postgres: Postgres) -> None:
    """Wait until no copy is unfinished, and all that was written by then can be read as events."""
    await fleet.drain(postgres)
    await heard(postgres.url)


async def heard(url: str) -> None:
    """Wait until no transaction goes on that holds up the events of what was written before."""
    connection = await asyncpg.connect(url)
    try:
        ahead = await connection.fetchval(_SNAPSHOT.format("xmax"))
        while await connection.fetchval(_SNAPSHOT.format("xmin")) < ahead:  # noqa: ASYNC110 -- others end them
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


_SNAPSHOT = "select pg_snapshot_{}(pg_current_snapshot())::text::bigint"


async def _broken(postgres: Postgres) -> list[str]:
    """The invariants that the database breaks."""
    connection = await asyncpg.connect(postgres.url)
    try:
        return [str(violation) for violation in await violations(connection)]
    finally:
        await connection.close()
