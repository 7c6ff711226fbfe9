"""Carts that are ready to be ordered, and who orders them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.factories import Sku
from tests.sealed import session_of
from tests.spec.writing import Api, resource, to
from tests.support import Access, Grant

ADDRESS = {
    "first_name": "Gus",
    "last_name": "Guest",
    "line_1": "Nieuwstraat 7",
    "city": "Delft",
    "zip_code": "2611 AB",
    "country_code": "NL",
}


@dataclass(frozen=True)
class Ready:
    """A cart with two shirts, of whom it is, and how it can be shipped and paid."""

    id: str
    session: str
    store: Store
    customer_id: str | None
    shirt: Sku
    shipping_id: str
    payment_id: str

    @property
    def guest(self) -> Access:
        """Whoever holds the session."""
        return Holder(self.store, self.session)


@dataclass(frozen=True)
class Holder(Access):
    """Somebody with the session of a cart, and no token."""

    store: Store
    session: str

    def __init__(self, store: Store, session: str) -> None:
        object.__setattr__(self, "store", store)
        object.__setattr__(self, "session", session)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-Cart-Session": f"{self.store.id}.{self.session}",
            "Accept": "application/vnd.api+json",
            "Content-Type": "application/vnd.api+json",
        }


async def ready(
    connection: Connection,
    store: Store,
    *,
    customer_id: str | None = None,
    gateway: str = "test",
    stock: int = 10,
    quantity: int = 2,
    **columns: Any,
) -> Ready:
    """A cart with two shirts of 25.00, ready to be ordered."""
    shirt = await factories.sku(connection, store, price=2500, stock=stock, name="Shirt")
    shipping_id = await factories.shipping_method(connection, store)
    payment_id = await factories.payment_method(connection, store, name="Card", gateway=gateway)
    values: Mapping[str, Any] = {
        "billing_address_id": await factories.address(connection, store, customer_id=customer_id),
        "shipping_address_id": await factories.address(connection, store, customer_id=customer_id),
        "shipping_method_id": shipping_id,
        "payment_method_id": payment_id,
        "customer_email": None if customer_id else "gus@example.com",
        "subtotal_amount_cents": 2500 * quantity,
        "total_amount_cents": 2500 * quantity,
    }
    id_ = await factories.cart(connection, store, customer_id=customer_id, **{**values, **columns})
    await factories.insert(
        connection,
        "cart_items",
        store,
        cart_id=id_,
        sku_id=shirt.id,
        sku_code=shirt.code,
        name=shirt.name,
        quantity=quantity,
        currency_code=store.currency_code,
        unit_amount_cents=2500,
        total_amount_cents=2500 * quantity,
    )
    session = await session_of(connection, store, id_)
    return Ready(id_, session, store, customer_id, shirt, shipping_id, payment_id)


@pytest.fixture
async def cart(connection: Connection, store: Store) -> Ready:
    """The cart of a customer."""
    return await ready(connection, store, customer_id=await factories.customer(connection, store))


@pytest.fixture
async def buyer(client: httpx2.AsyncClient, grant: Grant, cart: Ready) -> Api:
    """JSON:API requests of the cart's customer."""
    return Api(client, await grant(customer_id=cart.customer_id))


def ordering(cart: Ready, **attributes: Any) -> dict[str, Any]:
    """The document that makes an order of a cart."""
    return resource("orders", attributes or None, {"cart": to("carts", cart.id)})


def placing(order_id: str, **attributes: Any) -> dict[str, Any]:
    """The document that places an order."""
    return resource("orders", {"_place": True, **attributes}, id=order_id)


async def ordered(api: Api, cart: Ready, **attributes: Any) -> Any:
    """The order that a cart becomes."""
    answer = await api.send("POST", "orders", ordering(cart, **attributes))
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def placed(api: Api, order_id: str, token: str = "tok_approve", **headers: str) -> httpx2.Response:
    return await api.send("PATCH", f"orders/{order_id}", placing(order_id, _payment_source_token=token), **headers)


async def order_row(connection: Connection, store: Store, id_: str) -> Any:
    return await connection.fetchrow("select * from orders where store_id = $1 and id = $2", store.id, id_)


async def events_of(connection: Connection, store: Store, id_: str) -> list[str]:
    rows = await connection.fetch(
        "select name from events where store_id = $1 and resource_id = $2 order by sequence", store.id, id_
    )
    return [row["name"] for row in rows]
