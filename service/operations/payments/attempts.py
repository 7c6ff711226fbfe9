"""Attempts at payments: noted before a gateway is asked, each held by whoever asks for the time of a lease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from service import clock
from service.gateways.port import Answer, Endpoint, Payment
from service.operations.events import outbox
from service.principal import Store
from service.store import queue
from service.store.pool import Connection
from service.store.statements import Many, One

ENTRYPOINT = "payments"
"""The name under which the queue knows the job that goes on with an order's payment."""

LEASE = timedelta(seconds=60)
"""How long one may be at a payment: longer than a gateway has for all that it is asked."""

PATIENCE = 10
"""How often a silent gateway is asked for a payment that nobody waits for, before it is told to refuse it."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is due of an order, in minor units; `token` is what it is paid with where that isn't its own source.

    `to_wallet` and `to_subscription` say where that is kept once it has paid.
    """

    order_id: str
    amount_cents: int
    token: str | None = None
    to_wallet: bool = False
    to_subscription: bool = False


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


class Held(NamedTuple):
    """A payment that was begun, or is gone on with, as every statement tells of it that does so."""

    id: str
    order_id: str
    status: str
    gateway: str
    gateway_url: str | None
    gateway_secret: str | None
    key: str
    currency_code: str
    amount_cents: int
    source_token: str | None
    customer_id: str | None
    customer_payment_source_id: str | None
    customer_token: str | None
    saves_source: bool
    asked: int
    recurring: bool


class _Open(NamedTuple):
    order_id: str
    lease_expires_at: datetime


class Abandoned(NamedTuple):
    """An order whose payment nobody is at."""

    store_id: int
    order_id: str


_BEGIN = Many("payments/attempts.begin_attempts", Held)
_CLAIM = One("payments/attempts.claim_attempt", Held)
_BEGIN_VOIDING = One("payments/attempts.begin_voiding", Held)
_OPEN = Many("payments/attempts.open_payments", _Open)
_ABANDONED = Many("payments/attempts.abandoned", Abandoned)


async def begin(
    connection: Connection, store: Store, dues: Sequence[Due], *, actor: str, held: bool = True
) -> list[Attempt]:
    """Note what is due of orders before their gateways are asked for it: one statement.

    They are the caller's, unless `held` says that the job is to have them. Leases are of real time, also in a store on
    a test clock.
    """
    orders = [due.order_id for due in dues]
    rows = await _BEGIN(connection, store=store.id, orders=orders, **noting(dues, held=held))
    return [as_attempt(store, row, actor) for row in rows]


def noting(dues: Sequence[Due], *, held: bool = True) -> dict[str, object]:
    """The arguments by which a statement notes what is due of orders: it includes `payments/attempts.note_attempts`."""
    at = clock.now()
    return {
        "attempts": [clock.new_id() for _ in dues],
        "amounts": [due.amount_cents for due in dues],
        "tokens": [due.token for due in dues],
        "to_wallet": [due.to_wallet for due in dues],
        "to_subscription": [due.to_subscription for due in dues],
        "lease_expires_at": at + LEASE if held else at,
        "asked": int(held),
        "asked_at": at,
    }


async def begin_voiding(connection: Connection, store: Store, order_id: str, *, actor: str) -> Attempt | None:
    """Note that the gateway is to let go of an order's money; None when no gateway holds any."""
    at = clock.now()
    row = await _BEGIN_VOIDING(connection, store=store.id, order=order_id, at=at, lease_expires_at=at + LEASE)
    return None if row is None else as_attempt(store, row, actor)


async def claim(connection: Connection, store: Store, order_id: str, *, actor: str) -> Attempt | None:
    """Take over an order's payment that was left behind, or is there to be taken; None when there is none."""
    at = clock.now()
    row = await _CLAIM(connection, store=store.id, order=order_id, at=at, lease_expires_at=at + LEASE)
    return None if row is None else as_attempt(store, row, actor)


def ending(attempt: Attempt, answer: Answer) -> dict[str, object]:
    """The arguments by which a statement notes what a gateway said: it includes `payments/attempts.end_attempt`."""
    return {
        "id": attempt.id,
        "was": attempt.status,
        "answer": answer.status,
        "reference": answer.reference,
        "source_token": answer.source_token,
        "decline_code": answer.decline_code,
        "detail": answer.detail,
        "answered_at": clock.now(),
    }


def unasked(order_id: str, amount_cents: int | None, reason: str) -> dict[str, object]:
    """The arguments by which a statement notes that an order could not be placed for an attempt.

    It includes `payments/attempts.note_unasked`. `amount_cents` is what is due; None for what was due at the last
    attempt, which there is then.
    """
    return {
        "order": order_id,
        "id": clock.new_id(),
        "amount": amount_cents,
        "detail": reason,
        "noted_at": clock.now(),
    }


async def abandoned(connection: Connection, at: datetime, *, limit: int) -> list[Abandoned]:
    """The orders of all stores whose payments nobody is at, at this instant of real time, at most `limit`."""
    return await _ABANDONED(connection, at=at, most=limit)


async def open_payments(connection: Connection, store_id: int) -> dict[str, datetime]:
    """The orders of a store that wait for their payment, and until when somebody is at it, real time."""
    return dict(await _OPEN(connection, store=store_id))


async def enqueue_all(connection: Connection, store_id: int, order_ids: Sequence[str]) -> None:
    """Put the jobs that go on with orders' payments into the queue, unless they are there already: one statement."""
    jobs = {f"{ENTRYPOINT}/{store_id}/{order_id}": orjson.dumps([store_id, order_id]) for order_id in order_ids}
    await queue.enqueue_all(connection, ENTRYPOINT, jobs)


def as_attempt(store: Store, row: Held, actor: str) -> Attempt:
    """A payment that its caller holds."""
    endpoint = None
    if row.gateway_url is not None and row.gateway_secret is not None:
        endpoint = Endpoint(store.id, row.gateway_url, row.gateway_secret)
    payment = Payment(
        key=row.key,
        currency_code=row.currency_code,
        amount_cents=row.amount_cents,
        source_token=row.source_token,
        order_id=row.order_id,
        endpoint=endpoint,
        customer_id=row.customer_id,
        source_id=row.customer_payment_source_id,
        customer_token=row.customer_token,
        saves_source=row.saves_source,
    )
    return Attempt(
        store,
        row.order_id,
        actor,
        row.id,
        row.status,
        row.gateway,
        payment,
        row.asked,
        patient=row.recurring and actor == outbox.WORKER and row.asked < PATIENCE,
    )
