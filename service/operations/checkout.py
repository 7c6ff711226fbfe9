"""What a checkout shows of a cart, to somebody who holds no more than its session."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import NotFound
from service.operations import stores
from service.principal import Store
from service.store.pool import Connection
from sql import queries

CHECKOUT = queries("checkout")

_SESSION = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the cart."""

    name: str
    quantity: int
    unit_amount_cents: int
    total_amount_cents: int


@dataclass(frozen=True, slots=True)
class Cart:
    """An open cart: its lines and amounts, and nothing of whom it is for."""

    store: Store
    currency_code: str
    tax_included: bool
    subtotal_amount_cents: int
    shipping_amount_cents: int
    payment_method_amount_cents: int
    discount_amount_cents: int
    total_tax_amount_cents: int
    total_amount_cents: int
    items: Sequence[Item]


async def cart_of_session(connection: Connection, store_id: int, session: str) -> Cart:
    """The active cart of a session in a store in test mode. Raises NotFound when there is none."""
    row = await connection.fetchrow(CHECKOUT["cart"], store_id, session) if _SESSION.fullmatch(session) else None
    if row is None:
        raise NotFound("There is no open cart of this session.")
    items = await connection.fetch(CHECKOUT["items"], store_id, row["id"])
    return Cart(
        store=stores.from_row(row),
        currency_code=row["cart_currency_code"],
        tax_included=row["tax_included"],
        subtotal_amount_cents=row["subtotal_amount_cents"],
        shipping_amount_cents=row["shipping_amount_cents"],
        payment_method_amount_cents=row["payment_method_amount_cents"],
        discount_amount_cents=row["discount_amount_cents"],
        total_tax_amount_cents=row["total_tax_amount_cents"],
        total_amount_cents=row["total_amount_cents"],
        items=[Item(**item) for item in items],
    )
