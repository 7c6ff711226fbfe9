"""What happens when a process dies while it places an order: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import httpx2
import orjson
import pytest

from service import clock
from service.jobs import clean
from service.jobs.pay import PaymentJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.checkout.conftest import Ready, events_of, order_row, ordered, ordering, placed, placing
from tests.gateways import nearby
from tests.servers import server
from tests.spec.writing import Api, offenders
from tests.support import Access, Grant


class Left:
    """The order of a cart whose placing was cut off."""

    def __init__(self, database: Database, connection: Connection, cart: Ready, order_id: str) -> None:
        self.database, self.connection, self.cart, self.order_id = database, connection, cart, order_id

    async def time_passes(self) -> None:
        """The lease of whoever was at it is over."""
        await self.connection.execute(
            "update payment_attempts set lease_expires_at = $2 where store_id = $1 and lease_expires_at is not null",
            self.cart.store.id,
            clock.now() - timedelta(seconds=1),
        )

    async def job(self) -> None:
        """What a worker does."""
        await PaymentJob(self.database, nearby()).go_on(self.cart.store.id, self.order_id)

    async def attempts(self) -> list[tuple[str, str | None]]:
        rows = await self.connection.fetch(
            "select status, gateway_reference from payment_attempts where store_id = $1 order by id", self.cart.store.id
        )
        return [tuple(row) for row in rows]

    async def status(self) -> str:
        row = await order_row(self.connection, self.cart.store, self.order_id)
        return str(row["status"])

    async def stock(self) -> int:
        return await factories.stock(self.connection, self.cart.store, self.cart.shirt)


@pytest.fixture
async def left(database: Database, connection: Connection, buyer: Api, cart: Ready) -> Left:
    """An order of two shirts that is ready to be placed."""
    return Left(database, connection, cart, (await ordered(buyer, cart))["id"])


async def cut_off(left: Left, access: Access, database_url: str, moment: str, token: str = "tok_approve") -> None:
    """Have a server of its own place the order, and die at a moment: `before` or `after` the gateway's answer."""
    async with server(database_url, moment) as (process, client):
        with pytest.raises(httpx2.TransportError):
            await client.patch(
                f"/api/orders/{left.order_id}",
                json=placing(left.order_id, _payment_source_token=token),
                headers=access.headers | {"Idempotency-Key": "place"},
            )
        assert await process.wait() == -signal.SIGKILL
    assert await left.status() == "placing"
    assert await left.stock() == 8


@pytest.mark.rule("FM-28")
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_server_killed_around_the_call_leaves_what_a_worker_finishes(
    left: Left, integration: Access, connection: Connection, store: Store, *, database_url: str, moment: str
) -> None:
    await cut_off(left, integration, database_url, moment)
    assert await offenders(connection, store) == []
    await left.job()
    assert await left.status() == "placing", "somebody may be at it still"
    await left.time_passes()
    await asyncio.gather(*(left.job() for _ in range(5)))
    assert await left.status() == "placed"
    ((status, reference),) = await left.attempts()
    assert (status, reference is not None) == ("authorized", True)
    assert await left.stock() == 8
    assert (await events_of(connection, store, left.order_id)).count("orders.place") == 1
    assert await offenders(connection, store) == []


@pytest.mark.rule("FM-28")
async def test_the_client_asks_again_with_its_key_and_finishes_it(
    left: Left, integration: Access, client: httpx2.AsyncClient, *, database_url: str
) -> None:
    await cut_off(left, integration, database_url, "after")
    api = Api(client, integration)
    early = await placed(api, left.order_id, **{"Idempotency-Key": "place"})
    assert (early.status_code, early.json()["errors"][0]["code"]) == (409, "REQUEST_IN_PROGRESS")
    await left.time_passes()
    answer = await placed(api, left.order_id, **{"Idempotency-Key": "place"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["attributes"]["status"] == "placed"
    assert len(await left.attempts()) == 1
    again = await placed(api, left.order_id, **{"Idempotency-Key": "place"})
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_declined_payment_that_was_left_behind_gives_the_stock_back(
    left: Left, integration: Access, *, database_url: str
) -> None:
    await cut_off(left, integration, database_url, "before", "tok_decline")
    await left.time_passes()
    await left.job()
    assert (await left.status(), await left.stock()) == ("pending", 10)
    assert [status for status, _ in await left.attempts()] == ["declined"]


async def test_every_worker_looks_for_what_was_left_behind(
    left: Left, integration: Access, connection: Connection, database: Database, *, database_url: str
) -> None:
    await cut_off(left, integration, database_url, "before")
    payload = orjson.dumps([left.cart.store.id, left.order_id])
    jobs = "select count(*) from pgqueuer.pgqueuer where payload = $1 and entrypoint = 'payments'"
    await clean.rescue(database)
    assert await connection.fetchval(jobs, payload) == 0
    await left.time_passes()
    await clean.rescue(database)
    await clean.rescue(database)
    assert await connection.fetchval(jobs, payload) == 1


async def test_a_cancellation_that_was_left_behind_voids_the_payment(
    left: Left, api: Api, integration: Access, *, database_url: str
) -> None:
    assert (await placed(api, left.order_id)).status_code == 200
    async with server(database_url, "before") as (process, client):
        with pytest.raises(httpx2.TransportError):
            await client.patch(
                f"/api/orders/{left.order_id}",
                json={"data": {"type": "orders", "id": left.order_id, "attributes": {"_cancel": True}}},
                headers=integration.headers,
            )
        assert await process.wait() == -signal.SIGKILL
    assert (await left.status(), await left.stock()) == ("cancelled", 10)
    assert [status for status, _ in await left.attempts()] == ["voiding"]
    await left.time_passes()
    await left.job()
    assert [status for status, _ in await left.attempts()] == ["voided"]
    row = await order_row(left.connection, left.cart.store, left.order_id)
    assert row["payment_status"] == "voided"
    assert await left.stock() == 10


@pytest.mark.rule("FM-28")
async def test_an_order_made_by_a_server_that_died_is_the_one_that_its_client_gets(
    cart: Ready, grant: Grant, connection: Connection, *, database_url: str
) -> None:
    access = await grant(customer_id=cart.customer_id)
    headers = access.headers | {"Idempotency-Key": "order"}
    async with server(database_url, "answer") as (process, client):
        with pytest.raises(httpx2.TransportError):
            await client.post("/api/orders", json=ordering(cart), headers=headers)
        assert await process.wait() == -signal.SIGKILL
    async with server(database_url) as (_, client):
        answer = await client.post("/api/orders", json=ordering(cart), headers=headers)
    assert (answer.status_code, answer.headers["idempotency-replayed"]) == (201, "true")
    made = await connection.fetchval("select id from orders where store_id = $1", cart.store.id)
    assert answer.json()["data"]["id"] == made
