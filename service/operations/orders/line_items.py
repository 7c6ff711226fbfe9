"""Lines of orders: a sku at today's price, or at the price that an integration sends; or an adjustment."""

from __future__ import annotations

from decimal import Decimal

from service.errors import Invalid, InvalidState
from service.jsonapi.body import blank
from service.operations.catalogue.selling import SOLD, Sold, check_room, find_sold, price_line
from service.operations.events import outbox
from service.operations.generic.change import OF_THE_CLIENT, Change
from service.operations.generic.writing import Writer
from service.operations.orders import sums
from service.rules.states import OPEN_ORDERS
from sql import queries

ORDERS = queries("orders/orders")


class LineItems(Writer):
    """Lines of draft orders: a sku at today's price, or at the price that an integration sends; or an adjustment."""

    whole = "order"

    async def before_write(self, change: Change) -> None:
        """Find the sku and its price, and work out the amounts of the line."""
        _check_open(change)
        order = change.whole
        if order.get("status") not in OPEN_ORDERS:
            if change.new or not change.only_of_the_client():
                change.problems.append(
                    InvalidState("The order is {status}: its lines can't be changed.", status=order.get("status"))
                )
            return
        if change.new:
            lines = await change.connection.fetchrow(ORDERS["line_count"], change.store.id, order["id"])
            assert lines is not None  # noqa: S101 -- an aggregate gives one row
            check_room(change, lines["lines"])
            change.columns["position"] = lines["last_position"] + 1
            change.columns["currency_code"] = order["currency_code"]
        kind = change.value("item_type") or "skus"
        rate = change.value("tax_rate") or Decimal(0)
        if kind == "skus":
            rate = await self._of_a_sku(change, rate)
        elif kind not in ("bundles", "gift_cards", "adjustments"):
            change.problems.append(
                Invalid(
                    "item_type - the order itself makes its lines of {kind}",
                    kind=kind,
                    pointer=change.draft.pointer("item_type"),
                )
            )
        else:
            for name in ("name", "unit_amount_cents"):
                if change.value(name) is None:
                    change.problems.append(blank(name, "/data"))
        if not change.problems and change.sets(*SOLD, "unit_amount_cents", "options_amount_cents"):
            price_line(change, rate, included=order["tax_included"])

    async def after_write(self, change: Change) -> None:
        """Work out the order."""
        actor = outbox.actor(change.principal)
        await sums.recalculate(change.connection, change.store, change.whole["id"], actor=actor)

    async def before_delete(self, change: Change) -> None:
        """Nothing leaves an order that was placed, or made of a cart."""
        _check_open(change)
        if change.whole.get("status") not in OPEN_ORDERS:
            status = change.whole.get("status")
            change.problems.append(InvalidState("The order is {status}: its lines can't be deleted.", status=status))

    async def _of_a_sku(self, change: Change, rate: Decimal) -> Decimal:
        """Columns that follow from the sku; gives its tax rate, or the one so far when nothing of it changes."""
        if change.value("sku_code") is None:
            change.problems.append(blank("sku_code", "/data"))
        elif change.sets(*SOLD):
            order, given = change.whole, change.draft.attributes.get("unit_amount_cents")
            sold = await find_sold(change, order["currency_code"], order["customer_id"], {}, priced=given is not None)
            if sold is None:
                return rate
            if change.new or change.sets("sku_code"):
                change.columns["sku_id"] = sold.item.sku_id
                change.columns.setdefault("name", sold.item.name)
                change.columns.setdefault("image_url", sold.item.image_url)
            if given is None and (change.new or change.sets("sku_code", "options") or self._follows(change, sold)):
                change.columns["unit_amount_cents"] = sold.unit_amount_cents
                change.columns.setdefault("compare_at_amount_cents", sold.compare_at_amount_cents)
            return sold.item.tax_rate
        return rate

    def _follows(self, change: Change, sold: Sold) -> bool:
        """Whether the price so far is the sku's for the quantity so far, so that it follows a new quantity."""
        price = sold.item.price(change.before["quantity"])
        return price is not None and price.amount_cents == change.before["unit_amount_cents"]


def _check_open(change: Change) -> None:
    """Lines of an order of a cart are what the cart held, since its discounts are for that."""
    of_cart = change.whole.get("cart_id") is not None and change.principal.owner is not None
    harmless = change.changed().keys() <= OF_THE_CLIENT | {"frequency"}
    if of_cart and not (change.before and change.draft.attributes and harmless):
        change.problems.append(InvalidState("The order was made from a cart: its lines are the cart's."))
