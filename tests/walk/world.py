"""A shop on a test clock that a walk goes through, and who says something in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx2

from service import clock
from service.app import create_app
from service.jobs.advance import AdvanceJob
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.operations.access import tokens
from service.principal import CUSTOMER_SCOPES, SCOPES, Store
from service.settings import Settings
from service.store.pool import Connection, Database, open_database
from tests import factories
from tests.checkout.conftest import Holder, Ready, ready
from tests.checkout.test_subscribing import bought, model
from tests.contract.contract import Contract
from tests.factories import Line, Sku
from tests.faults.playing import on
from tests.gateways import nearby
from tests.jobs.playing import freeze
from tests.pages import digest
from tests.spec.writing import Api, offenders
from tests.support import KEYS, Access, make_store

START = on("2026-03-10 09:00")
PLACED = on("2026-03-01 09:00")
PRICE = 1000

T = TypeVar("T")


class Served:
    """The application on a database, in an event loop of its own: a walk is no coroutine."""

    def __init__(self, settings: Settings, contract: Contract, owners_url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._contract = contract
        self.database, self.client = self.run(self._open(settings, owners_url))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine."""
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        """Stop it."""
        self.run(self._stack.aclose())
        self._loop.close()

    async def _open(self, settings: Settings, owners_url: str) -> tuple[Database, httpx2.AsyncClient]:
        database = await self._stack.enter_async_context(open_database(owners_url, max_size=8, keys=KEYS))
        app = create_app(settings)
        await self._stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        hooks: dict[str, list[Callable[..., Any]]] = {"response": [self._check]}
        client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", event_hooks=hooks)
        return database, await self._stack.enter_async_context(client)

    async def _check(self, answer: httpx2.Response) -> None:
        await answer.aread()
        self._contract.check(answer)


@dataclass
class World:
    """A store on a test clock with one product and one customer; `senders` are who says something."""

    served: Served
    store: Store
    customer_id: str
    clock_id: str
    sku: Sku
    senders: dict[str, Api]

    @classmethod
    async def open(cls, served: Served) -> World:
        """Make it."""
        async with served.database.connection() as connection:
            await connection.execute("delete from rate_limits")
            store = await make_store(served.database)
            shop = Api(served.client, await _token(connection, store, None))
            frozen = await freeze(shop, store, START)
            sku = await factories.sku(connection, store, price=PRICE, stock=1000)
            customer_id = await factories.customer(connection, store)
            stranger_id = await factories.customer(connection, store)
            customer, stranger = [
                Api(served.client, await _token(connection, store, id_)) for id_ in (customer_id, stranger_id)
            ]
            await model(connection, store, "weekly")
        senders = {"shop": shop, "customer": customer, "stranger": stranger}
        return cls(served, store, customer_id, frozen["id"], sku, senders)

    @property
    def shop(self) -> Api:
        """The shop itself."""
        return self.senders["shop"]

    async def cart(self) -> Ready:
        """A customer's cart that is ready to be ordered."""
        async with self.served.database.connection() as connection:
            return await ready(connection, self.store, customer_id=self.customer_id, stock=1000)

    def guest(self, cart: Ready) -> Api:
        """Whoever holds the session of a cart."""
        return Api(self.served.client, Holder(self.store, cart.session))

    async def past_order(self) -> str:
        """An order that the customer placed before the walk began."""
        async with self.served.database.connection() as connection:
            lines = [Line(self.sku)]
            return await factories.full_order(
                connection, self.store, lines, customer_id=self.customer_id, placed_at=PLACED
            )

    async def order_to_repeat(self) -> str:
        """One whose line says how often it is to come again."""
        async with self.served.database.connection() as connection:
            return await bought(connection, self.store, "weekly", customer_id=self.customer_id, placed_at=PLACED)

    async def trade(self, *, stock: int, price: int) -> None:
        """Have so many pieces at this price."""
        async with self.served.database.connection() as connection:
            await factories.set_price(connection, self.store, self.sku, price)
            await connection.execute(
                "update stock_items set quantity = $3 where store_id = $1 and sku_id = $2",
                self.store.id, self.sku.id, stock,
            )  # fmt: skip

    async def work(self) -> None:
        """Make the copies that are asked for, and settle their payments, at the instant at which the clock stands."""
        database = self.served.database
        async with database.connection() as connection:
            live = await connection.fetch(
                "select id from order_factories where store_id = $1 and status = 'pending' order by id", self.store.id
            )
        if live:
            await CopyJob(database).make(self.store.id, [row["id"] for row in live])

    async def extra_runs(self, subscription_id: str) -> list[str]:
        """What became of a subscription's copies outside of the schedule, in the order in which they were asked for."""
        async with self.served.database.connection() as connection:
            found = await connection.fetch(
                "select status from order_factories where store_id = $1 and order_subscription_id = $2"
                " and occurrence_id is null order by id",
                self.store.id, subscription_id,
            )  # fmt: skip
        return [row["status"] for row in found]

    async def arrive(self) -> None:
        """Bring the clock to where it is on its way to."""
        database = self.served.database
        job = AdvanceJob(database, CopyJob(database), PaymentJob(database, nearby()))
        await job.go_on(self.store.id, self.clock_id)

    async def rows(self) -> dict[str, str]:
        """What stands for every row of the store."""
        async with self.served.database.connection() as connection:
            found = await digest(connection, self.store)
        # Neither the use of a token nor the answer to a request is the shop's.
        return {table: rows for table, rows in found.items() if table not in ("tokens", "idempotency_keys")}

    async def offenders(self) -> list[Any]:
        """What breaks an invariant."""
        async with self.served.database.connection() as connection:
            return await offenders(connection, self.store)


async def _token(connection: Connection, store: Store, customer_id: str | None) -> Access:
    id_, token = await tokens.issue(
        connection,
        store.id,
        customer_id=customer_id,
        scopes=CUSTOMER_SCOPES if customer_id else SCOPES,
        name=None,
        expires_at=None,
        at=clock.now(),
    )
    return Access(id_, token)


def months(number: int) -> datetime:
    """When the run of this number falls: on the first of a month."""
    year, month = divmod(PLACED.month - 1 + number, 12)
    return PLACED.replace(year=PLACED.year + year, month=month + 1)


DAY = timedelta(days=1)
