"""Exports of other platforms become the same orders here: the samples are made up, their fields are documented ones."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from service import clock
from service.errors import StartupError
from service.operations.data import files, running
from service.operations.data.importing import Tally
from service.operations.data.profiles import PLATFORMS, profile_of
from service.operations.data.profiles.shopify import RENAMED
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.history import foreign
from tests.history.bringing import bring, rows, sound, told, written
from tests.processes import reprise
from tests.spec.writing import Api, to
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


async def test_a_product_is_off_sale_since_the_import_that_found_it_so(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    """Shopify exports no date: the import's own time is kept until the product is sold again."""
    table = tmp_path / "products_export.csv"

    async def brought(status: str) -> tuple[Tally, datetime | None]:
        table.write_text(f"Handle,Title,Variant Price,Status\ntea,Tea,4.50,{status}\n")
        tally, refused = await bring(connection, store, table, platform="shopify", policy="update")
        assert told(refused) == []
        (sku,) = await rows(connection, store, "skus")
        return tally, sku["disabled_at"]

    before = clock.now()
    _, drafted = await brought("draft")
    assert drafted is not None
    assert before <= drafted <= clock.now()
    again, archived = await brought("archived")
    assert (archived, again.changed) == (drafted, 0)
    assert (await brought("active"))[1] is None
    ahead = "update skus set disabled_at = $2 where store_id = $1"
    await connection.execute(ahead, store.id, clock.now() + timedelta(days=30))
    _, ended = await brought("draft")
    assert ended is not None
    assert drafted < ended <= clock.now(), "an end that is still ahead isn't when it ended"


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
    ((line, field, reason),) = told(refusals)
    assert (line, field) == (1, "status")
    assert reason.startswith("must be one of: pending, ")


@pytest.mark.parametrize("status", ["cancelled", "expired"])
async def test_a_subscription_that_has_ended_needs_the_date_of_it(
    connection: Connection, store: Store, tmp_path: Path, status: str
) -> None:
    paths = changed("woocommerce", tmp_path, "subscriptions", "status", status)
    _, refusals = await bring(connection, store, *paths, platform="woocommerce")
    assert told(refusals) == [(1, "cancelled_date_gmt", "can't be blank: the status is cancelled")]


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


@pytest.mark.parametrize("taxed", [True, False])
async def test_shopifys_taxes_are_spread_over_lines_and_shipping(
    connection: Connection, store: Store, tmp_path: Path, *, taxed: bool
) -> None:
    """26.50 of tea and 3.00 of shipping carry 4.92 of taxes: in proportion, to the cent."""
    first, second, shipping = (142, 300, 50) if taxed else (0, 422, 70)
    paths = samples("shopify")
    (file,) = [one for one in paths if one.stem == "orders_export"]
    head, *lines = csv.reader(file.read_text().splitlines())
    of_first = ["" if line[head.index("Lineitem sku")] != "TEA-100" or taxed else "false" for line in lines]
    made = tmp_path / file.name
    with made.open("w", newline="") as table:
        given = [[*line, cell] for line, cell in zip(lines, of_first, strict=True)]
        csv.writer(table).writerows([[*head, "Lineitem taxable"], *given])
    await bring(connection, store, *[made if one is file else one for one in paths], platform="shopify")
    order = await connection.fetchrow("select * from orders where store_id = $1 and code = '#1001'", store.id)
    assert order is not None
    names = ("subtotal_tax_amount_cents", "shipping_tax_amount_cents", "total_tax_amount_cents", "total_amount_cents")
    assert [order[name] for name in names] == [first + second, shipping, 492, 2950]
    found = await connection.fetch(
        "select tax_amount_cents from line_items where store_id = $1 and order_id = $2 order by position",
        store.id,
        order["id"],
    )
    assert [row["tax_amount_cents"] for row in found] == [first, second]
    assert await sound(connection, store) == []


async def test_an_order_has_the_stores_methods_of_the_platforms_names(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    ways = {
        "shipping_method_id": await factories.shipping_method(connection, store, name="Parcel"),
        "payment_method_id": await factories.payment_method(connection, store, reference="Shopify Payments"),
    }
    (file,) = [one for one in samples("shopify") if one.stem == "orders_export"]
    head, *lines = csv.reader(file.read_text().splitlines())
    lines[0][head.index("Shipping Method")] = "Parcel"
    lines[0][head.index("Payment Method")] = "Shopify Payments"
    lines[-1][head.index("Payment Method")] = "Gift card"
    with (tmp_path / file.name).open("w", newline="") as table:
        csv.writer(table).writerows([head, *lines])
    paths = [*(one for one in samples("shopify") if one != file), tmp_path / file.name]
    read = files.open_all(paths, platform="shopify", currency=store.currency_code)
    importing = await running.prepare(connection, store, read, "refuse", actor="operators", dry=False)
    tally = await importing.run()
    assert tally.refused == 0
    orders = {row["code"]: row for row in await rows(connection, store, "orders")}
    assert {name: orders["#1001"][name] for name in ways} == ways
    assert orders["#1002"]["payment_method_id"] is None
    assert importing.without == {("payment_methods", "Gift card"): 1}
    assert importing.by_type["orders"].made == len(orders)


async def test_woocommerces_code_of_a_payment_method_counts_before_its_title(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    """Titles are for people, and shops change them: by its code, a method is found under any of them."""
    stripe = await factories.payment_method(connection, store, name="Pay by card", reference="stripe")
    titled = await factories.payment_method(connection, store, name="Invoice", reference="terms")
    (order, *_) = foreign.woocommerce()["orders"]
    del order["customer_id"]
    ways = [("stripe", "Credit card"), ("stripe", ""), ("cheque", "Invoice"), ("bacs", "Bank transfer"), ("", "")]
    orders = [
        order | {"id": n, "number": str(n), "payment_method": code, "payment_method_title": title}
        for n, (code, title) in enumerate(ways, 1)
    ]
    read = files.open_all(
        [written(tmp_path, orders, "orders.ndjson")], platform="woocommerce", currency=store.currency_code
    )
    importing = await running.prepare(connection, store, read, "refuse", actor="operators", dry=False)
    assert (await importing.run()).refused == 0
    made = {row["code"]: row["payment_method_id"] for row in await rows(connection, store, "orders")}
    assert [made[str(n)] for n in range(1, 6)] == [stripe, stripe, titled, None, None]
    assert importing.without[("payment_methods", "Bank transfer (bacs)")] == 1


async def test_what_a_platform_does_not_write_is_refused_by_line(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    broken = written(tmp_path, [{"id": 1}, {"id": 2, "currency": "EUR", "billing": 3}, []], "orders.ndjson")
    _, refusals = await bring(connection, store, broken, platform="woocommerce")
    assert told(refusals) == [
        (1, "status", "can't be blank"),
        (2, "status", "can't be blank"),
        (3, "", "must be an object"),
    ]


def changed(platform: str, folder: Path, name: str, path: str, value: object) -> list[Path]:
    """A platform's samples, with another value in a field, or in a column's first cell, of one of the files."""
    paths = samples(platform)
    (file,) = [one for one in paths if one.stem == name]
    made = folder / file.name
    if file.suffix == ".csv":
        head, *lines = csv.reader(file.read_text().splitlines())
        row = next(line for line in lines if line[head.index(path)])
        row[head.index(path)] = str(value)
        with made.open("w", newline="") as table:
            csv.writer(table).writerows([head, *lines])
    else:
        first, *others = file.read_text().splitlines()
        sent = orjson.loads(first)
        *within, last = path.split(".")
        place = sent
        for step in within:
            place = place[int(step)] if isinstance(place, list) else place[step]
        place[last] = value
        made.write_text("\n".join([orjson.dumps(sent).decode(), *others]))
    return [made if one is file else one for one in paths]


@pytest.mark.parametrize(
    ("platform", "name", "path", "value", "expected"),
    [
        ("shopify", "products_export", "Variant Price", "abc", ("skus", "tea", "Variant Price", "is no amount")),
        ("shopify", "orders_export", "Lineitem quantity", "two",
         ("orders", "#1001", "Lineitem quantity", "is no number of pieces")),
        ("shopify", "orders_export", "Lineitem quantity", "1.5",
         ("orders", "#1001", "Lineitem quantity", "is no number of pieces")),
        ("shopify", "orders_export", "Total", "1.00",
         ("orders", "#1001", "Total", "is less than the taxes in it, 4.92")),
        ("shopify", "orders_export", "Total", "nan", ("orders", "#1001", "Total", "is no amount")),
        ("shopify", "orders_export", "Total", "", ("orders", "#1001", "Total", "can't be blank")),
        ("shopify", "orders_export", "Shipping", "-3.00",
         ("orders", "#1001", "Shipping", "breaks a rule: orders have no negative amount")),
        ("shopify", "orders_export", "Created at", "soon", ("orders", "#1001", "Created at", "must be ")),
        ("shopify", "customers_export", "Email", "nowhere",
         ("customers", "'6401", "Email", "must be an e-mail address")),
        ("shopify", "customers_export", "Total Orders", "many",
         ("customers", "'6401", "Total Orders", "is no whole number")),
        ("woocommerce", "orders", "line_items.0.quantity", "two",
         ("orders", "727", "line_items.quantity", "is no number of pieces")),
        ("woocommerce", "orders", "total", "0.01", ("orders", "727", "total", "is less than the taxes in it, ")),
        ("woocommerce", "orders", "status", "shipped", ("orders", "727", "status", "must be one of: pending, ")),
        ("woocommerce", "subscriptions", "billing_period", "fortnight",
         ("order_subscriptions", "740", "billing_period", "must be one of: day, week, month, or year")),
        ("woocommerce", "products", "price", "abc", ("skus", "799", "price", "is no amount")),
        ("ecwid", "orders", "shippingOption.shippingRate", "free",
         ("orders", "", "shippingOption.shippingRate", "is no amount")),
        ("ecwid", "orders", "email", "nowhere", ("orders", "", "email", "must be an e-mail address")),
        ("commerce_layer", "prices", "attributes.amount_cents", "abc",
         ("prices", "", "amount_cents", "must be a whole number")),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_named_as_the_file_names_it(
    connection: Connection,
    store: Store,
    tmp_path: Path,
    *,
    platform: str,
    name: str,
    path: str,
    value: object,
    expected: tuple[str, str, str, str],
) -> None:
    _, refusals = await bring(connection, store, *changed(platform, tmp_path, name, path, value), platform=platform)
    found = [
        (entry.type_, entry.id, problem)
        for entry, problems in refusals
        for problem in problems
        if entry.place.file.startswith(name)
    ]
    type_, id_, field, reason = expected
    met = [one for one in found if one[2].field == field and str(one[2].reason).startswith(reason)]
    assert met, found
    assert met[0][0] == type_
    assert met[0][1] == id_ if id_ else met[0][1]
    if platform != "commerce_layer":
        assert met[0][2].value == (str(value) or None)


async def test_a_cell_is_told_by_its_own_line_and_by_its_columns_name_of_today(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    table = tmp_path / "products_export.csv"
    table.write_text("URL handle,Title,SKU,Price\ntea,Tea,T1,4.50\ntea,,T2,5.00\ntea,,T3,abc\npot,Pot,P,12.00\n")
    tally, refusals = await bring(connection, store, table, platform="shopify")
    assert told(refusals) == [(4, "Price", "is no amount")]
    assert tally.made == 2


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


AT = "2021-03-04T05:06:07"
TAXED: dict[str, Any] = {
    "id": 5, "number": "5", "status": "completed", "currency": "EUR", "customer_id": 1, "prices_include_tax": True,
    "total": "37.66", "total_tax": "6.54", "shipping_total": "4.09", "shipping_tax": "0.86",
    "discount_total": "4.13", "discount_tax": "0.87", "date_created_gmt": AT, "date_completed_gmt": AT,
    "billing": {"email": "c1@example.com"},
    "line_items": [
        {"sku": "P1", "name": "Product 1", "quantity": 2, "subtotal": "10.36", "subtotal_tax": "2.18",
         "total": "8.30", "total_tax": "1.74"},
        {"sku": "P2", "name": "Product 2", "quantity": 3, "subtotal": "20.80", "subtotal_tax": "4.37",
         "total": "18.73", "total_tax": "3.94"},
    ],
}  # fmt: skip
"""Two of 6.27 (12.54) and three of 8.39 (25.17), less 5.00, and 4.95 of shipping: all with 21 percent in it."""
PRODUCTS = [
    {"id": n, "sku": f"P{n}", "name": f"Product {n}", "price": price, "status": "publish", "date_created_gmt": AT}
    for n, price in ((1, "6.27"), (2, "8.39"))
]
CUSTOMER = {"id": 1, "email": "c1@example.com", "date_created_gmt": AT}


def of_woocommerce(folder: Path, **more: dict[str, Any]) -> list[Path]:
    """Files of a customer and two products, and of one of each more that is given."""
    sent = {"customers": [CUSTOMER], "products": PRODUCTS} | {name: [one] for name, one in more.items()}
    return [written(folder, rows, f"{name}.ndjson") for name, rows in sent.items()]


async def test_woocommerces_orders_have_the_prices_that_customers_saw(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    """Its amounts are without taxes, though prices were with them: what a product costs now is held against these."""
    _, refusals = await bring(connection, store, *of_woocommerce(tmp_path, orders=TAXED), platform="woocommerce")
    assert told(refusals) == []
    (order,) = await rows(connection, store, "orders")
    assert (order["tax_included"], order["total_amount_cents"], order["total_tax_amount_cents"]) == (True, 3766, 654)
    assert (order["shipping_amount_cents"], order["discount_amount_cents"]) == (495, -500)
    assert order["adjustment_amount_cents"] == 0
    lines = {line["sku_code"]: line for line in await rows(connection, store, "line_items")}
    assert {code: line["unit_amount_cents"] for code, line in lines.items()} == {"P1": 627, "P2": 839}
    assert {row["code"]: row["reference"] for row in await rows(connection, store, "skus")} == {"P1": "1", "P2": "2"}
    assert await sound(connection, store) == []


async def test_what_cant_be_divided_by_its_quantity_can_be_bought_again(
    connection: Connection, store: Store, tmp_path: Path, api: Api
) -> None:
    """A remainder of a cent isn't what an option cost."""
    net = TAXED | {"prices_include_tax": False}
    _, refusals = await bring(connection, store, *of_woocommerce(tmp_path, orders=net), platform="woocommerce")
    assert told(refusals) == []
    (order,) = await rows(connection, store, "orders")
    due = order["total_amount_cents"] + order["total_tax_amount_cents"]
    assert (order["tax_included"], due, order["adjustment_amount_cents"]) == (False, 3766, 1)
    lines = {line["sku_code"]: line for line in await rows(connection, store, "line_items")}
    assert {code: (line["unit_amount_cents"], line["options_amount_cents"]) for code, line in lines.items()} == {
        "P1": (518, 0),
        "P2": (693, 0),
    }
    made = await api.create("reorders", {"strategy": "new"}, {"source_order": to("orders", order["id"])})
    assert made["attributes"]["added_count"] == 2
    assert await sound(connection, store) == []


async def test_an_active_subscription_of_woocommerce_without_a_next_payment_is_inactive(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    subscription = {
        "id": 9, "parent_id": 5, "status": "active", "currency": "EUR", "billing_period": "month",
        "billing_interval": "1", "start_date_gmt": AT, "next_payment_date_gmt": "",
        "end_date_gmt": "2031-01-01T00:00:00", "date_created_gmt": AT, "line_items": TAXED["line_items"],
    }  # fmt: skip
    files_ = of_woocommerce(tmp_path, orders=TAXED, subscriptions=subscription)
    _, refusals = await bring(connection, store, *files_, platform="woocommerce")
    assert told(refusals) == []
    (row,) = await rows(connection, store, "order_subscriptions")
    assert (row["status"], row["next_run_at"]) == ("inactive", None)
    assert await sound(connection, store) == []


async def test_products_whose_taxes_were_paid_and_that_have_no_rate_are_told_of(
    database_url: str, store: Store, tmp_path: Path
) -> None:
    """Else whoever moves sells without taxes from that day on."""
    names = [str(path) for path in of_woocommerce(tmp_path, orders=TAXED)]
    where = ["--store", str(store.id), "--database-url", database_url]
    said = "Taxes were paid for {} without a `tax_rate`"
    for more in (["--dry-run"], []):
        done = reprise("import", *names, "--profile", "woocommerce", *more, *where)
        assert done.code == 0, done.err
        assert said.format("2 products") in done.err
    rates = tmp_path / "skus.csv"
    rates.write_text("code,tax_rate\nP1,0.21\n")
    assert reprise("import", str(rates), "--on-conflict", "update", *where).code == 0
    again = reprise("import", *names, "--profile", "woocommerce", "--on-conflict", "skip", *where)
    assert said.format("1 product") in again.err
