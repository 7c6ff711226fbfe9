"""Payments of orders: noted before the gateway is asked, and whatever it says noted after, with what the order becomes.

Whoever is at a payment holds it for the time of a lease. When that is over (its process died), the next one asks the
gateway what became of its key, and goes on: nobody is charged twice.
"""

from __future__ import annotations

from datetime import datetime

from service import clock
from service.errors import InProgress, InvalidState, PaymentRefused
from service.gateways import Gateways
from service.gateways.port import Answer, release, settle
from service.operations.events import outbox
from service.operations.generic.phases import Interlude, failing
from service.operations.ordering import facts
from service.operations.ordering.facts import OrderFacts, Ways
from service.operations.orders import saving
from service.operations.payments import attempts, dunning
from service.operations.payments.attempts import LEASE, Attempt, Due
from service.operations.subscriptions import of_orders
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Command
from service.texts import Phrase

_SAVE = Command("ordering/placing.save")
_GIVE_STOCK_BACK = Command("ordering/placing.give_stock_back")


async def begin(connection: Connection, store: Store, due: Due, *, actor: str) -> Interlude[None]:
    """Note what is due of an order that is placing, and ask its gateway for it in the interlude.

    Afterwards the order is placed, or pending again with its stock given back, and PaymentRefused raised.
    """
    (attempt,) = await attempts.begin(connection, store, [due], actor=actor)
    return _asking(attempt)


async def begin_voiding(connection: Connection, store: Store, order_id: str, *, actor: str) -> Interlude[None] | None:
    """Have the gateway let go of an order's money in the interlude; None when no gateway holds any."""
    attempt = await attempts.begin_voiding(connection, store, order_id, actor=actor)
    return None if attempt is None else _asking(attempt)


async def resume(connection: Connection, store: Store, order_id: str, *, actor: str) -> Interlude[None] | None:
    """Go on with an order's payment that was left behind; None when there is none, or somebody is at it."""
    attempt = await attempts.claim(connection, store, order_id, actor=actor)
    return None if attempt is None else _asking(attempt)


async def save(
    connection: Connection,
    store: Store,
    order: OrderFacts,
    *,
    status: str,
    paid: str,
    at: datetime,
    ways: Ways | None = None,
) -> None:
    """Set an order's statuses, and its addresses to those of `ways`, where they are given."""
    new, ways = status != order.status, ways or order.ways
    await _SAVE(
        connection,
        store=store.id,
        order=order.id,
        status=status,
        payment_status=paid,
        billing_address=ways.billing_address_id,
        shipping_address=ways.shipping_address_id,
        placed_at=at if new and status == "placed" else None,
        cancelled_at=at if new and status == "cancelled" else None,
        at=at,
    )


async def give_stock_back(connection: Connection, store: Store, order_id: str, at: datetime) -> None:
    """Give back what was taken out of the stock for an order: exactly that, and once."""
    await _GIVE_STOCK_BACK(connection, store=store.id, order=order_id, at=at)


async def placed(connection: Connection, store: Store, order_id: str, *, actor: str) -> None:
    """What follows once an order is placed: its event, and the subscriptions that waited for it."""
    await outbox.record(connection, store, "orders.place", order_id, actor=actor)
    await of_orders.activate(connection, store, order_id, actor=actor)


def _asking(attempt: Attempt) -> Interlude[None]:
    """Ask the gateway with no transaction open, and note its answer in the next one."""

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
    await dunning.hold(connection, store, order_id)
    order = await facts.of(connection, store, order_id, at=clock.now(store))
    if answer is None:
        if attempt.status == "voiding":
            # The order is cancelled; the job goes on telling the gateway so.
            return None
        raise InProgress(
            "The payment gateway does not answer; once it does, the order is placed or back in its previous status.",
            headers={"Retry-After": str(int(LEASE.total_seconds()))},
        )
    if not await attempts.end(connection, attempt, answer):
        if attempt.status == "pending" and order.status not in ("placed", "approved"):
            raise InvalidState("The order is {status} again.", status=order.status)
        return None
    return await _conclude(connection, attempt, order, answer)


async def _conclude(
    connection: Connection, attempt: Attempt, order: OrderFacts, answer: Answer
) -> Interlude[None] | None:
    """What the answer to a payment means for its order."""
    store, order_id, at = attempt.store, attempt.order_id, clock.now(attempt.store)
    if answer.status == "voided":
        await save(connection, store, order, status=order.status, paid="voided", at=at)
        await outbox.record(connection, store, "orders.void", order_id, actor=attempt.actor)
        return None
    if answer.status == "authorized":
        await save(connection, store, order, status="placed", paid="authorized", at=at)
        await placed(connection, store, order_id, actor=attempt.actor)
        await saving.save_as_asked(connection, store, order_id, actor=attempt.actor, at=at)
        if order.order_subscription_id is not None:
            await dunning.succeeded(connection, store, order_id, actor=attempt.actor, at=at)
        return None
    await give_stock_back(connection, store, order_id, at)
    await save(connection, store, order, status="pending", paid=order.payment_status, at=at)
    await outbox.record(connection, store, "orders.pending", order_id, actor=attempt.actor)
    reason = answer.detail or Phrase("The payment was refused.")
    error = answer.decline_code or answer.status
    if order.order_subscription_id is not None:
        await dunning.refused(
            connection,
            store,
            order_id,
            attempt.id,
            error=error,
            messages={dunning.PAYMENT: [reason]},
            hard=answer.hard,
            actor=attempt.actor,
            at=at,
        )
    return failing(
        PaymentRefused(
            "The order was not placed and nothing was charged: {reason}",
            reason=reason,
            fields=("_place",),
            meta={"error": error},
        )
    )
