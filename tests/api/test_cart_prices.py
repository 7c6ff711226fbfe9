"""What a cart comes to is right after every change: prices, promotions, coupons, taxes, shipping and paying."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings

from service import clock
from service.operations.carts.amounts import Quote, quote, recalculate
from service.operations.carts.contents import CartItem
from service.operations.catalogue import pricing
from service.principal import Store
from service.rules.taxes import Destination, LineTax, Sale, Taxable
from service.store.pool import Connection, Database
from tests import calculator, factories
from tests.api.carts import amounts, filled
from tests.calculator import Offer, Shop
from tests.factories import Line
from tests.shops import Opened, open_shop, shops
from tests.spec.writing import Api, offenders, resource, to
from tests.support import Grant, make_store

DAY = timedelta(days=1)


async def test_totals_equal_an_independent_calculation(
    client: httpx2.AsyncClient, connection: Connection, database: Database, grant: Grant
) -> None:
    """Generated shops and carts over HTTP, line by line; and the quote of each cart."""
    generated: list[Shop] = []

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(shops)
    def generate(shop: Shop) -> None:
        generated.append(shop)

    generate()
    for shop in generated:
        store = await make_store(database)
        opened = await open_shop(connection, store, shop)
        api = Api(client, await grant(store=store))
        cart, items = await _cart(api, opened)
        expected = calculator.amounts(shop)
        if shop.coupon is not None:
            answer = await api.update("carts", cart, {"coupon_code": "CODE"})
            assert answer.status_code == (200 if expected.coupon_applies else 422), shop
        found = await api.get(f"carts/{cart}?include=cart_items")
        lines = {one["id"]: one["attributes"] for one in found["included"]}
        told = [lines[item] for item in items]
        assert [line["unit_amount_cents"] for line in told] == expected.units, shop
        assert [line["discount_cents"] for line in told] == expected.discounts, shop
        assert [line["tax_amount_cents"] for line in told] == expected.taxes, shop
        whole = found["data"]["attributes"]
        assert whole["subtotal_amount_cents"] == expected.subtotal, shop
        assert whole["discount_amount_cents"] == sum(expected.discounts), shop
        assert whole["shipping_amount_cents"] == expected.shipping, shop
        assert whole["total_tax_amount_cents"] == sum(expected.taxes), shop
        assert whole["total_amount_cents"] == expected.total, shop
        assert whole["coupon_status"] == ("applied" if expected.coupon_applies else None), shop
        quote = await _quote(connection, opened, "CODE" if expected.coupon_applies else None)
        assert [item.discount_cents for item in quote.items] == expected.discounts, shop
        assert (quote.totals.tax, quote.totals.total) == (sum(expected.taxes), expected.total), shop
        assert await offenders(connection, store) == []


async def _cart(api: Api, opened: Opened) -> tuple[str, list[str]]:
    """The cart of a generated shop without its coupon; gives its id and those of its items."""
    relationships = {
        "customer": to("customers", opened.customer_id),
        "shipping_method": to("shipping_methods", opened.shipping_method_id),
        "payment_method": to("payment_methods", opened.payment_method_id),
    }
    cart = (await api.create("carts", None, relationships))["id"]
    items = []
    for n, (product, quantity) in enumerate(opened.shop.lines):
        line = {"sku_code": opened.skus[product].code, "quantity": quantity, "options": {"line": str(n)}}
        items.append((await api.create("cart_items", line, {"cart": to("carts", cart)}))["id"])
    return cart, items


async def _quote(connection: Connection, opened: Opened, coupon_code: str | None) -> Quote:
    """What the cart of a generated shop would come to."""
    items = []
    for n, (product, quantity) in enumerate(opened.shop.lines):
        sku = opened.skus[product]
        items.append(CartItem(str(n), sku.id, None, sku.code, sku.name, None, {}, "", quantity))
    return await quote(
        connection,
        opened.store,
        items,
        currency="EUR",
        customer_group_id=opened.group_id if opened.shop.member else None,
        coupon_code=coupon_code,
        shipping_method_id=opened.shipping_method_id,
        payment_method_id=opened.payment_method_id,
        at=clock.now(),
    )


async def test_a_reorder_gets_the_discounts_of_today(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    """A group's own price, a running sale and a campaign; the coupon of the old order is not carried."""
    at = clock.now()
    group = await factories.insert(connection, "customer_groups", store, name="Wholesale")
    customer = await factories.customer(connection, store, customer_group_id=group)
    mug, tea = [await factories.sku(connection, store) for _ in range(2)]
    for columns in (
        {"sku_id": mug.id, "amount_cents": 800, "customer_group_id": group},
        {"sku_id": tea.id, "amount_cents": 700, "starts_at": at - DAY, "expires_at": at + DAY},
    ):
        await factories.insert(connection, "prices", store, currency_code="EUR", **columns)
    for columns in (
        {"name": "Campaign", "kind": "percent", "percentage": 10, "expires_at": at + DAY},
        {"name": "Old coupon", "kind": "percent", "percentage": 50, "coupon_code": "HALF"},
    ):
        await factories.insert(connection, "promotions", store, **columns)
    order = await factories.order(
        connection, store, [Line(mug, 2), Line(tea, 3)], customer_id=customer, coupon_code="HALF"
    )
    api = Api(client, await grant(customer_id=customer))
    made = await api.create("reorders", None, {"source_order": to("orders", order)})
    cart = made["relationships"]["cart"]["data"]["id"]
    found = await amounts(api, cart)
    assert found["subtotal_amount_cents"] == 2 * 800 + 3 * 700
    assert found["discount_amount_cents"] == -370
    assert found["total_amount_cents"] == 3330
    assert (found["coupon_code"], found["coupon_status"]) == (None, None)
    outcomes = (await api.get(f"reorders/{made['id']}/reorder_outcomes"))["data"]
    assert all("coupon_dropped" in outcome["attributes"]["notices"] for outcome in outcomes)
    assert await offenders(connection, store) == []


async def test_promotions_start_and_end_by_the_stores_clock(
    api: Api, connection: Connection, database: Database, store: Store
) -> None:
    """[starts_at, expires_at); a cart follows with its next change, or when it is recalculated for the checkout."""
    mug = await factories.sku(connection, store)
    start = clock.now() + DAY
    columns = {"name": "Campaign", "kind": "percent", "percentage": 10}
    await factories.insert(connection, "promotions", store, **columns, starts_at=start, expires_at=start + DAY)
    cart = await filled(api, [(mug, 1)])
    (item,) = (await api.get(f"carts/{cart}/cart_items"))["data"]
    expected = {timedelta(milliseconds=-1): 0, timedelta(): -100, DAY - timedelta(milliseconds=1): -100, DAY: 0}
    clock_id = await factories.insert(connection, "test_clocks", store, frozen_at=start)
    await connection.execute("update stores set test_clock_id = $2 where store_id = $1", store.id, clock_id)
    for quantity, (after, discount) in enumerate(expected.items(), 2):
        await connection.execute("update test_clocks set frozen_at = $2 where store_id = $1", store.id, start + after)
        assert (await api.update("cart_items", item["id"], {"quantity": quantity})).status_code == 200
        assert (await amounts(api, cart))["discount_amount_cents"] == discount * quantity
    async with database.transaction() as inside:
        assert (await recalculate(inside, replace(store, frozen_at=start), cart)).discount_amount_cents == -500
    assert (await amounts(api, cart))["discount_amount_cents"] == -500


async def test_shipping_and_paying_cost_what_they_cost_today(api: Api, connection: Connection, store: Store) -> None:
    mug = await factories.sku(connection, store)
    ebook = await factories.sku(connection, store, do_not_ship=True)
    ships = await factories.shipping_method(connection, store, price_amount_cents=495)
    cart = await filled(api, [(ebook, 1)])
    for relationship, linkage in (
        ("shipping_method", to("shipping_methods", ships)),
        (
            "payment_method",
            to("payment_methods", await factories.payment_method(connection, store, price_amount_cents=30)),
        ),
    ):
        answer = await api.send("PATCH", f"carts/{cart}/relationships/{relationship}", linkage)
        assert answer.status_code == 204

    async def costs() -> list[int]:
        found = await amounts(api, cart)
        return [found[f"{name}_amount_cents"] for name in ("shipping", "payment_method", "total")]

    assert await costs() == [0, 30, 1030]  # nothing of it is shipped
    await api.create("cart_items", {"sku_code": mug.code, "quantity": 1}, {"cart": to("carts", cart)})
    assert await costs() == [495, 30, 2525]
    await connection.execute("update shipping_methods set price_amount_cents = 995 where store_id = $1", store.id)
    (item, _) = (await api.get(f"carts/{cart}/cart_items"))["data"]
    await api.update("cart_items", item["id"], {"quantity": 2})
    assert (await costs())[0] == 995
    await api.update("carts", cart, None, {"shipping_method": to("shipping_methods", None)})
    assert (await costs())[0] == 0


async def test_concurrent_writers_of_one_cart(api: Api, connection: Connection, store: Store) -> None:
    """Items, quantities, coupon and methods at once: the amounts are those of what the cart holds at last."""
    skus = [await factories.sku(connection, store, price=997 + n) for n in range(6)]
    for columns in (
        {"kind": "percent", "percentage": Decimal("7.5")},
        {"kind": "fixed", "amount_cents": 777, "currency_code": "EUR", "coupon_code": "CODE"},
    ):
        await factories.insert(connection, "promotions", store, name="Offer", **columns)
    ships = await factories.shipping_method(connection, store)
    cart = await filled(api, [(sku, 1) for sku in skus[:3]])
    held = (await api.get(f"carts/{cart}/cart_items"))["data"]
    link = {"cart": to("carts", cart)}
    answers = await asyncio.gather(
        *(api.update("cart_items", item["id"], {"quantity": n}) for n in (2, 3) for item in held[:2]),
        *(
            api.send("POST", "cart_items", resource("cart_items", {"sku_code": sku.code, "quantity": 2}, link))
            for sku in skus[3:]
        ),
        api.send("DELETE", f"cart_items/{held[2]['id']}"),
        api.update("carts", cart, {"coupon_code": "CODE"}),
        api.update("carts", cart, None, {"shipping_method": to("shipping_methods", ships)}),
    )
    assert {answer.status_code for answer in answers} <= {200, 201, 204}
    found = await api.get(f"carts/{cart}?include=cart_items")
    lines = [one["attributes"] for one in found["included"]]
    assert len(lines) == 5
    shop = Shop(
        [calculator.Product([calculator.Price(line["unit_amount_cents"])]) for line in lines],
        [(n, line["quantity"]) for n, line in enumerate(lines)],
        [Offer(percentage="7.5")],
        Offer(amount=777),
        shipping=495,
    )
    expected, whole = calculator.amounts(shop), found["data"]["attributes"]
    assert (whole["discount_amount_cents"], whole["total_amount_cents"]) == (sum(expected.discounts), expected.total)
    assert whole["coupon_status"] == "applied"
    assert await offenders(connection, store) == []


async def test_the_number_of_statements_does_not_grow_with_the_lines(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    await factories.insert(connection, "promotions", store, name="Ten", kind="percent", percentage=10)
    skus = [await factories.sku(connection, store) for _ in range(30)]
    counts = []
    for lines in (1, 30):
        cart = await filled(api, [(sku, 1) for sku in skus[:lines]])
        await connection.execute("update prices set amount_cents = amount_cents + 1 where store_id = $1", store.id)
        statements: list[str] = []

        def note(query: Any, seen: list[str] = statements) -> None:
            seen.append(query.query)

        async with database.transaction() as inside:
            with inside.query_logger(note):
                found = await recalculate(inside, store, cart)
        assert found.discount_amount_cents == sum(item.discount_cents for item in found.items) < 0
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 5


class Flat:
    """A calculator that asks for seven cents a line, and remembers what it was asked."""

    def __init__(self) -> None:
        self.sales: list[Sale] = []

    async def taxes(self, sale: Sale) -> list[LineTax]:
        self.sales.append(sale)
        return [LineTax(Decimal("0.07"), 7) for _ in sale.lines]


async def test_another_calculator_of_taxes(
    api: Api, connection: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told where the sale goes and what is left of each line, and its answer is the cart's."""
    mug = await factories.sku(connection, store)
    await factories.insert(connection, "promotions", store, name="Ten", kind="percent", percentage=10)
    cart = await filled(api, [(mug, 2)])
    flat = Flat()
    monkeypatch.setattr(pricing, "TAXES", flat)
    there = to("addresses", await factories.address(connection, store))
    assert (await api.update("carts", cart, None, {"billing_address": there})).status_code == 200
    found = await api.get(f"carts/{cart}?include=cart_items")
    line = found["included"][0]["attributes"]
    assert (line["tax_rate"], line["tax_amount_cents"]) == (0.07, 7)
    assert found["data"]["attributes"]["total_tax_amount_cents"] == 7
    taxable = [Taxable(mug.code, 1800, Decimal("0.21"))]
    expected = Sale("EUR", tax_included=True, destination=Destination("NL", None, "3511 AA"), lines=taxable)
    assert flat.sales == [expected]
