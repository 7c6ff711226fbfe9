"""Lines of orders: a sku at today's price, or at the price that an integration sends; or an adjustment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from service.errors import Invalid, InvalidState
from service.jsonapi.body import blank
from service.operations.catalogue.selling import SOLD, check_room, find_sold, price_line
from service.operations.events import outbox
from service.operations.generic.change import OF_THE_CLIENT, Change
from service.operations.generic.writing import Writer
from service.operations.ordering import facts
from service.operations.ordering.facts import Line
from service.operations.orders import sums
from service.rules.outcomes import ItemKey, options_digest
from service.rules.states import OPEN_ORDERS


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
        known = await facts.of(change.connection, change.store, order["id"], at=change.at)
        others = [line for line in known.lines if line.id != change.id]
        if change.new:
            check_room(change, len(others))
            change.columns["position"] = max((line.position for line in others), default=0) + 1
            change.columns["currency_code"] = order["currency_code"]
        kind = change.value("item_type") or "skus"
        rate = change.value("tax_rate") or Decimal(0)
        if kind == "skus":
            rate = await self._of_a_sku(change, rate, others)
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
        """Work out the order: what lines at the catalogue's prices cost depends on all of them together."""
        if change.whole["status"] in OPEN_ORDERS:
            actor = outbox.actor(change.principal)
            await sums.reprice(change.connection, change.store, change.whole["id"], actor=actor)

    async def before_delete(self, change: Change) -> None:
        """Nothing leaves an order that was placed, or made of a cart."""
        _check_open(change)
        if change.whole.get("status") not in OPEN_ORDERS:
            status = change.whole.get("status")
            change.problems.append(InvalidState("The order is {status}: its lines can't be deleted.", status=status))

    async def _of_a_sku(self, change: Change, rate: Decimal, others: Sequence[Line]) -> Decimal:
        """Columns that follow from the sku; gives its tax rate, or the one so far when nothing of it changes."""
        if change.value("sku_code") is None:
            change.problems.append(blank("sku_code", "/data"))
        elif change.sets(*SOLD):
            order, given = change.whole, change.draft.attributes.get("unit_amount_cents")
            agreed = given is not None or self._stays_agreed(change)
            sold = await find_sold(change, order["currency_code"], order["customer_id"], _held(others), priced=agreed)
            if sold is None:
                return rate
            if change.new or change.sets("sku_code"):
                change.columns["sku_id"] = sold.item.sku_id
                change.columns.setdefault("name", sold.item.name)
                change.columns.setdefault("image_url", sold.item.image_url)
            change.columns["price_mode"] = "fixed" if agreed else "current"
            if not agreed:
                change.columns["unit_amount_cents"] = sold.unit_amount_cents
                change.columns.setdefault("compare_at_amount_cents", sold.compare_at_amount_cents)
            return sold.item.tax_rate
        elif "unit_amount_cents" in change.columns and change.sets("unit_amount_cents"):
            change.columns["price_mode"] = "fixed"
        return rate

    def _stays_agreed(self, change: Change) -> bool:
        """Whether the price of the line was agreed on for this very product, and not only for so many."""
        return change.before.get("price_mode") == "fixed" and not change.sets("sku_code", "options")


def _held(lines: Sequence[Line]) -> dict[ItemKey, int]:
    """The pieces in lines, by sku and options."""
    held: Counter[ItemKey] = Counter()
    for line in lines:
        if line.item_type == "skus" and line.sku_id is not None:
            held[line.sku_id, options_digest(line.options)] += line.quantity
    return held


def _check_open(change: Change) -> None:
    """Lines of an order of a cart are what the cart held, since its discounts are for that."""
    of_cart = change.whole.get("cart_id") is not None and change.principal.owner is not None
    harmless = change.changed().keys() <= OF_THE_CLIENT | {"frequency"}
    if of_cart and not (change.before and change.draft.attributes and harmless):
        change.problems.append(InvalidState("The order was made from a cart: its lines are the cart's."))
