"""What the stand-in checkout shows of a cart, to somebody who holds no more than its session."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from schemas.kinds import due
from service import clock
from service.errors import NotFound
from service.gateways import usable
from service.operations.access import sessions
from service.principal import Principal, Store
from service.rules import masks
from service.rules.proofs import Proof, Rule, hint, proof
from service.rules.states import PLACED_ORDERS
from service.store.pool import Connection
from service.store.statements import Many, One


class Item(NamedTuple):
    """A line of the cart."""

    name: str
    quantity: int
    unit_amount_cents: int
    total_amount_cents: int


class Method(NamedTuple):
    """A way to ship or to pay (`kind`) that can be chosen, and its price; a way to pay leads through a gateway."""

    kind: str
    id: str
    name: str
    price_amount_cents: int
    gateway: str | None


class Row(NamedTuple):
    """A cart, and the order that it became, with the amounts of whichever it is by now."""

    order_id: str | None
    order_code: str | None
    status: str
    currency_code: str
    tax_included: bool
    subtotal_amount_cents: int
    shipping_amount_cents: int
    payment_method_amount_cents: int
    discount_amount_cents: int
    total_tax_amount_cents: int
    total_amount_cents: int
    shipping_method_id: str | None
    payment_method_id: str | None
    billing_address_id: str | None
    shipping_address_id: str | None
    known: bool
    rule: Rule | None
    proving_customer_id: str | None
    answers: list[str]
    first_name: str | None
    last_name: str | None
    company: str | None
    zip_code: str | None
    ships: bool


_PROGRESS = One("orders/demo_checkout.progress", Row)
_ITEMS = Many("orders/demo_checkout.items", Item)
_METHODS = Many("orders/demo_checkout.methods", Method)


@dataclass(frozen=True, slots=True)
class Progress:
    """A cart on its way: its lines and amounts, what the buyer still has to say, and nothing of whom it is for.

    `order_code` is there once it became an order; `recipient` is masked, empty as long as there is no address. `asked`
    says that whoever repeats an order by its link has to prove to be its customer, and `proof` how, None when nobody
    can. `answer` is the postal code to type then: stores in test mode have no real customers.
    """

    store: Store
    order_id: str | None
    order_code: str | None
    placed: bool
    currency_code: str
    tax_included: bool
    amounts: Sequence[tuple[str, int]]
    total_tax_amount_cents: int
    total_amount_cents: int
    items: Sequence[Item]
    recipient: str
    needs_address: bool
    needs_email: bool
    shipping_methods: Sequence[Method]
    payment_methods: Sequence[Method]
    shipping_method_id: str | None
    payment_method_id: str | None
    asked: bool
    proof: Proof | None
    answer: str | None

    @property
    def due_amount_cents(self) -> int:
        """What has to be paid: taxes come on top of the total unless they are in it."""
        return due(self.total_amount_cents, self.total_tax_amount_cents, tax_included=self.tax_included)

    @property
    def shown(self) -> str:
        """What stands for all prices that a buyer is shown: of the products, and of each way to ship and to pay."""
        goods = [(name, cents) for name, cents in self.amounts if name in ("subtotal", "discount")]
        methods = [(one.id, one.price_amount_cents) for one in (*self.shipping_methods, *self.payment_methods)]
        on_top = 0 if self.tax_included else self.total_tax_amount_cents
        told = (self.currency_code, [tuple(item) for item in self.items], goods, on_top, methods)
        return hashlib.sha256(orjson.dumps(told)).hexdigest()[:32]


async def holder(connection: Connection, store_id: int, session: str) -> Principal:
    """Who holds the session of a cart in a store in test mode. Raises NotFound when there is none."""
    principal = await sessions.find(connection, store_id, session)
    if principal is None or principal.store.mode != "test":
        raise NotFound("No open cart has this session.")
    return principal


async def progress(connection: Connection, principal: Principal) -> Progress:
    """How far the cart is that somebody holds the session of: three statements."""
    store, cart_id = principal.store, principal.cart_id
    row = await _PROGRESS(connection, store=store.id, cart=cart_id)
    assert row is not None  # noqa: S101 -- its session was good
    items = await _ITEMS(connection, store=store.id, cart=cart_id)
    methods = await _METHODS(
        connection, store=store.id, currency=row.currency_code, at=clock.now(store), gateways=sorted(usable(store.mode))
    )
    offered = {
        kind: [method for method in methods if method.kind == kind] for kind in ("shipping_method", "payment_method")
    }
    amounts = [
        ("subtotal", row.subtotal_amount_cents),
        ("shipping", row.shipping_amount_cents),
        ("payment_costs", row.payment_method_amount_cents),
        ("discount", row.discount_amount_cents),
    ]
    way = None if row.rule is None else proof(row.rule, row.proving_customer_id, row.answers)
    return Progress(
        store=store,
        order_id=row.order_id,
        order_code=row.order_code,
        placed=row.status in PLACED_ORDERS,
        currency_code=row.currency_code,
        tax_included=row.tax_included,
        amounts=[(name, cents) for name, cents in amounts if cents or name == "subtotal"],
        total_tax_amount_cents=row.total_tax_amount_cents,
        total_amount_cents=row.total_amount_cents,
        items=items,
        recipient=masks.address(
            first_name=row.first_name,
            last_name=row.last_name,
            company=row.company,
            zip_code=row.zip_code,
            proves=row.rule == "zip_code",
        ),
        needs_address=row.billing_address_id is None or (row.ships and row.shipping_address_id is None),
        needs_email=not row.known,
        shipping_methods=offered["shipping_method"] if row.ships else [],
        payment_methods=offered["payment_method"],
        shipping_method_id=row.shipping_method_id,
        payment_method_id=row.payment_method_id,
        asked=row.rule is not None,
        proof=way,
        answer=hint(way, row.answers),
    )
