"""What the stand-in checkout shows of a cart, to somebody who holds no more than its session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service import clock
from service.errors import NotFound
from service.gateways import usable
from service.operations.access import sessions
from service.principal import Principal, Store
from service.rules import masks
from service.store.pool import Connection
from sql import queries

DEMO = queries("orders/demo_checkout")


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the cart."""

    name: str
    quantity: int
    unit_amount_cents: int
    total_amount_cents: int


@dataclass(frozen=True, slots=True)
class Method:
    """A way to ship or to pay that can be chosen, and its price; a way to pay leads through a gateway."""

    id: str
    name: str
    price_amount_cents: int
    gateway: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A cart on its way: its lines and amounts, what the buyer still has to say, and nothing of whom it is for.

    `order_code` is there once it became an order; `recipient` is masked, empty as long as there is no address. `factor`
    is what somebody has to know or be who repeats an order by its link, None when nobody asks.
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
    factor: Literal["customer", "zip_code", "email"] | None


async def holder(connection: Connection, store_id: int, session: str) -> Principal:
    """Who holds the session of a cart in a store in test mode. Raises NotFound when there is none."""
    principal = await sessions.find(connection, store_id, session)
    if principal is None or principal.store.mode != "test":
        raise NotFound("No open cart has this session.")
    return principal


async def progress(connection: Connection, principal: Principal) -> Progress:
    """How far the cart is that somebody holds the session of: three statements."""
    store, cart_id = principal.store, principal.cart_id
    row = await connection.fetchrow(DEMO["progress"], store.id, cart_id)
    assert row is not None  # noqa: S101 -- its session was good
    items = await connection.fetch(DEMO["items"], store.id, cart_id)
    methods = await connection.fetch(
        DEMO["methods"], store.id, row["currency_code"], clock.now(store), sorted(usable(store.mode))
    )
    offered = {
        kind: [Method(m["id"], m["name"], m["price_amount_cents"], m["gateway"]) for m in methods if m["kind"] == kind]
        for kind in ("shipping_method", "payment_method")
    }
    amounts = [
        ("subtotal", row["subtotal_amount_cents"]),
        ("shipping", row["shipping_amount_cents"]),
        ("payment_costs", row["payment_method_amount_cents"]),
        ("discount", row["discount_amount_cents"]),
    ]
    return Progress(
        store=store,
        order_id=row["order_id"],
        order_code=row["order_code"],
        placed=row["status"] in ("placed", "approved"),
        currency_code=row["currency_code"],
        tax_included=row["tax_included"],
        amounts=[(name, cents) for name, cents in amounts if cents or name == "subtotal"],
        total_tax_amount_cents=row["total_tax_amount_cents"],
        total_amount_cents=row["total_amount_cents"],
        items=[Item(**item) for item in items],
        recipient=masks.address(
            first_name=row["first_name"],
            last_name=row["last_name"],
            company=row["company"],
            zip_code=row["zip_code"],
        ),
        needs_address=row["billing_address_id"] is None or (row["ships"] and row["shipping_address_id"] is None),
        needs_email=not row["known"],
        shipping_methods=offered["shipping_method"] if row["ships"] else [],
        payment_methods=offered["payment_method"],
        shipping_method_id=row["shipping_method_id"],
        payment_method_id=row["payment_method_id"],
        factor=row["factor"],
    )
