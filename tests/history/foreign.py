"""A foreign shop of a thousand orders, as each platform's documentation has its exports: made up, always the same."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.history.bringing import written

CUSTOMERS, PRODUCTS, ORDERS, BROKEN = 100, 20, 1_000, 100
"""How many there are of each; every so many-th order is broken: it has a word where its total is."""

Objects = list[dict[str, Any]]


@dataclass(frozen=True)
class Sale:
    """An order: its number, whose it is, what was bought (product, quantity, price in cents), taxes and shipping."""

    number: int
    customer: int
    lines: Sequence[tuple[int, int, int]]
    tax: int
    shipping: int

    @property
    def goods(self) -> int:
        """What the lines come to."""
        return sum(quantity * price for _, quantity, price in self.lines)

    @property
    def paid(self) -> int:
        """What was paid; taxes came on top."""
        return self.goods + self.tax + self.shipping

    @property
    def is_broken(self) -> bool:
        """Whether the platform wrote something that is no order."""
        return self.number % BROKEN == 0

    @property
    def total(self) -> str:
        """The total as it was written."""
        return "many" if self.is_broken else money(self.paid)


def money(cents: int) -> str:
    """Cents as platforms write amounts."""
    return f"{cents // 100}.{cents % 100:02}"


def sales() -> Iterator[Sale]:
    """All orders."""
    chance = random.Random(7)
    for number in range(1, ORDERS + 1):
        chosen = chance.sample(range(PRODUCTS), chance.randint(1, 4))
        lines = [(product, chance.randint(1, 5), 100 + 37 * product) for product in chosen]
        yield Sale(number, chance.randrange(CUSTOMERS), lines, chance.randrange(500), chance.choice([0, 495]))


def woocommerce() -> dict[str, Objects]:
    """Objects of WooCommerce's REST API."""
    at = "2021-03-04T05:06:07"
    address = {"first_name": "Nora", "last_name": "Vale", "address_1": "1 Row", "city": "Bristol", "country": "GB"}
    return {
        "customers": [{"id": n + 1, "email": f"c{n}@example.com", "date_created_gmt": at} for n in range(CUSTOMERS)],
        "products": [
            {"id": n, "name": f"Product {n}", "sku": f"P{n}", "price": money(100 + 37 * n), "date_created_gmt": at}
            for n in range(PRODUCTS)
        ],
        "orders": [
            {
                "id": one.number, "number": str(one.number), "status": "completed", "currency": "EUR",
                "customer_id": one.customer + 1, "total": one.total, "total_tax": money(one.tax),
                "shipping_total": money(one.shipping), "discount_total": "0.00", "date_created_gmt": at,
                "date_completed_gmt": at, "billing": address | {"email": f"c{one.customer}@example.com"},
                "line_items": [
                    {"sku": f"P{product}", "name": f"Product {product}", "quantity": quantity,
                     "subtotal": money(quantity * price), "total": money(quantity * price), "total_tax": "0.00"}
                    for product, quantity, price in one.lines
                ],
            }
            for one in sales()
        ],
    }  # fmt: skip


def ecwid() -> dict[str, Objects]:
    """Objects of Ecwid's REST API."""
    at = "2021-03-04 05:06:07 +0000"
    address = {"name": "Ida Berg", "street": "5 Lane\nFloor 2", "city": "Leeds", "countryCode": "GB"}
    return {
        "customers": [{"id": n + 1, "email": f"c{n}@example.com", "registered": at} for n in range(CUSTOMERS)],
        "products": [
            {"id": n, "name": f"Product {n}", "sku": f"P{n}", "price": (100 + 37 * n) / 100, "unlimited": True}
            for n in range(PRODUCTS)
        ],
        "orders": [
            {
                "id": f"E{one.number}", "orderNumber": one.number, "paymentStatus": "PAID", "createDate": at,
                "fulfillmentStatus": "DELIVERED", "customerId": one.customer + 1,
                "email": f"c{one.customer}@example.com", "total": one.total,
                "tax": money(one.tax), "couponDiscount": 0, "discount": 0,
                "shippingOption": {"shippingRate": one.shipping / 100},
                "shippingPerson": address,
                "items": [
                    {"sku": f"P{product}", "name": f"Product {product}", "quantity": quantity, "price": price / 100}
                    for product, quantity, price in one.lines
                ],
            }
            for one in sales()
        ],
    }  # fmt: skip


def shopify() -> dict[str, Objects]:
    """Rows of the tables that Shopify's admin exports."""
    at = "2021-03-04 05:06:07 +0000"
    orders: Objects = []
    for one in sales():
        for position, (product, quantity, price) in enumerate(one.lines):
            row = {
                "Name": f"#{one.number}", "Lineitem name": f"Product {product}", "Lineitem sku": f"P{product}",
                "Lineitem quantity": quantity, "Lineitem price": money(price),
            }  # fmt: skip
            whole = {
                "Email": f"c{one.customer}@example.com", "Financial Status": "paid", "Currency": "EUR",
                "Subtotal": money(one.goods), "Shipping": money(one.shipping), "Taxes": money(one.tax),
                "Total": one.total, "Discount Amount": "0.00", "Created at": at, "Paid at": at,
                "Id": 5_000 + one.number,
            }  # fmt: skip
            orders.append(row | (whole if position == 0 else {}))
    return {
        "customers_export": [{"Customer ID": n, "Email": f"c{n}@example.com"} for n in range(CUSTOMERS)],
        "products_export": [
            {"Handle": f"p{n}", "Title": f"Product {n}", "Variant SKU": f"P{n}", "Variant Price": money(100 + 37 * n)}
            for n in range(PRODUCTS)
        ],
        "orders_export": orders,
    }


def commerce_layer() -> dict[str, Objects]:
    """Resources as Commerce Layer's exports write them."""
    at = "2021-03-04T05:06:07.000Z"
    return {
        "customers": [{"id": f"c{n}", "email": f"c{n}@example.com", "created_at": at} for n in range(CUSTOMERS)],
        "skus": [{"id": f"p{n}", "code": f"P{n}", "name": f"Product {n}", "created_at": at} for n in range(PRODUCTS)],
        "orders": [
            {
                "id": f"o{one.number}", "number": str(one.number), "status": "approved", "currency_code": "EUR",
                "customer": {"id": f"c{one.customer}"}, "placed_at": at, "approved_at": at, "tax_included": False,
                "shipping_amount_cents": one.shipping, "subtotal_tax_amount_cents": one.tax,
                "total_tax_amount_cents": "many" if one.is_broken else one.tax,
                "line_items": [
                    {"id": f"l{one.number}-{product}", "sku_code": f"P{product}", "quantity": quantity,
                     "unit_amount_cents": price, "item_type": "skus"}
                    for product, quantity, price in one.lines
                ],
            }
            for one in sales()
        ],
    }  # fmt: skip


SHOPS = {"woocommerce": woocommerce, "ecwid": ecwid, "shopify": shopify, "commerce_layer": commerce_layer}
"""What makes the files of each platform's shop: by what they are called, the objects or rows in them."""


def files(platform: str, folder: Path) -> list[Path]:
    """Write a platform's shop into a folder."""
    made = SHOPS[platform]()
    if platform != "shopify":
        return [written(folder, objects, f"{name}.ndjson") for name, objects in made.items()]
    paths = []
    for name, rows in made.items():
        path = folder / f"{name}.csv"
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            table.writerows(rows)
        paths.append(path)
    return paths
