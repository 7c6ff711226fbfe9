"""Reorders: the lines of a past order put into a cart at the prices of today, in one transaction under the cart's lock.

A preview is the same without the lock and without writing. The number of statements doesn't depend on the number of
lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import orjson

from service import clock
from service.errors import Conflict, NotFound, PreviewStale
from service.jsonapi.body import Draft
from service.operations.carts import amounts, contents
from service.operations.carts.amounts import Quote
from service.operations.carts.contents import Cart, CartItem
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.created import Created
from service.operations.repeating import plans
from service.operations.repeating.plans import Plan, Wish
from service.principal import Principal, Store
from service.rules.outcome_texts import detail
from service.rules.outcomes import Outcome, Policy, decide
from service.store.pool import Connection
from service.store.statements import One


class _Written(NamedTuple):
    id: str | None
    recorded: list[str]


_CREATE = One("repeating/reorders.create", _Written)


@dataclass(frozen=True, slots=True)
class Reorder:
    """How it went: `cart` is None when every line was skipped, `items` has for each outcome the id of its item.

    `stored` is the cart as it was before; `opens` says that it is made.
    """

    id: str
    cart: Cart | None
    outcomes: Sequence[Outcome]
    items: Sequence[str | None]
    digest: str
    stored: Cart | None = None
    opens: bool = False

    @property
    def counts(self) -> Mapping[str, int]:
        """How many lines ended in each status."""
        return counts(self.outcomes)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a reorder would come to: `quote` is None when every line would be skipped."""

    plan: Plan
    quote: Quote | None
    digest: str

    @property
    def due(self) -> int | None:
        """What the cart would come to; None where nothing goes into one."""
        return None if self.quote is None else self.quote.due


async def create(connection: Connection, principal: Principal, draft: Draft) -> Created:
    """Make the reorder of a POST /api/reorders.

    Raises NotFound for an order or cart that is unknown or of another customer, NeverPlaced, Invalid for `lines` that
    make no sense and for a cart that would hold too much, InvalidState for a cart that isn't active, Conflict for an id
    that is taken, PreviewStale where the digest is not the expected one, ReorderDisabled where the store says so.
    """
    wish, order_id = wish_of(principal, draft)
    made = await reorder(connection, principal.store, wish, order_id=order_id)
    return Created(made.id)


def wish_of(principal: Principal, draft: Draft) -> tuple[Wish, str | None]:
    """What the document of a reorder, or of its preview, asks for, and the id of the order that it is about.

    Raises Forbidden for a token that may not read orders.
    """
    principal.require("read_orders")  # as on WeMasy's route: the outcomes tell what was ordered
    attributes = draft.attributes
    wish = Wish(
        customer_id=principal.customer_id,
        actor=outbox.actor(principal),
        locale=draft.locale or principal.store.locale,
        policy=Policy(stock=attributes.get("stock_policy", "ignore")),
        strategy=attributes.get("strategy", "append"),
        cart_id=draft.related("cart"),
        lines=attributes.get("lines"),
        expected_digest=attributes.get("expected_digest"),
        id=draft.id,
        reference=attributes.get("reference"),
        reference_origin=attributes.get("reference_origin"),
        metadata=attributes.get("metadata", {}),
    )
    return wish, draft.related("source_order")


async def reorder(
    connection: Connection, store: Store, wish: Wish, *, order_id: str | None = None, number: int | None = None
) -> Reorder:
    """Repeat the order of this id or number: cart, reorder, outcomes and events, all in the caller's transaction.

    The lines go into the wish's cart, else the customer's active cart, which is made if a line can be added. Raises as
    `create` does, after which the transaction must be rolled back.
    """
    at = clock.now(store)
    while True:
        plan = await plans.plan(connection, store, wish, order_id=order_id, number=number, at=at, hold=True)
        made = await _fill(connection, store, plan, at=at)
        if wish.expected_digest not in (None, made.digest):
            raise PreviewStale(
                "The result of this reorder has changed since its preview.",
                fields=("expected_digest",),
                meta={"digest": made.digest},
            )
        if await _write(connection, store, plan, made, at=at):
            return made


async def look(connection: Connection, store: Store, wish: Wish, *, order_id: str | None) -> Preview:
    """What a reorder would come to now; writes and locks nothing. Raises as `create` does, but for the digest."""
    at = clock.now(store)
    plan = await plans.plan(connection, store, wish, order_id=order_id, at=at, hold=False)
    if plan.empty:
        return Preview(plan, None, plans.digest(plan, (), 0, 0))
    if plan.found is not None and plan.keeps_cart:
        items, _ = plan.fill(plan.found.items)
        quote = await amounts.checked(plan.found, items, plan.catalogue, plan.promotions)
    else:
        items, _ = plan.fill(())
        currency, group = plan.currency_code, plan.source.customer_group_id
        quote = await amounts.quote(connection, store, items, currency=currency, customer_group_id=group, at=at)
    return Preview(plan, quote, plans.digest(plan, quote.items, quote.totals.discount, quote.totals.total))


async def preview(
    connection: Connection,
    store: Store,
    source_order_id: str,
    *,
    policy: Policy,
    choice: Mapping[str, int] | None = None,
) -> tuple[list[Outcome], list[Outcome]]:
    """What would become of each line of an order in an empty cart, and of those that are left out by themselves.

    `choice` holds the quantities of the lines that are wanted, by their ids; None is all lines as they were. Writes
    nothing. Prices are those of the order's customer, in its currency. Raises NotFound for an unknown order.
    """
    source = await plans.source_order(connection, store, source_order_id, None, None)
    if source is None:
        raise NotFound("There is no such order.")
    # A link is handed on: nothing of the order goes with it.
    bare = source.bare()
    catalogue = await plans.catalogue(connection, store, bare, at=clock.now(store))
    if choice is None:
        return decide(bare.lines, catalogue, {}, policy), []
    wanted = [replace(line, quantity=choice[line.id]) for line in bare.lines if line.id in choice]
    others = [line for line in bare.lines if line.id not in choice]
    return decide(wanted, catalogue, {}, policy), decide(others, catalogue, {}, policy)


def items_of(outcomes: Sequence[Outcome]) -> list[CartItem]:
    """What an empty cart would hold once the outcomes are in it."""
    return plans.merge((), outcomes)[0]


async def fill(connection: Connection, store: Store, cart_id: str, outcomes: Sequence[Outcome]) -> list[str | None]:
    """Make what can be had the contents of an active cart, at today's prices.

    Gives the id of the cart item of each outcome, None for skipped ones. Raises NotFound for an unknown cart,
    InvalidState for one that isn't active, Invalid when it would hold too much.
    """
    cart = await contents.lock(connection, store, cart_id)
    at = clock.now(store)
    wanted = [outcome.item.sku_id for outcome in outcomes if outcome.item is not None]
    catalogue = await contents.catalogue(connection, store, cart, wanted, at=at)
    items, ids = plans.merge(cart.items, outcomes, replacing=True)
    await amounts.save(connection, store, cart, items, catalogue, at=at)
    return ids


def counts(outcomes: Sequence[Outcome]) -> Mapping[str, int]:
    """How many outcomes there are of each status."""
    statuses = [outcome.status for outcome in outcomes]
    return {status: statuses.count(status) for status in ("added", "adjusted", "skipped")}


async def _fill(connection: Connection, store: Store, plan: Plan, *, at: datetime) -> Reorder:
    """What the cart holds once it is filled, which is a new one where there is none to fill."""
    wish, cart = plan.wish, plan.found
    id_ = wish.id or clock.new_id()
    if plan.empty:
        nothing = [None] * len(plan.outcomes)
        return Reorder(id_, None, plan.outcomes, nothing, plans.digest(plan, (), 0, 0))
    opens = cart is None or not plan.keeps_cart
    if cart is not None and opens:
        await contents.abandon(connection, store, cart, at=at, actor=wish.actor)
    if cart is None or opens:
        await contents.require_room(connection, store, plan.source.customer_id)
        cart = contents.new(
            connection,
            store,
            currency=plan.currency_code,
            tax_included=plan.source.tax_included,
            customer_id=plan.source.customer_id,
            customer_group_id=plan.source.customer_group_id,
        )
    items, ids = plan.fill(cart.items)
    filled = await amounts.priced(cart, items, plan.catalogue, plan.promotions)
    digest = plans.digest(plan, filled.items, filled.discount_amount_cents, filled.total_amount_cents)
    return Reorder(id_, filled, plan.outcomes, ids, digest, cart, opens)


async def _write(connection: Connection, store: Store, plan: Plan, made: Reorder, *, at: datetime) -> bool:
    """Write the cart and the reorder with its outcomes and events. Raises Conflict when the wish's id is taken.

    Returns False, with nothing written, when another transaction has made the customer's cart meanwhile: decide again
    on what that one holds.
    """
    wish, source = plan.wish, plan.source
    rows = [
        outcome_columns(position, outcome, item, wish.locale)
        for position, (outcome, item) in enumerate(zip(made.outcomes, made.items, strict=True))
    ]
    payload = {f"{status}_count": count for status, count in made.counts.items()}
    happened = [Event("reorders.create", made.id, payload)]
    opened = made.cart if made.opens else None
    if opened is not None:
        happened.insert(0, Event("carts.create", opened.id))
    filled = amounts.changes(made.stored, made.cart, source.metadata)
    changed = filled.pop("cart")
    written = await _CREATE(
        connection,
        store=store.id,
        id=made.id,
        source_order=source.id,
        cart=None if made.cart is None else made.cart.id,
        customer=wish.customer_id or source.customer_id,
        strategy=wish.strategy,
        stock_policy=wish.policy.stock,
        lines=None if wish.lines is None else orjson.dumps(wish.lines).decode(),
        digest=made.digest,
        **made.counts,
        at=at,
        outcomes=orjson.dumps(rows).decode(),
        reference=wish.reference,
        reference_origin=wish.reference_origin,
        metadata=orjson.dumps(wish.metadata).decode(),
        expected_digest=wish.expected_digest,
        opened=None if opened is None else opened.id,
        session=None if opened is None else opened.sealed_session,
        session_digest=None if opened is None else opened.session_digest,
        changed_cart=changed if opened is None else None,
        carried=filled.pop("metadata"),
        **filled,
        **outbox.along(happened, actor=wish.actor),
    )
    if written is None:
        return False
    if written.id is None:
        raise Conflict("A reorder with this id already exists.", pointer="/data/id")
    await outbox.complete(connection, store, happened, written.recorded, actor=wish.actor)
    return True


def outcome_columns(position: int, outcome: Outcome, cart_item_id: str | None, locale: str) -> dict[str, object]:
    """An outcome as its table has it: id, position and what follows. Its amounts are in the currency of the order."""
    line, item = outcome.line, outcome.item
    return {
        "id": clock.new_id(),
        "position": position,
        "source_line_item_id": line.id,
        "cart_item_id": cart_item_id,
        "status": outcome.status,
        "code": outcome.code,
        "notices": outcome.notices,
        "detail": detail(outcome, locale),
        "name": line.name,
        "sku_code": line.sku_code,
        "sku_number": None if item is None else item.number,
        "requested_quantity": outcome.requested_quantity,
        "resulting_quantity": outcome.resulting_quantity,
        "currency_code": line.currency_code,
        # A line that stands for a discount has an amount below zero, but no price.
        "previous_unit_amount_cents": max(outcome.previous_unit_amount_cents, 0),
        "current_unit_amount_cents": outcome.comparable_unit_amount_cents,
    }
