"""A shop's own notes go where the order goes: from the cart to the order, and from there to its copies."""

from __future__ import annotations

from typing import Any

import pytest

from service.principal import Store
from service.store.pool import Connection
from tests.checkout.conftest import ordered, ready
from tests.spec.writing import Api

pytestmark = pytest.mark.rule("FM-93")


async def noted(api: Api, connection: Connection, store: Store) -> Any:
    """A cart with notes on it and on its item."""
    cart = await ready(connection, store)
    item_id = await connection.fetchval("select id from cart_items where store_id = $1", store.id)
    assert (await api.update("carts", cart.id, {"metadata": {"desk": 4}})).status_code == 200
    assert (await api.update("cart_items", item_id, {"metadata": {"gift": True}})).status_code == 200
    return cart


async def test_the_notes_of_a_cart_are_those_of_its_order(api: Api, connection: Connection, store: Store) -> None:
    order = await ordered(api, await noted(api, connection, store))
    assert order["attributes"]["metadata"] == {"desk": 4}
    (line,) = (await api.get(f"orders/{order['id']}/line_items"))["data"]
    assert line["attributes"]["metadata"] == {"gift": True}


async def test_notes_that_are_sent_with_the_order_win(api: Api, connection: Connection, store: Store) -> None:
    order = await ordered(api, await noted(api, connection, store), metadata={"desk": 5})
    assert order["attributes"]["metadata"] == {"desk": 5}
