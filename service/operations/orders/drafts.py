"""Writing what a customer is about to order: carts and draft orders."""

from __future__ import annotations

import secrets
from typing import Any

from service import clock
from service.errors import Invalid, InvalidState
from service.operations.carts import contents
from service.operations.events import outbox
from service.operations.generic.numbers import ORDERS, order_code
from service.operations.generic.writing import Change, Writer
from service.principal import Store
from service.rules.discounts import COUPON_PROBLEMS
from service.rules.states import UNAVAILABLE, resting
from service.rules.totals import MAX_CENTS
from service.store.pool import Connection
from sql import queries

WRITES = queries("generic/writes")

OPEN_ORDERS = frozenset({"draft", "pending"})
"""Order statuses in which an order and its lines can still be changed."""


class Carts(Writer):
    """Carts: a session of their own when they are new, and right amounts after every change."""

    async def complete(self, change: Change) -> None:
        """Fill in what the store decides, and check what was chosen."""
        if change.new:
            terms = await _terms(change)
            change.columns["session"] = secrets.token_urlsafe(24)
            change.columns.setdefault("currency_code", change.store.currency_code)
            change.columns["tax_included"] = terms["prices_include_tax"]
        elif change.before["status"] != "active" and not change.only_of_the_client():
            change.problems.append(
                InvalidState("The cart is {status}: it can't be changed.", status=change.before["status"])
            )
        await _check_methods(change)
        await check_wallet(change)

    async def settle(self, change: Change) -> None:
        """Work out the amounts; a new coupon has to apply, one that the cart has may stop doing so."""
        if change.value("status") not in (None, "active"):
            return
        cart = await contents.recalculate(change.connection, change.store, change.id)
        status = cart.coupon_status
        if change.sets("coupon_code") and status is not None and status != "applied":
            pointer = change.draft.pointer("coupon_code")
            raise Invalid(COUPON_PROBLEMS[status], pointer=pointer, meta={"error": status})

    async def release(self, change: Change) -> None:
        """A cart that became an order stays."""
        if change.before["status"] == "converted":
            change.problems.append(InvalidState("The cart became an order: it can't be deleted."))


class Orders(Writer):
    """Orders: numbered drafts, which may change until they are placed."""

    async def complete(self, change: Change) -> None:
        """Fill in number, code and what store and customer decide; check what can still change."""
        if change.new:
            await self._begin(change)
        elif change.before["status"] not in OPEN_ORDERS and not change.only_of_the_client():
            problem = InvalidState("The order is {status}: it can't be changed.", status=change.before["status"])
            change.problems.append(problem)
        await _check_methods(change)
        await check_wallet(change)

    async def settle(self, change: Change) -> None:
        """Work out the amounts, and whether the order is complete enough to be placed."""
        if change.value("status") in (None, *OPEN_ORDERS):
            actor = outbox.actor(change.principal)
            await recalculate(change.connection, change.store, change.id, actor=actor)

    async def release(self, change: Change) -> None:
        """Only drafts can be deleted."""
        if change.before["status"] not in OPEN_ORDERS:
            problem = InvalidState("The order is {status}: it can't be deleted.", status=change.before["status"])
            change.problems.append(problem)

    async def _begin(self, change: Change) -> None:
        columns, terms = change.columns, await _terms(change)
        number = await take_number(change, "orders")
        columns["number"] = number
        columns["code"] = order_code(number, prefix=terms["order_prefix"], suffix=terms["order_suffix"])
        columns.setdefault("currency_code", change.store.currency_code)
        columns.setdefault("language_code", terms["locale"])
        columns["tax_included"] = terms["prices_include_tax"]
        customer_id = columns.get("customer_id")
        if customer_id is not None and "customer_email" not in columns:
            customer = await change.connection.fetchrow(WRITES["customer"], change.store.id, customer_id)
            columns["customer_email"] = customer and customer["email"]


async def recalculate(connection: Connection, store: Store, order_id: str, *, actor: str) -> None:
    """Bring the amounts and the resting status of an order that was not placed up to date; it is locked by the caller.

    Raises Invalid when an amount is larger than can be kept, or the total less than zero.
    """
    row = await connection.fetchrow(WRITES["order_sums"], store.id, order_id)
    if row is None or row["status"] not in OPEN_ORDERS:
        return
    status = resting(has_customer=bool(row["customer_id"] or row["customer_email"]), has_lines=bool(row["line_number"]))
    amounts = {
        "subtotal_amount_cents": int(row["subtotal"]),
        "shipping_amount_cents": row["shipping_price_cents"] if row["ships"] else 0,
        "payment_method_amount_cents": row["payment_price_cents"],
        "adjustment_amount_cents": int(row["adjustment"]),
        "subtotal_tax_amount_cents": int(row["tax"]),
        "total_tax_amount_cents": int(row["tax"]) + row["shipping_tax_amount_cents"],
    }
    added = ("subtotal", "shipping", "payment_method", "adjustment")
    kept = row["discount_amount_cents"] + row["gift_card_amount_cents"]
    amounts["total_amount_cents"] = sum(amounts[f"{name}_amount_cents"] for name in added) + kept
    if any(abs(amount) > MAX_CENTS for amount in amounts.values()):
        raise Invalid("An amount of the order would be larger than can be kept.")
    if amounts["total_amount_cents"] < 0 or amounts["total_tax_amount_cents"] < 0:
        raise Invalid("The total of the order would be less than zero.")
    fulfillment = "unfulfilled" if row["ships"] or not row["line_number"] else "not_required"
    wanted: dict[str, Any] = {"status": status, "fulfillment_status": fulfillment, **amounts}
    if any(row[column] != value for column, value in wanted.items()):
        await connection.execute(WRITES["save_order_sums"], store.id, order_id, *wanted.values(), clock.now(store))
        if row["status"] != status:
            await outbox.record(connection, store, f"orders.{status}", order_id, actor=actor)


async def _terms(change: Change) -> Any:
    return await change.connection.fetchrow(WRITES["store_terms"], change.store.id)


async def take_number(change: Change, kind: str) -> int:
    """The number that was set aside for the resource, or else the next one, taken in this transaction."""
    if change.draft.number is not None:
        return change.draft.number
    return int(await change.connection.fetchval(ORDERS["take_numbers"], change.store.id, kind, 1))


async def _check_methods(change: Change) -> None:
    """Note ways to ship and to pay that were sent but can't be chosen."""
    names = [name for name in ("shipping_method", "payment_method") if change.sets(f"{name}_id")]
    if not names:
        return
    rows = await change.connection.fetch(
        WRITES["methods"],
        change.store.id,
        change.value("shipping_method_id"),
        change.value("payment_method_id"),
        change.at,
    )
    currency = change.value("currency_code")
    for row in rows:
        name = row["name"]
        if name not in names:
            continue
        pointer = change.draft.pointer(name)
        if row["currency_code"] != currency:
            change.problems.append(
                Invalid(
                    "{name} - is in {currency}, not in {wanted}",
                    name=name,
                    currency=row["currency_code"],
                    wanted=currency,
                    pointer=pointer,
                )
            )
        if row["disabled"]:
            change.problems.append(Invalid("{name} - {message}", name=name, message=UNAVAILABLE, pointer=pointer))


async def check_wallet(change: Change) -> None:
    """Nobody pays from somebody else's wallet."""
    if not change.sets("customer_payment_source_id", "customer_id"):
        return
    source_id = change.value("customer_payment_source_id")
    if source_id is None:
        return
    payer = await change.connection.fetchval(WRITES["payer"], change.store.id, source_id)
    if payer != change.value("customer_id"):
        pointer = change.draft.pointer("customer_payment_source", "customer")
        change.problems.append(Invalid("customer_payment_source - is another customer's", pointer=pointer))
