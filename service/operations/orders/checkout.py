"""From a cart to an order that is placed: what orders do beyond being drafts.

A cart becomes an order once, in one transaction under its lock: its items become lines at the prices of that moment,
its addresses snapshots, a repeat link that made it counts a use. Whoever has that order made of a repeat link's cart
has to be its customer: signed in, or by what the store asks for instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from service import clock
from service.errors import Forbidden, Gone, Invalid, InvalidState, WrongGuess
from service.operations.carts import contents
from service.operations.carts.contents import Cart
from service.operations.catalogue import pricing
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.ordering import checks
from service.operations.ordering.today import offered
from service.operations.parties import addresses, customers
from service.principal import Principal, Store
from service.rules import proofs
from service.rules.outcomes import SourceLine
from service.rules.proofs import Rule
from service.store.pool import Connection
from service.store.statements import Command, One, Value

FACTOR = "_repeat_link_factor"
"""What a new order is sent with by somebody who isn't signed in."""


class _Cart(NamedTuple):
    """What an order takes over from its cart; `source` is the order that the cart's link repeats."""

    status: str
    customer_id: str | None
    customer_email: str | None
    billing_address_id: str | None
    shipping_address_id: str | None
    shipping_method_id: str | None
    payment_method_id: str | None
    customer_payment_source_id: str | None
    repeat_link_id: str | None
    metadata: str
    revoked: bool
    source_order_id: str | None
    root_order_id: str | None
    source_customer_id: str | None
    source_customer_email: str | None


class Factor(NamedTuple):
    """What somebody has to know of the order behind a cart's repeat link: any of the answers will do."""

    repeat_link_id: str
    rule: Rule
    customer_id: str | None
    answers: list[str]


_TAKE_OVER = One("orders/checkout.take_over", _Cart)
_FACTOR = One("orders/checkout.factor", Factor)
_LINK = Value("orders/checkout.link", str)
_MAKE_LINES = Command("orders/checkout.make_lines")
_CONVERT = Command("orders/checkout.convert")
_USE_LINK = Value("orders/checkout.use_link", str)


async def take_over(change: Change) -> Cart | None:
    """Lock the cart of a new order and take over what it has; None with a problem noted when it can't be had."""
    connection, store = change.connection, change.store
    pointer, columns = change.draft.pointer("cart"), change.columns
    found = await _TAKE_OVER(connection, store=store.id, cart=columns["cart_id"])
    assert found is not None  # noqa: S101 -- linkage was checked
    if found.status != "active":
        change.problems.append(
            InvalidState("The cart is {status}: no order can be made from it.", status=found.status, pointer=pointer)
        )
        return None
    await _check_link(change, found, pointer)
    if found.customer_id is not None and columns.get("customer_id", found.customer_id) != found.customer_id:
        change.problems.append(
            Invalid("customer - is not the customer of the cart", pointer=change.draft.pointer("customer"))
        )
    cart = await contents.recalculate(connection, store, columns["cart_id"])
    for name in ("currency_code", "coupon_code"):
        wanted = cart.currency_code if name == "currency_code" else _coupon(cart)
        if columns.get(name, wanted) != wanted:
            change.problems.append(
                Invalid("{name} - differs from the cart's", name=name, pointer=change.draft.pointer(name))
            )
        columns[name] = wanted
    columns["coupon_counted"] = columns["coupon_code"] is not None
    await _check_items(change, cart, pointer)
    customer_id, email = await _buyer(change, found)
    carried: Mapping[str, object] = {
        "customer_id": customer_id,
        "customer_email": email,
        "billing_address_id": found.billing_address_id,
        "shipping_address_id": found.shipping_address_id,
        "shipping_method_id": found.shipping_method_id,
        "payment_method_id": found.payment_method_id,
        "repeat_link_id": found.repeat_link_id,
        "source_order_id": found.source_order_id,
        "root_order_id": found.root_order_id,
        "metadata": found.metadata,
    }
    for name, value in carried.items():
        columns.setdefault(name, value)
    columns.setdefault("guest", columns["customer_id"] is None)
    # Nobody but the customer, or the shop for the customer, pays from the wallet.
    if change.principal.owner is None or change.principal.customer_id == columns["customer_id"]:
        columns.setdefault("customer_payment_source_id", found.customer_payment_source_id)
    return cart


def _coupon(cart: Cart) -> str | None:
    """The coupon that takes something off a cart; an order has no other."""
    return cart.coupon_code if cart.coupon_status == "applied" else None


async def _check_items(change: Change, cart: Cart, pointer: str) -> None:
    """Note what of a cart can't be bought as it is."""
    if not cart.items:
        change.problems.append(Invalid("cart - is empty", pointer=pointer, meta={"error": "blank"}))
        return
    items = [
        SourceLine(
            id=item.id,
            item_type="skus",
            sku_id=item.sku_id,
            sku_code=item.sku_code,
            name=item.name,
            options=item.options,
            quantity=item.quantity,
            currency_code=cart.currency_code,
            unit_amount_cents=item.unit_amount_cents,
        )
        for item in cart.items
    ]
    _, outcomes = offered(await contents.catalogue(change.connection, change.store, cart, at=change.at), items)
    change.problems += [problem.error("cart") for problem in checks.unavailable(outcomes, "cart_item")]


async def _check_link(change: Change, cart: _Cart, pointer: str) -> None:
    """Note why the order of a repeat link's cart can't be made by who asks for it."""
    principal = change.principal
    if cart.repeat_link_id is None:
        return
    if cart.revoked:
        change.problems.append(Gone("The repeat link of this cart was revoked.", pointer=pointer))
    signed_in = principal.customer_id is not None and principal.customer_id == cart.source_customer_id
    if principal.owner is None or signed_in or principal.proven_link_id == cart.repeat_link_id:
        return
    factor = await _FACTOR(change.connection, store=change.store.id, cart=change.columns["cart_id"])
    way = None if factor is None else proofs.proof(factor.rule, factor.customer_id, factor.answers)
    meta = {"error": "identity_required", "proof": way}
    if way is None:
        problem = Forbidden(
            "Nothing in the order that the link repeats proves its customer: only the shop can order it again.",
            pointer=pointer,
            meta=meta,
        )
    else:
        problem = Forbidden(
            "To order by a repeat link, sign in or prove to be the order's customer as the store requires.",
            pointer=pointer,
            meta=meta,
        )
    change.problems.append(problem)


async def _buyer(change: Change, cart: _Cart) -> tuple[str | None, str | None]:
    """Whose order a cart becomes: its customer's, or that of who is signed in, or of the order that a link repeats.

    Returns customer and e-mail.
    """
    customer_id = change.columns.get("customer_id") or cart.customer_id or change.principal.customer_id
    email = cart.customer_email
    if cart.repeat_link_id is not None:
        customer_id, email = customer_id or cart.source_customer_id, email or cart.source_customer_email
    if email is None and customer_id is not None:
        found = await customers.find(change.connection, change.store, customer_id)
        email = found and found.email
    return customer_id, email


async def keep_addresses(change: Change) -> None:
    """Give an order copies of the addresses that it was told to use."""
    columns = ("billing_address_id", "shipping_address_id")
    copies = await addresses.snapshots(
        change.connection,
        change.store,
        [change.columns.get(column) for column in columns],
        customer_id=change.columns["customer_id"],
        at=change.at,
    )
    change.columns |= dict(zip(columns, copies, strict=True))


async def convert(change: Change, cart_id: str) -> None:
    """Make the lines of an order of its cart's items, and close the cart."""
    connection, store = change.connection, change.store
    cart = await contents.lock(connection, store, cart_id)
    items = [item.id for item in cart.items]
    ids = [clock.new_id() for _ in items]
    await _MAKE_LINES(connection, store=store.id, order=change.id, ids=ids, items=items, at=change.at)
    await _CONVERT(connection, store=store.id, cart=cart_id, at=change.at)
    link_id = change.columns["repeat_link_id"]
    if link_id is not None and await _USE_LINK(connection, store=store.id, link=link_id, at=change.at) is None:
        raise Gone(
            "The repeat link of this cart has led to its maximum number of orders.",
            pointer=change.draft.pointer("cart"),
        )
    coupon_code = change.columns["coupon_code"]
    if coupon_code is not None:
        await pricing.use_coupon(connection, store, coupon_code, at=change.at)
    actor = outbox.actor(change.principal)
    await outbox.record(connection, store, "carts.convert", cart_id, actor=actor)


async def link_of(connection: Connection, store: Store, cart_id: str) -> str | None:
    """The id of the repeat link that made a cart, if one did."""
    return await _LINK(connection, store=store.id, cart=cart_id)


async def prove(connection: Connection, principal: Principal, said: str | None) -> Principal:
    """Who asks for an order, once what was said of a repeat link's order has been looked at; None for nothing.

    Raises WrongGuess for what isn't so. Whoever calls this limits how often that may happen.
    """
    factor = None
    if principal.cart_id is not None and said is not None:
        factor = await _FACTOR(connection, store=principal.store.id, cart=principal.cart_id)
    if factor is None or said is None:
        return principal
    if not proofs.knows(factor.rule, factor.answers, said):
        raise WrongGuess(
            "_repeat_link_factor - does not match the order", fields=(FACTOR,), meta={"error": "wrong_factor"}
        )
    return replace(principal, proven_link_id=factor.repeat_link_id)
