"""Exports of other platforms become the same orders here: the samples are made up, their fields are documented ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import StartupError
from service.operations.data.profiles import PLATFORMS, profile_of
from service.operations.data.profiles.shopify import RENAMED
from service.principal import Store
from service.store.pool import Connection
from tests.history import foreign
from tests.history.bringing import bring, rows, sound, told, written
from tests.processes import reprise
from tests.support import KEYS

SAMPLES = Path(__file__).parent / "samples"
ORDER = {
    "woocommerce": ("customers", "products", "orders", "subscriptions"),
    "ecwid": ("customers", "products", "orders"),
    "shopify": ("customers_export", "products_export", "orders_export"),
    "commerce_layer": ("customers", "skus", "prices", "orders", "order_subscriptions"),
}
PAID = {
    "woocommerce": {"727": 4689, "728": 1000},
    "ecwid": {"EG4H2": 2696, "J77J8": 1060},
    "shopify": {"#1001": 3442, "#1002": 450},
    "commerce_layer": {"1234": 21200},
}
"""What was paid for each order, in minor units, by its code."""


def samples(platform: str) -> list[Path]:
    return [next((SAMPLES / platform).glob(f"{name}.*")) for name in ORDER[platform]]


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_platforms_export_comes_in_whole(connection: Connection, store: Store, platform: str) -> None:
    _, refusals = await bring(connection, store, *samples(platform), platform=platform)
    assert told(refusals) == []
    assert await sound(connection, store) == []
    due = {
        row["code"]: row["total_amount_cents"] + (0 if row["tax_included"] else row["total_tax_amount_cents"])
        for row in await rows(connection, store, "orders")
    }
    assert due == PAID[platform]
    for order in await rows(connection, store, "orders"):
        assert (order["status"] == "cancelled") == (order["cancelled_at"] is not None)
        assert order["created_at"].year < 2025
    assert all(customer["created_at"] for customer in await rows(connection, store, "customers"))
    assert any(line["sku_id"] is not None for line in await rows(connection, store, "line_items"))


async def test_shopifys_columns_go_by_their_names_of_today_and_of_before(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    (before,) = [path for path in samples("shopify") if path.name.startswith("products")]
    today, _, lines = before.read_text().partition("\n")
    for new, old in RENAMED.items():
        today = ",".join(new if name == old else name for name in today.split(","))
    assert "URL handle" in today
    table = tmp_path / "products_export.csv"
    table.write_text(f"{today}\n{lines}")
    first, _ = await bring(connection, store, before, platform="shopify", policy="update")
    again, refused = await bring(connection, store, table, platform="shopify", policy="update")
    assert told(refused) == []
    assert first.made > 0
    assert again == replace(first, made=0, same=first.made)


async def test_amounts_without_a_currency_are_in_the_stores(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    sold = tmp_path / "products.ndjson"
    sold.write_text('{"id": 7, "name": "Tea", "sku": "TEA", "price": "1250", "regular_price": "1250"}\n')
    in_yen = replace(store, currency_code="JPY")
    _, refusals = await bring(connection, in_yen, sold, platform="woocommerce")
    assert told(refusals) == []
    (price,) = await rows(connection, store, "prices")
    assert (price["currency_code"], price["amount_cents"]) == ("JPY", 1250)


async def test_what_a_platform_does_not_sell_is_not_on_sale(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    product = {"price": "5", "date_modified_gmt": "2021-03-04T05:06:07"}
    sold = written(
        tmp_path,
        [
            product | {"id": 1, "name": "Sold", "status": "publish", "stock_status": "instock"},
            product | {"id": 2, "name": "Draft", "status": "draft"},
            product | {"id": 3, "name": "Gone", "status": "publish", "stock_status": "outofstock"},
        ],
        "products.ndjson",
    )
    assert told((await bring(connection, store, sold, platform="woocommerce"))[1]) == []
    table = tmp_path / "products_export.csv"
    table.write_text("Handle,Title,Variant Price,Status\nnew,New,4.50,active\nold,Old,4.50,archived\n")
    assert told((await bring(connection, store, table, platform="shopify"))[1]) == []
    enabled = [{"id": 7, "name": "On", "price": 1, "enabled": True}, {"id": 8, "name": "Off", "enabled": False}]
    assert (
        told((await bring(connection, store, written(tmp_path, enabled, "products.ndjson"), platform="ecwid"))[1]) == []
    )
    ended = {row["id"]: row["disabled_at"] for row in await rows(connection, store, "skus")}
    assert {id_ for id_, at in ended.items() if at is not None} == {"woo-2", "shopify-old", "ecwid-8"}
    assert f"{ended['woo-2']:%F %T}" == "2021-03-04 05:06:07"
    stock = {row["sku_id"]: row["quantity"] for row in await rows(connection, store, "stock_items")}
    assert stock["woo-3"] == 0
    assert "woo-1" not in stock


async def test_lines_of_products_without_a_sku_lead_to_them(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    (order, *_) = foreign.woocommerce()["orders"]
    (line, *_) = order["line_items"]
    one = {**line, "sku": "", "quantity": 1, "subtotal": "5.00", "total": "5.00"}
    lines = [one | {"product_id": 7, "variation_id": variation} for variation in (0, 8)]
    bought = order | {"customer_id": 0, "total_tax": "0", "shipping_total": "0", "total": "10.00", "line_items": lines}
    products = [{"id": id_, "name": f"Tea {id_}", "sku": "", "price": "5"} for id_ in (7, 8)]
    paths = [written(tmp_path, products, "products.ndjson"), written(tmp_path, [bought], "orders.ndjson")]
    assert told((await bring(connection, store, *paths, platform="woocommerce"))[1]) == []
    assert sorted(row["sku_id"] for row in await rows(connection, store, "line_items")) == ["woo-7", "woo-8"]


async def test_a_status_that_a_plugin_made_is_refused(connection: Connection, store: Store, tmp_path: Path) -> None:
    (order, *_) = foreign.woocommerce()["orders"]
    del order["customer_id"]
    shipped = written(tmp_path, [order | {"status": "shipped"}], "orders.ndjson")
    _, refusals = await bring(connection, store, shipped, platform="woocommerce")
    assert told(refusals) == [(1, "", "is not what woocommerce writes: shipped")]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_profile_says_where_its_fields_are_documented(platform: str) -> None:
    profile = profile_of(platform)
    assert profile.name == platform
    assert profile.source.startswith("https://")
    assert {name for name in ORDER[platform] if profile.sheet(name) is None} == set()


async def test_an_orders_lines_in_rows_below_each_other(connection: Connection, store: Store) -> None:
    await bring(connection, store, *samples("shopify"), platform="shopify")
    order = await connection.fetchrow("select * from orders where store_id = $1 and code = '#1001'", store.id)
    assert order is not None
    lines = [row for row in await rows(connection, store, "line_items") if row["order_id"] == order["id"]]
    assert sorted((line["sku_code"], line["quantity"], line["total_amount_cents"]) for line in lines) == [
        ("TEA-100", 2, 900),
        ("TEA-500", 1, 1900),
    ]
    assert (order["discount_amount_cents"], order["shipping_amount_cents"]) == (-150, 300)
    customer = await connection.fetchval(
        "select email from customers where store_id = $1 and id = $2", store.id, order["customer_id"]
    )
    assert customer == "leo@example.com"


async def test_what_a_platform_does_not_write_is_refused_by_line(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    broken = written(tmp_path, [{"id": 1}, {"id": 2, "currency": "EUR", "total": "x"}], "orders.ndjson")
    _, refusals = await bring(connection, store, broken, platform="woocommerce")
    assert [line for line, _, _ in told(refusals)] == [1, 2]
    assert all("is not what woocommerce writes" in reason for _, _, reason in told(refusals))


async def test_tables_of_our_own(connection: Connection, store: Store, tmp_path: Path) -> None:
    skus = tmp_path / "skus.csv"
    skus.write_text(
        "code;name;tax_rate;do_not_ship;tags;options\nTEA;Tea;0.09;FALSE;hot, green;\nPOT;Pot;;;;\n", "utf-8-sig"
    )
    prices = tmp_path / "prices-2026.csv"
    prices.write_text("sku.code,currency_code,amount_cents\nTEA,EUR,450\nPOT,EUR,many\n")
    orders = tmp_path / "orders.csv"
    orders.write_text(
        "id,code,placed_at,shipping_address.first_name,shipping_address.last_name,shipping_address.line_1,"
        "shipping_address.city,shipping_address.country_code,line_items.sku_code,line_items.quantity,"
        "line_items.unit_amount_cents\n"
        'o1,A-1,2020-01-02T03:04:05Z,Ada,Bell,"Canal 1\nback door",Utrecht,NL,TEA,2,400\n'
        "o1,A-1,,,,,,,POT,1,1200\n"
        "o2,A-2,2020-02-02,,,,,,TEA,1,400\n"
    )
    tally, refusals = await bring(connection, store, skus, prices, orders)
    assert told(refusals) == [(3, "amount_cents", "must be a whole number")]
    assert tally.made == 5
    totals = {row["code"]: row["total_amount_cents"] for row in await rows(connection, store, "orders")}
    assert totals == {"A-1": 2000, "A-2": 400}
    (address,) = await rows(connection, store, "addresses")
    assert address["line_1"] == "Canal 1\nback door"
    assert sorted(row["name"] for row in await rows(connection, store, "tags")) == ["green", "hot"]
    again, refusals = await bring(connection, store, skus, orders, policy="update")
    assert (again.same, told(refusals)) == (4, [])


async def test_a_table_that_is_none(connection: Connection, store: Store, tmp_path: Path) -> None:
    picture = tmp_path / "skus.csv"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(StartupError, match="is no table of text in UTF-8"):
        await bring(connection, store, picture)


async def test_both_calendars_side_by_side(database_url: str, store: Store) -> None:
    paths = [str(path) for path in samples("woocommerce")]
    outcome = reprise(
        "import",
        *paths,
        "--profile",
        "woocommerce",
        "--compare",
        "--store",
        str(store.id),
        "--database-url",
        database_url,
        REPRISE_SECRET_KEYS=",".join(KEYS),
    )
    lines = outcome.out.splitlines()
    # Begun on the 31st, WooCommerce stays on the 28th after February; here the month's last day comes back.
    assert [line.split() for line in lines[:3]] == [
        ["ok", "woo-740", "2031-02-28", "09:13Z", "2031-02-28", "09:13Z"],
        ["!!", "woo-740", "2031-03-28", "09:13Z", "2031-03-31", "09:13Z"],
        ["!!", "woo-740", "2031-04-28", "09:13Z", "2031-04-30", "09:13Z"],
    ]
    assert lines[-1] == "This was a rehearsal: nothing was written."


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_shop_of_a_thousand_orders(connection: Connection, store: Store, tmp_path: Path, platform: str) -> None:
    made = {one.number: one for one in foreign.sales()}
    whole = {number: one for number, one in made.items() if not one.is_broken}
    tally, refusals = await bring(connection, store, *foreign.files(platform, tmp_path), platform=platform)
    assert tally.refused == len(refusals) == len(made) - len(whole) == 10
    orders = {row["number"]: row for row in await rows(connection, store, "orders")}
    assert orders.keys() == whole.keys()
    due = {number: row["total_amount_cents"] + row["total_tax_amount_cents"] for number, row in orders.items()}
    assert due == {number: one.paid for number, one in whole.items()}
    assert {row["adjustment_amount_cents"] for row in orders.values()} == {0}
    assert all(row["customer_id"] for row in orders.values())
    lines = await rows(connection, store, "line_items")
    assert len(lines) == sum(len(one.lines) for one in whole.values())
    assert all(line["sku_id"] for line in lines)
    assert len(await rows(connection, store, "customers")) == foreign.CUSTOMERS
    assert len(await rows(connection, store, "skus")) == foreign.PRODUCTS
    assert await sound(connection, store) == []


async def test_prices_with_taxes_in_them_and_streets_of_two_lines(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    (first, *_) = foreign.ecwid()["orders"]
    del first["customerId"]
    taxed = first | {"pricesIncludeTax": True, "total": 12.5, "tax": 2.17, "shippingOption": {}}
    taxed["items"] = [{"sku": "P1", "name": "Product 1", "quantity": 5, "price": 2.5, "tax": 2.17}]
    _, refusals = await bring(connection, store, written(tmp_path, [taxed], "orders.ndjson"), platform="ecwid")
    assert told(refusals) == []
    (order,) = await rows(connection, store, "orders")
    assert (order["tax_included"], order["total_amount_cents"], order["total_tax_amount_cents"]) == (True, 1250, 217)
    assert order["adjustment_amount_cents"] == 0
    (address,) = await rows(connection, store, "addresses")
    assert (address["line_1"], address["line_2"]) == ("5 Lane", "Floor 2")
