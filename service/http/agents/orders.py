"""The tools of past orders: looking them up, and buying one again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.kinds import render_timestamp
from service.http.agents import shapes
from service.http.agents.calls import Call, Tool
from service.http.agents.shapes import Money
from service.http.pages import demo_checkout
from service.operations.carts import contents
from service.operations.orders import past_orders
from service.operations.repeating import reorders
from service.operations.tenant import tenants
from service.rules.outcome_texts import detail
from service.rules.outcomes import Outcome


async def _list_past_orders(call: Call, asked: shapes.Page) -> shapes.PastOrders:
    found = await past_orders.latest(call.connection, call.principal, most=asked.limit)
    return shapes.PastOrders(
        orders=[
            shapes.PastOrder(
                id=order.id,
                code=order.code,
                placed_at=render_timestamp(order.placed_at) or "",
                total=Money.of(order.total_amount_cents, order.currency_code, call.locale),
                products=[shapes.Product(name=line.name, quantity=line.quantity) for line in order.lines],
            )
            for order in found
        ]
    )


async def _preview_reorder(call: Call, asked: shapes.Repeat) -> shapes.Preview:
    found = await reorders.look(call.connection, call.principal.store, call.wish(asked), order_id=asked.order_id)
    total = None if found.due is None else Money.of(found.due, found.plan.currency_code, call.locale)
    return shapes.Preview(digest=found.digest, lines=_outcomes(call, found.plan.outcomes), cart_total=total)


async def _reorder(call: Call, asked: shapes.Reorder) -> shapes.Reordered:
    store, wish = call.principal.store, call.wish(asked, asked.expected_digest)
    made = await reorders.reorder(call.connection, store, wish, order_id=asked.order_id)
    cart, checkout, total = made.cart, None, None
    if cart is not None:
        own = await tenants.checkout_url(call.connection, store)
        session = contents.session(call.connection, store, cart.id, cart.sealed_session)
        checkout = demo_checkout.of_cart(call.request, store, own, session)
        total = Money.of(cart.due, cart.currency_code, call.locale)
    return shapes.Reordered(
        reorder_id=made.id,
        cart_id=None if cart is None else cart.id,
        checkout_url=checkout,
        lines=_outcomes(call, made.outcomes),
        cart_total=total,
    )


def _outcomes(call: Call, outcomes: Sequence[Outcome]) -> list[shapes.Outcome]:
    return [_outcome(outcome, call.locale) for outcome in outcomes]


def _outcome(outcome: Outcome, locale: str) -> shapes.Outcome:
    line, now = outcome.line, outcome.comparable_unit_amount_cents
    return shapes.Outcome(
        line_item_id=line.id,
        name=outcome.name,
        status=outcome.status,
        code=outcome.code,
        detail=detail(outcome, locale),
        requested_quantity=outcome.requested_quantity,
        resulting_quantity=outcome.resulting_quantity,
        price_then=Money.of(line.unit_amount_cents, line.currency_code, locale),
        price_now=Money.of(now, line.currency_code, locale) if now is not None else None,
    )


TOOLS: Sequence[Tool[Any]] = (
    Tool(
        "list_past_orders",
        "List past orders",
        "The customer's orders that were placed, the latest first, with what was in them and what they came to.",
        shapes.Page,
        shapes.PastOrders,
        _list_past_orders,
        scopes=("read_orders",),
    ),
    Tool(
        "preview_reorder",
        "Preview a reorder",
        "What buying an order again would come to today: each line with its price then and now and what can't be had."
        " Nothing changes. Show it to the customer before `reorder`.",
        shapes.Repeat,
        shapes.Preview,
        _preview_reorder,
        scopes=("read_orders", "read_carts"),
        limit="reorder_previews",
    ),
    Tool(
        "reorder",
        "Buy an order again",
        "Puts the lines of a past order, or some of them, into the customer's cart at today's prices. Nothing is"
        " ordered or paid yet: give the customer the `checkout_url`.",
        shapes.Reorder,
        shapes.Reordered,
        _reorder,
        scopes=("read_orders", "update_carts"),
        limit="reorders",
        settles=False,
    ),
)
"""The tools of past orders."""
