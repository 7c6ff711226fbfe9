"""From a cart to an order that is placed: what orders do beyond being drafts.

A cart becomes an order once, in one transaction under its lock: its items become lines at the prices of that moment,
its addresses snapshots, a repeat link that made it counts a use. Whoever has that order made of a repeat link's cart
has to be its customer: signed in, or by what the store asks for instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from service import clock
from service.errors import Forbidden, Gone, Invalid, InvalidState, WrongGuess
from service.jsonapi.body import not_found
from service.operations.carts import amounts, contents
from service.operations.carts.contents import Cart, CartItem
from service.operations.catalogue import pricing
from service.operations.catalogue.methods import METHODS, Method
from service.operations.catalogue.pricing import Offers
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.ordering import checks
from service.operations.ordering.facts import Amounts, Line
from service.operations.ordering.today import offered, summed
from service.operations.orders import sums
from service.operations.parties import addresses
from service.operations.tenant.terms import TERMS, Terms
from service.principal import Principal, Store
from service.rules import proofs
from service.rules.outcomes import CatalogueItem, SourceLine
from service.rules.proofs import Rule
from service.store.pool import Connection
from service.store.statements import One, Part, Value

_TAKEN = "taken"
"""Under which name a change keeps what was taken over."""

FACTOR = "_repeat_link_factor"
"""What a new order is sent with by somebody who isn't signed in."""


class _Found(NamedTuple):
    """A locked cart, what an order takes over from it, and what the order is decided on.

    `source` is the order that the cart's link repeats, `methods` are JSON, arrays in the order of `Method`. Read before
    the lock, the rest is that of another version than the one that is held (`held_version`).
    """

    held_version: int
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
    buyer_id: str | None
    buyer_email: str | None
    terms: Terms
    cart: contents.Row
    methods: str | None
    offers: Offers

    @property
    def current(self) -> bool:
        """Whether the cart was read under its lock."""
        return self.held_version == self.cart.version


@dataclass(frozen=True, slots=True)
class _Taken:
    """What an order is made of: the cart as it is stored, as it comes to now, and what its skus are."""

    found: _Found
    stored: Cart
    cart: Cart
    sold: Mapping[str, CatalogueItem]


class Factor(NamedTuple):
    """What somebody has to know of the order behind a cart's repeat link: any of the answers will do."""

    repeat_link_id: str
    rule: Rule
    customer_id: str | None
    answers: list[str]


_TAKE_OVER = One("orders/checkout.take_over", _Found)
_FACTOR = One("orders/checkout.factor", Factor)
_LINK = Value("orders/checkout.link", str)
_MAKE_LINES = Part("orders/checkout.make_lines")
_USE_LINK = Value("orders/checkout.use_link", str)


async def take_over(change: Change) -> None:
    """Lock the cart of a new order and take over what it has; with a problem noted when it can't be had.

    What was read with it is kept for later moments.
    """
    pointer, columns = change.draft.pointer("cart"), change.columns
    found = await _find(change)
    if found is None:
        change.problems.append(not_found("carts", pointer))
        return
    stored = contents.of_row(found.cart)
    if stored.status != "active":
        change.problems.append(
            InvalidState("The cart is {status}: no order can be made from it.", status=stored.status, pointer=pointer)
        )
        return
    await _check_link(change, found, pointer)
    if stored.customer_id is not None and columns.get("customer_id", stored.customer_id) != stored.customer_id:
        change.problems.append(
            Invalid("customer - is not the customer of the cart", pointer=change.draft.pointer("customer"))
        )
    sold = found.offers.sold(stored.currency_code, stored.customer_group_id)
    cart = await amounts.priced(stored, stored.items, sold, found.offers.promotions)
    for name in ("currency_code", "coupon_code"):
        wanted = cart.currency_code if name == "currency_code" else _coupon(cart)
        if columns.get(name, wanted) != wanted:
            change.problems.append(
                Invalid("{name} - differs from the cart's", name=name, pointer=change.draft.pointer(name))
            )
        columns[name] = wanted
    columns["coupon_counted"] = columns["coupon_code"] is not None
    _check_items(change, cart, sold, pointer)
    carried: Mapping[str, object] = {
        "customer_id": found.buyer_id,
        "customer_email": found.customer_email or found.source_customer_email or found.buyer_email,
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
    change.kept[_TAKEN] = _Taken(found, stored, cart, sold)
    change.kept[TERMS] = found.terms
    change.kept[METHODS] = [Method(*values) for values in orjson.loads(found.methods or "[]")]


async def _find(change: Change) -> _Found | None:
    """The cart of a new order with all that is decided on it; None where the asker sees none."""
    columns = change.columns
    found = await contents.under_lock(
        lambda: _TAKE_OVER(
            change.connection,
            store=change.store.id,
            cart=columns["cart_id"],
            shipping_method=columns.get("shipping_method_id"),
            payment_method=columns.get("payment_method_id"),
            customer=columns.get("customer_id"),
            signed_in=change.principal.customer_id,
            at=change.at,
        )
    )
    return found if found is not None and contents.belongs(found.cart, change.principal) else None


def _coupon(cart: Cart) -> str | None:
    """The coupon that takes something off a cart; an order has no other."""
    return cart.coupon_code if cart.coupon_status == "applied" else None


def _check_items(change: Change, cart: Cart, sold: Mapping[str, CatalogueItem], pointer: str) -> None:
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
    _, outcomes = offered(sold, items)
    change.problems += [problem.error("cart") for problem in checks.unavailable(outcomes, "cart_item")]


async def _check_link(change: Change, cart: _Found, pointer: str) -> None:
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


def convert(change: Change) -> None:
    """Make an order of the cart that it took over: its amounts and lines, and what goes along with it.

    It gets copies of the addresses that it was told to use, the cart is closed, link and coupon are used.
    """
    taken: _Taken | None = change.kept.get(_TAKEN)
    if taken is None or change.problems:
        return
    store, columns, cart = change.store.id, change.columns, taken.cart
    names = ("billing_address_id", "shipping_address_id")
    copies = addresses.copies([columns.get(name) for name in names], customer_id=columns["customer_id"])
    columns |= dict(zip(names, copies.ids, strict=True))
    lines = [_line(position, item, taken) for position, item in enumerate(cart.items, 1)]
    _add_up(change, cart, lines)
    rows = [_row(line, item) for line, item in zip(lines, cart.items, strict=True)]
    made = _MAKE_LINES.along(store=store, order=change.id, lines=orjson.dumps(rows).decode(), at=change.at)
    change.along += [
        *copies.along(change.store, change.at),
        made.more("line_items", [columns["customer_id"]] * len(rows)),
        *amounts.parts(change.store, taken.stored, cart, at=change.at, converted=True),
    ]
    if columns["repeat_link_id"] is not None:
        change.along.append(_USE_LINK.along(store=store, link=columns["repeat_link_id"], at=change.at))
    if columns["coupon_code"] is not None:
        change.along.append(pricing.USE_COUPON.along(store=store, coupon=columns["coupon_code"], at=change.at))
    change.others.append(Event("carts.convert", cart.id))


def check_uses(change: Change) -> None:
    """Raise Gone for a repeat link that led to as many orders as it may, InvalidState for a coupon that is used up."""
    if change.returned.get(_USE_LINK) == []:
        raise Gone(
            "The repeat link of this cart has led to its maximum number of orders.",
            pointer=change.draft.pointer("cart"),
        )
    if change.returned.get(pricing.USE_COUPON) == []:
        raise pricing.coupon_used_up()


def _add_up(change: Change, cart: Cart, lines: Sequence[Line]) -> None:
    """Set the amounts of a new order of these lines, and its status."""
    columns = change.columns
    chosen = {method.id: method.price for method in change.kept[METHODS]}
    agreed = Amounts(cart.tax_included, 0, 0, 0, cart.discount_amount_cents, 0, 0, 0, 0)
    due = summed(
        agreed,
        lines,
        lines,
        shipping=chosen.get(columns["shipping_method_id"], 0),
        payment_method=chosen.get(columns["payment_method_id"], 0),
    )
    known = bool(columns["customer_id"] or columns["customer_email"])
    columns["status"], columns["fulfillment_status"] = sums.statuses(lines, known=known)
    columns |= sums.columns(due) | {"refreshed_at": change.at}
    if columns["status"] == "pending":
        change.happened.append("pending")


def _line(position: int, item: CartItem, taken: _Taken) -> Line:
    """The line that an item of a cart becomes: at the catalogue's price until the order is placed."""
    return Line(
        id=clock.new_id(),
        item_type="skus",
        sku_id=item.sku_id,
        sku_code=item.sku_code,
        name=item.name,
        options=item.options,
        quantity=item.quantity,
        currency_code=taken.cart.currency_code,
        unit_amount_cents=item.unit_amount_cents,
        compare_at_amount_cents=item.compare_at_amount_cents,
        options_amount_cents=0,
        discount_cents=item.discount_cents,
        total_amount_cents=item.total_amount_cents,
        tax_rate=item.tax_rate,
        tax_amount_cents=item.tax_amount_cents,
        price_mode="current",
        position=position,
        ships=taken.sold[item.sku_id].ships,
    )


def _row(line: Line, item: CartItem) -> dict[str, object]:
    """A line as the statement `make_lines` reads it."""
    return {**sums.row(line), "cart_item_id": item.id, "position": line.position}


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
