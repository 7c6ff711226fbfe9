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
from service.operations.parties import wallets
from service.principal import Store
from service.store import queue
from service.store.pool import Connection
from service.store.statements import Many, One
from service.store.vault import vault_of

ENTRYPOINT = "payments"
"""The name under which the queue knows the job that goes on with an order's payment."""

LEASE = timedelta(seconds=60)
"""How long one may be at a payment: longer than a gateway has for all that it is asked."""

_TOKEN = "payment_attempts.source_token"  # noqa: S105 -- a column

PATIENCE = 10
"""How often a silent gateway is asked for a payment that nobody waits for, before it is told to refuse it."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is due of an order, in minor units; `token` is what it is paid with where that isn't its own source.

    `to_wallet` and `to_subscription` say where that is kept once it has paid. `retried_at` is when the service asks for
    it anew by itself, by the store's time; None for what is asked for first, or by somebody.
    """

    order_id: str
    amount_cents: int
    token: str | None = None
    to_wallet: bool = False
    to_subscription: bool = False
    retried_at: datetime | None = None


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
    key: str
    currency_code: str
    amount_cents: int
    source_token: str | None
    customer_payment_source_id: str | None
    saves_source: bool
    asked: int
    gateway_secret: str | None
    customer_id: str | None
    customer_token: str | None
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
    rows = await _BEGIN(connection, store=store.id, orders=orders, **noting(connection, store, dues, held=held))
    return [as_attempt(connection, store, row, actor) for row in rows]


def noting(connection: Connection, store: Store, dues: Sequence[Due], *, held: bool = True) -> dict[str, object]:
    """The arguments by which a statement notes what is due of orders: it includes `payments/attempts.note_attempts`."""
    at, vault = clock.now(), vault_of(connection)
    ids = [clock.new_id() for _ in dues]
    sent = [(id_, due.token) for id_, due in zip(ids, dues, strict=True)]
    return {
        "attempts": ids,
        "amounts": [due.amount_cents for due in dues],
        "tokens": [None if token is None else vault.seal(_TOKEN, store.id, id_, token) for id_, token in sent],
        "digests": [
            None if token is None else " ".join(vault.digests(wallets.TOKEN, store.id, token)) for _, token in sent
        ],
        "to_wallet": [due.to_wallet for due in dues],
        "to_subscription": [due.to_subscription for due in dues],
        "retried_at": [due.retried_at for due in dues],
        "lease_expires_at": at + LEASE if held else at,
        "asked": int(held),
        "asked_at": at,
    }


async def begin_voiding(connection: Connection, store: Store, order_id: str, *, actor: str) -> Attempt | None:
    """Note that the gateway is to let go of an order's money; None when no gateway holds any."""
    at = clock.now()
    row = await _BEGIN_VOIDING(connection, store=store.id, order=order_id, at=at, lease_expires_at=at + LEASE)
    return None if row is None else as_attempt(connection, store, row, actor)


async def claim(connection: Connection, store: Store, order_id: str, *, actor: str) -> Attempt | None:
    """Take over an order's payment that was left behind, or is there to be taken; None when there is none."""
    at = clock.now()
    row = await _CLAIM(connection, store=store.id, order=order_id, at=at, lease_expires_at=at + LEASE)
    return None if row is None else as_attempt(connection, store, row, actor)


def called(connection: Connection, attempt: Attempt, answer: Answer | None) -> dict[str, object]:
    """The arguments by which a statement finds what is paid with: it includes `orders/saving.paid_with`."""
    vault, store = vault_of(connection), attempt.store.id
    new = None if answer is None else answer.source_token
    token_ = new or attempt.payment.source_token
    return {
        "token": None if new is None else vault.seal(_TOKEN, store, attempt.id, new),
        "digests": [] if token_ is None else vault.digests(wallets.TOKEN, store, token_),
    }


def ending(connection: Connection, attempt: Attempt, answer: Answer) -> dict[str, object]:
    """The arguments by which a statement notes what a gateway said: it includes `payments/attempts.end_attempt`."""
    token = answer.source_token
    return {
        "id": attempt.id,
        "was": attempt.status,
        "answer": answer.status,
        "reference": answer.reference,
        "source_token": None
        if token is None
        else vault_of(connection).seal(_TOKEN, attempt.store.id, attempt.id, token),
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


def token(
    connection: Connection, store: Store, attempt_id: str, source_id: str | None, sealed: str | None
) -> str | None:
    """What is paid with, in the gateway's words: sealed for the payment, or for the source in the wallet."""
    return vault_of(connection).open(_TOKEN, store.id, attempt_id, sealed, copy_of=source_id)


def as_attempt(connection: Connection, store: Store, row: Held, actor: str) -> Attempt:
    """A payment that its caller holds."""
    vault, source_id, endpoint = vault_of(connection), row.customer_payment_source_id, None
    secret = vault.open("stores.gateway_secret", store.id, str(store.id), row.gateway_secret)
    if row.gateway_url is not None and secret is not None:
        endpoint = Endpoint(store.id, row.gateway_url, secret)
    payment = Payment(
        key=row.key,
        currency_code=row.currency_code,
        amount_cents=row.amount_cents,
        source_token=token(connection, store, row.id, source_id, row.source_token),
        order_id=row.order_id,
        endpoint=endpoint,
        customer_id=row.customer_id,
        source_id=source_id,
        customer_token=None
        if source_id is None
        else vault.open("customer_payment_sources.customer_token", store.id, source_id, row.customer_token),
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
