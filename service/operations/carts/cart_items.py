"""Cart items: a sku at today's price; the cart is priced anew after every change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import orjson

from service.errors import Conflict, InvalidState
from service.jsonapi.body import not_found
from service.operations.carts import amounts, contents
from service.operations.carts.contents import Cart, CartItem, Found
from service.operations.catalogue.pricing import Sku
from service.operations.catalogue.selling import SOLD, Sold, check_room, judge, note_unknown, price_line
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.rules.outcomes import ItemKey, options_digest
from service.store.statements import Command
from service.store.write import Columns

_FORGET = Command("carts/carts.forget_items")

_FOUND, _PRICED = "found", "priced"
"""Under which names a change keeps the cart as it was read, and that it was priced with the item."""


class CartItems(Writer):
    """Cart items: a sku at today's price; the cart is priced anew with every change."""

    whole = "cart"
    looked_up: ClassVar = frozenset({"cart"})

    async def lock_whole(self, change: Change, id_: str | None) -> Columns:
        """Lock the cart of a new item, and read with it all that the cart comes to."""
        code = change.columns.get("sku_code", change.draft.attributes.get("sku_code"))
        found = None if id_ is None else await _find(change, id_, code)
        if found is None or not contents.belongs(found.cart, change.principal):
            raise not_found("carts", change.draft.pointer(self.whole))
        change.kept[_FOUND] = found
        return {"id": found.cart.id, "status": found.cart.status}

    async def before_write(self, change: Change) -> None:
        """Find the sku and its price, and what the cart comes to with it, which is written along."""
        if change.whole.get("status") != "active":
            change.problems.append(
                InvalidState("The cart is {status}: its items can't be changed.", status=change.whole.get("status"))
            )
            return
        if not change.sets(*SOLD):
            return
        found = change.kept.get(_FOUND) or await _find(change, change.whole["id"], change.value("sku_code"))
        assert found is not None  # noqa: S101 -- the cart is locked
        stored, skus = contents.of_row(found.cart), {sku.id: sku for sku in found.offers.skus()}
        wanted = skus.get(found.sku_id)
        if wanted is None:
            await note_unknown(change, change.value("sku_code"))
            return
        cart = _taking(change, stored, wanted) if change.new else stored
        others = [item for item in cart.items if item.id != change.id]
        sold = judge(
            change,
            wanted.item(cart.currency_code, cart.customer_group_id),
            {item.key: item.quantity for item in others},
        )
        if sold is None:
            return
        digest = options_digest(orjson.loads(change.value("options") or "{}"))
        if change.new:
            _begin(change, cart, sold, digest, others)
        change.columns["unit_amount_cents"] = sold.unit_amount_cents
        change.columns["compare_at_amount_cents"] = sold.compare_at_amount_cents
        price_line(change, sold.item.tax_rate, included=cart.tax_included)
        if change.problems:
            return
        item = _item(change, sold, digest)
        catalogue = {id_: sku.item(cart.currency_code, cart.customer_group_id) for id_, sku in skus.items()}
        saved = await amounts.priced(cart, [*others, item], catalogue, found.offers.promotions)
        change.columns |= amounts.priced_columns(next(one for one in saved.items if one.id == item.id))
        change.along += amounts.parts(change.store, stored, saved, at=change.at, but=item.id)
        change.kept[_PRICED] = True
        # The cart is changed by the same statement, which then doesn't find it to ask whose it is.
        change.owners = [cart.customer_id]

    async def after_write(self, change: Change) -> None:
        """Price the cart, unless that was written along."""
        if _PRICED not in change.kept:
            await amounts.recalculate(change.connection, change.store, change.whole["id"], changed=True)

    async def before_delete(self, change: Change) -> None:
        """Nothing leaves a cart that is closed; outcomes of reorders don't name any more what leaves another."""
        if change.whole.get("status") != "active":
            change.problems.append(
                InvalidState("The cart is {status}: its items can't be deleted.", status=change.whole.get("status"))
            )
        else:
            await _FORGET(change.connection, store=change.store.id, removed=[change.id])


async def _find(change: Change, cart_id: str, sku_code: str | None) -> Found | None:
    return await contents.to_change(change.connection, change.store, cart_id, sku_code=sku_code, at=change.at)


def _taking(change: Change, cart: Cart, wanted: Sku) -> Cart:
    """The cart in the currency of a new item, where it is empty."""
    if cart.items:
        return cart
    preferred = (cart.currency_code, change.store.currency_code)
    return contents.taking(cart, wanted.currency(change.value("quantity"), cart.customer_group_id, preferred))


def _begin(change: Change, cart: Cart, sold: Sold, digest: str, others: Sequence[CartItem]) -> None:
    """Take over what a new item has of its sku, and note what keeps it out of the cart."""
    check_room(change, len(others))
    key: ItemKey = (sold.item.sku_id, digest)
    twin = next((item.id for item in others if item.key == key), None)
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


def _item(change: Change, sold: Sold, digest: str) -> CartItem:
    """The item that is written, not priced yet."""
    return CartItem(
        id=change.id,
        sku_id=sold.item.sku_id,
        source_line_item_id=change.value("source_line_item_id"),
        sku_code=change.value("sku_code"),
        name=change.value("name"),
        image_url=change.value("image_url"),
        options=orjson.loads(change.value("options") or "{}"),
        options_digest=digest,
        quantity=change.value("quantity"),
    )
