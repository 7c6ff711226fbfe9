"""Orders: numbered drafts, which may change until they are placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from service.errors import Invalid, InvalidState
from service.jsonapi.body import Draft
from service.operations.catalogue import pricing
from service.operations.catalogue.methods import check_methods
from service.operations.events import outbox
from service.operations.generic.change import Change, Locked
from service.operations.generic.created import Created
from service.operations.generic.numbers import take_number
from service.operations.generic.phases import Interlude
from service.operations.generic.writing import Writer
from service.operations.ordering import facts
from service.operations.orders import checkout, placing, saving, sums
from service.operations.parties import customers
from service.operations.parties.wallets import check_wallet
from service.operations.subscriptions import of_orders
from service.operations.tenant.terms import terms_of
from service.principal import Principal
from service.rules.order_codes import order_code
from service.rules.states import OPEN_ORDERS
from service.store.pool import Connection
from service.store.write import Columns

DUE = "_due_amount_cents"

_ALONE = ("_place", "_cancel")
"""Triggers that take more than one transaction."""


def _alone(change: Change, name: str) -> Invalid:
    return Invalid("{name} - takes a request of its own", name=name, pointer=change.draft.pointer(name))


async def _placed(change: Change) -> None:
    """Placing takes more than the one transaction of a change."""
    change.problems.append(_alone(change, "_place"))


async def _cancelled(change: Change) -> None:
    """So does cancelling."""
    change.problems.append(_alone(change, "_cancel"))


async def _approved(change: Change) -> Columns:
    return {"approved_at": change.at}


async def _refreshed(change: Change) -> Columns | None:
    """Have an order come to what it would today, unless all of it was agreed on."""
    order = await facts.of(change.connection, change.store, change.id, at=change.at)
    if order.follows:
        return {"refreshed_at": change.at}
    pointer = change.draft.pointer("_refresh_prices")
    change.problems.append(
        InvalidState("The prices of this order were agreed on: today's don't take their place.", pointer=pointer)
    )
    return None


class Orders(Writer):
    """Orders: numbered drafts or made of carts, with all that happens to them until they are approved or cancelled."""

    looked_up: ClassVar = frozenset({"cart"})
    effects: ClassVar = {
        "place": _placed,
        "cancel": _cancelled,
        "approve": _approved,
        "refresh_prices": _refreshed,
        "create_subscriptions": of_orders.prepare,
    }

    async def create_in_steps(
        self, connection: Connection, principal: Principal, draft: Draft
    ) -> Created | Interlude[Created]:
        """Make an order, of a repeat link's cart for somebody who proves to be its customer. Raises WrongGuess."""
        proven = await checkout.prove(connection, principal, draft.triggers.get(checkout.FACTOR))
        others = {name: value for name, value in draft.triggers.items() if name != checkout.FACTOR}
        return Created(await self.create(connection, proven, replace(draft, triggers=others)))

    async def update_in_steps(
        self, connection: Connection, principal: Principal, locked: Locked, draft: Draft
    ) -> Interlude[None] | None:
        """Change a locked order, then place or cancel it where that is asked for."""
        asked = [name for name in _ALONE if draft.triggers.get(name)]
        if len(asked) > 1:
            raise Invalid("One request can't both place and cancel an order.", pointer=draft.pointer(*asked))
        if not asked:
            await self.update(connection, principal, locked, draft)
            return None
        if asked == ["_cancel"]:
            await self._change_rest(connection, principal, locked, draft, without=asked)
            return await placing.cancel(connection, principal, locked.id)
        if draft.triggers.get("_refresh_prices") and DUE not in draft.triggers:
            raise Invalid(
                "{name} - is required to take over today's prices and place the order at once",
                name=DUE,
                pointer=draft.pointer("_refresh_prices"),
            )
        await saving.check(connection, principal, locked.row, draft)
        await self._change_rest(connection, principal, locked, draft, without=(*asked, saving.SOURCE, *saving.TRIGGERS))
        to_wallet, to_subscription = (bool(draft.triggers.get(name)) for name in saving.TRIGGERS)
        payment = placing.Payment(draft.triggers.get(saving.SOURCE), to_wallet, to_subscription)
        return await placing.place(connection, principal, locked.id, payment)

    async def _change_rest(
        self, connection: Connection, principal: Principal, locked: Locked, draft: Draft, *, without: Sequence[str]
    ) -> None:
        """Change what else a request changes that places or cancels an order."""
        others = {name: value for name, value in draft.triggers.items() if name not in without}
        rest = replace(draft, triggers=others)
        if rest.attributes or rest.relationships or rest.triggers or rest.echoes:
            await self.update(connection, principal, locked, rest)

    async def validate(self, change: Change) -> None:
        """Fill in number, code and what store, customer and cart decide; check what can still change."""
        for name in (checkout.FACTOR, saving.SOURCE):
            if change.draft.triggers.get(name):
                change.problems.append(_alone(change, name))
        of_cart = _of_cart(change)
        if of_cart:
            await checkout.take_over(change)
        if change.new:
            await _begin(change)
        elif change.before["status"] not in OPEN_ORDERS and not change.only_of_the_client():
            problem = InvalidState("The order is {status}: it can't be changed.", status=change.before["status"])
            change.problems.append(problem)
        await check_methods(change)
        await check_wallet(change)
        await saving.save_later(change)
        if not of_cart and change.sets("coupon_code"):
            await _change_coupon(change)
        if DUE in change.draft.triggers and not change.draft.triggers.get("_refresh_prices"):
            pointer = change.draft.pointer(DUE)
            change.problems.append(Invalid("{name} - goes with `_refresh_prices`", name=DUE, pointer=pointer))

    async def before_write(self, change: Change) -> None:
        """Have the lines and the amounts of an order of a cart written along with it."""
        checkout.convert(change)

    async def after_write(self, change: Change) -> None:
        """Work out the amounts and the status, unless they are a cart's; make subscriptions of the order."""
        if _of_cart(change):
            checkout.check_uses(change)
        elif change.value("status") in (None, *OPEN_ORDERS):
            await _add_up(change, outbox.actor(change.principal))
        await of_orders.create(change)

    async def before_delete(self, change: Change) -> None:
        """Only drafts can be deleted; an order of a cart stays, as its cart does."""
        if change.before["cart_id"] is not None:
            change.problems.append(InvalidState("The order was made from a cart: it can't be deleted, only cancelled."))
        if change.before["status"] not in OPEN_ORDERS:
            problem = InvalidState("The order is {status}: it can't be deleted.", status=change.before["status"])
            change.problems.append(problem)
        if not change.problems and change.before["coupon_counted"]:
            await pricing.give_coupon_back(change.connection, change.store, change.before["coupon_code"], at=change.at)


def _of_cart(change: Change) -> bool:
    """Whether an order is being made of a cart."""
    return change.new and change.columns.get("cart_id") is not None


async def _begin(change: Change) -> None:
    columns, terms = change.columns, await terms_of(change)
    number = await take_number(change, "orders")
    columns["number"] = number
    columns["code"] = order_code(number, prefix=terms.order_prefix, suffix=terms.order_suffix)
    columns.setdefault("currency_code", change.store.currency_code)
    columns.setdefault("language_code", terms.locale)
    columns["tax_included"] = terms.prices_include_tax
    customer_id = columns.get("customer_id")
    if customer_id is not None and "customer_email" not in columns:
        customer = await customers.find(change.connection, change.store, customer_id)
        columns["customer_email"] = customer and customer.email


async def _change_coupon(change: Change) -> None:
    """Give back the use of the coupon that an order had; one of a cart keeps the cart's."""
    if change.before.get("cart_id") is not None:
        pointer = change.draft.pointer("coupon_code")
        change.problems.append(
            InvalidState("The order was made from a cart: its coupon is the cart's.", pointer=pointer)
        )
    elif change.before.get("coupon_counted"):
        await pricing.give_coupon_back(change.connection, change.store, change.before["coupon_code"], at=change.at)
        change.columns["coupon_counted"] = False


async def _add_up(change: Change, actor: str) -> None:
    """Bring an order to its amounts: to those of today where its buyer, its coupon or the prices are to be others."""
    connection, store, id_ = change.connection, change.store, change.id
    of_cart = change.value("cart_id") is not None
    rebuilt = not of_cart and (change.sets("coupon_code") or (not change.new and change.sets("customer_id")))
    if not rebuilt and "refresh_prices" not in change.done:
        fresh = change.new or change.sets("shipping_method_id", "payment_method_id")
        await sums.recalculate(connection, store, id_, actor=actor, fresh=fresh)
        return
    found = await sums.reprice(connection, store, id_, actor=actor)
    if found is None:
        return
    status = found.coupon_status
    if change.sets("coupon_code") and status is not None and status != "applied":
        raise pricing.coupon_refused(status)
    expected = change.draft.triggers.get(DUE)
    if expected is not None and expected != found.amounts.due:
        raise Invalid(
            "{name} - is {due} by now",
            name=DUE,
            due=found.amounts.due,
            pointer=change.draft.pointer(DUE),
            meta={"error": "price_changed", "due_amount_cents": found.amounts.due},
        )
