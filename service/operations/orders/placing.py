"""Placing orders, and cancelling them: two transactions around the call to the payment gateway.

The first one checks everything, takes the stock and notes the payment under a key of its own: the order is `placing`.
The gateway is asked with no transaction open. The second one makes the order `placed`, or `pending` again with its
stock given back (`service.operations.orders.paying`).
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from service import clock
from service.errors import raise_all
from service.operations.catalogue import pricing, stock
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic import starting
from service.operations.generic.phases import Interlude
from service.operations.ordering import checks, facts
from service.operations.ordering.checks import Problem
from service.operations.ordering.facts import OrderFacts
from service.operations.ordering.today import Today, today
from service.operations.orders import paying
from service.operations.parties import addresses
from service.operations.payments import attempts, dunning
from service.operations.payments.attempts import Attempt, Due, Held
from service.operations.subscriptions import of_orders
from service.principal import Principal, Store
from service.rules.discounts import COUPON_PROBLEMS
from service.rules.states import PLACED_ORDERS
from service.store.pool import Connection
from service.store.statements import Command, Only


class _Written(NamedTuple):
    counted: bool
    short: list[str]
    recorded: list[str]
    begun: Held | None


_PLACE = Only("ordering/placing.place", _Written)
_NOTE_COUPON = Command("ordering/placing.note_coupon")
_GIVE_LINK_BACK = Command("ordering/placing.give_link_back")


class Payment(NamedTuple):
    """What an order is paid with, None for its source from the wallet, and where that is kept once it has paid.

    `retried_at` is when the service asks for it anew by itself; None unless it does.
    """

    token: str | None = None
    to_wallet: bool = False
    to_subscription: bool = False
    retried_at: datetime | None = None

    def due(self, order_id: str, amount_cents: int) -> Due:
        """What is due of an order, to be paid so."""
        return Due(order_id, amount_cents, self.token, self.to_wallet, self.to_subscription, self.retried_at)


async def place(
    connection: Connection,
    principal: Principal,
    order_id: str,
    payment: Payment = Payment(),  # noqa: B008 -- it is frozen
) -> Interlude[None] | None:
    """Place an order that is locked: the gateway is asked in the interlude; None when there is nothing to be done.

    An order that is placed already stays so; one that somebody is placing raises InProgress, unless that somebody is
    gone. Raises InvalidState, and all that is missing at once as Invalid; afterwards PaymentRefused, with the order
    pending again.
    """
    store, actor = principal.store, outbox.actor(principal)
    at = clock.now(store)
    order, offers = await facts.offered(connection, store, order_id, at=at)
    if starting.starts(principal, "orders", "place", order.status) is None:
        return None
    if order.status == "placing":
        going_on = await paying.resume(connection, store, order_id, actor=actor)
        if going_on is None:
            raise starting.passing(order.status)
        return going_on
    now = await today(order, offers)
    problems = list(checks.lacks(principal, order, token=payment.token, at=at))
    problems += checks.unavailable(now.outcomes, "line_item")
    problems += checks.changes(order, now)
    raise_all([problem.error("_place") for problem in problems])
    attempt = await _write(connection, store, order, now, payment, actor=actor, at=at)
    if attempt is not None:
        return paying.asking(attempt)
    if order.awaited:
        await of_orders.activate(connection, store, order_id, actor=actor)
    return None


async def _write(
    connection: Connection, store: Store, order: OrderFacts, now: Today, payment: Payment, *, actor: str, at: datetime
) -> Attempt | None:
    """Write that an order is placed, or placing where something is due of it; returns the payment, if there is one.

    Raises Invalid where somebody else was quicker to take stock or the last use of the coupon.
    """
    due = order.amounts.due
    dues = [payment.due(order.id, due)] if due else []
    coupon = None if order.coupon_counted or not order.follows or now.coupon_status != "applied" else order.coupon_code
    happened = [Event("orders.placing" if due else "orders.place", order.id)]
    copies = addresses.copies(
        () if order.has_snapshots else (order.ways.billing_address_id, order.ways.shipping_address_id),
        customer_id=order.customer_id,
    )
    billing_id, shipping_id = copies.ids or (None, None)
    written = await _PLACE(
        connection,
        store=store.id,
        order=order.id,
        **copies.binds,
        coupon=coupon,
        coupon_counted=None if coupon is None else True,
        billing_address=billing_id,
        shipping_address=shipping_id,
        status="placing" if due else "placed",
        payment_status=order.payment_status if due else "free",
        placed_at=None if due else at,
        at=at,
        **stock.needed((line.sku_id or "", line.quantity) for line in order.of_skus),
        **attempts.noting(connection, store, dues),
        **outbox.along(happened, actor=actor),
    )
    problems = list(checks.sold_out(order.of_skus, written.short))
    if coupon is not None and not written.counted:
        problems.append(Problem(COUPON_PROBLEMS["used_up"], "used_up", details={"field": "coupon_code"}))
    raise_all([problem.error("_place") for problem in problems])
    await outbox.complete(connection, store, happened, written.recorded, actor=actor)
    return None if written.begun is None else attempts.as_attempt(connection, store, written.begun, actor)


async def cancel(connection: Connection, principal: Principal, order_id: str) -> Interlude[None] | None:
    """Cancel an order that is locked: its stock goes back, and its payment is voided in the interlude, if it has one.

    Its subscriptions end where their models say so.

    An order that is cancelled already stays so. Raises Forbidden for a placed one where a guest asks and for an
    approved one unless an integration asks, InProgress for one that is being placed.
    """
    store, actor = principal.store, outbox.actor(principal)
    order = await facts.of(connection, store, order_id, at=clock.now(store))
    if starting.starts(principal, "orders", "cancel", order.status) is None:
        return None
    return await end(connection, store, order, actor=actor)


async def end(connection: Connection, store: Store, order: OrderFacts, *, actor: str) -> Interlude[None] | None:
    """Cancel an order that is locked and may be cancelled: stock, payment and subscriptions follow.

    Of one that was never placed, the uses of its coupon and of its repeat link are given back.

    Returns the interlude in which the gateway lets go of the money, if it holds any. Left alone, it is taken up by the
    job that looks after payments.
    """
    at = clock.now(store)
    paid = order.payment_status
    voiding = None
    if order.status in PLACED_ORDERS:
        await paying.give_stock_back(connection, store, order.id, at)
        voiding = await paying.begin_voiding(connection, store, order.id, actor=actor)
    if order.placed_at is None:
        await give_uses_back(connection, store, order, at)
    if paid == "authorized" and voiding is None:
        paid = "voided"
    await paying.save(connection, store, order, status="cancelled", paid=paid, at=at)
    await dunning.stop(connection, store, order_id=order.id)
    await outbox.record(connection, store, "orders.cancel", order.id, actor=actor)
    await of_orders.cancel(connection, store, order.id, actor=actor)
    return voiding


async def give_uses_back(connection: Connection, store: Store, order: OrderFacts, at: datetime) -> None:
    """Count an order that was never placed no more among the uses of its coupon and of its repeat link."""
    if order.coupon_counted and order.coupon_code is not None:
        await pricing.give_coupon_back(connection, store, order.coupon_code, at=at)
        await _NOTE_COUPON(connection, store=store.id, order=order.id, counted=False)
    if order.repeat_link_id is not None:
        await _GIVE_LINK_BACK(connection, store=store.id, link=order.repeat_link_id, at=at)
