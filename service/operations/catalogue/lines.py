"""Writing lines: items of carts, lines of draft orders, items of subscriptions, and what they are lines of.

A line follows its sku, and the cart or order that it is part of follows the line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import orjson

from service.errors import Conflict, Invalid, InvalidState
from service.jsonapi.body import blank
from service.operations.carts import contents
from service.operations.catalogue import pricing
from service.operations.events import outbox
from service.operations.generic.writing import Change, Writer
from service.operations.orders import drafts
from service.operations.orders.drafts import OPEN_ORDERS, WRITES
from service.rules.outcome_texts import phrase
from service.rules.outcomes import CatalogueItem, ItemKey, Outcome, Policy, Price, SourceLine, decide, options_digest
from service.rules.totals import MAX_CENTS, line_totals, tax

MAX_LINES = 1_000
"""How many lines a cart, an order or a subscription holds."""

_SOLD = ("sku_code", "options", "quantity", "item_type")
"""Columns that say what is ordered."""

_POINTED = {
    "option_invalid": "options",
    "option_required": "options",
    "quantity_below_min": "quantity",
    "quantity_reduced_max": "quantity",
    "quantity_raised_min": "quantity",
    "quantity_rounded_step": "quantity",
}
"""Which field an outcome's code is about; the others are about the sku."""


@dataclass(frozen=True, slots=True)
class Sold:
    """A sku as it can be had for a line, at the price for so many."""

    item: CatalogueItem
    unit_amount_cents: int
    compare_at_amount_cents: int | None


class CartItems(Writer):
    """Cart items: a sku at today's price; the cart is priced anew after every change."""

    whole = "cart"

    async def complete(self, change: Change) -> None:
        """Find the sku and its price."""
        if change.whole.get("status") != "active":
            change.problems.append(
                InvalidState("The cart is {status}: its items can't be changed.", status=change.whole.get("status"))
            )
            return
        if not change.sets(*_SOLD):
            return
        cart = await contents.lock(change.connection, change.store, change.whole["id"])
        others = [item for item in cart.items if item.id != change.id]
        held = {item.key: item.quantity for item in others}
        sold = await _sold(change, cart.currency_code, cart.customer_id, held)
        if sold is None:
            return
        digest = options_digest(orjson.loads(change.value("options") or "{}"))
        if change.new:
            _check_room(change, len(others))
            twin = next((item.id for item in others if item.key == (sold.item.sku_id, digest)), None)
            if twin is not None:
                change.problems.append(
                    Conflict(
                        "sku_code - is in the cart with these options already: change the quantity of that item",
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
        _price(change, sold.item.tax_rate, included=cart.tax_included)

    async def settle(self, change: Change) -> None:
        """Price the cart."""
        await contents.recalculate(change.connection, change.store, change.whole["id"])

    async def release(self, change: Change) -> None:
        """Nothing leaves a cart that is closed."""
        if change.whole.get("status") != "active":
            change.problems.append(
                InvalidState("The cart is {status}: its items can't be deleted.", status=change.whole.get("status"))
            )


class LineItems(Writer):
    """Lines of draft orders: a sku at today's price, or at the price that an integration sends; or an adjustment."""

    whole = "order"

    async def complete(self, change: Change) -> None:
        """Find the sku and its price, and work out the amounts of the line."""
        order = change.whole
        if order.get("status") not in OPEN_ORDERS:
            if change.new or not change.only_of_the_client():
                change.problems.append(
                    InvalidState("The order is {status}: its lines can't be changed.", status=order.get("status"))
                )
            return
        if change.new:
            lines = await change.connection.fetchrow(WRITES["line_count"], change.store.id, order["id"])
            assert lines is not None  # noqa: S101 -- an aggregate gives one row
            _check_room(change, lines["lines"])
            change.columns["position"] = lines["last_position"] + 1
            change.columns["currency_code"] = order["currency_code"]
        kind = change.value("item_type") or "skus"
        rate = change.value("tax_rate") or Decimal(0)
        if kind == "skus":
            rate = await self._of_a_sku(change, rate)
        elif kind not in ("bundles", "gift_cards", "adjustments"):
            change.problems.append(
                Invalid(
                    "item_type - lines of {kind} come from the order itself",
                    kind=kind,
                    pointer=change.draft.pointer("item_type"),
                )
            )
        else:
            for name in ("name", "unit_amount_cents"):
                if change.value(name) is None:
                    change.problems.append(blank(name, "/data"))
        if not change.problems and change.sets(*_SOLD, "unit_amount_cents", "options_amount_cents"):
            _price(change, rate, included=order["tax_included"])

    async def settle(self, change: Change) -> None:
        """Work out the order."""
        actor = outbox.actor(change.principal)
        await drafts.recalculate(change.connection, change.store, change.whole["id"], actor=actor)

    async def release(self, change: Change) -> None:
        """Nothing leaves an order that was placed."""
        if change.whole.get("status") not in OPEN_ORDERS:
            status = change.whole.get("status")
            change.problems.append(InvalidState("The order is {status}: its lines can't be deleted.", status=status))

    async def _of_a_sku(self, change: Change, rate: Decimal) -> Decimal:
        """Columns that follow from the sku; gives its tax rate, or the one so far when nothing of it changes."""
        if change.value("sku_code") is None:
            change.problems.append(blank("sku_code", "/data"))
        elif change.sets(*_SOLD):
            order, given = change.whole, change.draft.attributes.get("unit_amount_cents")
            sold = await _sold(change, order["currency_code"], order["customer_id"], {}, priced=given is not None)
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


class OrderSubscriptionItems(Writer):
    """Items of subscriptions: a sku at the price of the day that it was added."""

    whole = "order_subscription"

    async def complete(self, change: Change) -> None:
        """Find the sku and its price."""
        if change.whole.get("status") == "cancelled":
            change.problems.append(InvalidState("The subscription is cancelled: its items can't be changed."))
            return
        source = await change.connection.fetchrow(
            WRITES["source_order"], change.store.id, change.whole["source_order_id"]
        )
        assert source is not None  # noqa: S101 -- a subscription has a source order
        if change.new:
            held = await change.connection.fetchval(WRITES["count_items"], change.store.id, change.whole["id"])
            _check_room(change, held)
            change.columns["currency_code"] = source["currency_code"]
            await _take_code(change)
        if change.problems:
            return
        if change.sets(*_SOLD):
            given = change.draft.attributes.get("unit_amount_cents")
            currency = change.value("currency_code")
            customer_id = change.whole["customer_id"]
            sold = await _sold(change, currency, customer_id, {}, priced=given is not None)
            if sold is None:
                return
            if change.new or change.sets("sku_code"):
                change.columns |= {"sku_id": sold.item.sku_id, "name": sold.item.name}
                change.columns.setdefault("unit_amount_cents", sold.unit_amount_cents)
        total = change.value("quantity") * change.value("unit_amount_cents")
        change.columns["total_amount_cents"] = total
        _check_amount(change, total)


async def _take_code(change: Change) -> None:
    """The code of a new item's sku, which was sent, or linkage to the sku."""
    sku_id = change.draft.related("item")
    if sku_id is None:
        if "sku_code" not in change.columns:
            change.problems.append(blank("sku_code", "/data"))
        return
    code = await change.connection.fetchval(WRITES["code_of_sku"], change.store.id, sku_id)
    if change.columns.setdefault("sku_code", code) != code:
        pointer = change.draft.pointer("sku_code")
        change.problems.append(Invalid("sku_code - is not the code of the item", pointer=pointer))


class Skus(Writer):
    """Skus: numbered, unless the client does."""

    async def complete(self, change: Change) -> None:
        """Take the next number, or keep the one that was given from being handed out again."""
        if not change.new:
            return
        if "number" in change.columns:
            await change.connection.execute(WRITES["reserve_sku_number"], change.store.id, change.columns["number"])
        else:
            change.columns["number"] = await change.connection.fetchval(WRITES["take_sku_number"], change.store.id)


class Addresses(Writer):
    """Addresses: those in a customer's book; the copies that orders keep stay as they are."""

    async def complete(self, change: Change) -> None:
        """Only the client's own fields of a copy may change."""
        if change.before.get("snapshot") and not change.only_of_the_client():
            change.problems.append(InvalidState("The address is the copy that an order keeps: it can't be changed."))

    async def release(self, change: Change) -> None:
        """Copies stay with what keeps them."""
        if change.before.get("snapshot"):
            change.problems.append(InvalidState("The address is the copy that an order keeps: it can't be deleted."))


async def _sold(
    change: Change,
    currency: str,
    customer_id: str | None,
    held: Mapping[ItemKey, int],
    *,
    priced: bool = False,
) -> Sold | None:
    """The sku of a line as it can be had; None with a problem noted when it can't.

    `held` are the quantities that the whole has already, `priced` says that the line brings its own price.
    """
    connection, store = change.connection, change.store
    sku_id = await connection.fetchval(WRITES["sku_by_code"], store.id, change.value("sku_code"))
    if sku_id is None:
        change.problems.append(
            Invalid(
                "sku_code - there is no sku of this code",
                pointer=change.draft.pointer("sku_code"),
                meta={"error": "unknown"},
            )
        )
        return None
    customer = customer_id and await connection.fetchrow(WRITES["customer"], store.id, customer_id)
    group_id = customer["customer_group_id"] if customer else None
    catalogue = await pricing.catalogue(
        connection, store, [sku_id], currency=currency, customer_group_id=group_id, at=change.at
    )
    # Whether it may come along when an order is repeated doesn't matter to who asks for it by its code.
    item = replace(catalogue[sku_id], reorderable=True)
    outcome = _outcome(change, item, held, priced=priced)
    reason = phrase(outcome)
    if reason is not None:
        code = str(outcome.code)
        pointer = change.draft.pointer(_POINTED.get(code, "sku_code"), "sku_code", "quantity")
        change.problems.append(Invalid(reason, pointer=pointer, meta={"error": code}))
        return None
    price = outcome.price
    assert price is not None  # noqa: S101 -- a line that is added has a price
    return Sold(item, price.amount_cents, price.compare_at_amount_cents)


def _outcome(change: Change, item: CatalogueItem, held: Mapping[ItemKey, int], *, priced: bool) -> Outcome:
    line = SourceLine(
        id=change.id,
        item_type="skus",
        sku_id=item.sku_id,
        sku_code=item.code,
        name=item.name,
        options=orjson.loads(change.value("options") or "{}"),
        quantity=change.value("quantity"),
        currency_code=item.currency_code,
        unit_amount_cents=0,
    )
    offered = replace(item, prices=[_FREE]) if priced else item
    return decide([line], {item.sku_id: offered}, held, Policy(stock="ignore", merge=False))[0]


_FREE = Price(1, 0)
"""Stands in for the prices of a sku whose line brings its own."""


def _price(change: Change, rate: Decimal, *, included: bool) -> None:
    """The amounts of a line from its quantity, price and tax rate."""
    unit, quantity = change.value("unit_amount_cents"), change.value("quantity")
    options, discount = change.value("options_amount_cents") or 0, change.value("discount_cents") or 0
    try:
        amounts = line_totals(quantity, unit, rate, tax_included=included, discount_cents=discount)
    except Invalid:
        _check_amount(change, quantity * unit)
        return
    total = amounts.total + options
    _check_amount(change, total)
    change.columns["total_amount_cents"] = total
    change.columns["tax_rate"] = rate
    change.columns["tax_amount_cents"] = tax(max(total + discount, 0), rate, included=included)


def _check_amount(change: Change, amount: int) -> None:
    if abs(amount) > MAX_CENTS:
        pointer = change.draft.pointer("quantity", "unit_amount_cents", "options_amount_cents")
        change.problems.append(Invalid("The amount of the line would be larger than can be kept.", pointer=pointer))


def _check_room(change: Change, lines: int) -> None:
    if lines >= MAX_LINES:
        pointer = change.draft.pointer("cart", "order", "order_subscription")
        change.problems.append(
            Invalid("It holds {most} lines already, which is the most.", most=MAX_LINES, pointer=pointer)
        )
