"""Runs that are planned, and what each is held against, where it may cost only so much more than the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from service.operations.copies.runs import Item, LastRun, Run, Terms
from service.operations.copies.targets import Target
from service.rules.increases import needs_approval
from service.rules.outcomes import ItemKey, options_digest
from service.rules.totals import line_total


@dataclass(frozen=True, slots=True)
class Planned:
    """A copy that is to be made: its run, the order that it leads to, and the total that somebody agreed to, if any."""

    copy_id: str
    run: Run
    target: Target
    approved_amount_cents: int | None = None

    @property
    def subscription_id(self) -> str:
        """The subscription that runs."""
        return self.run.terms.subscription_id

    @property
    def before(self) -> int:
        """What its total is held against."""
        return compared_with(self.target, self.run.terms)


def sorted_out(planned: Sequence[Planned], at: datetime) -> tuple[list[Planned], list[Planned]]:
    """Which target orders are to be made, and which cost more than their subscription allows without being asked."""
    last: dict[str, LastRun] = {}
    fine: list[Planned] = []
    dear: list[Planned] = []
    for one in planned:
        if _is_dear(one, last.get(one.subscription_id)):
            dear.append(one)
        else:
            fine.append(one)
            last[one.subscription_id] = ran(one.target, one.run.terms, at)
    return fine, dear


def _is_dear(planned: Planned, last: LastRun | None) -> bool:
    """Whether a run has to wait for approval; `last` is one just before it in the same batch."""
    terms = planned.run.terms if last is None else planned.run.terms._replace(last=last)
    # What it is held against is worked out only where there is a limit: few subscriptions have one.
    if planned.run.occurrence_id is None or terms.max_increase_percent is None:
        return False
    target, approved = planned.target, planned.approved_amount_cents
    if approved is not None and target.totals.total <= approved:
        return False
    totals, before = target.totals, compared_with(target, terms)
    return needs_approval(totals.own, before, terms.max_increase_percent, discount=totals.discount)


def behind(fine: Sequence[Planned], dear: Sequence[Planned]) -> list[Planned]:
    """Those that are fine, and were to be paid for by one in the same batch that costs too much."""
    held = {one.target.number for one in dear if one.target.opens}
    return [one for one in fine if one.target.paid is not None and one.target.paid.number in held]


def ran(target: Target, terms: Terms, at: datetime) -> LastRun:
    """What the run after this one is held against, once its order is made."""
    limited = terms.max_increase_percent is not None
    lines = [
        {
            "sku_id": line.product.sku_id,
            "options": orjson.loads(line.item.options),
            "quantity": line.quantity,
            "unit_amount_cents": line.amounts.unit_amount_cents,
        }
        for line in (target.lines if limited else ())
    ]
    return LastRun(
        target.totals.own,
        at,
        target.totals.shipping,
        target.totals.payment_method,
        orjson.dumps(lines).decode() if limited else None,
        target.basis.ways.shipping_method_id,
        target.basis.ways.payment_method_id if target.totals.prepaid >= 0 else None,
    )


def compared_with(target: Target, terms: Terms) -> int:
    """What the total of a target order is held against: that of the same items as they were ordered last.

    An item that was added or changed since, or is for this run alone, is held against the price that it got then: what
    a customer's own change costs is not a rise. So are all of them before the first run: the source order may have more
    lines than are repeated. What a phase of the prices takes off is taken off both: its end is no rise. Another way to
    ship or to pay is held against its own price. A subscription without a limit is compared with the total of its last
    run alone.
    """
    last = terms.last
    if last.last_amount_cents is not None and terms.max_increase_percent is None:
        return last.last_amount_cents
    ordered = _ordered(last)
    ways = target.basis.ways
    shipped_alike = last.last_shipping_method_id == ways.shipping_method_id
    paid_alike = last.last_payment_method_id == ways.payment_method_id
    shipping = last.last_shipping_amount_cents if shipped_alike else None
    payment = last.last_payment_method_amount_cents if paid_alike else None
    lines = (
        line_total(line.quantity, _before(line.item, ordered, last)) + (line.item.options_for(line.quantity) or 0)
        for line in target.lines
    )
    return (
        sum(lines)
        + target.totals.discount
        + (target.totals.shipping if shipping is None else shipping)
        + (target.totals.payment_method if payment is None else payment)
    )


@dataclass(frozen=True, slots=True)
class _Ordered:
    """How a sku was ordered in the last run: how many pieces, and the price of one in minor units."""

    quantity: int
    unit_amount_cents: int


def _ordered(last: LastRun) -> dict[ItemKey, _Ordered]:
    """The lines of the last run, by sku and options; none before the first."""
    return {
        (line["sku_id"], options_digest(line["options"])): _Ordered(line["quantity"], line["unit_amount_cents"])
        for line in orjson.loads(last.last_lines_json or "[]")
    }


def _before(item: Item, ordered: Mapping[ItemKey, _Ordered], run: LastRun) -> int:
    """The price of one that an item is held against, in minor units."""
    last = ordered.get((item.sku_id or "", options_digest(orjson.loads(item.options))))
    if last is None or run.last_made_at is None:
        return item.unit_amount_cents
    if last.quantity == item.quantity:
        return last.unit_amount_cents
    # It was changed, or was another quantity in that run alone: more may have been cheaper by the piece.
    changed = item.updated_at > run.last_made_at
    return item.unit_amount_cents if changed else max(item.unit_amount_cents, last.unit_amount_cents)
