"""Which states lead to which, and what an order needs before it can be placed (contracts: Commerce Layer's orders).

Messages are kept in `errors_log` and shown to people: Commerce Layer's words where it has them.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.rules.verbs import transitions
from service.texts import Phrase

OPEN_ORDERS = frozenset({"draft", "pending"})
"""Order statuses in which an order and its lines can still be changed."""

PLACED_ORDERS = frozenset({"placed", "approved"})
"""Order statuses of those that are ordered: what they cost is authorized."""

Messages = dict[str, list[str]]
"""What is wrong, by attribute or relationship: the shape of `errors_log`."""

SUBSCRIPTIONS_THAT_RUN = frozenset({"active", "inactive"})
"""Subscription statuses in which a copy may be made by hand; the schedule runs active ones only."""

_ORDERS = transitions("orders")

BLANK = Phrase("can't be blank")
UNAVAILABLE = Phrase("is no longer available")
UNPAID = Phrase("is not paid yet")
EXPIRED = Phrase("has expired")


def refused(current: str, wanted: str) -> str | None:
    """Why an order can't go from one status to another, or None when it can."""
    if wanted in _ORDERS[current]:
        return None
    return Phrase("cannot transition from {current} to {wanted}", current=current, wanted=wanted)


def resting(*, has_customer: bool, has_lines: bool) -> str:
    """The status of an order that nobody has placed: pending once it has a customer and a line, else draft."""
    return "pending" if has_customer and has_lines else "draft"


@dataclass(frozen=True, slots=True)
class Method:
    """A way to ship or to pay that an order has chosen; `gateway` is that of a way to pay."""

    available: bool
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class Checkout:
    """What placing looks at: the resting status, what the order has, whether it ships and whether it is free.

    `gateways` are those through which it can be paid.
    """

    status: str
    ships: bool
    free: bool
    has_billing_address: bool
    has_shipping_address: bool
    shipping_method: Method | None
    payment_method: Method | None
    payment_source_expired: bool = False
    payment_source_missing: bool = False
    gateways: frozenset[str] = frozenset({"manual"})


def placing_problems(order: Checkout) -> Messages:
    """Everything that keeps an order from being placed, but for stock, which is taken, not asked for."""
    reason = refused(order.status, "placed")
    return missing(order) if reason is None else {"status": [reason]}


def missing(order: Checkout) -> Messages:
    """What an order lacks before it can be placed, by the names of its relationships."""
    problems: Messages = {}
    if not order.has_billing_address:
        problems["billing_address"] = [BLANK]
    if order.ships:
        if not order.has_shipping_address:
            problems["shipping_address"] = [BLANK]
        problems |= _method("shipping_method", order.shipping_method, order.gateways)
    if not order.free:
        problems |= _method("payment_method", order.payment_method, order.gateways)
        if order.payment_source_missing:
            problems["customer_payment_source"] = [BLANK]
        elif order.payment_source_expired:
            problems["customer_payment_source"] = [EXPIRED]
    return problems


def _method(name: str, method: Method | None, gateways: frozenset[str]) -> Messages:
    if method is None:
        return {name: [BLANK]}
    if not method.available:
        return {name: [UNAVAILABLE]}
    if method.gateway and method.gateway not in gateways:
        return {name: [Phrase("can't be charged through the {gateway} gateway", gateway=method.gateway)]}
    return {}
