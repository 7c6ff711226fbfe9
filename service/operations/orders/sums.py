"""What an order comes to, until it is placed."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from service import clock
from service.operations.catalogue import pricing
from service.operations.events import outbox
from service.operations.ordering import facts
from service.operations.ordering.facts import Amounts, Line, OrderFacts
from service.operations.ordering.today import Today, added_up, today
from service.principal import Store
from service.rules.states import OPEN_ORDERS, resting
from service.store.pool import Connection
from service.store.statements import Command

_PRICE = Command("ordering/placing.price")


async def recalculate(
    connection: Connection, store: Store, order_id: str, *, actor: str, fresh: bool = False
) -> OrderFacts | None:
    """Add up an order that was not placed, and bring its resting status up to date; it is locked by the caller.

    What it costs to ship and to pay stays what it was, unless that is to be `fresh`. Returns the order as it was, None
    for one that is closed. Raises Invalid when an amount is larger than can be kept, or the total less than zero.
    """
    order = await facts.of(connection, store, order_id, at=clock.now(store))
    if order.status not in OPEN_ORDERS:
        return None
    amounts = added_up(order, order.lines, fresh=fresh)
    await _save(connection, store, order, order.lines, amounts, actor=actor)
    return order


async def reprice(connection: Connection, store: Store, order_id: str, *, actor: str) -> Today | None:
    """Bring an order that was not placed to what it comes to today; it is locked by the caller.

    A line that has no price today keeps its own, and can't be placed. Of an order of a cart, a coupon that doesn't
    apply any more is left out, and not used by it. Returns what it comes to, None for an order that is closed. Raises
    as `recalculate`.
    """
    at = clock.now(store)
    order, offers = await facts.offered(connection, store, order_id, at=at)
    if order.status not in OPEN_ORDERS:
        return None
    found = await today(order, offers)
    drops = order.cart_id is not None and found.coupon_status != "applied"
    if drops and order.coupon_code is not None and order.coupon_counted:
        await pricing.give_coupon_back(connection, store, order.coupon_code, at=at)
    await _save(connection, store, order, found.lines, found.amounts, actor=actor, drops_coupon=drops)
    return found


async def _save(
    connection: Connection,
    store: Store,
    order: OrderFacts,
    lines: Sequence[Line],
    amounts: Amounts,
    *,
    actor: str,
    drops_coupon: bool = False,
) -> None:
    """Write what has changed of an order that comes to these amounts."""
    status, fulfillment = statuses(lines, known=bool(order.customer_id or order.customer_email))
    changed = [now for was, now in zip(order.lines, lines, strict=True) if was != now]
    coupon_code = None if drops_coupon else order.coupon_code
    was = (order.status, order.fulfillment_status, order.coupon_code, order.amounts)
    if not changed and was == (status, fulfillment, coupon_code, amounts):
        return
    await _PRICE(
        connection,
        store=store.id,
        order=order.id,
        lines=orjson.dumps([row(line) for line in changed]).decode(),
        status=status,
        fulfillment_status=fulfillment,
        coupon=coupon_code,
        coupon_counted=order.coupon_counted and coupon_code is not None,
        tax_included=amounts.tax_included,
        subtotal=amounts.subtotal,
        shipping=amounts.shipping,
        payment_method=amounts.payment_method,
        discount=amounts.discount,
        adjustment=amounts.adjustment,
        subtotal_tax=amounts.subtotal_tax,
        tax=amounts.tax,
        total=amounts.total,
        at=clock.now(store),
    )
    if order.status != status:
        await outbox.record(connection, store, f"orders.{status}", order.id, actor=actor)


def statuses(lines: Sequence[Line], *, known: bool) -> tuple[str, str]:
    """How an order of these lines rests, whose buyer is `known` or not, and how it is fulfilled."""
    ships = any(line.ships for line in lines)
    fulfillment = "unfulfilled" if ships or not lines else "not_required"
    return resting(has_customer=known, has_lines=bool(lines)), fulfillment


def columns(amounts: Amounts) -> dict[str, object]:
    """The columns of an order that hold its amounts."""
    return {
        "tax_included": amounts.tax_included,
        "subtotal_amount_cents": amounts.subtotal,
        "shipping_amount_cents": amounts.shipping,
        "payment_method_amount_cents": amounts.payment_method,
        "discount_amount_cents": amounts.discount,
        "adjustment_amount_cents": amounts.adjustment,
        "subtotal_tax_amount_cents": amounts.subtotal_tax,
        "total_tax_amount_cents": amounts.tax,
        "total_amount_cents": amounts.total,
    }


def row(line: Line) -> dict[str, object]:
    """A line as statements read what it comes to."""
    return {
        "id": line.id,
        "unit_amount_cents": line.unit_amount_cents,
        "compare_at_amount_cents": line.compare_at_amount_cents,
        "discount_cents": line.discount_cents,
        "total_amount_cents": line.total_amount_cents,
        "tax_rate": str(line.tax_rate),
        "tax_amount_cents": line.tax_amount_cents,
    }
