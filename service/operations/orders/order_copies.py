"""Copies of orders that are asked for once (Commerce Layer's order copies).

Nothing is worked out anew: the new order has the lines, prices, discounts, costs, addresses and ways to ship and to pay
of its source, at the names and tax rates of today. With `apply_promotions` the promotions of today, and the coupon of
the source order, take the place of its discounts. Whatever can't be had makes the copy fail, unless `skip_errors`
leaves it out. The two transactions of a copy are those of `copies`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from schemas.graph import graph
from service import clock
from service.errors import Conflict, Forbidden, Invalid
from service.jsonapi.body import Draft, not_found
from service.operations.catalogue import pricing, quotes
from service.operations.catalogue.quotes import Quoted
from service.operations.catalogue.stock import Taken
from service.operations.copies import recurring_order_copies, runs, targets
from service.operations.copies.priced import CopyFailed, lines_of
from service.operations.copies.recurring_order_copies import Claim
from service.operations.copies.runs import Basis, Item
from service.operations.copies.targets import Coupon
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.created import Created
from service.operations.ordering import facts
from service.operations.orders import placing
from service.principal import Principal, Store
from service.rules.discounts import COUPON_PROBLEMS, Problem
from service.rules.outcomes import CatalogueItem, Policy, decide
from service.rules.states import refused
from service.store import read
from service.store.pool import Connection
from service.store.statements import Command, Many, One, Value


class _Copy(NamedTuple):
    """What a claimed copy is made from, and what it is told to do."""

    basis: Basis
    place_target_order: bool
    cancel_source_order: bool
    apply_promotions: bool
    skip_errors: bool
    ignore_invalid_coupon: bool
    coupon_code: str | None


_CREATE = Value("orders/order_copies.create", str)
_CLAIMED = One("orders/order_copies.claimed", _Copy)
_LINES = Many("orders/order_copies.lines", Item)
_HOLD_SOURCE = Command("orders/order_copies.hold_source")


class _Items(NamedTuple):
    """The lines that can be had, what is wrong with the others and its codes, and what was taken out of the stock."""

    kept: Sequence[Item]
    problems: Sequence[str]
    codes: Sequence[str]
    taken: Taken


async def create(connection: Connection, principal: Principal, draft: Draft) -> Created:
    """POST /api/order_copies: a pending copy and the job that makes it.

    Raises Forbidden for a customer, who would get the prices of then, NotFound for an order that the token can't see,
    Conflict when the id is taken.
    """
    if principal.customer_id is not None:
        raise Forbidden("{type} are made by integrations only.", type="order_copies")
    store, order_id = principal.store, draft.related("source_order")
    if not await read.exists(connection, principal.viewer, graph["orders"], order_id or ""):
        raise not_found("orders", draft.pointer("source_order"))
    copy_id = await _CREATE(
        connection,
        store=store.id,
        id=draft.id or clock.new_id(),
        source_order=order_id,
        place=draft.attributes.get("place_target_order", False),
        reuse_wallet=draft.attributes.get("reuse_wallet", True),
        cancel_source=draft.attributes.get("cancel_source_order", False),
        apply_promotions=draft.attributes.get("apply_promotions", False),
        skip_errors=draft.attributes.get("skip_errors", False),
        ignore_invalid_coupon=draft.attributes.get("ignore_invalid_coupon", False),
        reference=draft.attributes.get("reference"),
        reference_origin=draft.attributes.get("reference_origin"),
        metadata=orjson.dumps(draft.attributes.get("metadata", {})).decode(),
        at=clock.now(store),
    )
    if copy_id is None:
        raise Conflict("A copy with the id {id} already exists.", id=draft.id, pointer="/data/id")
    await outbox.record(connection, store, "order_copies.create", copy_id, actor=outbox.actor(principal))
    await recurring_order_copies.enqueue(connection, store.id, copy_id)
    return Created(copy_id)


async def finish(connection: Connection, claimed: Claim, number: int) -> str | None:
    """Make the target order of a claimed copy under this number; place it, and cancel its source, where asked for.

    Gives the order's id, or None when the claim holds no longer. Raises CopyFailed, after which the transaction must
    be rolled back. The number of statements doesn't depend on the number of lines.
    """
    store, at = claimed.store, clock.now(claimed.store)
    copy = await _CLAIMED(connection, store=store.id, copy=claimed.copy_id, attempt=claimed.attempt, at=at)
    if copy is None:
        return None
    catalogue, items = await _items(connection, store, copy, at)
    if items.problems and not copy.skip_errors:
        raise CopyFailed({"line_items": list(items.problems)}, items.codes)
    try:
        quoted, coupon = await _quoted(connection, store, copy, items.kept, catalogue, at=at)
    except Invalid as error:
        raise CopyFailed({"total_amount_cents": [error.detail]}) from None
    lines = lines_of(items.kept, catalogue, quoted.items)
    target = targets.target(copy.basis, number, lines, quoted.totals, at, place=copy.place_target_order, coupon=coupon)
    (order_id,) = await targets.write(connection, store, [target], at, items.taken)
    happened = [Event(name, order_id) for name in target.events]
    await _cancel_source(connection, store, copy)
    left_out = {"line_items": list(items.problems)} if items.problems else None
    done = recurring_order_copies.Completed(claimed.copy_id, order_id, target, left_out)
    await recurring_order_copies.complete(connection, store, [done], at)
    happened.append(Event("order_copies.complete", claimed.copy_id))
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    return order_id


async def _items(
    connection: Connection, store: Store, copy: _Copy, at: datetime
) -> tuple[Mapping[str, CatalogueItem], _Items]:
    """The catalogue, and the lines of the source order; an order that is placed takes them out of the stock."""
    found = await _LINES(connection, store=store.id, order=copy.basis.source_order_id)
    catalogue = await runs.catalogue_of(connection, store, found, copy.basis, at)
    outcomes = decide([item.source for item in found], catalogue, {}, Policy(merge=False))
    kept = [item for item, outcome in zip(found, outcomes, strict=True) if outcome.code is None]
    problems = [
        f"{item.sku_code or item.name} - {outcome.code}"
        for item, outcome in zip(found, outcomes, strict=True)
        if outcome.code is not None
    ]
    codes = [outcome.code for outcome in outcomes if outcome.code is not None]
    taken = await targets.take_stock(connection, store, kept if copy.place_target_order else (), at)
    problems += [f"{code} - out_of_stock" for code in targets.codes_of(kept, taken.short)]
    codes += ["out_of_stock" for _ in taken.short]
    kept = [item for item in kept if item.sku_id not in taken.short]
    return catalogue, _Items(kept, problems, codes, taken)


async def _quoted(
    connection: Connection,
    store: Store,
    copy: _Copy,
    items: Sequence[Item],
    catalogue: Mapping[str, CatalogueItem],
    *,
    at: datetime,
) -> tuple[Quoted, Coupon | None]:
    """What lines come to at the source order's prices, with the discounts that the copy asks for; and its coupon."""
    code, anew = copy.coupon_code, copy.apply_promotions
    promotions = await pricing.promotions(connection, store, code, at=at) if anew else ()
    asked = [item.wanted(promoted=anew) for item in items]
    quoted = await quotes.quoted(copy.basis.quote_terms(code if anew else None), asked, catalogue, promotions)
    if code is None or not anew:
        return quoted, None if code is None else Coupon(code)
    status = quoted.coupon_status
    if status == "applied":
        if not await pricing.count_coupon(connection, store, code, at=at):
            # Another order took the last use since it was read.
            raise CopyFailed({"coupon_code": [_told("used_up")]})
        return quoted, Coupon(code, counted=True)
    if status is not None and not copy.ignore_invalid_coupon:
        raise CopyFailed({"coupon_code": [_told(status)]})
    return quoted, None


def _told(problem: Problem) -> str:
    """What is wrong with the coupon, as `errors_log` says it: without the name, under which it stands there."""
    return COUPON_PROBLEMS[problem].removeprefix("coupon_code - ")


async def _cancel_source(connection: Connection, store: Store, copy: _Copy) -> None:
    """Cancel the source order where that is asked for, unless it is. Raises CopyFailed when its status forbids it."""
    order_id = copy.basis.source_order_id
    if not copy.cancel_source_order:
        return
    await _HOLD_SOURCE(connection, store=store.id, order=order_id)
    order = await facts.of(connection, store, order_id, at=clock.now(store))
    if order.status == "cancelled":
        return
    reason = refused(order.status, "cancelled")
    if reason is not None:
        raise CopyFailed({"source_order": [reason]})
    # What a gateway holds is let go by the job that looks after payments.
    await placing.end(connection, store, order, actor=outbox.WORKER)
