"""A reorder happens in the currency of the order: in a new cart, and in one that is empty."""

from __future__ import annotations

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.reorders import PREVIEWS, URL, document
from tests.factories import Line
from tests.support import Grant


@pytest.mark.rule("FM-91")
@pytest.mark.parametrize("strategy", ["new", "append", "replace"])
async def test_a_reorder_takes_the_orders_currency(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, *, strategy: str
) -> None:
    customer_id = await factories.customer(connection, store)
    mug = await factories.sku(connection, store, price=1000)
    order_id = await factories.order(connection, store, [Line(mug)], customer_id=customer_id)
    await factories.cart(connection, store, customer_id=customer_id, currency_code="USD")
    access = await grant(customer_id=customer_id)
    sent = document(order_id, strategy=strategy)
    shown = await client.post(
        PREVIEWS, json={"data": sent["data"] | {"type": "reorder_previews"}}, headers=access.headers
    )
    assert shown.status_code == 200, shown.text
    assert shown.json()["data"]["attributes"]["currency_code"] == "EUR"
    made = await client.post(URL, json=sent, headers=access.headers)
    assert made.status_code == 201, made.text
    assert made.json()["data"]["attributes"]["added_count"] == 1
    assert made.json()["data"]["attributes"]["digest"] == shown.json()["data"]["attributes"]["digest"]
    cart = await connection.fetchrow(
        "select currency_code, total_amount_cents from carts where store_id = $1 and status = 'active'", store.id
    )
    assert tuple(cart or ()) == ("EUR", 1000)
