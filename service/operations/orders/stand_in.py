"""What the stand-in checkout does with a cart, for somebody who holds no more than its session."""

from __future__ import annotations

from typing import NamedTuple

from schemas.graph import graph
from service.jsonapi import body
from service.operations.carts import amounts
from service.operations.carts.carts import Carts
from service.operations.generic.phases import Interlude
from service.operations.orders import checkout, placing
from service.operations.orders.orders import Orders
from service.operations.orders.placing import Payment
from service.operations.parties.addresses import Addresses
from service.principal import Principal
from service.store.pool import Connection


class Address(NamedTuple):
    """An address as a buyer types it."""

    first_name: str
    last_name: str
    line_1: str
    zip_code: str
    city: str
    country_code: str


class Choices(NamedTuple):
    """What a buyer says on the way to an order; None for what nobody was asked."""

    email: str | None = None
    address: Address | None = None
    shipping_method_id: str | None = None
    payment_method_id: str | None = None


async def fill(connection: Connection, principal: Principal, choices: Choices) -> None:
    """Put what a buyer says into the cart, the address for both, and bring it to the prices of today.

    Raises ApiError subclasses as the API's writes do.
    """
    carts, cart = Carts(), graph["carts"]
    columns: dict[str, object] = {}
    if choices.email is not None:
        columns |= body.columns(cart, {"customer_email": choices.email})
    if choices.address is not None:
        typed = body.columns(graph["addresses"], choices.address._asdict())
        address_id = await Addresses().make(connection, principal, graph["addresses"], typed)
        columns |= {"billing_address_id": address_id, "shipping_address_id": address_id}
    chosen = {"shipping_method_id": choices.shipping_method_id, "payment_method_id": choices.payment_method_id}
    columns |= {column: id_ for column, id_ in chosen.items() if id_ is not None}
    if columns:
        locked = await carts.lock(connection, principal, cart, str(principal.cart_id))
        await carts.change(connection, principal, locked, columns)
    await amounts.recalculate(connection, principal.store, str(principal.cart_id))


async def order(connection: Connection, principal: Principal, said: str | None, number: int) -> str:
    """Make the order of the cart under a number that was set aside; returns its id.

    `said` is what proves who it is for, None for nothing. Raises WrongGuess where it isn't so, else ApiError
    subclasses as the API's writes do.
    """
    proven = await checkout.prove(connection, principal, said)
    return await Orders().make(connection, proven, graph["orders"], {"cart_id": principal.cart_id}, number=number)


async def refresh(connection: Connection, principal: Principal, order_id: str) -> None:
    """Bring an order that waits to be placed to the prices of today, so that its buyer sees them."""
    orders = Orders()
    locked = await orders.lock(connection, principal, graph["orders"], order_id)
    await orders.change(connection, principal, locked, {}, verbs=("refresh_prices",))


async def place(
    connection: Connection, principal: Principal, order_id: str, token: str | None, payment_method_id: str | None
) -> Interlude[None] | None:
    """Place an order, by another way to pay if one is chosen, with what the token stands for. Raises as `placing`."""
    orders = Orders()
    locked = await orders.lock(connection, principal, graph["orders"], order_id)
    if payment_method_id is not None:
        await orders.change(connection, principal, locked, {"payment_method_id": payment_method_id})
    return await placing.place(connection, principal, order_id, Payment(token))
