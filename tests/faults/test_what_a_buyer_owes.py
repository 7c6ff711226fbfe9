"""What is charged is what an independent calculator says, by carts and by draft orders, whatever the shop changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings

from service.store.pool import Connection, Database
from tests import calculator, factories
from tests.calculator import Amounts, Shop
from tests.checkout.conftest import placing
from tests.shops import Opened, change_shop, open_shop, shops
from tests.spec.writing import Api, offenders, resource, to
from tests.support import Grant, make_store

pytestmark = pytest.mark.rule("FM-83", "FM-87", "FM-98")


def due(shop: Shop, amounts: Amounts) -> int:
    """What has to be paid, in minor units."""
    return amounts.total + (0 if shop.tax_included else sum(amounts.taxes))


async def whole(api: Api, connection: Connection, opened: Opened, type_: str) -> str:
    """A cart or a draft order of the shop's customer, with the shop's lines; gives its id."""
    address_id = await factories.address(connection, opened.store, customer_id=opened.customer_id)
    made = await api.create(
        type_,
        None,
        {
            "shipping_method": to("shipping_methods", opened.shipping_method_id),
            "payment_method": to("payment_methods", opened.payment_method_id),
            "billing_address": to("addresses", address_id),
            "shipping_address": to("addresses", address_id),
        },
    )
    parts, name = {"carts": ("cart_items", "cart"), "orders": ("line_items", "order")}[type_]
    for number, (product, quantity) in enumerate(opened.shop.lines):
        line = {"sku_code": opened.skus[product].code, "quantity": quantity, "options": {"line": str(number)}}
        await api.create(parts, line, {name: to(type_, made["id"])})
    return str(made["id"])


async def lines_of(api: Api, order_id: str) -> list[Any]:
    found = (await api.get(f"orders/{order_id}/line_items?sort=id"))["data"]
    return [one["attributes"] for one in sorted(found, key=lambda one: int(one["attributes"]["position"]))]


async def check(api: Api, order_id: str, expected: Amounts) -> None:
    """Hold an order against what the calculator says."""
    lines = await lines_of(api, order_id)
    assert [line["unit_amount_cents"] for line in lines] == expected.units
    assert [line["discount_cents"] for line in lines] == expected.discounts
    assert [line["tax_amount_cents"] for line in lines] == expected.taxes
    shown = (await api.get(f"orders/{order_id}"))["data"]["attributes"]
    assert shown["shipping_amount_cents"] == expected.shipping
    assert shown["total_amount_cents"] == expected.total


@pytest.mark.parametrize("of_cart", [True, False])
async def test_an_order_owes_what_the_calculator_says(
    *, client: httpx2.AsyncClient, connection: Connection, database: Database, grant: Grant, of_cart: bool
) -> None:
    generated: list[tuple[Shop, Shop]] = []

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(shops, shops)
    def generate(shop: Shop, later: Shop) -> None:
        generated.append((shop, later))

    generate()
    for shop, later in generated:
        if not shop.lines:
            continue
        store = await make_store(database)
        opened = await open_shop(connection, store, shop)
        api = Api(client, await grant(store=store, customer_id=opened.customer_id))
        expected = calculator.amounts(shop)
        type_ = "carts" if of_cart else "orders"
        id_ = await whole(api, connection, opened, type_)
        if shop.coupon is not None:
            answer = await api.update(type_, id_, {"coupon_code": "CODE"})
            assert answer.status_code == (200 if expected.coupon_applies else 422), shop
        order_id = id_
        if of_cart:
            answer = await api.send("POST", "orders", resource("orders", None, {"cart": to("carts", id_)}))
            assert answer.status_code == 201, answer.text
            order_id = answer.json()["data"]["id"]
        await check(api, order_id, expected)

        await change_shop(connection, opened, later)
        coupon = shop.coupon if expected.coupon_applies else None
        changed = replace(later, lines=shop.lines, coupon=coupon, member=shop.member, tax_included=shop.tax_included)
        now = calculator.amounts(changed)
        answer = await api.send("PATCH", f"orders/{order_id}", placing(order_id))
        if answer.status_code == 422:
            errors = [error["meta"] for error in answer.json()["errors"]]
            assert {error["error"] for error in errors} == {"price_changed"}, (shop, later)
            assert {error["due_amount_cents"] for error in errors} == {due(changed, now)}, (shop, later)
            assert {error["previous_due_amount_cents"] for error in errors} == {due(shop, expected)}
            await check(api, order_id, expected)
            accepted = placing(order_id, _refresh_prices=True, _due_amount_cents=due(changed, now))
            answer = await api.send("PATCH", f"orders/{order_id}", accepted)
        assert answer.status_code == 200, answer.text
        await check(api, order_id, now)
        paid = await connection.fetchval("select amount_cents from payment_attempts where store_id = $1", store.id)
        assert (paid or 0) == due(changed, now), (shop, later)
        assert await offenders(connection, store) == []
