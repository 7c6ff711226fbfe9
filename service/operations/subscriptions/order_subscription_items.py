"""Items of subscriptions: what is ordered each time, and which price follows from who changes it."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import orjson

from service.errors import Invalid, InvalidState
from service.operations.catalogue import skus
from service.operations.catalogue.selling import check_room
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.subscriptions import contents, previews, pricing, sources
from service.rules.outcomes import options_digest
from service.store.statements import Many
from service.store.write import Columns


class _Other(NamedTuple):
    id: str
    sku_id: str
    options: str
    quantity: int


_OTHERS = Many("subscriptions/items.others", _Other)


async def _repriced(_: Change) -> Columns:
    """Today's price is found where every other is (`pricing.settle`)."""
    return {}


async def _swapped(change: Change) -> Columns | None:
    """Order another sku. Its price is found where every other is (`pricing.settle`)."""
    code: str = change.draft.triggers.get("_swap") or change.kept["swap"]
    if change.value("sku_code") not in (code, change.before["sku_code"]):
        change.problems.append(
            Invalid("_swap - names another sku than sku_code", pointer=change.draft.pointer("_swap"))
        )
        return None
    return None if code == change.before["sku_code"] else {"sku_code": code}


class OrderSubscriptionItems(Writer):
    """Items of subscriptions: a sku at today's price, unless a price was agreed on or set by hand."""

    whole = "order_subscription"
    effects: ClassVar = {"reprice": _repriced, "swap": _swapped}

    async def before_write(self, change: Change) -> None:
        """Find the sku and its price."""
        if change.whole.get("status") == "cancelled":
            change.problems.append(InvalidState("The subscription is cancelled: its items can't be changed."))
            return
        source = await sources.of(change.connection, change.store, change.whole["source_order_id"])
        assert source is not None  # noqa: S101 -- a subscription has a source order
        others = await _OTHERS(
            change.connection, store=change.store.id, subscription=change.whole["id"], item=change.id
        )
        if change.new:
            check_room(change, len(others))
            change.columns["currency_code"] = source.currency_code
            await _take_code(change)
        if change.problems:
            return
        mode = change.value("price_mode") or change.whole["price_mode"]
        await pricing.settle(change, pricing.held(others), change.before, mode=mode, anew="reprice" in change.done)
        if "swap" in change.done and not change.problems:
            _check_apart(change, others)
        if "reprice" in change.done and not change.sets("unit_amount_cents", "priced_by_hand"):
            change.done.remove("reprice")

    async def keep(self, change: Change) -> None:
        """Write the change, if it leads to what its preview showed; single runs follow what the item is then."""
        await super().keep(change)
        if change.sets("sku_id", "options"):
            await contents.follow(change)
        await previews.check(change)

    async def before_delete(self, change: Change) -> None:
        """The last item stays: a subscription to nothing fails at every run."""
        others = await _OTHERS(
            change.connection, store=change.store.id, subscription=change.whole["id"], item=change.id
        )
        if not others and change.whole["status"] != "cancelled":
            change.problems.append(
                Invalid("The subscription would order nothing: cancel it, or add another item first.")
            )


def _check_apart(change: Change, others: list[_Other]) -> None:
    """Note that another item orders already what is swapped in: the two would be one, and whoever asked sees both."""
    key = change.value("sku_id"), options_digest(orjson.loads(change.value("options")))
    same = next((one.id for one in others if (one.sku_id, options_digest(orjson.loads(one.options))) == key), None)
    if same is not None:
        change.problems.append(
            Invalid(
                "_swap - is ordered already with these options: change the quantity of that item",
                pointer=change.draft.pointer("_swap"),
                meta={"error": "taken", "order_subscription_item_id": same},
            )
        )


async def _take_code(change: Change) -> None:
    """The code of a new item's sku, which was sent, or linkage to the sku."""
    sku_id = change.draft.related("item")
    if sku_id is None:
        pricing.check_code(change)
        return
    code = await skus.code_of(change.connection, change.store, sku_id)
    if change.columns.setdefault("sku_code", code) != code:
        pointer = change.draft.pointer("sku_code")
        change.problems.append(Invalid("sku_code - is not the code of the item", pointer=pointer))
