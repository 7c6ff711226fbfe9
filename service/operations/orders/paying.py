"""Payments of orders: noted before the gateway is asked, and whatever it says noted after, with what the order becomes.

Whoever is at a payment holds it for the time of a lease. When that is over (its process died), the next one asks the
gateway what became of its key, and goes on: nobody is charged twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from service import clock
from service.errors import InProgress, InvalidState, PaymentRefused
from service.gateways import Gateways
from service.gateways.port import Answer, release, settle
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.phases import Interlude, failing
from service.operations.ordering.facts import OrderFacts
from service.operations.orders import saving
from service.operations.payments import attempts, dunning
from service.operations.payments.attempts import LEASE, Attempt
from service.operations.subscriptions import of_orders, unpaid
from service.principal import Store
from service.rules.states import PLACED_ORDERS
from service.store.pool import Connection
from service.store.statements import Command, One
from service.texts import Phrase


class Held(NamedTuple):
    """A locked order, as far as what a gateway says of its payment concerns it."""

    id: str
    status: str
    payment_status: str
    awaited: bool
    run: dunning.Run | None
    paid_with: saving.PaidWith | None


class _Settled(NamedTuple):
    order_id: str
    recorded: list[str]


_HOLD = One("ordering/placing.hold", Held)
_SAVE = Command("ordering/placing.save")
_SETTLE = One("ordering/placing.settle", _Settled)
_REFUSE = One("ordering/placing.refuse", _Settled)
_GIVE_STOCK_BACK = Command("ordering/placing.give_stock_back")


async def begin_voiding(connection: Connection, store: Store, order_id: str, *, actor: str) -> Interlude[None] | None:
    """Have the gateway let go of an order's money in the interlude; None when no gateway holds any."""
    attempt = await attempts.begin_voiding(connection, store, order_id, actor=actor)
    return None if attempt is None else asking(attempt)


async def resume(connection: Connection, store: Store, order_id: str, *, actor: str) -> Interlude[None] | None:
    """Go on with an order's payment that was left behind; None when there is none, or somebody is at it."""
    attempt = await attempts.claim(connection, store, order_id, actor=actor)
    return None if attempt is None else asking(attempt)


async def save(
    connection: Connection, store: Store, order: OrderFacts, *, status: str, paid: str, at: datetime
) -> None:
    """Set the statuses of an order that isn't placed by that."""
    await _SAVE(
        connection,
        store=store.id,
        saved=order.id,
        status=status,
        payment_status=paid,
        billing_address=None,
        shipping_address=None,
        paid_from=None,
        coupon_counted=None,
        placed_at=None,
        cancelled_at=at if status == "cancelled" and order.status != status else None,
        at=at,
    )


async def give_stock_back(connection: Connection, store: Store, order_id: str, at: datetime) -> None:
    """Give back what was taken out of the stock for an order: exactly that, and once."""
    await _GIVE_STOCK_BACK(connection, store=store.id, released=order_id, at=at)


def asking(attempt: Attempt) -> Interlude[None]:
    """Ask the gateway with no transaction open, and note its answer in the next one.

    Afterwards the order is placed, or pending again with its stock given back, and PaymentRefused raised.
    """

    async def meanwhile(gateways: Gateways) -> Answer | None:
        gateway = gateways[attempt.gateway]
        if attempt.status == "voiding":
            return Answer("voided") if await release(gateway, attempt.payment) else None
        return await settle(gateway, attempt.payment, again=attempt.asked > 1, patient=attempt.patient)

    async def then(connection: Connection, answer: Answer | None) -> Interlude[None] | None:
        return await _note(connection, attempt, answer)

    return Interlude(meanwhile, then)


async def _note(connection: Connection, attempt: Attempt, answer: Answer | None) -> Interlude[None] | None:
    """Write down what became of a payment, and of its order with it. Whoever comes second finds that done."""
    store, order_id = attempt.store, attempt.order_id
    paid = attempts.called(connection, attempt, answer)
    order = await _HOLD(connection, store=store.id, order=order_id, attempt=attempt.id, **paid)
    assert order is not None  # noqa: S101 -- one with payments is not deleted
    if answer is None:
        if attempt.status == "voiding":
            # The order is cancelled; the job goes on telling the gateway so.
            return None
        raise InProgress(
            "The payment gateway does not answer; once it does, the order is placed or back in its previous status.",
            headers={"Retry-After": str(int(LEASE.total_seconds()))},
        )
    refused = answer.status not in {"authorized", "voided"}
    if not await (_refuse if refused else _settle)(connection, attempt, order, answer):
        if attempt.status == "pending" and order.status not in PLACED_ORDERS:
            raise InvalidState("The order is {status} again.", status=order.status)
        return None
    if answer.status == "authorized" and order.awaited:
        await of_orders.activate(connection, store, order.id, actor=attempt.actor)
    return failing(_refusal(answer)) if refused else None


async def _settle(connection: Connection, attempt: Attempt, order: Held, answer: Answer) -> bool:
    """Write down that a payment was made or let go, and what follows; False when somebody else has.

    Once an order is placed, what it is paid with is kept where that was asked for, and the run that made it succeeds.
    """
    store, at = attempt.store, clock.now(attempt.store)
    placed = answer.status == "authorized"
    run = order.run if placed else None
    kept = await saving.as_asked(connection, store, order.paid_with if placed else None)
    happened = [Event("orders.place" if placed else "orders.void", order.id), *kept.events]
    if run is not None:
        happened.append(dunning.success(run, order.id))
    written = await _SETTLE(
        connection,
        store=store.id,
        order_status="placed" if placed else order.status,
        payment_status=answer.status,
        placed_at=at if placed and order.status != "placed" else None,
        paid_from=kept.source_id,
        subscription=kept.subscription_id if run is None else run.order_subscription_id,
        copy=None if run is None else run.copy_id,
        next_source=kept.source_id if kept.subscription_id else None,
        at=at,
        **kept.binds,
        **attempts.ending(connection, attempt, answer),
        **outbox.along(happened, actor=attempt.actor),
    )
    done = await _is_written(connection, attempt, happened, written)
    if done and run is not None:
        await dunning.recover(connection, store, run)
    if done and kept.subscription_id is not None:
        await dunning.hurry(connection, store, subscription_id=kept.subscription_id)
    return done


async def _refuse(connection: Connection, attempt: Attempt, order: Held, answer: Answer) -> bool:
    """Write down that a payment was refused, with what follows: the stock is given back, a run may be asked for anew.

    Returns False when somebody else has written an answer.
    """
    store, at = attempt.store, clock.now(attempt.store)
    refusal = dunning.refusal(
        order.run,
        order.id,
        error=_code(answer),
        messages={dunning.PAYMENT: [_reason(answer)]},
        failure_type="payment",
        hard=answer.hard,
        at=at,
    )
    happened = [Event("orders.pending", order.id), *refusal.events]
    written = await _REFUSE(
        connection,
        store=store.id,
        order_status="pending",
        payment_status=order.payment_status,
        at=at,
        **refusal.binds,
        **attempts.ending(connection, attempt, answer),
        **outbox.along(happened, actor=attempt.actor),
    )
    done = await _is_written(connection, attempt, happened, written)
    if done:
        refusal.tally(connection, order.run, "payment")
    if done and answer.hard:
        await dunning.bar(connection, attempt)
    if done and refusal.ended is not None:
        await unpaid.follow(connection, store, refusal.ended)
    return done


async def _is_written(
    connection: Connection, attempt: Attempt, happened: Sequence[Event], written: _Settled | None
) -> bool:
    """Whether what a gateway said was written down, which is complete then."""
    if written is not None:
        await outbox.complete(connection, attempt.store, happened, written.recorded, actor=attempt.actor)
    return written is not None


def _reason(answer: Answer) -> str | Phrase:
    """Why a payment was refused, for people."""
    return answer.detail or Phrase("The payment was refused.")


def _code(answer: Answer) -> str:
    """Why a payment was refused, for programs."""
    return answer.decline_code or answer.status


def _refusal(answer: Answer) -> PaymentRefused:
    return PaymentRefused(
        "The order was not placed and nothing was charged: {reason}",
        reason=_reason(answer),
        fields=("_place",),
        meta={"error": _code(answer)},
    )
