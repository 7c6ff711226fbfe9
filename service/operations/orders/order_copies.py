"""Copies of orders that are asked for once (Commerce Layer's order copies).

Nothing is worked out anew: the new order has the lines, prices, discounts, costs, addresses and ways to ship and to pay
of its source, at the names and tax rates of today. With `apply_promotions` the promotions of today, and the coupon of
the source order, take the place of its discounts. Whatever can't be had makes the copy fail, unless `skip_errors`
leaves it out. The two transactions of a copy are those of `copies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import orjson

from schemas.graph import graph
from service import clock
from service.errors import Conflict, Forbidden, Invalid
from service.jsonapi.body import Draft, not_found
from service.operations.catalogue import pricing
from service.operations.catalogue.stock import Taken
from service.operations.copies import recurring_order_copies, targets
from service.operations.copies.recurring_order_copies import COPIES, Claim
from service.operations.copies.targets import CopyFailed, Line
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.created import Created
from service.operations.ordering import facts
from service.operations.orders import placing
from service.principal import Principal, Store
from service.rules.discounts import COUPON_PROBLEMS, Problem, discounts
from service.rules.discounts import Line as Discounted
from service.rules.outcomes import CatalogueItem, Policy, Price, decide
from service.rules.states import refused
from service.rules.totals import LineTotals, line_total, tax
from service.store import read
from service.store.pool import Connection
from service.store.rows import Row
from sql import queries

ORDER_COPIES = queries("orders/order_copies")

_SWITCHES = {
    "place_target_order": False,
    "reuse_wallet": True,
    "cancel_source_order": False,
    "apply_promotions": False,
    "skip_errors": False,
    "ignore_invalid_coupon": False,
}
"""What a copy is told to do, and what it does when nothing is said."""


class _Lines(NamedTuple):
    """The lines that can be had, what is wrong with the others, and what was taken out of the stock."""

    kept: Sequence[Line]
    problems: Sequence[str]
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
    copy_id = await connection.fetchval(
        ORDER_COPIES["create"],
        store.id,
        draft.id or clock.new_id(),
        order_id,
        *(draft.attributes.get(name, default) for name, default in _SWITCHES.items()),
        draft.attributes.get("reference"),
        draft.attributes.get("reference_origin"),
        orjson.dumps(draft.attributes.get("metadata", {})).decode(),
        clock.now(store),
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
    copy = await connection.fetchrow(ORDER_COPIES["claimed"], store.id, claimed.copy_id, claimed.attempt, at)
    if copy is None:
        return None
    lines = await _lines(connection, store, copy, at)
    if lines.problems and not copy["skip_errors"]:
        raise CopyFailed({"line_items": list(lines.problems)})
    kept, coupon_code = await _discounted(connection, store, copy, lines.kept, at)
    try:
        target = targets.target(copy, number, kept, at, coupon_code=coupon_code)
    except Invalid as error:
        raise CopyFailed({"total_amount_cents": [error.detail]}) from None
    (order_id,) = await targets.write(connection, store, [target], at, lines.taken)
    happened = [Event(name, order_id) for name in target.events]
    await _cancel_source(connection, store, copy)
    left_out = orjson.dumps({"line_items": lines.problems}).decode() if lines.problems else None
    noted = ([order_id], [left_out], [len(lines.problems)], [True], [None])
    await connection.execute(COPIES["complete"], store.id, [claimed.copy_id], at, *noted)
    await recurring_order_copies.charge(connection, store, [target], [order_id])
    happened.append(Event("order_copies.complete", claimed.copy_id))
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    return order_id


async def _lines(connection: Connection, store: Store, copy: Row, at: datetime) -> _Lines:
    """The lines of the source order at its prices; an order that is placed takes them out of the stock."""
    items = await connection.fetch(ORDER_COPIES["lines"], store.id, copy["source_order_id"])
    catalogue = await pricing.catalogue(
        connection,
        store,
        [item["sku_id"] for item in items if item["sku_id"] is not None],
        currency=copy["currency_code"],
        customer_group_id=copy["customer_group_id"],
        at=at,
    )
    agreed = [targets.source_line(item, agreed=True) for item in items]
    outcomes = decide(agreed, catalogue, {}, Policy(merge=False))
    kept: list[Line] = []
    problems: list[str] = []
    for item, outcome in zip(items, outcomes, strict=True):
        if outcome.item is None or outcome.skipped:
            problems.append(f"{item['sku_code'] or item['name']} - {outcome.code}")
        else:
            kept.append(_line(copy, item, outcome.item))
    taken = await targets.take_stock(connection, store, kept if copy["place_target_order"] else (), at)
    problems += [f"{code} - out_of_stock" for code in targets.codes_of(kept, taken.short)]
    kept = [line for line in kept if line.product.sku_id not in taken.short]
    return _Lines(kept, problems, taken)


def _line(copy: Row, item: Row, product: CatalogueItem) -> Line:
    """A line at the amounts of its source, with the tax of today."""
    unit, options = item["unit_amount_cents"], item["options_amount_cents"]
    amounts = LineTotals(line_total(item["quantity"], unit) + options, 0)
    return _less(copy, Line(item, product, Price(1, unit), amounts, options), item["discount_cents"])


def _less(copy: Row, line: Line, discount_cents: int) -> Line:
    """A line with this discount (zero or less), and the tax on what is left."""
    total = line.amounts.total
    due = tax(max(total + discount_cents, 0), line.product.tax_rate, included=copy["tax_included"])
    return replace(line, amounts=LineTotals(total, due, discount_cents))


async def _discounted(
    connection: Connection, store: Store, copy: Row, lines: Sequence[Line], at: datetime
) -> tuple[Sequence[Line], str | None]:
    """The lines with the discounts that the copy asks for, and the coupon that goes with them."""
    code: str | None = copy["coupon_code"]
    if not copy["apply_promotions"]:
        return lines, code
    off = discounts(
        [Discounted(line.product.code, line.amounts.total) for line in lines],
        await pricing.promotions(connection, store, code, at=at),
        currency_code=copy["currency_code"],
        customer_group_id=copy["customer_group_id"],
        coupon_code=code,
    )
    status = off.coupon_status
    if status == "applied" and copy["place_target_order"]:
        if code is None or not await pricing.count_coupon(
            connection, store, code, at=at
        ):  # another order took the last use since it was read
            raise CopyFailed({"coupon_code": [_told("used_up")]})
    elif status is not None and status != "applied":
        if not copy["ignore_invalid_coupon"]:
            raise CopyFailed({"coupon_code": [_told(status)]})
        code = None
    return [_less(copy, line, discount) for line, discount in zip(lines, off.lines, strict=True)], code


def _told(problem: Problem) -> str:
    """What is wrong with the coupon, as `errors_log` says it: without the name, under which it stands there."""
    return COUPON_PROBLEMS[problem].removeprefix("coupon_code - ")


async def _cancel_source(connection: Connection, store: Store, copy: Row) -> None:
    """Cancel the source order where that is asked for, unless it is. Raises CopyFailed when its status forbids it."""
    order_id = copy["source_order_id"]
    if not copy["cancel_source_order"]:
        return
    await connection.execute(ORDER_COPIES["hold_source"], store.id, order_id)
    order = await facts.of(connection, store, order_id, at=clock.now(store))
    if order.status == "cancelled":
        return
    reason = refused(order.status, "cancelled")
    if reason is not None:
        raise CopyFailed({"source_order": [reason]})
    # What a gateway holds is let go by the job that looks after payments.
    await placing.end(connection, store, order, actor=outbox.WORKER)
