"""Runs that are paid through a gateway, and what tests look at in them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from asyncpg import Record

from service import clock
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line, Sku
from tests.gateways import nearby
from tests.jobs.steps import ask, bearer, names_of, row
from tests.sealed import opened_attempt, put


@dataclass(frozen=True)
class Run:
    """A subscription to two shirts of 19.00, paid from the wallet, of which there are ten."""

    database: Database
    connection: Connection
    store: Store
    sku: Sku
    customer_id: str
    source_id: str
    order_id: str
    subscription_id: str

    async def begin(self) -> str:
        """Have its order made; gives the copy."""
        copy_id = await ask(
            self.database, bearer(self.store), self.order_id, self.subscription_id, place_target_order=True
        )
        assert await CopyJob(self.database).make(self.store.id, [copy_id]) is None
        return copy_id

    async def order(self) -> Record:
        """The one order that came of it."""
        found = await self.connection.fetch(
            "select * from orders where store_id = $1 and order_subscription_id = $2",
            self.store.id,
            self.subscription_id,
        )
        assert len(found) == 1
        return found[0]

    async def pay(self, times: int = 1) -> None:
        """What the job does with its order, so many at once."""
        order_id, job = (await self.order())["id"], PaymentJob(self.database, nearby())
        await asyncio.gather(*(job.go_on(self.store.id, order_id) for _ in range(times)))

    async def attempts(self) -> list[dict[str, Any]]:
        attempts = "select * from payment_attempts where store_id = $1 order by id"
        rows = await self.connection.fetch(attempts, self.store.id)
        return [opened_attempt(self.connection, self.store, row) for row in rows]

    async def statuses(self) -> list[str]:
        return [attempt["status"] for attempt in await self.attempts()]

    async def subscription(self) -> Record:
        return await row(self.connection, "order_subscriptions", self.store, self.subscription_id)

    async def retry_at(self) -> Any:
        return (await self.attempts())[-1]["retry_at"]

    async def make_due(self) -> None:
        """The time of the next attempt has come."""
        await self.connection.execute(
            "update payment_attempts set retry_at = $2 where store_id = $1 and retry_at is not null",
            self.store.id,
            clock.now() - timedelta(seconds=1),
        )

    async def leases_end(self) -> None:
        await self.connection.execute(
            "update payment_attempts set lease_expires_at = $2 where store_id = $1 and lease_expires_at is not null",
            self.store.id,
            clock.now() - timedelta(seconds=1),
        )

    async def token(self, token: str) -> None:
        """What the source in the wallet stands for from now on."""
        source = (self.connection, self.store, "customer_payment_sources", self.source_id)
        await put(*source, payment_source_token=token)

    async def stock(self) -> int:
        return await factories.stock(self.connection, self.store, self.sku)

    async def events(self, id_: str | None = None) -> list[str]:
        return await names_of(self.connection, self.store, id_ or self.subscription_id)

    async def policy(self, hours: list[int]) -> None:
        await self.connection.execute(
            "update stores set policies = $2 where store_id = $1",
            self.store.id,
            orjson.dumps({"payment_retry_hours": hours}).decode(),
        )


async def prepare(
    database: Database,
    connection: Connection,
    store: Store,
    *,
    token: str = "tok_approve",
    gateway: str = "test",
    **columns: Any,
) -> Run:
    """A subscription whose runs are paid through a gateway."""
    sku = await factories.sku(connection, store, price=1900, stock=10)
    customer_id = await factories.customer(connection, store)
    payment_id = await factories.payment_method(connection, store, name="Card", gateway=gateway)
    source_id = await factories.payment_source(
        connection, store, customer_id, gateway=gateway, payment_method_id=payment_id, payment_source_token=token
    )
    paid = {"payment_method_id": payment_id, "customer_payment_source_id": source_id}
    order_id = await factories.full_order(connection, store, [Line(sku, 2)], customer_id=customer_id, **paid)
    subscription_id = await factories.subscription(
        connection, store, order_id, **{"customer_payment_source_id": source_id} | columns
    )
    return Run(database, connection, store, sku, customer_id, source_id, order_id, subscription_id)
