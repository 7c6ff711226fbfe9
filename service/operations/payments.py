"""Payments of orders: noted before the gateway is asked, and whatever it says noted after, with what the order becomes.

Whoever is at a payment holds it for the time of a lease. When that is over (its process died), the next one asks the
gateway what became of its key, and goes on: nobody is charged twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from service import clock
from service.errors import InProgress, InvalidState, PaymentRefused
from service.gateways import GATEWAYS
from service.gateways.port import Answer, Payment, release, settle
from service.operations import events, subscribing
from service.operations.targets import Row
from service.principal import Store
from service.store import queue
from service.store.phases import Interlude, failing
from service.store.pool import Connection
from service.translations import Phrase
from sql import queries

PLACING = queries("placing")

ENTRYPOINT = "payments"
"""The name under which the queue knows the job that goes on with a payment that was left behind."""

LEASE = timedelta(seconds=60)
"""How long one may be at a payment: longer than a gateway has for all that it is asked."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A payment of an order that somebody holds: `pending` until the gateway answers, or `voiding`."""

    store: Store
    order_id: str
    actor: str
    id: str
    status: str
    gateway: str
    payment: Payment


async def begin(
    connection: Connection, store: Store, order_id: str, facts: Row, *, due: int, token: str | None, actor: str
) -> Interlude[None]:
    """Note what is due of an order that is placing, and ask its gateway for it in the interlude.

    `due` is in minor units, `token` the gateway's own name of what is paid with. Afterwards the order is placed, or
    pending again with its stock given back, and PaymentRefused raised. Leases are of real time, also in a store on a
    test clock.
    """
    id_, at = clock.new_id(), clock.now()
    key = await connection.fetchval(
        PLACING["begin_attempt"],
        store.id,
        id_,
        order_id,
        facts["customer_payment_source_id"],
        facts["gateway"],
        token,
        facts["currency_code"],
        due,
        at + LEASE,
        at,
    )
    payment = Payment(key, facts["currency_code"], due, token)
    return _asking(Attempt(store, order_id, actor, id_, "pending", facts["gateway"], payment))


async def begin_voiding(connection: Connection, store: Store, order_id: str, *, actor: str) -> Interlude[None] | None:
    """Have the gateway let go of an order's money in the interlude; None when no gateway holds any."""
    at = clock.now()
    row = await connection.fetchrow(PLACING["begin_voiding"], store.id, order_id, at, at + LEASE)
    return None if row is None else _asking(_attempt(store, order_id, actor, row))


async def resume(connection: Connection, store: Store, order_id: str, *, actor: str) -> Interlude[None] | None:
    """Go on with an order's payment that was left behind; None when there is none, or somebody is at it."""
    at = clock.now()
    row = await connection.fetchrow(PLACING["claim_attempt"], store.id, order_id, at, at + LEASE)
    return None if row is None else _asking(_attempt(store, order_id, actor, row), again=True)


async def abandoned(connection: Connection, at: datetime, *, limit: int) -> list[tuple[int, str]]:
    """Store and order of payments of all stores that nobody is at at this instant of real time, at most `limit`."""
    return [(row["store_id"], row["order_id"]) for row in await connection.fetch(PLACING["abandoned"], at, limit)]


async def enqueue(connection: Connection, store_id: int, order_id: str) -> None:
    """Put the job that goes on with an order's payment into the queue, unless it is there already."""
    payload = orjson.dumps([store_id, order_id])
    await queue.enqueue(connection, ENTRYPOINT, payload, dedupe_key=f"{ENTRYPOINT}/{store_id}/{order_id}")


async def facts_of(connection: Connection, store: Store, order_id: str) -> Mapping[str, Any]:
    """What placing looks at, of an order that the caller holds."""
    found = await connection.fetchrow(PLACING["facts"], store.id, order_id, clock.now(store))
    assert found is not None  # noqa: S101 -- the caller holds it
    return dict(found)


async def save(
    connection: Connection, store: Store, order_id: str, facts: Row, *, status: str, paid: str, at: datetime
) -> None:
    """Set an order's statuses, and its addresses to those of `facts`."""
    new = status != facts["status"]
    await connection.execute(
        PLACING["save"],
        store.id,
        order_id,
        status,
        paid,
        facts["billing_address_id"],
        facts["shipping_address_id"],
        at,
        at if new and status == "placed" else None,
        at if new and status == "cancelled" else None,
    )


async def placed(connection: Connection, store: Store, order_id: str, *, actor: str) -> None:
    """What follows once an order is placed: its event, and the subscriptions that waited for it."""
    await events.record(connection, store, "orders.place", order_id, actor=actor)
    await subscribing.activate(connection, store, order_id, actor=actor)


def _attempt(store: Store, order_id: str, actor: str, row: Row) -> Attempt:
    payment = Payment(row["key"], row["currency_code"], row["amount_cents"], row["source_token"])
    return Attempt(store, order_id, actor, row["id"], row["status"], row["gateway"], payment)


def _asking(attempt: Attempt, *, again: bool = False) -> Interlude[None]:
    """Ask the gateway with no transaction open, and note its answer in the next one."""
    gateway = GATEWAYS[attempt.gateway]

    async def meanwhile() -> Answer | None:
        if attempt.status == "voiding":
            return Answer("voided") if await release(gateway, attempt.payment) else None
        return await settle(gateway, attempt.payment, again=again)

    async def then(connection: Connection, answer: Answer | None) -> Interlude[None] | None:
        return await _note(connection, attempt, answer)

    return Interlude(meanwhile, then)


async def _note(connection: Connection, attempt: Attempt, answer: Answer | None) -> Interlude[None] | None:
    """Write down what became of a payment, and of its order with it. Whoever comes second finds that done."""
    store, order_id = attempt.store, attempt.order_id
    await connection.execute(PLACING["lock"], store.id, order_id)
    facts = await facts_of(connection, store, order_id)
    if answer is None:
        if attempt.status == "voiding":
            # The order is cancelled; the job goes on telling the gateway so.
            return None
        raise InProgress(
            "The payment gateway does not answer; the order is placed or given back once it does.",
            headers={"Retry-After": str(int(LEASE.total_seconds()))},
        )
    ended = await connection.fetchval(
        PLACING["end_attempt"],
        store.id,
        attempt.id,
        attempt.status,
        answer.status,
        answer.reference,
        answer.decline_code,
        answer.detail,
        clock.now(),
    )
    if ended is None:
        if attempt.status == "pending" and facts["status"] not in ("placed", "approved"):
            raise InvalidState("The order is {status} again.", status=facts["status"])
        return None
    return await _conclude(connection, attempt, facts, answer)


async def _conclude(connection: Connection, attempt: Attempt, facts: Row, answer: Answer) -> Interlude[None] | None:
    """What the answer to a payment means for its order."""
    store, order_id, at = attempt.store, attempt.order_id, clock.now(attempt.store)
    if answer.status == "voided":
        await save(connection, store, order_id, facts, status=facts["status"], paid="voided", at=at)
        await events.record(connection, store, "orders.void", order_id, actor=attempt.actor)
        return None
    if answer.status == "authorized":
        await save(connection, store, order_id, facts, status="placed", paid="authorized", at=at)
        await placed(connection, store, order_id, actor=attempt.actor)
        return None
    await connection.execute(PLACING["give_stock_back"], store.id, order_id, at)
    await save(connection, store, order_id, facts, status="pending", paid=facts["payment_status"], at=at)
    await events.record(connection, store, "orders.pending", order_id, actor=attempt.actor)
    reason = answer.detail or Phrase("The payment was refused.")
    return failing(
        PaymentRefused(
            "The order was not placed and nothing was charged: {reason}",
            reason=reason,
            pointer="/data/attributes/_place",
            meta={"error": answer.decline_code or answer.status},
        )
    )
