"""Placing orders, and cancelling them: two transactions around the call to the payment gateway.

The first one checks everything, takes the stock and notes the payment under a key of its own: the order is `placing`.
The gateway is asked with no transaction open. The second one makes the order `placed`, or `pending` again with its
stock given back (`service.operations.orders.paying`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from service import clock
from service.errors import ApiError, Forbidden, InProgress, Invalid, InvalidState, raise_all
from service.gateways import needs_source, usable
from service.jsonapi.body import Draft
from service.operations.carts import contents
from service.operations.carts.contents import CartItem
from service.operations.catalogue import buying, stock
from service.operations.copies.targets import source_line
from service.operations.events import outbox
from service.operations.generic.phases import Interlude
from service.operations.orders import paying, saving
from service.operations.parties import addresses
from service.operations.payments import dunning
from service.operations.payments.attempts import Due
from service.operations.subscriptions import of_orders
from service.principal import Principal, Store
from service.rules.outcomes import Outcome
from service.rules.states import BLANK, Checkout, Method, missing, refused
from service.store.pool import Connection
from service.store.rows import Row
from service.texts import Phrase
from sql import queries

PLACING = queries("ordering/placing")
REPRICING = queries("orders/placing")


async def place(connection: Connection, principal: Principal, order_id: str, draft: Draft) -> Interlude[None] | None:
    """Place an order that is locked: the gateway is asked in the interlude; None when there is nothing to be done.

    An order that is placed already stays so; one that somebody is placing raises InProgress, unless that somebody is
    gone. Raises InvalidState, and all that is missing at once as Invalid; afterwards PaymentRefused, with the order
    pending again.
    """
    store, actor = principal.store, outbox.actor(principal)
    at = clock.now(store)
    facts = await paying.facts_of(connection, store, order_id)
    status = facts["status"]
    if status in ("placed", "approved"):
        return None
    if status == "placing":
        going_on = await paying.resume(connection, store, order_id, actor=actor)
        if going_on is None:
            raise _in_progress()
        return going_on
    if status == "cancelled":
        raise InvalidState("{reason}", reason=refused(status, "placed"), pointer=draft.pointer("_place"))
    token = draft.triggers.get("_payment_source_token") or facts["payment_source_token"]
    await _check(connection, principal, order_id, draft, facts, has_token=token is not None, at=at)
    billing_id, shipping_id = facts["billing_address_id"], facts["shipping_address_id"]
    if not facts["has_snapshots"]:
        originals = (billing_id, shipping_id)
        billing_id, shipping_id = await addresses.snapshots(
            connection, store, originals, customer_id=facts["customer_id"], at=at
        )
    amount = due(facts)
    status, paid = ("placing", facts["payment_status"]) if amount else ("placed", "free")
    kept = {**facts, "billing_address_id": billing_id, "shipping_address_id": shipping_id}
    await paying.save(connection, store, order_id, kept, status=status, paid=paid, at=at)
    if not amount:
        await paying.placed(connection, store, order_id, actor=actor)
        return None
    await outbox.record(connection, store, "orders.placing", order_id, actor=actor)
    to_wallet, to_subscription = (bool(draft.triggers.get(name)) for name in saving.TRIGGERS)
    due_now = Due(order_id, amount, token, to_wallet=to_wallet, to_subscription=to_subscription)
    return await paying.begin(connection, store, due_now, actor=actor)


async def cancel(connection: Connection, principal: Principal, order_id: str, draft: Draft) -> Interlude[None] | None:
    """Cancel an order that is locked: its stock goes back, and its payment is voided in the interlude, if it has one.

    Its subscriptions end where their models say so.

    An order that is cancelled already stays so. Raises InvalidState for an approved one unless an integration asks,
    Forbidden for a placed one where a guest asks, InProgress for one that is being placed.
    """
    store, actor = principal.store, outbox.actor(principal)
    facts = await paying.facts_of(connection, store, order_id)
    status = facts["status"]
    if status == "cancelled":
        return None
    if status == "placing":
        raise _in_progress()
    if status == "approved" and principal.owner is not None:
        raise InvalidState("The order is approved: only the shop can cancel it.", pointer=draft.pointer("_cancel"))
    if status in ("placed", "approved") and principal.cart_id is not None:
        raise Forbidden(
            "A placed order is cancelled by its customer or the shop, not with the session of a cart.",
            pointer=draft.pointer("_cancel"),
        )
    return await end(connection, store, order_id, facts, actor=actor)


async def end(
    connection: Connection, store: Store, order_id: str, facts: Mapping[str, Any], *, actor: str
) -> Interlude[None] | None:
    """Cancel an order that is locked and may be cancelled: stock, payment and subscriptions follow.

    Gives the interlude in which the gateway lets go of the money, if it holds any. Left alone, it is taken up by the
    job that looks after payments.
    """
    at = clock.now(store)
    status, paid = facts["status"], facts["payment_status"]
    voiding = None
    if status in ("placed", "approved"):
        await connection.execute(PLACING["give_stock_back"], store.id, order_id, at)
        voiding = await paying.begin_voiding(connection, store, order_id, actor=actor)
    if paid == "authorized" and voiding is None:
        paid = "voided"
    await paying.save(connection, store, order_id, facts, status="cancelled", paid=paid, at=at)
    await dunning.stop(connection, store, order_id=order_id)
    await outbox.record(connection, store, "orders.cancel", order_id, actor=actor)
    await of_orders.cancel(connection, store, order_id, actor=actor)
    return voiding


async def refresh_prices(connection: Connection, store: Store, order_id: str, at: datetime) -> None:
    """Bring an order of a cart to what that cart would come to today: prices, taxes, promotions and its coupon.

    A line that has no price keeps its own, and can't be placed. A coupon that doesn't apply any more is left out.
    """
    facts = await paying.facts_of(connection, store, order_id)
    rows = await connection.fetch(PLACING["lines"], store.id, order_id)
    quote = await contents.quote(
        connection,
        store,
        [_cart_item(row) for row in rows if row["sku_id"] is not None],
        currency=facts["currency_code"],
        at=at,
        customer_group_id=facts["customer_group_id"],
        coupon_code=facts["coupon_code"],
        coupon_counted=True,
    )
    columns = ("id", "unit_amount_cents", "compare_at_amount_cents", "discount_cents", "total_amount_cents")
    priced = [
        {column: getattr(item, column) for column in columns}
        | {"tax_rate": str(item.tax_rate), "tax_amount_cents": item.tax_amount_cents}
        for item in quote.items
    ]
    await connection.execute(REPRICING["reprice"], store.id, order_id, orjson.dumps(priced).decode(), at)
    coupon_code = facts["coupon_code"] if quote.coupon_status == "applied" else None
    await connection.execute(REPRICING["discount"], store.id, order_id, quote.totals.discount, coupon_code)


def _cart_item(row: Row) -> CartItem:
    """A line of the statement `lines` as the item of a cart."""
    return CartItem(
        id=row["id"],
        sku_id=row["sku_id"],
        source_line_item_id=None,
        sku_code=row["sku_code"],
        name=row["name"],
        image_url=None,
        options=orjson.loads(row["options"]),
        options_digest="",
        quantity=row["quantity"],
        unit_amount_cents=row["unit_amount_cents"],
    )


async def _check(
    connection: Connection,
    principal: Principal,
    order_id: str,
    draft: Draft,
    facts: Row,
    *,
    has_token: bool,
    at: datetime,
) -> None:
    """Take the stock of an order, or raise everything that keeps it from being placed."""
    store = principal.store
    rows = await connection.fetch(PLACING["lines"], store.id, order_id)
    outcomes = await _today(connection, store, rows, facts, at)
    pointer = draft.pointer("_place")
    problems: list[ApiError] = [
        Invalid("{name} - {message}", name=name, message=message, pointer=draft.pointer(name, "_place"), meta=meta)
        for name, message, meta in _missing(principal, facts, has_lines=bool(rows), has_token=has_token, at=at)
    ]
    problems += buying.check(outcomes, pointer, "line_item")
    if facts["cart_id"] is not None:
        problems += _dearer(outcomes, pointer)
    if not any(outcome.code for outcome in outcomes):
        problems += await _take_stock(connection, store, outcomes, pointer, at)
    raise_all(problems)


def _missing(
    principal: Principal, facts: Row, *, has_lines: bool, has_token: bool, at: datetime
) -> Sequence[tuple[str, str, Mapping[str, str]]]:
    """What an order lacks, by the names of its fields."""
    shipping, payment, gateway = facts["shipping_method_id"], facts["payment_method_id"], facts["gateway"]
    source_expires_at, source_id = facts["payment_source_expires_at"], facts["customer_payment_source_id"]
    checkout = Checkout(
        status="pending",
        ships=facts["fulfillment_status"] != "not_required",
        free=not due(facts),
        has_billing_address=facts["billing_address_id"] is not None,
        has_shipping_address=facts["shipping_address_id"] is not None,
        shipping_method=None if shipping is None else Method(facts["shipping_method_available"]),
        payment_method=None if payment is None else Method(facts["payment_method_available"], gateway),
        payment_source_expired=source_expires_at is not None and source_expires_at <= at,
        payment_source_missing=not has_token and needs_source(gateway),
        gateways=usable(principal.store.mode, external=facts["has_external_gateway"]),
    )
    found = missing(checkout)
    if not (facts["customer_id"] or facts["customer_email"]):
        found["customer_email"] = [BLANK]
    if not has_lines:
        found["line_items"] = [BLANK]
    if facts["expires_at"] is not None and facts["expires_at"] <= at:
        found["expires_at"] = [Phrase("has passed")]
    if source_id is not None and principal.owner is not None and principal.customer_id != facts["customer_id"]:
        found["customer_payment_source"] = [Phrase("belongs to the customer, who must sign in")]
    return [(name, message, {"field": name}) for name, messages in found.items() for message in messages]


async def _today(
    connection: Connection, store: Store, rows: Sequence[Row], facts: Row, at: datetime
) -> Sequence[Outcome]:
    """What the lines of an order would come to today. Prices of orders that are of no cart were agreed on."""
    return await buying.today(
        connection,
        store,
        [source_line(row) for row in rows],
        currency=facts["currency_code"],
        customer_group_id=facts["customer_group_id"],
        at=at,
        priced=facts["cart_id"] is None,
    )


def _dearer(outcomes: Sequence[Outcome], pointer: str) -> list[ApiError]:
    """A problem for each line whose price is another one now."""
    return [
        Invalid(
            "{name}: the price has changed since the order was made; send `_refresh_prices` to take over today's.",
            name=outcome.line.name,
            pointer=pointer,
            meta={
                "error": "price_changed",
                "line_item_id": outcome.line.id,
                "unit_amount_cents": outcome.price.amount_cents,
            },
        )
        for outcome in outcomes
        if outcome.price is not None and outcome.price.amount_cents != outcome.line.unit_amount_cents
    ]


async def _take_stock(
    connection: Connection, store: Store, outcomes: Sequence[Outcome], pointer: str, at: datetime
) -> list[ApiError]:
    """Take what an order needs out of the stock; a problem for each line of which somebody else was quicker to take."""
    pieces = ((outcome.line.sku_id or "", outcome.line.quantity) for outcome in outcomes)
    short = await stock.take(connection, store, pieces, at)
    return [
        Invalid(
            "{name}: not enough is in stock.",
            name=outcome.line.name,
            pointer=pointer,
            meta={"error": "out_of_stock", "line_item_id": outcome.line.id, "sku_code": outcome.line.sku_code},
        )
        for outcome in outcomes
        if outcome.line.sku_id in short
    ]


def due(facts: Row) -> int:
    """What has to be paid, in minor units: taxes come on top of the total unless they are included."""
    on_top = 0 if facts["tax_included"] else facts["total_tax_amount_cents"]
    return int(facts["total_amount_cents"] + on_top)


def _in_progress() -> InProgress:
    return InProgress("The order is being placed; retry in a moment.", headers={"Retry-After": "1"})
