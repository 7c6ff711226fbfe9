"""Items of subscriptions: what is ordered each time, and which price follows from who changes it."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import orjson

from service.errors import Invalid, InvalidState
from service.operations.catalogue import skus
from service.operations.catalogue.selling import check_amount, check_room, find_sold
from service.operations.generic.change import Change
from service.operations.subscriptions import contents, pricing, sources
from service.operations.subscriptions.previews import Previewed
from service.rules.outcomes import options_digest
from service.store.statements import Many
from service.store.write import Columns


class _Other(NamedTuple):
    id: str
    sku_id: str
    options: str
    quantity: int
    swap_sku_id: str | None


_OTHERS = Many("subscriptions/items.others", _Other)

_SWAP = ("swap_occurrence_index", "swap_sku_id", "swap_sku_code", "swap_name", "swap_unit_amount_cents")
"""Columns of what an item is to be swapped to; all of them or none hold something."""


async def _repriced(_: Change) -> Columns:
    """Today's price is found where every other is (`pricing.settle`)."""
    return {}


async def _unswapped(change: Change) -> Columns | None:
    """Take back a swap that is still to come."""
    return None if change.before["swap_occurrence_index"] is None else dict.fromkeys(_SWAP)


async def _swapped(change: Change) -> Columns | None:
    """Order another sku, from a run to come on where one is named; a swap that is still to come counts no more.

    Its price is found where every other is (`pricing.settle`), that of a swap to come in `_settle_swap`.
    """
    code: str = change.draft.triggers.get("_swap") or change.kept["swap"]
    index: int | None = change.draft.triggers.get("_swap_from") or change.kept.get("swap_from")
    current = change.before["sku_code"]
    if change.value("sku_code") not in (current, code if index is None else current):
        change.problems.append(
            Invalid("_swap - names another sku than sku_code", pointer=change.draft.pointer("_swap"))
        )
        return None
    if index is not None and not await contents.is_to_come(change, index, "_swap_from"):
        return None
    if index is not None and code != current:
        wanted = {"swap_occurrence_index": index, "swap_sku_code": code}
        return None if wanted.items() <= change.before.items() else wanted
    taken_back = await _unswapped(change)
    return taken_back if code == current else {"sku_code": code, **(taken_back or {})}


class OrderSubscriptionItems(Previewed):
    """Items of subscriptions: a sku at today's price, unless a price was agreed on or set by hand."""

    whole = "order_subscription"
    effects: ClassVar = {"reprice": _repriced, "unswap": _unswapped, "swap": _swapped}

    async def validate(self, change: Change) -> None:
        """What says from when another sku is ordered needs one."""
        await super().validate(change)
        if "_swap_from" in change.draft.triggers and not change.draft.triggers.get("_swap"):
            pointer = change.draft.pointer("_swap_from")
            change.problems.append(Invalid("_swap_from - goes with _swap, which names the sku", pointer=pointer))

    async def before_write(self, change: Change) -> None:
        """Find the sku and its price. What is the client's own can be changed of a cancelled subscription too."""
        if change.whole.get("status") == "cancelled":
            if change.done or not change.only_of_the_client():
                change.problems.append(InvalidState("The subscription is cancelled: its items can't be changed."))
            return
        source = await sources.of(change.connection, change.store, change.whole["source_order_id"])
        assert source is not None  # noqa: S101 -- a subscription has a source order
        others = await _others(change)
        if change.new:
            check_room(change, len(others))
            change.columns["currency_code"] = source.currency_code
            await _take_code(change)
        if change.problems:
            return
        mode = change.value("price_mode") or change.whole["price_mode"]
        await pricing.settle(change, pricing.held(others), change.before, mode=mode, anew="reprice" in change.done)
        if "swap" in change.done and change.sets("sku_id") and not change.problems:
            _check_apart(change, others, change.columns["sku_id"])
        if not change.problems:
            await _settle_swap(change, mode)
        if "reprice" in change.done and not change.sets("unit_amount_cents", "priced_by_hand"):
            change.done.remove("reprice")

    async def keep(self, change: Change) -> None:
        """Write the change; single runs follow what the item is then."""
        becomes_another = change.sets("sku_id", "options", "swap_sku_id", "swap_occurrence_index")
        lines = await contents.alike(change) if becomes_another else ()
        await super().keep(change)
        if lines:
            await contents.follow(change, lines)

    async def after_write(self, change: Change) -> None:
        """Its subscription is another by it."""
        await contents.raise_version(change)

    async def before_delete(self, change: Change) -> None:
        """The last item stays: a subscription to nothing fails at every run."""
        others = await _others(change)
        if not others and change.whole["status"] != "cancelled":
            change.problems.append(
                Invalid("The subscription would order nothing: cancel it, or add another item first.")
            )


async def _others(change: Change, index: int | None = None) -> list[_Other]:
    """The other items of the subscription, as they are now or in the run of an index."""
    return await _OTHERS(
        change.connection, store=change.store.id, subscription=change.whole["id"], item=change.id, index=index
    )


async def _settle_swap(change: Change, mode: str) -> None:
    """Find the sku that an item is to be swapped to, and its price, where the item or the swap is another than before.

    Who changes the sku of the item itself doesn't want what was planned for the one so far.
    """
    before, index, code = change.before, change.value("swap_occurrence_index"), change.value("swap_sku_code")
    if index is None:
        return
    anew = change.sets("swap_occurrence_index", "swap_sku_code")
    if change.sets("sku_code"):
        change.columns |= dict.fromkeys(_SWAP)
        return
    if not (anew or "reprice" in change.done or pricing.differs(change, before, "options", "quantity")):
        return
    others = await _others(change, index)
    # What an integration set by hand is the price of the sku that the item still is.
    reprices = anew or "reprice" in change.done or pricing.reprices(change, before, mode, by_hand=False)
    currency, customer_id = change.value("currency_code"), change.whole["customer_id"]
    sold = await find_sold(change, currency, customer_id, pricing.held(others), priced=not reprices, code=code)
    if sold is None:
        return
    change.columns |= {"swap_sku_id": sold.item.sku_id, "swap_name": sold.item.name}
    if reprices:
        change.columns["swap_unit_amount_cents"] = sold.unit_amount_cents
    check_amount(change, change.value("quantity") * change.value("swap_unit_amount_cents"))
    if anew:
        _check_apart(change, others, sold.item.sku_id)


def _check_apart(change: Change, others: list[_Other], sku_id: str) -> None:
    """Note that another item orders what is swapped in, or will: the two would be one, and whoever asked sees both."""
    options = options_digest(orjson.loads(change.value("options")))
    same = next(
        (
            one.id
            for one in others
            if sku_id in (one.sku_id, one.swap_sku_id) and options_digest(orjson.loads(one.options)) == options
        ),
        None,
    )
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
