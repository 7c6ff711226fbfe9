"""Steps of buying in a generated shop, and what an order is held against."""

from __future__ import annotations

from typing import Any

from service.store.pool import Connection
from tests import factories
from tests.calculator import Amounts
from tests.shops import Opened
from tests.spec.writing import Api, to


async def ways(connection: Connection, opened: Opened) -> dict[str, Any]:
    """How what is bought is shipped and paid, and where it goes, as relationships."""
    address_id = await factories.address(connection, opened.store, customer_id=opened.customer_id)
    return {
        "shipping_method": to("shipping_methods", opened.shipping_method_id),
        "payment_method": to("payment_methods", opened.payment_method_id),
        "billing_address": to("addresses", address_id),
        "shipping_address": to("addresses", address_id),
    }


async def whole(api: Api, connection: Connection, opened: Opened, type_: str, **linked: Any) -> str:
    """A cart or a draft order of the shop's customer, with the shop's lines; gives its id."""
    made = await api.create(type_, None, await ways(connection, opened) | linked)
    await put_in(api, opened, type_, made["id"])
    return str(made["id"])


async def put_in(api: Api, opened: Opened, type_: str, id_: str) -> None:
    """Put the shop's lines into a cart or a draft order."""
    parts, name = {"carts": ("cart_items", "cart"), "orders": ("line_items", "order")}[type_]
    for number, (product, quantity) in enumerate(opened.shop.lines):
        line = {"sku_code": opened.skus[product].code, "quantity": quantity, "options": {"line": str(number)}}
        await api.create(parts, line, {name: to(type_, id_)})


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
