"""What a run of a subscription is held against, where it may cost only so much more than the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from service.operations.copies import targets
from service.operations.copies.targets import Target
from service.rules.outcomes import ItemKey, options_digest
from service.rules.totals import totals
from service.store.rows import Row


def compared_with(target: Target) -> int:
    """What the total of a target order is held against: that of the same items as they were ordered last.

    An item that was added or changed since is held against the price that it got then: what a customer's own change
    costs is not a rise. So are all of them before the first run: the source order may have more lines than are
    repeated. A subscription without a limit is compared with the total of its last run alone.
    """
    copy = target.copy
    last: int | None = copy["last_amount_cents"]
    if last is not None and copy["max_increase_percent"] is None:
        return last
    units = _last_units(copy)
    shipping, payment = copy["last_shipping_amount_cents"], copy["last_payment_method_amount_cents"]
    return totals(
        (targets.amounts_of(line, _before(line.item, units, copy), copy) for line in target.lines),
        shipping_amount_cents=target.totals.shipping if shipping is None else shipping,
        payment_method_amount_cents=target.totals.payment_method if payment is None else payment,
    ).total


@dataclass(frozen=True, slots=True)
class _Ordered:
    """How a sku was ordered in the last run: how many pieces, and the price of one in minor units."""

    quantity: int
    unit_amount_cents: int


def _last_units(copy: Row) -> dict[ItemKey, _Ordered]:
    """The lines of the last run, by sku and options; none before the first."""
    return {
        (line["sku_id"], options_digest(line["options"])): _Ordered(line["quantity"], line["unit_amount_cents"])
        for line in orjson.loads(copy["last_lines"] or "[]")
    }


def _before(item: Row, ordered: Mapping[ItemKey, _Ordered], copy: Row) -> int:
    """The price of one that an item is held against, in minor units."""
    last = ordered.get((item["sku_id"], options_digest(orjson.loads(item["options"]))))
    changed = last is not None and last.quantity != item["quantity"] and item["updated_at"] > copy["last_made_at"]
    agreed: int = item["unit_amount_cents"]
    return agreed if last is None or changed else last.unit_amount_cents
