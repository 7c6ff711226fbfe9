"""Attempts at payments: noted before a gateway is asked, each held by whoever asks for the time of a lease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from service import clock
from service.gateways.port import Answer, Endpoint, Payment
from service.operations.events import outbox
from service.principal import Store
from service.store import queue
from service.store.pool import Connection
from service.store.rows import Row
from sql import queries

ATTEMPTS = queries("payments/attempts")

ENTRYPOINT = "payments"
"""The name under which the queue knows the job that goes on with an order's payment."""

LEASE = timedelta(seconds=60)
"""How long one may be at a payment: longer than a gateway has for all that it is asked."""

PATIENCE = 10
"""How often a silent gateway is asked for a payment that nobody waits for, before it is told to refuse it."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is due of an order, in minor units; `token` is what it is paid with where that isn't its own source."""

    order_id: str
    amount_cents: int
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A payment of an order that somebody holds: `pending` until the gateway answers, or `voiding`.

    `asked` counts who has set out to ask for it, this one included. `patient`: it is of a run, for which nobody waits.
    """

    store: Store
    order_id: str
    actor: str
    id: str
    status: str
    gateway: str
    payment: Payment
    asked: int
    patient: bool


async def begin(
    connection: Connection, store: Store, dues: Sequence[Due], *, actor: str, held: bool = True
) -> list[Attempt]:
    """Note what is due of orders before their gateways are asked for it: one statement.

    They are the caller's, unless `held` says that the job is to have them. Leases are of real time, also in a store on
    a test clock.
    """
    at = clock.now()
    rows = await connection.fetch(
        ATTEMPTS["begin_attempts"],
        store.id,
        [clock.new_id() for _ in dues],
        [due.order_id for due in dues],
        [due.amount_cents for due in dues],
        [due.token for due in dues],
        at + LEASE if held else at,
        int(held),
        at,
    )
    return [_attempt(store, row, actor) for row in rows]


async def begin_voiding(connection: Connection, store: Store, order_id: str, *, actor: str) -> Attempt | None:
    """Note that the gateway is to let go of an order's money; None when no gateway holds any."""
    at = clock.now()
    row = await connection.fetchrow(ATTEMPTS["begin_voiding"], store.id, order_id, at, at + LEASE)
    return None if row is None else _attempt(store, row, actor)


async def claim(connection: Connection, store: Store, order_id: str, *, actor: str) -> Attempt | None:
    """Take over an order's payment that was left behind, or is there to be taken; None when there is none."""
    at = clock.now()
    row = await connection.fetchrow(ATTEMPTS["claim_attempt"], store.id, order_id, at, at + LEASE)
    return None if row is None else _attempt(store, row, actor)


async def end(connection: Connection, attempt: Attempt, answer: Answer) -> bool:
    """Note what the gateway said; False when somebody else has."""
    ended = await connection.fetchval(
        ATTEMPTS["end_attempt"],
        attempt.store.id,
        attempt.id,
        attempt.status,
        answer.status,
        answer.reference,
        answer.decline_code,
        answer.detail,
        clock.now(),
    )
    return ended is not None


async def note_not_placed(connection: Connection, store: Store, order_id: str, reason: str) -> str:
    """Note that an order with earlier attempts could not be placed for another one; gives the id of what is noted."""
    id_ = clock.new_id()
    await connection.execute(ATTEMPTS["not_placed"], store.id, order_id, id_, reason, clock.now())
    return id_


async def abandoned(connection: Connection, at: datetime, *, limit: int) -> list[tuple[int, str]]:
    """Store and order of payments of all stores that nobody is at at this instant of real time, at most `limit`."""
    return [(row["store_id"], row["order_id"]) for row in await connection.fetch(ATTEMPTS["abandoned"], at, limit)]


async def open_payments(connection: Connection, store_id: int) -> dict[str, datetime]:
    """The orders of a store that wait for their payment, and until when somebody is at it, real time."""
    rows = await connection.fetch(ATTEMPTS["open_payments"], store_id)
    return {row["order_id"]: row["lease_expires_at"] for row in rows}


async def enqueue_all(connection: Connection, store_id: int, order_ids: Sequence[str]) -> None:
    """Put the jobs that go on with orders' payments into the queue, unless they are there already: one statement."""
    jobs = {f"{ENTRYPOINT}/{store_id}/{order_id}": orjson.dumps([store_id, order_id]) for order_id in order_ids}
    await queue.enqueue_all(connection, ENTRYPOINT, jobs)


def _attempt(store: Store, row: Row, actor: str) -> Attempt:
    endpoint = None
    if row["gateway_url"] is not None:
        endpoint = Endpoint(store.id, row["gateway_url"], row["gateway_secret"])
    payment = Payment(
        row["key"], row["currency_code"], row["amount_cents"], row["source_token"], row["order_id"], endpoint
    )
    asked = row["asked"]
    return Attempt(
        store,
        row["order_id"],
        actor,
        row["id"],
        row["status"],
        row["gateway"],
        payment,
        asked,
        patient=row["recurring"] and actor == outbox.WORKER and asked < PATIENCE,
    )
