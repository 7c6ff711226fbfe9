"""nginx before API processes, workers, PgBouncer between all of them and Postgres, and a replica that answers reads."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from service.store import migrate
from service.store.pool import connect
from tests import bouncer, replica
from tests.chaos import fleet, world
from tests.chaos.fleet import Postgres, Report
from tests.drills import load
from tests.drills.load import Outcome, Shopper
from tests.processes import SECONDS, serving
from tests.proxying import free_port, proxied

STORES = 8
FIRST_STORE = 101
READ_PAUSE = 0.05


ANSWERED, READ, COPIED = "requests answered", "reads sent to the replica", "copies made"
_TOLD_AS = {
    ANSWERED: ("reprise_http_request_seconds_count", {}),
    READ: ("reprise_replica_reads_total", {"by": "replica"}),
    COPIED: ("reprise_copies_total", {"outcome": "completed"}),
}


@dataclass(frozen=True)
class Size:
    """How many processes there are, and how much they do: subscriptions that are due, shoppers, seconds of shopping."""

    processes: int = 2
    """Of each of the two servers of the API (`reprise serve --workers`)."""
    workers: int = 2
    shoppers: int = 24
    seconds: float = 20.0
    subscriptions: int = 2_000


@dataclass(frozen=True)
class Cluster:
    """What runs: where requests go, and where each process tells its metrics, by what it is called."""

    front: str
    metrics: dict[str, str]


@dataclass
class Outcomes:
    """What came of it: reorders, copies, and who did how much."""

    reorders: Outcome = field(default_factory=Outcome)
    copies: Outcome = field(default_factory=lambda: Outcome(what="orders of occurrences that were due"))
    shares: dict[str, dict[str, int]] = field(default_factory=dict)
    sessions: int = 0

    @property
    def is_well(self) -> bool:
        """Whether nothing was lost or doubled, and each server of the API and the replica had a share in it."""
        answering = [share for share in self.shares.values() if ANSWERED in share]
        shared = bool(answering) and all(share[ANSWERED] and share[READ] for share in answering)
        return self.reorders.is_well and self.copies.is_well and shared

    def __str__(self) -> str:
        """A line for each process, one for Postgres, and one for each kind of work."""
        shares = (
            f"{name}: {', '.join(f'{number} {what}' for what, number in share.items() if number) or 'nothing'}"
            for name, share in self.shares.items()
        )
        sessions = f"Postgres: {self.sessions} sessions at most"
        return "\n".join([*shares, sessions, str(self.reorders), str(self.copies)])


async def play(folder: Path, size: Size) -> Outcomes:
    """Let shoppers reorder and read while subscriptions fall due; count what was done, by whom, and what is found."""
    outcomes, server = Outcomes(), Postgres(folder)
    outcomes.reorders.suffered = f"{size.shoppers} shoppers, each of whom also reads"
    outcomes.copies.suffered = f"{size.subscriptions} subscriptions of {STORES} stores"
    try:
        await migrate.migrate(server.url)
        people = await load.shoppers(server.url, size.shoppers)
        async with connect(server.url) as connection:
            made = await world.build(
                connection, store_count=STORES, subscriptions=size.subscriptions, first_store=FIRST_STORE
            )
            await world.send_through_the_queue(connection)
        outcomes.copies.acknowledged = sum(made.expected.values())
        with cluster(server, folder.parent, size) as running:
            async with (
                _watched(server, outcomes),
                load.shopping(running.front, people, outcomes.reorders),
                _reading(running.front, people),
            ):
                await asyncio.sleep(size.seconds)
                async with asyncio.timeout(SECONDS * 5):
                    await fleet.drain(server)
            outcomes.shares = {name: await _share(url) for name, url in running.metrics.items()}
        report = Report()
        await fleet.judge(server, made, report)
        outcomes.copies.found, outcomes.copies.wrong = report.orders, report.wrong
        await load.count(server.url, outcomes.reorders)
        return outcomes
    finally:
        server.stop()


@contextmanager
def cluster(server: Postgres, folder: Path, size: Size) -> Iterator[Cluster]:
    """Start everything before a migrated Postgres; stop it in the end."""
    with ExitStack() as held:
        pooler = held.enter_context(bouncer.bouncer(server.url))
        follower = held.enter_context(replica.following(server.url))
        settings = load.NO_LIMITS | {
            "DATABASE_URL": pooler.over(server.url),
            "REPRISE_DIRECT_URL": server.url,
            "REPRISE_STATEMENT_CACHE_SIZE": "0",
        }
        of_api = settings | {
            "REPRISE_REPLICA_URL": follower.over(server.url),
            "REPRISE_ALLOWED_HOSTS": "*",
            "REPRISE_TRUSTED_PROXIES": "127.0.0.1",
        }
        metrics: dict[str, str] = {}
        ports = [free_port(), free_port()]
        for number, port in enumerate(ports, 1):
            command = ("serve", "--port", str(port), "--workers", str(size.processes))
            metrics[f"API {number}"] = held.enter_context(_running(*command, until="answers at", **of_api))
        for number in range(1, size.workers + 1):
            metrics[f"worker {number}"] = held.enter_context(_running("work", until="Reprise works", **settings))
        front = held.enter_context(proxied("nginx", folder / "proxy", ports))
        yield Cluster(str(front.base_url), metrics)


@contextmanager
def _running(*command: str, until: str, **settings: str) -> Iterator[str]:
    """A process of ours meanwhile, with those that it starts: where it tells its metrics."""
    port = free_port()
    with serving(*command, until=until, **settings, REPRISE_METRICS_PORT=str(port)) as service:
        try:
            yield f"http://127.0.0.1:{port}/metrics"
        finally:
            service.stop(signal.SIGTERM)


@asynccontextmanager
async def _reading(url: str, people: list[Shopper]) -> AsyncIterator[None]:
    """Meanwhile everybody looks at a page of orders again and again; anything but 200 ends it."""
    async with httpx2.AsyncClient(base_url=url, timeout=load.REPLY_SECONDS) as client:

        async def read(shopper: Shopper) -> None:
            while True:
                answer = await client.get("/api/orders", headers={"Authorization": f"Bearer {shopper.token}"})
                assert answer.status_code == 200, answer.text
                await asyncio.sleep(READ_PAUSE)

        tasks = [asyncio.create_task(read(shopper)) for shopper in people]
        try:
            yield
            assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _watched(server: Postgres, outcomes: Outcomes) -> AsyncIterator[None]:
    """Meanwhile note the most sessions that clients have on Postgres, without the one that counts."""

    async def watch() -> None:
        async with connect(server.url) as connection:
            while True:
                asked = "select count(*) - 1 from pg_stat_activity where backend_type = 'client backend'"
                outcomes.sessions = max(outcomes.sessions, await connection.fetchval(asked))
                await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _share(url: str) -> dict[str, int]:
    """What a process has done, from its metrics: what, and how often."""
    async with httpx2.AsyncClient() as client:
        text = (await client.get(url)).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    share: dict[str, int] = {}
    for what, (name, labels) in _TOLD_AS.items():
        found = [one.value for one in samples if one.name == name and labels.items() <= one.labels.items()]
        if found:
            share[what] = int(sum(found))
    return share
