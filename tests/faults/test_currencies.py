"""What is put into an empty cart decides on its currency: the order that is repeated, or the first item."""

from __future__ import annotations

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.reorders import PREVIEWS, URL, document
from tests.api.wemasy import URL as WEMASY
from tests.factories import Line
from tests.spec.writing import Api, pointers, resource, to
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


@pytest.mark.rule("FM-91")
async def test_wemasys_reorder_takes_it_too(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    mug = await factories.sku(connection, store, price=1000)
    order_id = await factories.order(connection, store, [Line(mug, 2)], customer_id=customer_id)
    number = await connection.fetchval("select number from orders where store_id = $1 and id = $2", store.id, order_id)
    await factories.cart(connection, store, customer_id=customer_id, currency_code="USD")
    access = await grant(customer_id=customer_id)
    headers = access.headers | {"Content-Type": "application/json"}
    answer = await client.post(WEMASY, json={"order_id": number}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["data"]["added_count"], answer.json()["data"]["skipped_count"]) == (1, 0)
    cart = await connection.fetchrow(
        "select currency_code, total_amount_cents from carts where store_id = $1 and status = 'active'", store.id
    )
    assert tuple(cart or ()) == ("EUR", 2000)


@pytest.mark.rule("FM-91")
async def test_the_first_item_decides(api: Api, connection: Connection, store: Store) -> None:
    """Those that follow are sold in that currency, or refused."""
    mug = await factories.sku(connection, store, price=1000)
    shirt = await factories.sku(connection, store, price=None)
    for currency, amount in (("CHF", 2000), ("USD", 1900)):
        price = {"currency_code": currency, "amount_cents": amount}
        await api.create("prices", price, {"sku": to("skus", shirt.id)})
    dear = await factories.shipping_method(connection, store, price_amount_cents=700, currency_code="USD")
    cart_id = (await api.create("carts", {"currency_code": "USD"}, {"shipping_method": to("shipping_methods", dear)}))[
        "id"
    ]

    async def put(code: str) -> httpx2.Response:
        item = resource("cart_items", {"sku_code": code, "quantity": 1}, {"cart": to("carts", cart_id)})
        return await api.send("POST", "cart_items", item)

    async def sums() -> tuple[str, int, int]:
        shown = (await api.get(f"carts/{cart_id}"))["data"]["attributes"]
        return shown["currency_code"], shown["shipping_amount_cents"], shown["total_amount_cents"]

    first = await put(mug.code)
    assert first.status_code == 201, first.text
    assert first.json()["data"]["attributes"]["currency_code"] == "EUR"
    assert await sums() == ("EUR", 0, 1000), "what is paid in dollars costs nothing, and is refused by the checkout"
    refused = await put(shirt.code)
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/sku_code"])
    assert refused.json()["errors"][0]["meta"]["error"] == "currency_mismatch"
    assert (await api.send("DELETE", f"cart_items/{first.json()['data']['id']}")).status_code == 204
    assert (await put(shirt.code)).status_code == 201
    assert await sums() == ("CHF", 0, 2000), "of several that aren't the shop's, the first by name"


@pytest.mark.rule("FM-91")
async def test_a_currency_that_suits_the_item_stays(api: Api, connection: Connection, store: Store) -> None:
    mug = await factories.sku(connection, store, price=1000)
    await api.create("prices", {"currency_code": "USD", "amount_cents": 1100}, {"sku": to("skus", mug.id)})
    cart_id = (await api.create("carts", {"currency_code": "USD"}))["id"]
    item = await api.create("cart_items", {"sku_code": mug.code, "quantity": 1}, {"cart": to("carts", cart_id)})
    assert (item["attributes"]["currency_code"], item["attributes"]["unit_amount_cents"]) == ("USD", 1100)
