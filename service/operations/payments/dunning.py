"""Runs of subscriptions whose payment was refused: who is told, and when it is asked for anew.

The order of such a run is pending, its stock given back; it is never made a second time. By the ladder of its store
(`service.rules.ladders`) the same order is placed again, unless the gateway said that this won't help. What is new in
the subscription's wallet is tried at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import orjson

from schemas.failures import FailureType
from service import clock
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.parties import wallets
from service.operations.payments import attempts, recovery
from service.operations.payments.attempts import Attempt
from service.principal import Store
from service.rules.ladders import MOST_RETRIES, rested_at, retry_at
from service.rules.states import Messages
from service.store.pool import Connection
from service.store.statements import Command, One, OnlyValue, Part, Value, Values
from service.store.vault import vault_of


class Run(NamedTuple):
    """A run whose order is to be placed by itself; `ladder` is JSON.

    `given_up`: its payment isn't asked for by itself any more. `failed_before`: there was no order at first, and it was
    tried again.
    """

    copy_id: str
    occurrence_id: str | None
    order_subscription_id: str
    first: bool
    status: str
    replaced: bool
    ladder: str | None
    refusals: int
    given_up: bool
    failed_before: bool


class Ended(NamedTuple):
    """The end of a run's ladder: its payment is not asked for by itself any more. `told` is what an event tells."""

    order_subscription_id: str
    told: Mapping[str, object]


class Retry(NamedTuple):
    """A payment that is to be asked for anew, from a source; None for one that isn't from the wallet.

    `again`: that source has refused it before. `barred`: it is refused for good.
    """

    source_id: str | None
    again: bool
    barred: bool


_LOCK = Value("ordering/placing.lock", str)
_RUN = One("payments/dunning.run", Run)
_NOT_PAYABLE = Values("payments/dunning.not_payable", str)
PAID = Part("payments/dunning.paid")
_RECOVER = Command("payments/dunning.recover")
_HURRY = Command("payments/dunning.hurry")
_STOP_OF_ORDER = Command("payments/dunning.stop_of_order")
_STOP_OF_SUBSCRIPTION = Command("payments/dunning.stop_of_subscription")
_DUE = Values("payments/dunning.due", str)
_IS_DUE = OnlyValue("payments/dunning.is_due", bool)
_TAKE_SOURCE = One("payments/dunning.take_source", Retry)
_HOLD_SOURCE = Value("payments/dunning.hold_source", bool)
_LAST_RETRIES = Values("payments/dunning.last_retries", datetime)
_REST = Command("payments/dunning.rest")
_BAR = Command("payments/dunning.bar")

PAYMENT: Final = "payment_status"
"""The name under which `errors_log` keeps what was said of a payment."""

BATCH: Final = 200
"""How many retries are looked up at a time."""


class Refusal(NamedTuple):
    """What a refused payment comes to: what happens by it, and the arguments by which a statement notes that.

    `ended` is there where it was the last refusal.
    It includes `payments/dunning.note_refusal` and `payments/dunning.count_refusal`.
    """

    events: Sequence[Event]
    binds: Mapping[str, object]
    ended: Ended | None = None

    def tally(self, connection: Connection, run: Run | None, failure_type: FailureType) -> None:
        """Count it, once what the transaction notes of it is committed."""
        if run is not None and run.first and not run.failed_before:
            recovery.failed(connection, failure_type)
        if self.ended is not None:
            recovery.lost(connection, failure_type)


def refusal(
    run: Run | None,
    order_id: str,
    *,
    error: str,
    messages: Messages,
    failure_type: FailureType,
    hard: bool,
    at: datetime,
) -> Refusal:
    """What it comes to that the payment of an order was refused, if `run` made the order and was to place it.

    `error` is a code, `messages` are for people; `hard` says that asking again won't help. The first refusal makes the
    run one that failed; each is told of, with the time of the next attempt.
    """
    if run is None:
        unknown = ("copy", "occurrence", "errors_log", "failure_type", "retry_at")
        return Refusal((), {"failed": 0, **dict.fromkeys(unknown)})
    again_at = _again_at(run, hard=hard, at=at)
    payload = {
        "order_id": order_id,
        "copy_id": run.copy_id,
        "occurrence_id": run.occurrence_id,
        "error": error,
        "reasons": messages,
        "failure_type": failure_type,
        "retry_at": None if again_at is None else again_at.isoformat(),
    }
    happened = [Event("orders.payment_failed", order_id, payload)]
    if run.first:
        happened.append(Event("order_subscriptions.last_run_failed", run.order_subscription_id, payload))
    said = {name: [str(text) for text in texts] for name, texts in messages.items()}
    return Refusal(
        happened,
        {
            "copy": run.copy_id,
            "occurrence": run.occurrence_id,
            "failure_type": failure_type,
            "errors_log": orjson.dumps(said).decode(),
            "failed": int(run.first),
            "retry_at": again_at,
        },
        Ended(run.order_subscription_id, payload) if _ends(run, again_at) else None,
    )


async def not_payable(
    connection: Connection,
    store: Store,
    order_id: str,
    amount_cents: int | None,
    messages: Messages,
    *,
    failure_type: FailureType,
    hard: bool = False,
    at: datetime,
) -> Ended | None:
    """Note that no gateway could be asked for the payment of a run's order: that counts as a refusal.

    `messages` say why, by what is lacking. `amount_cents` is what is due, None for what was due at the last attempt.
    One statement reads, one writes. Returns the end of the run's ladder, if it was the last refusal.
    """
    name, texts = next(iter(messages.items()))
    reason = texts[0] if name == PAYMENT else f"{name} - {texts[0]}"
    run = await _RUN(connection, store=store.id, unpaid=order_id, attempt=None)
    refused = refusal(run, order_id, error="not_placed", messages=messages, failure_type=failure_type, hard=hard, at=at)
    written = await _NOT_PAYABLE(
        connection,
        store=store.id,
        at=at,
        **attempts.unasked(order_id, amount_cents, reason),
        **refused.binds,
        **outbox.along(refused.events, actor=outbox.WORKER),
    )
    await outbox.complete(connection, store, refused.events, written, actor=outbox.WORKER)
    refused.tally(connection, run, failure_type)
    return refused.ended


def _ends(run: Run, again_at: datetime | None) -> bool:
    """Whether a refusal after which there is no next time is the last one, and the first such."""
    return again_at is None and not run.given_up and run.status != "cancelled"


def _again_at(run: Run, *, hard: bool, at: datetime) -> datetime | None:
    """When a payment that was refused now is asked for anew; None when it isn't."""
    if run.status == "cancelled":
        return None
    if run.replaced:
        # It was on its way when the subscription got something else to be paid from.
        return at
    if hard:
        return None
    ladder = None if run.ladder is None else orjson.loads(run.ladder)
    return retry_at(ladder, run.refusals, at)


def success(run: Run, order_id: str) -> Event:
    """What happens to the subscription of a run whose order is paid."""
    told = {"copy_id": run.copy_id, "occurrence_id": run.occurrence_id, "order_id": order_id}
    return Event("order_subscriptions.last_run_succeeded", run.order_subscription_id, told)


async def recover(connection: Connection, store: Store, run: Run) -> None:
    """Note of a run whose order is paid, after it was refused, that nothing is wrong with it any more."""
    if not run.first:
        recovery.recovered(connection, run.refusals)
        await _RECOVER(connection, store=store.id, copy=run.copy_id, occurrence=run.occurrence_id, at=clock.now(store))


async def hurry(
    connection: Connection, store: Store, *, subscription_id: str | None = None, source_id: str | None = None
) -> None:
    """Have what is owed for runs asked for at once: there is something new to pay with.

    Those are the runs of a subscription, or of all that are paid from a source.
    """
    await _HURRY(connection, store=store.id, subscription=subscription_id, source=source_id, at=clock.now(store))


async def stop(
    connection: Connection, store: Store, *, order_id: str | None = None, subscription_id: str | None = None
) -> None:
    """Ask no more for the payment of an order, or for those of a subscription's runs."""
    if order_id is not None:
        await _STOP_OF_ORDER(connection, store=store.id, order=order_id)
    if subscription_id is not None:
        await _STOP_OF_SUBSCRIPTION(connection, store=store.id, subscription=subscription_id)


async def due(connection: Connection, store: Store, *, but: Collection[str] = ()) -> Sequence[str]:
    """At most `BATCH` orders of a store whose payment is to be asked for anew by now, by its clock, `but` for these."""
    return await _DUE(connection, store=store.id, at=clock.now(store), limit=BATCH, but=list(but))


async def hold(connection: Connection, store: Store, order_id: str) -> None:
    """Lock an order until the caller's transaction ends."""
    await _LOCK(connection, store=store.id, order=order_id)


async def claim(connection: Connection, store: Store, order_id: str) -> Retry | None:
    """Take hold of an order whose payment is to be asked for anew by now, from what is in the wallet now.

    Returns None where it isn't: also while its source rests, after as many retries as it may have.
    """
    # A statement that waits for the lock would go by what was due before it waited.
    await hold(connection, store, order_id)
    at = clock.now(store)
    if not await _IS_DUE(connection, store=store.id, order=order_id, at=at):
        return None
    retry = await take_source(connection, store, order_id)
    if retry is None or retry.source_id is None or not retry.again or retry.barred:
        return retry
    if await _HOLD_SOURCE(connection, store=store.id, source=retry.source_id):
        # Another order's payment was refused for good meanwhile.
        return retry._replace(barred=True)
    last = await _LAST_RETRIES(connection, store=store.id, source=retry.source_id, most=MOST_RETRIES)
    rested = rested_at(last, at)
    if rested <= at:
        return retry
    await _REST(connection, store=store.id, order=order_id, retry_at=rested)
    return None


async def take_source(connection: Connection, store: Store, order_id: str) -> Retry | None:
    """Have a locked order that waits paid from what its subscription is paid from now; None for one that doesn't."""
    return await _TAKE_SOURCE(connection, store=store.id, order=order_id)


async def bar(connection: Connection, attempt: Attempt) -> None:
    """Note that what a payment was asked from is refused for good, if it is in the wallet, and still the same."""
    payment, store = attempt.payment, attempt.store
    if payment.source_id is None or payment.source_token is None:
        return
    digests = vault_of(connection).digests(wallets.TOKEN, store.id, payment.source_token)
    await _BAR(connection, store=store.id, source=payment.source_id, digests=digests, at=clock.now(store))
