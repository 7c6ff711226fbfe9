"""Lines of single runs: what is added to one, and what an item of the subscription is in it, if it isn't left out."""

from __future__ import annotations

from typing import ClassVar

from service.errors import Invalid
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.subscriptions import contents, pricing, sources
from service.operations.subscriptions.contents import Item, Line, Run
from service.store.write import Columns

_TAKEN_OVER = ("sku_id", "sku_code", "name", "options", "unit_amount_cents", "priced_by_hand")
"""Columns that a line has from the subscription's item that it is in the place of, unless something else is sent."""


class OccurrenceItems(Writer):
    """Lines of runs to come, for as long as those can be changed."""

    whole: ClassVar = "order_subscription"

    async def before_write(self, change: Change) -> None:
        """Find the run, the sku and its price. What is the client's own can be changed of every run."""
        if not change.new and change.only_of_the_client():
            return
        run = await contents.find_run(change)
        if run is None:
            return
        item_id = change.value("order_subscription_item_id")
        item = None if item_id is None else await contents.item_of(change, item_id, run)
        if item_id is not None and item is None:
            pointer = change.draft.pointer("order_subscription_item")
            reason = "order_subscription_item - is no item of the subscription"
            change.problems.append(Invalid(reason, pointer=pointer))
            return
        if change.new:
            await _begin(change, run, item)
        if item is None and change.value("quantity") < 1:
            pointer = change.draft.pointer("quantity")
            change.problems.append(Invalid("quantity - must be at least 1 for a line that is added", pointer=pointer))
        if not change.problems:
            await _settle(change, run, item)

    async def after_write(self, change: Change) -> None:
        """Its subscription is another by it."""
        await contents.raise_version(change)

    async def before_delete(self, change: Change) -> None:
        """What has come up stays as it was; and something must be left to order."""
        run = await contents.find_run(change)
        added = change.before["order_subscription_item_id"] is None
        if run is None or change.before["draft"] or not added:
            return
        lines = await contents.ordered(change, run, drafts=False)
        refusal = contents.problem_of([line for line in lines.values() if line.id != change.id])
        change.problems += [refusal] if refusal else []


async def _begin(change: Change, run: Run, item: Item | None) -> None:
    """Fill in what a new line has from its run, and from the item that it is in the place of."""
    change.columns |= {"occurrence_id": run.id, "occurrence_index": run.occurrence_index}
    if item is not None:
        for name in _TAKEN_OVER:
            change.columns.setdefault(name, getattr(item, name))
        change.columns["currency_code"] = item.currency_code
        return
    source = await sources.of(change.connection, change.store, change.whole["source_order_id"])
    assert source is not None  # noqa: S101 -- a subscription has a source order
    change.columns["currency_code"] = source.currency_code
    pricing.check_code(change)


async def _settle(change: Change, run: Run, item: Item | None) -> None:
    """Find the sku and its price, beside what else the run orders."""
    draft = bool(change.value("draft"))
    lines = await contents.ordered(change, run, drafts=draft)
    own = change.value("order_subscription_item_id") or change.id
    others = [line for line in lines.values() if line.id != own]
    line = Line(own, change.value("sku_id"), change.value("options") or "{}", change.value("quantity"))
    refusal = contents.problem_of([*others, line] if line.quantity else others, "quantity", "order_subscription_item")
    if refusal is not None:
        change.problems.append(refusal)
    elif not line.quantity:
        _check_left_out(change, _was(change, item))
        pricing.total_up(change)
    else:
        await pricing.settle(change, pricing.held(others), _was(change, item), mode=_mode(change, item))


def _check_left_out(change: Change, was: Columns) -> None:
    """Note that a line without pieces is to be something else than it `was`, which nobody looks for without any."""
    change.problems += [
        Invalid(
            "{name} - can't change together with a quantity of 0, which leaves the item out",
            name=name,
            pointer=change.draft.pointer(name, "quantity"),
        )
        for name in ("sku_code", "options")
        if pricing.differs(change, was, name)
    ]


def _was(change: Change, item: Item | None) -> Columns:
    """What the line is without the change."""
    return change.before or ({} if item is None else item._asdict())


def _mode(change: Change, item: Item | None) -> str:
    """The price mode that applies to the line."""
    return change.value("price_mode") or (item and item.price_mode) or change.whole["price_mode"]
