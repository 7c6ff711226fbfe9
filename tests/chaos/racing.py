"""Customers who change runs while those come up, and all is killed: each order has what its customer was told.

Servers, workers and Postgres die at any moment. A customer sends a request again under its key until it is answered,
or gives up once the connection is lost: then either may be, what was so before and what was asked for.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, Final

import asyncpg
import httpx2

from service import clock
from service.operations.access import tokens
from service.operations.tenant import tenants
from service.principal import SCOPES
from service.store import migrate
from service.store.checks import violations
from service.store.pool import connect
from tests import factories
from tests.chaos import fleet, raced
from tests.chaos.raced import Customer, Edit, Shop
from tests.factories import Line
from tests.servers import SCRIPT
from tests.spec.writing import resource, to
from tests.support import KEYS, Access

PATIENCE: Final = 180.0
"""For how many seconds a customer sends a request again."""

BUSY: Final = frozenset({429, 503})


@dataclass(kw_only=True)
class Plan(fleet.Suffering):
    """How many subscriptions there are, which fall due within so many seconds, and how many servers are killed."""

    subscriptions: int = 400
    within: float = 60.0
    servers: int = 2
    worker_kills: int = 10
    server_kills: int = 10


@dataclass(kw_only=True)
class Report(fleet.Suffered):
    """How it ended, and how often which edit was done, refused or not answered."""

    orders: int = 0
    edits: Counter[str] = field(default_factory=Counter)
    server_kills: int = 0

    def __str__(self) -> str:
        """The counts in one line."""
        told = ", ".join(f"{count} {what}" for what, count in sorted(self.edits.items()))
        return (
            f"{self.orders} orders made beside {self.edits.total()} edits ({told}), {self.worker_kills} workers, "
            f"{self.server_kills} servers of the API and {self.postgres_kills} of Postgres killed, "
            f"{self.seconds:.0f} seconds"
        )


@dataclass
class Servers:
    """Servers of the API, each of which is followed by another when it is killed."""

    url: str
    running: dict[int, tuple[asyncio.subprocess.Process, str]] = field(default_factory=dict)

    @asynccontextmanager
    async def kept(self, number: int) -> AsyncIterator[None]:
        """So many of them, once all are up; none is left in the end."""
        keepers = [asyncio.create_task(self._keep(place)) for place in range(number)]
        try:
            while len(self.running) < number:  # noqa: ASYNC110 -- for other processes
                await asyncio.sleep(0.1)
            yield
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep(self, place: int) -> None:
        settings = {"DATABASE_URL": self.url, "PYTHONPATH": ":".join(sys.path), "REPRISE_RATE_LIMIT": "1000000"}
        settings["REPRISE_SECRET_KEYS"] = ",".join(KEYS)
        while True:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(SCRIPT)), stdout=PIPE, stderr=DEVNULL, cwd=fleet.ROOT, env=settings
            )
            try:
                assert process.stdout is not None
                if port := (await process.stdout.readline()).strip():
                    self.running[place] = process, f"http://127.0.0.1:{int(port)}"
                await process.wait()
            finally:
                self.running.pop(place, None)
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    async def strike(self, plan: Plan, report: Report) -> None:
        """Kill one after the other, each while the others are up: somebody has to see what was killed."""
        chance = random.Random(f"servers {plan.seed}")
        while report.server_kills < plan.server_kills:
            await asyncio.sleep(chance.uniform(*plan.pauses))
            if len(self.running) == plan.servers:
                process, _ = chance.choice([*self.running.values()])
                process.kill()
                report.server_kills += 1


@dataclass
class Sender:
    """Sends what customers ask for to any of the servers."""

    client: httpx2.AsyncClient
    access: Access
    servers: Servers
    keys: int = 0

    async def ask(
        self, method: str, path: str, document: Any = None, *, patient: bool = True, chance: random.Random
    ) -> httpx2.Response | None:
        """Ask for something under one key until it is answered; None for somebody who gives up, or runs out of time."""
        self.keys += 1
        headers = self.access.headers | {"Idempotency-Key": f"ask-{self.keys}"}
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            origins = [origin for _, origin in self.servers.running.values()]
            try:
                if origins:
                    url = f"{chance.choice(origins)}/api/{path}"
                    answer = await self.client.request(method, url, json=document, headers=headers)
                    if answer.status_code not in BUSY and "retry-after" not in answer.headers:
                        return answer
            except httpx2.TransportError:
                if not patient:
                    return None
            await asyncio.sleep(0.1)
        return None


async def play(plan: Plan, folder: Path) -> Report:
    """Let customers change runs that come up while everything is killed; gives what came of it."""
    postgres = fleet.Postgres(folder)
    try:
        await migrate.migrate(postgres.url)
        report, servers = Report(), Servers(postgres.url)
        async with (
            asyncio.timeout(plan.seconds),
            fleet.workers(plan.command, plan.workers, postgres.url) as running,
            servers.kept(plan.servers),
            httpx2.AsyncClient(timeout=20, limits=httpx2.Limits(max_connections=40)) as client,
        ):
            async with connect(postgres.url, KEYS) as connection:
                shop, access = await _shop(connection)
                await raced.watch(connection)
                sender = Sender(client, access, servers)
                customers = await _subscribe(connection, shop, sender, plan)
            began = time.monotonic()
            striking = asyncio.create_task(servers.strike(plan, report))
            await asyncio.gather(
                fleet.strike(plan, postgres, running, report),
                *(_edit(sender, shop, one, report) for one in customers),
            )
            striking.cancel()
            last = max(one.due for one in customers)
            await asyncio.sleep(max(0.0, (last - clock.now()).total_seconds()) + 1)
            await fleet.drain(postgres)
            await _settled(postgres)
        report.seconds = time.monotonic() - began
        connection = await asyncpg.connect(postgres.url)
        report.orders = await connection.fetchval("select count(*) from orders where order_subscription_id is not null")
        report.wrong += await raced.verdict(connection, shop, customers)
        report.wrong += [str(violation) for violation in await violations(connection)]
        await connection.close()
        return report
    finally:
        postgres.stop()


async def _settled(postgres: fleet.Postgres) -> None:
    """Wait until no payment is on its way, due or in the queue: what a killed process held is taken up anew."""
    connection = await asyncpg.connect(postgres.url)
    try:
        open_ = """
            select exists(
                select 1 from payment_attempts where lease_expires_at is not null or retry_at <= now()
                union all
                select 1 from pgqueuer.pgqueuer where entrypoint = 'payments'
            )
            """
        while await connection.fetchval(open_):  # noqa: ASYNC110 -- what is waited for happens in the database
            await asyncio.sleep(0.3)
    finally:
        await connection.close()


async def _shop(connection: Any) -> tuple[Shop, Access]:
    """A store with four skus, and two ways and places to ship besides the usual ones; and who may write there."""
    at = clock.now()
    store = await tenants.create(connection, store_id=1, name="Races", at=at)
    skus = [await factories.sku(connection, store, price=1000, stock=raced.STOCK) for _ in range(4)]
    methods = [
        await factories.insert(
            connection, "shipping_methods", store, name=name, currency_code="EUR", price_amount_cents=900
        )
        for name in ("Express", "Bike")
    ]
    addresses = {city: await factories.address(connection, store, city=city) for city in ("Delft", "Breda")}
    async with connection.transaction():
        id_, token = await tokens.issue(
            connection, store.id, customer_id=None, scopes=SCOPES, name=None, expires_at=None, at=at
        )
    return Shop(store, [sku.code for sku in skus], skus, methods, addresses), Access(id_, token)


async def _subscribe(connection: Any, shop: Shop, sender: Sender, plan: Plan) -> list[Customer]:
    """Weekly subscriptions of one piece of the first sku, the first runs of which come up one after the other."""
    chance, customers = random.Random(f"customers {plan.seed}"), []
    for n in range(plan.subscriptions):
        # Making one takes time itself, more on a busy machine; the first comes up once there are all.
        spread = timedelta(seconds=0.2 * (plan.subscriptions - n) + 25 + chance.uniform(0, plan.within))
        due = clock.now() + spread
        due = due.replace(microsecond=due.microsecond // 1000 * 1000)
        card_id, by_card = await _card(connection, shop) if n % 2 else (None, {})
        order_id = await factories.full_order(
            connection, shop.store, [Line(shop.skus[0])], placed_at=due - timedelta(weeks=1), **by_card
        )
        document = resource(
            "order_subscriptions",
            {"frequency": "weekly", "place_target_order": True},
            {"source_order": to("orders", order_id)},
        )
        made = await sender.ask("POST", "order_subscriptions", document, chance=chance)
        assert made is not None, "nobody makes them"
        assert made.status_code == 201, made.text
        assert datetime.fromisoformat(made.json()["data"]["attributes"]["next_run_at"]) == due, "it took too long"
        id_ = made.json()["data"]["id"]
        item = await connection.fetchval(
            "select id from order_subscription_items where order_subscription_id = $1", id_
        )
        first = "select id from occurrences where order_subscription_id = $1 and occurrence_index = 1"
        run = await connection.fetchval(first, id_)
        usual = await connection.fetchval("select shipping_method_id from orders where id = $1", order_id)
        state = raced.State(shop.codes[0], 1, (), (), "Utrecht", usual)
        customers.append(Customer(id_, item, run, due, state, random.Random(f"{plan.seed} {n}"), card_id=card_id))
    return customers


async def _card(connection: Any, shop: Shop) -> tuple[str, dict[str, str]]:
    """A card that declines, of a customer of its own, and how an order is paid by it."""
    customer = await factories.customer(connection, shop.store)
    method = await factories.payment_method(connection, shop.store, name="Card", gateway="test")
    card = await factories.payment_source(
        connection, shop.store, customer, gateway="test", payment_method_id=method, payment_source_token="tok_decline"
    )
    paid = {"customer_id": customer, "payment_method_id": method, "customer_payment_source_id": card}
    return card, paid


async def _edit(sender: Sender, shop: Shop, one: Customer, report: Report) -> None:
    """Change one subscription and its next run around the time at which that comes up, until somebody gives up.

    What is owed is paid once there is an order.
    """
    ahead = (one.due - clock.now()).total_seconds()
    await asyncio.sleep(max(0.0, ahead - one.chance.uniform(0, 20)))
    for _ in range(one.chance.randrange(3, 9)):
        if not await _ask(sender, raced.choose(shop, one), one, report):
            return
        await asyncio.sleep(one.chance.uniform(0, 1.5))
    if one.card_id is None:
        return
    ahead = (one.due - clock.now()).total_seconds()
    await asyncio.sleep(max(0.0, ahead) + one.chance.uniform(0, 3))
    for _ in range(2):
        if one.order_id is None:
            await _hear(sender, one)
        edit = raced.choose_how_to_pay(shop, one)
        if edit is None or not await _ask(sender, edit, one, report):
            return


async def _ask(sender: Sender, edit: Edit, one: Customer, report: Report) -> bool:
    """Ask for an edit, and note what was answered; False for somebody who gave up."""
    method, path, document = edit.request
    answer = await sender.ask(method, path, document, patient=one.chance.randrange(3) > 0, chance=one.chance)
    what = "unanswered" if answer is None else "done" if answer.is_success else f"refused ({answer.status_code})"
    report.edits[f"{edit.name} {what.partition(' ')[0]}"] += 1
    one.told.append(f"{edit.name} {document and document['data'].get('attributes')} {what}")
    problem = one.note(edit, answer)
    if problem is not None:
        report.wrong.append(f"{one.id}: {'; '.join(one.told)}: {problem}")
    return answer is not None


async def _hear(sender: Sender, one: Customer) -> None:
    """Learn of the order of the first run, if there is one."""
    answer = await sender.ask("GET", f"occurrences/{one.run_id}/orders", chance=one.chance)
    found = [] if answer is None else answer.json()["data"]
    one.order_id = found[0]["id"] if found else None
