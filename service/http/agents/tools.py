"""The tools: what a customer's assistant can do, by the operations that the API calls, in the customer's name.

Who may do it, how often, and what happens when it is asked twice, are as for the request of the API that does the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.requests import Request

from schemas.kinds import render_timestamp
from service.http.agents import shapes
from service.http.agents.shapes import Answered, Money, Taken
from service.http.pages import demo_checkout
from service.operations.carts import contents
from service.operations.events import outbox
from service.operations.orders import past_orders
from service.operations.repeating import reorders
from service.operations.repeating.plans import Wish
from service.operations.subscriptions import overviews
from service.operations.subscriptions.overviews import Coming, Occurrence, Overview
from service.operations.tenant import tenants
from service.principal import Principal
from service.rules.outcome_texts import detail
from service.rules.outcomes import Outcome
from service.store.pool import Connection

A = TypeVar("A", bound=Taken)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool: the request that brought it, whose it is, and the language that it is answered in."""

    request: Request
    connection: Connection
    principal: Principal
    locale: str

    def wish(self, asked: shapes.Repeat, digest: str | None = None) -> Wish:
        """Return what is to be repeated, as a reorder takes it."""
        return Wish(
            customer_id=self.principal.customer_id,
            actor=outbox.actor(self.principal),
            locale=self.locale,
            lines=asked.chosen(),
            expected_digest=digest,
        )


@dataclass(frozen=True)
class Tool(Generic[A]):
    """A tool by its name, with what it takes, what it answers, and what does it.

    `scopes` are what a token needs for it, `limit` is the class of routes that it is counted in. `settles` says that
    doing it twice is as good as once.
    """

    name: str
    title: str
    description: str
    takes: type[A]
    answers: type[Answered]
    run: Callable[[Call, A], Awaitable[Answered]]
    scopes: Sequence[str]
    limit: str | None = None
    settles: bool = True

    @property
    def reads(self) -> bool:
        """Whether it changes nothing: only what does takes a key, so as to take effect once."""
        return not issubclass(self.takes, shapes.Doing)


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


async def _list_subscriptions(call: Call, _: shapes.Nothing) -> shapes.Subscriptions:
    found = await overviews.of_customer(call.connection, call.principal)
    return shapes.Subscriptions(
        subscriptions=[
            shapes.Subscribed(
                id=one.id,
                status=one.status,
                frequency=one.frequency,
                next_run_at=render_timestamp(one.next_run_at),
                products=[shapes.Product(name=item.name, quantity=item.quantity) for item in one.items],
            )
            for one in found
        ]
    )


async def _list_upcoming_deliveries(call: Call, asked: shapes.OfSubscription) -> shapes.Deliveries:
    found = await overviews.coming(call.connection, call.principal, asked.subscription_id, most=asked.limit)
    return shapes.Deliveries(deliveries=[_coming(run, call.locale) for run in found])


def _coming(run: Coming, locale: str) -> shapes.Coming:
    total = run.total_amount_cents
    return shapes.Coming(
        delivery_id=run.id,
        scheduled_at=render_timestamp(run.at) or "",
        status=run.status,
        reason=run.reason,
        total=None if total is None else Money.of(total, run.currency_code, locale),
    )


async def _skip_delivery(call: Call, asked: shapes.Delivery) -> shapes.Done:
    return _of_run(await overviews.skip(call.connection, call.principal, asked.delivery_id))


async def _restore_delivery(call: Call, asked: shapes.Delivery) -> shapes.Done:
    return _of_run(await overviews.skip(call.connection, call.principal, asked.delivery_id, back=True))


async def _move_delivery(call: Call, asked: shapes.Move) -> shapes.Done:
    return _of_run(await overviews.move(call.connection, call.principal, asked.delivery_id, asked.to))


def _of_run(run: Occurrence) -> shapes.Done:
    at = None if run.status == "skipped" else render_timestamp(run.scheduled_at)
    return shapes.Done(id=run.id, status=run.status, at=at)


async def _pause_subscription(call: Call, asked: shapes.Pause) -> shapes.Done:
    return _of_subscription(await overviews.pause(call.connection, call.principal, asked.subscription_id, asked.until))


async def _resume_subscription(call: Call, asked: shapes.Subscription) -> shapes.Done:
    return _of_subscription(await overviews.pause(call.connection, call.principal, asked.subscription_id, None))


def _of_subscription(found: Overview) -> shapes.Done:
    return shapes.Done(id=found.id, status=found.status, at=render_timestamp(found.next_run_at))


_READS, _WRITES = ("read_subscriptions",), ("read_subscriptions", "update_subscriptions")

_ALL: Sequence[Tool[Any]] = (
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
    Tool(
        "list_subscriptions",
        "List subscriptions",
        "The customer's subscriptions that aren't cancelled, with what each delivers and when it does so next.",
        shapes.Nothing,
        shapes.Subscriptions,
        _list_subscriptions,
        scopes=_READS,
    ),
    Tool(
        "list_upcoming_deliveries",
        "List upcoming deliveries",
        "The next deliveries of a subscription, skipped ones too, with what each would come to at today's prices.",
        shapes.OfSubscription,
        shapes.Deliveries,
        _list_upcoming_deliveries,
        scopes=_READS,
    ),
    Tool(
        "skip_delivery",
        "Skip a delivery",
        "Leaves out one delivery of a subscription; the others stay. `restore_delivery` takes it back.",
        shapes.Delivery,
        shapes.Done,
        _skip_delivery,
        scopes=_WRITES,
    ),
    Tool(
        "restore_delivery",
        "Restore a skipped delivery",
        "Lets a delivery happen after all that was skipped.",
        shapes.Delivery,
        shapes.Done,
        _restore_delivery,
        scopes=_WRITES,
    ),
    Tool(
        "move_delivery",
        "Move a delivery",
        "Moves one delivery of a subscription to another time; those after it stay where they are.",
        shapes.Move,
        shapes.Done,
        _move_delivery,
        scopes=_WRITES,
    ),
    Tool(
        "pause_subscription",
        "Pause a subscription",
        "Leaves out all deliveries of a subscription until a time. `resume_subscription` ends the pause.",
        shapes.Pause,
        shapes.Done,
        _pause_subscription,
        scopes=_WRITES,
    ),
    Tool(
        "resume_subscription",
        "Resume a subscription",
        "Ends the pause of a subscription now: it goes on with its next date after now.",
        shapes.Subscription,
        shapes.Done,
        _resume_subscription,
        scopes=_WRITES,
    ),
)

TOOLS: Mapping[str, Tool[Any]] = {tool.name: tool for tool in _ALL}
"""The tools by their names, in the order in which they are listed."""
