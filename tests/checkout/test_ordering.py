"""A cart becomes an order."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import counted, factories
from tests.checkout.conftest import Ready, events_of, order_row, ordered, ordering, ready
from tests.spec.writing import Api, offenders, pointers, resource, to
from tests.support import Access, Grant


async def test_a_cart_becomes_a_pending_order_with_all_that_it_has(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    shown = order["attributes"]
    assert shown["status"] == "pending"
    assert (shown["payment_status"], shown["fulfillment_status"], shown["guest"]) == ("unpaid", "unfulfilled", False)
    assert (shown["subtotal_amount_cents"], shown["shipping_amount_cents"]) == (5000, 495)
    assert shown["total_amount_cents"] == 5495
    assert shown["total_tax_amount_cents"] == 868
    row = await order_row(connection, store, order["id"])
    kept = await connection.fetchrow("select * from carts where store_id = $1 and id = $2", store.id, cart.id)
    assert kept is not None
    assert (kept["status"], row["cart_id"], row["customer_id"]) == ("converted", cart.id, cart.customer_id)
    assert row["customer_email"] is not None
    for name in ("billing_address_id", "shipping_address_id"):
        copy = await connection.fetchrow("select * from addresses where store_id = $1 and id = $2", store.id, row[name])
        assert copy is not None
        assert row[name] != kept[name]
        assert (copy["snapshot"], copy["customer_id"], copy["line_1"]) == (True, cart.customer_id, "Dorpsstraat 1")
    document = await buyer.get(f"orders/{order['id']}?include=line_items,cart")
    (line,) = [one for one in document["included"] if one["type"] == "line_items"]
    assert (line["attributes"]["quantity"], line["attributes"]["unit_amount_cents"]) == (2, 2500)
    assert line["attributes"]["tax_amount_cents"] == 868
    (made,) = (await buyer.get(f"carts/{cart.id}/orders"))["data"]
    assert made["id"] == order["id"]
    assert await events_of(connection, store, order["id"]) == ["orders.create", "orders.pending"]
    assert await events_of(connection, store, cart.id) == ["carts.convert"]
    assert await offenders(connection, store) == []


async def test_prices_are_those_of_the_moment(buyer: Api, connection: Connection, store: Store, cart: Ready) -> None:
    await factories.set_price(connection, store, cart.shirt, 3000)
    order = await ordered(buyer, cart)
    assert order["attributes"]["subtotal_amount_cents"] == 6000


async def test_twenty_at_once_make_one_order(buyer: Api, connection: Connection, store: Store, cart: Ready) -> None:
    answers = await asyncio.gather(*(buyer.send("POST", "orders", ordering(cart)) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["errors"][0]["code"] == "INVALID_STATE"
    assert pointers(refused) == ["/data/relationships/cart/data"]
    assert await connection.fetchval("select count(*) from orders where store_id = $1", store.id) == 1
    assert await offenders(connection, store) == []


@pytest.mark.rule("FM-26")
async def test_twenty_with_one_key_get_the_same_order(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    async def ask() -> httpx2.Response:
        while True:
            answer = await buyer.send("POST", "orders", ordering(cart), **{"Idempotency-Key": "double-click"})
            if answer.status_code != 409:
                return answer
            await asyncio.sleep(0.05)

    answers = await asyncio.gather(*(ask() for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert await connection.fetchval("select count(*) from orders where store_id = $1", store.id) == 1


async def test_what_can_not_be_bought_is_told_at_once_and_nothing_is_made(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    mug = await factories.sku(connection, store, name="Mug", disabled_at=clock.now() - timedelta(days=1))
    await factories.insert(
        connection, "cart_items", store, cart_id=cart.id, sku_id=mug.id, sku_code=mug.code, name="Mug", quantity=1,
        currency_code=store.currency_code, unit_amount_cents=1000, total_amount_cents=1000,
    )  # fmt: skip
    await connection.execute("update stock_items set quantity = 1 where store_id = $1", store.id)
    answer = await buyer.send("POST", "orders", ordering(cart))
    assert answer.status_code == 422
    assert [error["meta"]["error"] for error in answer.json()["errors"]] == [
        "quantity_reduced_stock",
        "product_disabled",
    ]
    assert set(pointers(answer)) == {"/data/relationships/cart/data"}
    assert await connection.fetchval("select count(*) from orders where store_id = $1", store.id) == 0
    status = await connection.fetchval("select status from carts where store_id = $1 and id = $2", store.id, cart.id)
    assert status == "active"


async def test_an_empty_cart_makes_no_order(buyer: Api, connection: Connection, store: Store, cart: Ready) -> None:
    await connection.execute("delete from cart_items where store_id = $1", store.id)
    await counted.anew(connection, store)
    answer = await buyer.send("POST", "orders", ordering(cart))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"] == "cart - is empty"


async def test_currency_and_coupon_are_the_carts(buyer: Api, cart: Ready) -> None:
    answer = await buyer.send("POST", "orders", ordering(cart, currency_code="USD", coupon_code="HALF"))
    assert answer.status_code == 422
    assert pointers(answer) == ["/data/attributes/currency_code", "/data/attributes/coupon_code"]


async def test_a_customers_cart_becomes_nobody_elses_order(
    api: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    document = ordering(cart)
    document["data"]["relationships"]["customer"] = to("customers", await factories.customer(connection, store))
    answer = await api.send("POST", "orders", document)
    assert answer.status_code == 422
    assert pointers(answer) == ["/data/relationships/customer/data"]


async def test_another_customers_cart_is_not_there(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, cart: Ready
) -> None:
    other = Api(client, await grant(customer_id=await factories.customer(connection, store)))
    answer = await other.send("POST", "orders", ordering(cart))
    assert answer.status_code == 404
    assert pointers(answer) == ["/data/relationships/cart/data"]


async def test_an_order_without_an_address_to_reach_somebody_is_a_draft(
    api: Api, connection: Connection, store: Store
) -> None:
    cart = await ready(connection, store, customer_email=None)
    order = await ordered(api, cart)
    assert order["attributes"]["status"] == "draft"
    told = await api.update("orders", order["id"], {"customer_email": "late@example.com"})
    assert told.json()["data"]["attributes"]["status"] == "pending"


async def test_an_order_of_a_cart_keeps_its_lines_and_stays(buyer: Api, cart: Ready) -> None:
    order = await ordered(buyer, cart)
    (line,) = (await buyer.get(f"orders/{order['id']}/line_items"))["data"]
    changes = [
        await buyer.update("line_items", line["id"], {"quantity": 1}),
        await buyer.send("DELETE", f"line_items/{line['id']}"),
        await buyer.send(
            "POST",
            "line_items",
            resource("line_items", {"sku_code": cart.shirt.code, "quantity": 1}, {"order": to("orders", order["id"])}),
        ),
        await buyer.send("DELETE", f"orders/{order['id']}"),
    ]
    assert [answer.status_code for answer in changes] == [409] * 4
    assert (await buyer.update("line_items", line["id"], {"metadata": {"gift": True}})).status_code == 200


async def test_conversion_demands_the_scope(client: httpx2.AsyncClient, grant: Grant, cart: Ready) -> None:
    reader = Api(client, await grant(scopes=["read_orders", "read_carts"]))
    assert (await reader.send("POST", "orders", ordering(cart))).status_code == 403


async def test_a_payment_source_of_the_wallet_comes_along(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    customer_id = await factories.customer(connection, store)
    source = await factories.payment_source(connection, store, customer_id, gateway="test")
    cart = await ready(connection, store, customer_id=customer_id, customer_payment_source_id=source)
    access: Access = await grant(customer_id=customer_id)
    order = await ordered(Api(client, access), cart)
    assert order["relationships"]["customer_payment_source"]["data"]["id"] == source


async def coupon(connection: Connection, store: Store, *, code: str | None = "HALF", **columns: Any) -> None:
    """A promotion of half the price."""
    values = {"name": "Half", "kind": "percent", "percentage": 50, "coupon_code": code}
    await factories.insert(connection, "promotions", store, **values | columns)


async def uses(connection: Connection, store: Store) -> int:
    return int(await connection.fetchval("select sum(uses) from promotions where store_id = $1", store.id))


async def test_a_coupon_comes_along_and_is_counted(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    await coupon(connection, store, max_uses=1)
    cart = await ready(connection, store, customer_id=None, coupon_code="HALF")
    guest = Api(client, cart.guest)
    shown = (await ordered(guest, cart))["attributes"]
    assert (shown["coupon_code"], shown["discount_amount_cents"]) == ("HALF", -2500)
    assert (shown["total_amount_cents"], shown["total_tax_amount_cents"]) == (2995, 434)
    assert await uses(connection, store) == 1
    assert await offenders(connection, store) == []


@pytest.mark.parametrize("why", [{"uses": 3, "max_uses": 3}, {"minimum_subtotal_cents": 9999, "currency_code": "EUR"}])
async def test_a_coupon_that_does_not_apply_stays_behind(
    api: Api, connection: Connection, store: Store, why: dict[str, Any]
) -> None:
    await coupon(connection, store, **why)
    cart = await ready(connection, store, coupon_code="HALF")
    shown = (await ordered(api, cart))["attributes"]
    assert (shown["coupon_code"], shown["discount_amount_cents"]) == (None, 0)
    assert await uses(connection, store) == why.get("uses", 0)


async def test_of_many_carts_with_one_coupon_no_more_become_orders_than_it_allows(
    api: Api, connection: Connection, store: Store
) -> None:
    await coupon(connection, store, max_uses=2)
    carts = [await ready(connection, store, coupon_code="HALF") for _ in range(6)]
    answers = await asyncio.gather(*(api.send("POST", "orders", ordering(cart)) for cart in carts))
    taken_off = [
        answer.json()["data"]["attributes"]["discount_amount_cents"] for answer in answers if answer.status_code == 201
    ]
    assert taken_off.count(-2500) == await uses(connection, store) == 2
    refused = [answer for answer in answers if answer.status_code != 201]
    assert {error["meta"]["error"] for answer in refused for error in answer.json()["errors"]} <= {"used_up"}
    assert await offenders(connection, store) == []


async def test_prices_that_are_taken_over_keep_the_coupon_of_the_order(
    api: Api, connection: Connection, store: Store
) -> None:
    await coupon(connection, store, max_uses=1)
    await coupon(connection, store, code=None)
    cart = await ready(connection, store, coupon_code="HALF")
    order = await ordered(api, cart)
    assert order["attributes"]["discount_amount_cents"] == -3750
    await factories.set_price(connection, store, cart.shirt, 3000)
    await connection.execute("update promotions set disabled_at = created_at where coupon_code is null")
    fresh = await api.update("orders", order["id"], {"_refresh_prices": True})
    shown = fresh.json()["data"]["attributes"]
    assert (shown["coupon_code"], shown["discount_amount_cents"]) == ("HALF", -3000)
    assert (shown["subtotal_amount_cents"], shown["total_amount_cents"]) == (6000, 3495)
    assert await uses(connection, store) == 1
    assert await offenders(connection, store) == []


async def test_the_coupon_of_an_order_of_a_cart_is_not_changed(buyer: Api, cart: Ready) -> None:
    order = await ordered(buyer, cart)
    answer = await buyer.update("orders", order["id"], {"coupon_code": "HALF"})
    assert answer.status_code == 409
    assert pointers(answer) == ["/data/attributes/coupon_code"]
