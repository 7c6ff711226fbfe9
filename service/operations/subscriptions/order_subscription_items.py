"""Items of subscriptions: a sku at the price of the day that it was added."""

from __future__ import annotations

from service.errors import Invalid, InvalidState
from service.jsonapi.body import blank
from service.operations.catalogue import skus
from service.operations.catalogue.selling import SOLD, check_amount, check_room, find_sold
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from sql import queries

ITEMS = queries("subscriptions/items")


class OrderSubscriptionItems(Writer):
    """Items of subscriptions: a sku at the price of the day that it was added."""

    whole = "order_subscription"

    async def before_write(self, change: Change) -> None:
        """Find the sku and its price."""
        if change.whole.get("status") == "cancelled":
            change.problems.append(InvalidState("The subscription is cancelled: its items can't be changed."))
            return
        source = await change.connection.fetchrow(
            ITEMS["source_order"], change.store.id, change.whole["source_order_id"]
        )
        assert source is not None  # noqa: S101 -- a subscription has a source order
        if change.new:
            held = await change.connection.fetchval(ITEMS["count_items"], change.store.id, change.whole["id"])
            check_room(change, held)
            change.columns["currency_code"] = source["currency_code"]
            await _take_code(change)
        if change.problems:
            return
        if change.sets(*SOLD):
            given = change.draft.attributes.get("unit_amount_cents")
            currency = change.value("currency_code")
            customer_id = change.whole["customer_id"]
            sold = await find_sold(change, currency, customer_id, {}, priced=given is not None)
            if sold is None:
                return
            if change.new or change.sets("sku_code"):
                change.columns |= {"sku_id": sold.item.sku_id, "name": sold.item.name}
                change.columns.setdefault("unit_amount_cents", sold.unit_amount_cents)
        total = change.value("quantity") * change.value("unit_amount_cents")
        change.columns["total_amount_cents"] = total
        check_amount(change, total)

    async def before_delete(self, change: Change) -> None:
        """The last item stays: a subscription to nothing fails at every run."""
        held = await change.connection.fetchval(ITEMS["count_items"], change.store.id, change.whole["id"])
        if held == 1 and change.whole["status"] != "cancelled":
            change.problems.append(
                Invalid("The subscription would order nothing: cancel it, or add another item first.", pointer="/data")
            )


async def _take_code(change: Change) -> None:
    """The code of a new item's sku, which was sent, or linkage to the sku."""
    sku_id = change.draft.related("item")
    if sku_id is None:
        if "sku_code" not in change.columns:
            change.problems.append(blank("sku_code", "/data"))
        return
    code = await skus.code_of(change.connection, change.store, sku_id)
    if change.columns.setdefault("sku_code", code) != code:
        pointer = change.draft.pointer("sku_code")
        change.problems.append(Invalid("sku_code - is not the code of the item", pointer=pointer))
