"""`make deliveries`: events go to eight receivers, most of them bad ones, while workers and Postgres are killed.

Nothing may be lost, nothing sent under a second id, nothing that was rolled back, and bad receivers must not keep the
good ones waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from service import clock
from service.gateways.signing import new_secret
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.tenant import tenants
from service.operations.webhooks import delivering
from service.principal import Store
from service.store import migrate
from service.store.pool import Connection, connect
from tests import factories
from tests.chaos import fleet
from tests.chaos.fleet import LOST, Postgres
from tests.clients.tls import certificates
from tests.support import KEYS
from tests.webhooks.receiving import Receiver, receiver

GOOD: Final = ("ok", "late", "alternate")
"""Those that take everything, sooner or later: at once, slowly, with 500 every other time."""
ORDERED: Final = "late"
"""The one that is told of each resource in order."""
BAD: Final = ("dead", "redirect", "gone", "tls", "never")
"""Those that take nothing, each in its way."""
NEARBY: Final = {"REPRISE_ALLOW_PRIVATE_ADDRESSES": "true", "REPRISE_GATEWAY_TIMEOUT": "1.5"}


@dataclass(kw_only=True)
class Plan(fleet.Suffering):
    """How much there is to tell; a tenth of the transactions is rolled back."""

    transactions: int = 1_120
    events: int = 20
    worker_kills: int = 20
    postgres_kills: int = 1
    seconds: float = 3_600.0


@dataclass(kw_only=True)
class Report(fleet.Suffered):
    """How it ended. `late` says after how long the fast one was told, in seconds."""

    events: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    again: int = 0
    late: float = 0.0
    standing: dict[str, Counter[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        """The counts, a line each."""
        return (
            f"{self.events} events committed, {self.worker_kills} workers and {self.postgres_kills} servers killed,"
            f" {self.seconds:.0f} seconds\n"
            f"requests: {', '.join(f'{name} {number}' for name, number in sorted(self.requests.items()))}\n"
            f"{self.again} deliveries taken more than once, under the same id;"
            f" half of the events reached the fast receiver within {self.late:.2f} seconds\n"
            + "\n".join(
                f"{name}: {', '.join(f'{number} {status}' for status, number in sorted(found.items())) or 'nothing'}"
                for name, found in self.standing.items()
            )
        )


async def play(plan: Plan, folder: Path) -> Report:
    """Write events and have them delivered while workers and their server are killed; gives what came of it."""
    postgres, report = Postgres(folder), Report()
    try:
        await migrate.migrate(postgres.url)
        async with (
            receiver() as hooks,
            receiver(certificates(folder.parent, "localhost")) as untrusted,
            asyncio.timeout(plan.seconds),
        ):
            store, webhooks = await _build(postgres, hooks, untrusted)
            began = time.monotonic()
            async with fleet.workers(plan.command, plan.workers, postgres.url, **NEARBY) as running:
                writing = asyncio.create_task(_write(plan, postgres, store))
                await fleet.strike(plan, postgres, running, report)
                await writing
                await _drain(postgres, webhooks)
            report.seconds = time.monotonic() - began
            await _judge(postgres, hooks, webhooks, report)
            if arrived := await untrusted.sent(untrusted.origin):
                report.wrong.append(f"tls: {len(arrived)} deliveries to one whose certificate nobody vouches for")
        return report
    finally:
        postgres.stop()


async def _build(postgres: Postgres, hooks: Receiver, untrusted: Receiver) -> tuple[Store, dict[str, str]]:
    """A store with a webhook for each kind of receiver: their ids, by kind."""
    urls = {kind: hooks.url(kind, "chaos") for kind in (*GOOD, *BAD)}
    urls |= {"dead": "http://127.0.0.1:1/", "tls": untrusted.url("ok", "chaos")}
    async with connect(postgres.url, KEYS) as connection:
        store = await tenants.create(connection, store_id=1, name="Chaos", at=clock.now())
        ids = {
            kind: await factories.insert(
                connection, "webhooks", store,
                topic="skus.update", topics=["skus.update"], callback_url=url, shared_secret=new_secret(),
                payload="thin", ordered=kind == ORDERED, health_since=clock.now(),
            )
            for kind, url in urls.items()
        }  # fmt: skip
        await delivering.begin(connection, store.id)
    return store, ids


async def _write(plan: Plan, postgres: Postgres, store: Store) -> None:
    """Write events in transactions side by side, some slow, some rolled back; what the server lost is tried again."""
    chance = random.Random(plan.seed)

    def skus(turn: int) -> list[str]:
        """Whose events a transaction writes: in one order, so that no two wait for each other in a circle."""
        return sorted(f"sku-{number % (10 * plan.events)}" for number in range(turn, turn + plan.events))

    async def some(number: int) -> None:
        writer = _Writer(postgres, store, chance)
        for turn in range(number):
            while not await writer.attempt(skus(turn)):  # noqa: ASYNC110 -- for the server
                await asyncio.sleep(0.2)
            await asyncio.sleep(chance.uniform(0, 0.05))
        writer.leave()

    await asyncio.gather(*(some(plan.transactions // 4) for _ in range(4)))


@dataclass
class _Writer:
    """Who writes events on a connection of its own, for as long as the server keeps it."""

    postgres: Postgres
    store: Store
    chance: random.Random
    connection: Connection | None = None

    async def attempt(self, skus: Sequence[str]) -> bool:
        """Begin and end a transaction; False when the server was gone."""
        try:
            if self.connection is None:
                self.connection = await asyncpg.connect(self.postgres.url)
            await _transaction(self.connection, self.store, self.chance, skus)
        except (*LOST, asyncpg.InternalClientError):
            self.leave()
            return False  # also when it went in the middle of an answer
        return True

    def leave(self) -> None:
        """Let the connection go."""
        if self.connection is not None:
            self.connection.terminate()
        self.connection = None


async def _transaction(connection: Connection, store: Store, chance: random.Random, skus: Sequence[str]) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await outbox.record_all(connection, store, [Event("skus.update", sku) for sku in skus], actor=outbox.WORKER)
    if chance.random() < 0.1:
        await asyncio.sleep(chance.uniform(0, 0.3))
    if chance.random() < 0.1:
        await transaction.rollback()
    else:
        await transaction.commit()


async def _drain(postgres: Postgres, webhooks: dict[str, str]) -> None:
    """Wait until nothing is left for the good ones, and the bad ones are given up. What failed is tried at once."""
    good, bad = ([webhooks[kind] for kind in kinds] for kinds in (GOOD, BAD))
    while True:
        with suppress(*LOST):
            connection = await asyncpg.connect(postgres.url)
            try:
                if await _told(connection, good) and await _given_up(connection, bad):
                    return
                tried = await connection.fetch(
                    "update webhooks set next_delivery_at = $1 where health in ('healthy', 'failing') returning id",
                    clock.now(),
                )
                await connection.execute(
                    "update event_callbacks set next_attempt_at = $1 where store_id = 1 and webhook_id = any($2)"
                    " and status = 'pending' and next_attempt_at > $1",
                    clock.now(), [row["id"] for row in tried],
                )  # fmt: skip
            finally:
                connection.terminate()
        await asyncio.sleep(0.5)


async def _told(connection: Connection, webhooks: Sequence[str]) -> bool:
    """Whether every event was given to these, and nothing of it waits any more."""
    waits = (
        "select exists (select from event_callbacks where store_id = 1 and webhook_id = any($1::text[])"
        " and status = 'pending')"
    )
    if await connection.fetchval(waits, webhooks):
        return False
    given = await connection.fetchval(
        "select count(*) from event_callbacks where store_id = 1 and webhook_id = any($1::text[])", webhooks
    )
    written = await connection.fetchval("select count(*) from events where name = 'skus.update'")
    return int(given) == int(written) * len(webhooks)


async def _given_up(connection: Connection, webhooks: Sequence[str]) -> bool:
    """Whether none of these is tried any more; the time that a slow one takes is not counted in events."""
    tried = "select exists (select from webhooks where id = any($1::text[]) and health in ('healthy', 'failing'))"
    return not await connection.fetchval(tried, webhooks)


async def _judge(postgres: Postgres, hooks: Receiver, webhooks: dict[str, str], report: Report) -> None:
    connection = await asyncpg.connect(postgres.url)
    try:
        rows = await connection.fetch("select id, created_at from events where name = 'skus.update'")
        healths = {row[0]: row[1] for row in await connection.fetch("select id, health from webhooks")}
        for kind, id_ in webhooks.items():
            found = await connection.fetch(
                "select status, count(*) from event_callbacks where webhook_id = $1 group by 1", id_
            )
            report.standing[kind] = Counter({row[0]: row[1] for row in found})
        reason = await connection.fetchval("select health_reason from webhooks where id = $1", webhooks["tls"])
        if "CERTIFICATE_VERIFY_FAILED" not in str(reason):
            report.wrong.append(f"tls: it fails for {reason}")
        taken = await connection.fetchval(
            "select count(*) from event_callbacks where status = 'delivered' and webhook_id = any($1)",
            [webhooks[kind] for kind in BAD],
        )
    finally:
        await connection.close()
    written = {row["id"]: row["created_at"].timestamp() for row in rows}
    report.events = len(written)
    for kind in (*GOOD, *BAD):
        _look_at(kind, await hooks.sent(hooks.url(kind, "chaos")), written, report)
    for kind in (*GOOD, "dead", "redirect", "tls", "never"):
        if report.standing[kind].total() != len(written):
            report.wrong.append(f"{kind}: {report.standing[kind].total()} deliveries of {len(written)} events")
    standing = {kind: healths[webhooks[kind]] for kind in BAD}
    wanted = {"dead": "stopped", "redirect": "stopped", "gone": "disabled", "tls": "stopped", "never": "stopped"}
    if standing != wanted or taken:
        report.wrong.append(f"bad receivers: {standing}, {taken} deliveries taken")


def _look_at(kind: str, sent: Sequence[dict[str, Any]], written: dict[str, float], report: Report) -> None:
    """Compare what a receiver was sent with what was written."""
    report.requests[kind] = len(sent)
    accepted = Counter(one["headers"]["webhook-id"] for one in sent if one["status"] == 200)
    bodies: dict[str, set[str]] = defaultdict(set)
    for one in sent:
        bodies[one["headers"]["webhook-id"]].add(one["body"])
    if unknown := bodies.keys() - written.keys():
        report.wrong.append(f"{kind}: told of what was never committed: {sorted(unknown)[:3]}")
    if several := [id_ for id_, found in bodies.items() if len(found) > 1]:
        report.wrong.append(f"{kind}: told differently at another attempt: {several[:3]}")
    if kind in GOOD:
        # One that answers with 500 every other time may do so ten times for the same event, which is then given up.
        lost = written.keys() - accepted.keys()
        if len(lost) > (report.standing[kind]["failed"] if kind == "alternate" else 0):
            report.wrong.append(f"{kind}: {len(lost)} events lost, such as {min(lost, default=None)}")
        report.again += sum(number - 1 for number in accepted.values())
    if kind == ORDERED and (swapped := _swapped(sent)):
        report.wrong.append(f"{kind}: {len(swapped)} events out of order, such as {swapped[0]}")
    if kind == "ok" and sent:
        first = {one["headers"]["webhook-id"]: one["at"] for one in reversed(sent)}
        late = sorted(at - written[id_] for id_, at in first.items() if id_ in written)
        report.late = late[len(late) // 2]


def _swapped(sent: Sequence[dict[str, Any]]) -> list[str]:
    """The ids of events that were taken for the first time after a later one of their resource."""
    latest: dict[str, int] = {}
    seen: set[str] = set()
    swapped = []
    for document in (orjson.loads(one["body"]) for one in sent if one["status"] == 200):
        event, resource = document["meta"]["event"], document["data"]["id"]
        if event["id"] in seen:
            continue
        seen.add(event["id"])
        if event["sequence"] < latest.get(resource, 0):
            swapped.append(event["id"])
        latest[resource] = event["sequence"]
    return swapped


def main() -> None:
    """Play one run; exit code 1 when anything was lost or wrong."""
    plan = Plan()
    parser = argparse.ArgumentParser(prog="make deliveries")
    for name in ("transactions", "events", "workers", "worker_kills", "postgres_kills", "seed"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(plan, name))
    asked = Plan(**vars(parser.parse_args()))
    with fleet.own_folder("deliveries") as folder:
        report = asyncio.run(play(asked, folder))
    report.tell()
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
