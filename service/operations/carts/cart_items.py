"""Cart items: a sku at today's price; the cart is priced anew after every change."""

from __future__ import annotations

import orjson

from service.errors import Conflict, InvalidState
from service.operations.carts import contents
from service.operations.carts.contents import Cart
from service.operations.catalogue import pricing
from service.operations.catalogue.selling import SOLD, check_room, find_sold, price_line
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.rules.outcomes import options_digest


class CartItems(Writer):
    """Cart items: a sku at today's price; the cart is priced anew after every change."""

    whole = "cart"

    async def before_write(self, change: Change) -> None:
        """Find the sku and its price."""
        if change.whole.get("status") != "active":
            change.problems.append(
                InvalidState("The cart is {status}: its items can't be changed.", status=change.whole.get("status"))
            )
            return
        if not change.sets(*SOLD):
            return
        cart = await contents.lock(change.connection, change.store, change.whole["id"])
        if change.new:
            cart = await self._taking(change, cart)
        others = [item for item in cart.items if item.id != change.id]
        held = {item.key: item.quantity for item in others}
        sold = await find_sold(change, cart.currency_code, cart.customer_id, held)
        if sold is None:
            return
        digest = options_digest(orjson.loads(change.value("options") or "{}"))
        if change.new:
            check_room(change, len(others))
            twin = next((item.id for item in others if item.key == (sold.item.sku_id, digest)), None)
            if twin is not None:
                change.problems.append(
                    Conflict(
                        "sku_code - is already in the cart with these options: change the quantity of that item",
                        pointer=change.draft.pointer("sku_code"),
                        meta={"cart_item_id": twin},
                    )
                )
            change.columns |= {
                "sku_id": sold.item.sku_id,
                "name": sold.item.name,
                "image_url": sold.item.image_url,
                "options_digest": digest,
                "currency_code": cart.currency_code,
            }
        change.columns["unit_amount_cents"] = sold.unit_amount_cents
        change.columns["compare_at_amount_cents"] = sold.compare_at_amount_cents
        price_line(change, sold.item.tax_rate, included=cart.tax_included)

    async def _taking(self, change: Change, cart: Cart) -> Cart:
        """The cart in the currency of a new item, where it is empty."""
        if cart.items:
            return cart
        currency = await pricing.currency_of(
            change.connection,
            change.store,
            change.value("sku_code"),
            change.value("quantity"),
            preferred=cart.currency_code,
            customer_group_id=cart.customer_group_id,
            at=change.at,
        )
        cart = contents.taking(cart, currency)
        await contents.set_currency(change.connection, change.store, cart, at=change.at)
        return cart

    async def after_write(self, change: Change) -> None:
        """Price the cart."""
        await contents.recalculate(change.connection, change.store, change.whole["id"])

    async def before_delete(self, change: Change) -> None:
        """Nothing leaves a cart that is closed."""
        if change.whole.get("status") != "active":
            change.problems.append(
                InvalidState("The cart is {status}: its items can't be deleted.", status=change.whole.get("status"))
            )
