"""How reordering goes wrong elsewhere, and doesn't here: what becomes of each line. Numbers are those of the list."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.reorders import reorder, told
from tests.factories import Line
from tests.support import Access, Grant

TEXT = [{"name": "text", "required": False, "values": []}]


@pytest.fixture
async def customer(connection: Connection, store: Store) -> str:
    return await factories.customer(connection, store)


@pytest.fixture
async def shopper(grant: Grant, customer: str) -> Access:
    return await grant(customer_id=customer)


async def cart_items(connection: Connection, store: Store) -> list[dict[str, Any]]:
    return [
        dict(row)
        for row in await connection.fetch("select * from cart_items where store_id = $1 order by id", store.id)
    ]


async def other_line(connection: Connection, store: Store, order: str, item_type: str, position: int) -> None:
    unit = -100 if "promotions" in item_type else 100
    await factories.insert(
        connection, "line_items", store, order_id=order, item_type=item_type, position=position, name=item_type,
        quantity=1, currency_code="EUR", unit_amount_cents=unit, total_amount_cents=unit,
    )  # fmt: skip


@pytest.mark.rule("FM-01", "FM-10", "FM-22")
async def test_a_disabled_product_stays_out_also_if_another_has_its_name(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    gone = await factories.sku(connection, store, name="Mug", disabled_at=clock.now(store))
    deleted = await factories.sku(connection, store, name="Mug", deleted_at=clock.now(store))
    order = await factories.order(connection, store, [Line(gone), Line(deleted)], customer_id=customer)
    outcomes = await reorder(client, shopper, order)
    assert told(outcomes) == [("skipped", "product_disabled", 0), ("skipped", "product_deleted", 0)]
    assert await connection.fetchval("select count(*) from carts where store_id = $1", store.id) == 0
    sold = await factories.sku(connection, store, name="Mug")
    order = await factories.order(connection, store, [Line(gone), Line(sold)], customer_id=customer)
    assert told(await reorder(client, shopper, order)) == [("skipped", "product_disabled", 0), ("added", None, 1)]
    assert [item["sku_id"] for item in await cart_items(connection, store)] == [sold.id]


@pytest.mark.rule("FM-03", "FM-04")
async def test_variants_and_texts_stay_lines_of_their_own(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    variants = [await factories.sku(connection, store, name="Shirt", options=TEXT) for _ in range(3)]
    lines = [
        *map(Line, variants),
        Line(variants[0], options={"text": "Ann"}),
        Line(variants[0], options={"text": "Bo"}),
    ]
    order = await factories.order(connection, store, lines, customer_id=customer)
    assert told(await reorder(client, shopper, order)) == [("added", None, 1)] * 5
    items = await cart_items(connection, store)
    assert [item["quantity"] for item in items] == [1] * 5
    assert {item["sku_id"] for item in items} == {sku.id for sku in variants}


@pytest.mark.rule("FM-06", "FM-17", "FM-24", "FM-27")
async def test_each_bad_line_is_told_and_stops_no_other(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    sizes = [{"name": "size", "required": True, "values": ["S", "M"]}]
    shirt = await factories.sku(connection, store, options=sizes)
    unpriced = await factories.sku(connection, store, price=None)
    lines = [Line(shirt), Line(shirt, options={"size": "XL"}), Line(unpriced), Line(shirt, 2, options={"size": "M"})]
    order = await factories.order(connection, store, lines, customer_id=customer)
    assert told(await reorder(client, shopper, order)) == [
        ("skipped", "option_required", 0),
        ("skipped", "option_invalid", 0),
        ("skipped", "no_price", 0),
        ("added", None, 2),
    ]
    assert [item["quantity"] for item in await cart_items(connection, store)] == [2]
    # One outcome for each line of the order, whatever became of it.
    pairs = await connection.fetch(
        "select l.id, count(o.id) from line_items l left join reorder_outcomes o on o.store_id = l.store_id"
        " and o.source_line_item_id = l.id where l.store_id = $1 group by l.id",
        store.id,
    )
    assert [row["count"] for row in pairs] == [1] * 4


@pytest.mark.rule("FM-07", "FM-14", "FM-16")
@pytest.mark.parametrize("strategy", ["append", "replace", "new"])
async def test_bundles_fees_and_promotions_are_told_and_never_double_the_cart(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, *, shopper: Access, strategy: str
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug, 2)], customer_id=customer)
    others = ("bundles", "bundles", "gift_cards", "shipments", "adjustments", "percentage_discount_promotions")
    for position, item_type in enumerate(others, 2):
        await other_line(connection, store, order, item_type, position)
    outcomes = await reorder(client, shopper, order, strategy=strategy)
    assert told(outcomes) == [("added", None, 2), *[("skipped", "not_reorderable", 0)] * len(others)]
    assert [item["quantity"] for item in await cart_items(connection, store)] == [2]


@pytest.mark.rule("FM-08")
async def test_codes_are_the_same_in_every_language(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    gone = await factories.sku(connection, store, disabled_at=clock.now(store))
    rare = await factories.sku(connection, store, stock=1)
    order = await factories.order(connection, store, [Line(gone), Line(rare, 2)], customer_id=customer)
    wish = {"stock_policy": "partial", "strategy": "replace"}
    english = await reorder(client, shopper, order, language="en", **wish)
    dutch = await reorder(client, shopper, order, language="nl", **wish)
    assert (
        told(english) == told(dutch) == [("skipped", "product_disabled", 0), ("adjusted", "quantity_reduced_stock", 1)]
    )
    assert english[1]["detail"] == "Only 1 of 2 is in stock."
    assert dutch[1]["detail"] == "Er is er maar 1 van de 2 op voorraad."


@pytest.mark.rule("FM-09")
@pytest.mark.parametrize(
    ("policy", "outcomes", "notices"),
    [
        ("ignore", [("added", None, 3), ("added", None, 1)], [["low_stock"], ["low_stock"]]),
        ("partial", [("adjusted", "quantity_reduced_stock", 2), ("skipped", "out_of_stock", 0)], [[], []]),
        ("skip", [("skipped", "out_of_stock", 0), ("skipped", "out_of_stock", 0)], [[], []]),
    ],
)
async def test_stock_by_policy(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    customer: str,
    *,
    shopper: Access,
    policy: str,
    outcomes: list[tuple[str, str | None, int]],
    notices: list[list[str]],
) -> None:
    few, none = await factories.sku(connection, store, stock=2), await factories.sku(connection, store, stock=0)
    order = await factories.order(connection, store, [Line(few, 3), Line(none)], customer_id=customer)
    made = await reorder(client, shopper, order, stock_policy=policy)
    assert told(made) == outcomes
    assert [one["notices"] for one in made] == notices


@pytest.mark.rule("FM-12")
async def test_what_is_sold_once_a_customer_stays_one(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    ticket = await factories.sku(connection, store, max_quantity=1)
    order = await factories.order(connection, store, [Line(ticket)], customer_id=customer)
    made = [told(await reorder(client, shopper, order)) for _ in range(2)]
    assert made == [[("added", None, 1)], [("skipped", "quantity_below_min", 0)]]
    assert [item["quantity"] for item in await cart_items(connection, store)] == [1]


@pytest.mark.rule("FM-13")
async def test_appending_leaves_other_lines_as_they_are_to_the_byte(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    tea = await factories.sku(connection, store, options=TEXT)
    first = await factories.order(
        connection, store, [Line(tea, 4), Line(tea, 1, options={"text": "Ann"})], customer_id=customer
    )
    second = await factories.order(
        connection, store, [Line(await factories.sku(connection, store))], customer_id=customer
    )
    await reorder(client, shopper, first)
    before = await cart_items(connection, store)
    await reorder(client, shopper, second)
    assert (await cart_items(connection, store))[:2] == before


@pytest.mark.rule("FM-21")
async def test_a_limit_binds_the_sum_of_lines(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    pen = await factories.sku(connection, store, max_quantity=10, options=TEXT)
    lines = [Line(pen, 6), Line(pen, 6, options={"text": "Ann"})]
    order = await factories.order(connection, store, lines, customer_id=customer)
    assert told(await reorder(client, shopper, order)) == [("added", None, 6), ("adjusted", "quantity_reduced_max", 4)]
    assert sum(item["quantity"] for item in await cart_items(connection, store)) == 10
