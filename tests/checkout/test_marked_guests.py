"""Of what guests read they see what identifies a person only where that may be themselves, by the Schemas' marks."""

from __future__ import annotations

import httpx2

from schemas.graph import PUBLIC, graph
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.checkout.conftest import Ready, ordered, ready
from tests.marking import marked, seen
from tests.spec.writing import Api

TYPES = [type_ for type_, resource in graph.items() if resource.owners["carts"] not in (None, PUBLIC)]
TABLES = ("carts", "orders", "cart_items", "line_items", "addresses", "customers")


def test_guests_read_these() -> None:
    assert TYPES == ["carts", "cart_items", "orders", "line_items", "addresses"]


async def everything(guest: Api) -> str:
    """All that a guest reads."""
    paths = [*TYPES, "orders?include=line_items,billing_address,cart", "carts?include=cart_items,shipping_address"]
    return "".join([str(await guest.get(path)) for path in paths])


async def test_of_a_customers_cart_nothing_that_identifies(
    client: httpx2.AsyncClient, connection: Connection, store: Store, cart: Ready
) -> None:
    guest = Api(client, cart.guest)
    await ordered(guest, cart)
    markers = await marked(connection, store, *TABLES)
    text = await everything(guest)
    assert {marker for marker in seen(text, markers) if markers[marker].identifies} == set()
    assert "Zq.carts.metadata" in text, "words of a client's own are no secret to who holds the cart"
    assert str(cart.customer_id) not in text


async def test_of_a_links_cart_nothing_that_identifies(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    shirt = await factories.sku(connection, store)
    order_id = await factories.full_order(
        connection, store, [factories.Line(shirt)], customer_id=customer_id, code="RB-1"
    )
    link = {"order_id": order_id, "order_code": "RB-1", "key_id": "k"}
    link_id = await factories.insert(connection, "repeat_links", store, **link)
    cart = await ready(connection, store, repeat_link_id=link_id, browser="browser")
    markers = await marked(connection, store, *TABLES)
    text = await everything(Api(client, cart.guest))
    assert {marker for marker in seen(text, markers) if markers[marker].identifies} == set()
    assert customer_id not in text


async def test_of_a_guests_own_cart_everything(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    cart = await ready(connection, store)
    await connection.execute("update addresses set cart_id = $2 where store_id = $1", store.id, cart.id)
    guest = Api(client, cart.guest)
    await ordered(guest, cart)
    markers = await marked(connection, store, "carts", "orders", "addresses")
    assert markers.keys() - seen(await everything(guest), markers) == set()
