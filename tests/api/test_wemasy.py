"""WeMasy's *Reorder a past order*: what it answers and what it does."""

from __future__ import annotations

import asyncio

import httpx2
import orjson
import pytest

from service import clock
from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection
from sql import checks
from tests import factories
from tests.api.wemasy import (
    Shopper,
    application,
    is_limited,
    items,
    make_shopper,
    number_of,
    placed,
    written,
)
from tests.factories import Line
from tests.sealed import session_of
from tests.support import Grant

SAMPLE = {
    "shoppingcart_session": "abc123def456ghi789",
    "added_count": 2,
    "skipped_count": 1,
    "added": [
        {"product_id": 42, "quantity": 2, "title": "Blue T-Shirt"},
        {"product_id": 13, "quantity": 1, "title": "Cotton Mug"},
    ],
    "skipped": [{"product_id": 7, "reason": "unavailable", "title": "Discontinued Mug"}],
}


@pytest.fixture
async def shopper(client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant) -> Shopper:
    return await make_shopper(client, connection, store, grant)


async def sample_order(connection: Connection, store: Store, shopper: Shopper) -> int:
    shirt = await factories.sku(connection, store, number=42, name="Blue T-Shirt")
    mug = await factories.sku(connection, store, number=13, name="Cotton Mug")
    gone = await factories.sku(connection, store, number=7, name="Discontinued Mug", disabled_at=clock.now(store))
    return await placed(connection, store, shopper, Line(shirt, 2), Line(mug), Line(gone), number=2502, code="X2502")


async def test_the_documents_sample_is_answered_to_the_byte(
    shopper: Shopper, connection: Connection, store: Store
) -> None:
    await sample_order(connection, store, shopper)
    await factories.cart(connection, store, customer_id=shopper.id, session="abc123def456ghi789")
    response = await shopper.reorder(2502)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.content == orjson.dumps({"error": False, "message": "Added 2 items, 1 unavailable", "data": SAMPLE})
    assert is_limited(response)
    assert response.headers["X-RateLimit-Remaining"] == "59"


async def test_everything_is_written_in_one_go(shopper: Shopper, connection: Connection, store: Store) -> None:
    number = await sample_order(connection, store, shopper)
    response = await shopper.reorder(number)
    cart = await connection.fetchrow("select * from carts where store_id = $1", store.id)
    assert cart is not None
    assert await session_of(connection, store, cart["id"]) == response.json()["data"]["shoppingcart_session"]
    assert (cart["customer_id"], cart["subtotal_amount_cents"], cart["total_tax_amount_cents"]) == (
        shopper.id, 3000, 521,
    )  # fmt: skip
    reorder = await connection.fetchrow("select * from reorders where store_id = $1", store.id)
    assert reorder is not None
    assert (reorder["cart_id"], reorder["added_count"], reorder["skipped_count"]) == (cart["id"], 2, 1)
    outcomes = await connection.fetch("select * from reorder_outcomes where store_id = $1 order by position", store.id)
    assert [(o["status"], o["code"], o["sku_number"]) for o in outcomes] == [
        ("added", None, 42), ("added", None, 13), ("skipped", "product_disabled", 7),
    ]  # fmt: skip
    held = {item["id"] for item in await items(connection, store)}
    assert {o["cart_item_id"] for o in outcomes} == held | {None}
    events = await connection.fetch("select name, resource_id, actor_id from events where store_id = $1", store.id)
    assert {tuple(event) for event in events} >= {
        ("carts.create", cart["id"], shopper.id), ("reorders.create", reorder["id"], shopper.id),
    }  # fmt: skip


async def test_the_carts_amounts_are_those_of_today(shopper: Shopper, connection: Connection, store: Store) -> None:
    mug = await factories.sku(connection, store, price=700)
    number = await placed(connection, store, shopper, Line(mug, 3, unit_amount_cents=500))
    await shopper.reorder(number)
    (item,) = await items(connection, store)
    assert (item["unit_amount_cents"], item["total_amount_cents"]) == (700, 2100)
    for check in checks():
        broken = [row for row in await connection.fetch(check.text) if row["store_id"] == store.id]
        assert not broken, check.name


@pytest.mark.rule("FM-09")
async def test_stock_and_quantity_limits_are_the_checkouts(
    shopper: Shopper, connection: Connection, store: Store
) -> None:
    rare = await factories.sku(connection, store, stock=0, max_quantity=2, number=99)
    number = await placed(connection, store, shopper, Line(rare, 5))
    response = await shopper.reorder(number)
    assert response.json()["data"]["added"] == [{"product_id": 99, "quantity": 5, "title": rare.name}]


@pytest.mark.rule("FM-06", "FM-16", "FM-17", "FM-24")
async def test_one_bad_line_does_not_stop_the_others(shopper: Shopper, connection: Connection, store: Store) -> None:
    sizes = [{"name": "size", "required": True, "values": ["S", "XS"]}]
    shirt = await factories.sku(connection, store, options=sizes, name="Shirt")
    deleted = await factories.sku(connection, store, deleted_at=clock.now(store))
    free = await factories.sku(connection, store, price=None)
    dollars = await factories.sku(connection, store, price=None)
    await factories.insert(connection, "prices", store, sku_id=dollars.id, currency_code="USD", amount_cents=100)
    order_id = await factories.order(
        connection,
        store,
        [Line(shirt, options={"size": "S"}), Line(shirt, options={"size": "XXL"}), Line(shirt), Line(deleted),
         Line(free), Line(dollars), Line(shirt, 3, options={"size": "XS"})],
        customer_id=shopper.id,
    )  # fmt: skip
    await factories.insert(
        connection, "line_items", store, order_id=order_id, item_type="percentage_discount_promotions", position=9,
        name="Spring sale", quantity=1, currency_code="EUR", unit_amount_cents=-500, total_amount_cents=-500,
    )  # fmt: skip
    response = await shopper.reorder(await number_of(connection, store, order_id))
    data = response.json()["data"]
    assert [added["quantity"] for added in data["added"]] == [1, 3]
    assert data["skipped_count"] == len(data["skipped"]) == 6
    assert data["skipped"][-1] == {"product_id": None, "reason": "unavailable", "title": "Spring sale"}
    codes = await connection.fetch(
        "select code from reorder_outcomes where store_id = $1 and status = 'skipped' order by position", store.id
    )
    assert [row["code"] for row in codes] == [
        "option_invalid", "option_required", "product_deleted", "no_price", "currency_mismatch", "not_reorderable",
    ]  # fmt: skip
    assert sum(item["quantity"] for item in await items(connection, store)) == 4


async def test_names_are_todays_for_what_was_added(shopper: Shopper, connection: Connection, store: Store) -> None:
    mug = await factories.sku(connection, store, name="Mug")
    old = await factories.sku(connection, store, name="Old mug")
    number = await placed(connection, store, shopper, Line(mug), Line(old))
    rename = "update skus set name = $3, disabled_at = $4 where store_id = $1 and id = $2"
    await connection.execute(rename, store.id, mug.id, "Cup", None)
    await connection.execute(rename, store.id, old.id, "Renamed", clock.now(store))
    data = (await shopper.reorder(number)).json()["data"]
    assert (data["added"][0]["title"], data["skipped"][0]["title"]) == ("Cup", "Old mug")


@pytest.mark.rule("FM-10")
async def test_nothing_available_makes_no_cart(shopper: Shopper, connection: Connection, store: Store) -> None:
    gone = await factories.sku(connection, store, disabled_at=clock.now(store))
    number = await placed(connection, store, shopper, Line(gone))
    response = await shopper.reorder(number)
    assert response.status_code == 200
    assert response.json()["message"] == "None of the items is available"
    assert response.json()["data"]["shoppingcart_session"] is None
    assert response.json()["data"]["skipped_count"] == 1
    counts = await written(connection, store)
    assert (counts["carts"], counts["cart_items"], counts["reorders"]) == (0, 0, 1)


@pytest.mark.rule("FM-13")
async def test_other_lines_of_the_cart_stay_as_they_are(shopper: Shopper, connection: Connection, store: Store) -> None:
    mug, tea = await factories.sku(connection, store), await factories.sku(connection, store)
    await shopper.reorder(await placed(connection, store, shopper, Line(tea, 4)))
    before = await items(connection, store)
    await shopper.reorder(await placed(connection, store, shopper, Line(mug)))
    after = await items(connection, store)
    assert after[0] == before[0]
    assert [item["sku_id"] for item in after] == [tea.id, mug.id]


@pytest.mark.rule("FM-04")
async def test_lines_merge_only_with_the_same_product_and_options(
    shopper: Shopper, connection: Connection, store: Store
) -> None:
    shirt = await factories.sku(connection, store, options=[{"name": "text", "required": False, "values": []}])
    number = await placed(
        connection, store, shopper, Line(shirt, 1), Line(shirt, 1, options={"text": "A"}), Line(shirt, 2),
    )  # fmt: skip
    for _ in range(2):
        response = await shopper.reorder(number)
        assert response.json()["data"]["added_count"] == 3
    assert sorted(item["quantity"] for item in await items(connection, store)) == [2, 6]


@pytest.mark.rule("FM-26")
async def test_two_reorders_at_once_add_exactly_twice(
    shopper: Shopper, connection: Connection, store: Store, settings: Settings
) -> None:
    mug, tea = await factories.sku(connection, store), await factories.sku(connection, store)
    number = await placed(connection, store, shopper, Line(mug, 2), Line(tea, 3))
    async with application(settings) as other:
        elsewhere = Shopper(shopper.id, other, shopper.access, shopper.headers)
        answers = await asyncio.gather(*(who.reorder(number) for who in (shopper, elsewhere) * 5))
    assert [answer.status_code for answer in answers] == [200] * 10
    assert len({answer.json()["data"]["shoppingcart_session"] for answer in answers}) == 1
    assert {item["sku_id"]: item["quantity"] for item in await items(connection, store)} == {mug.id: 20, tea.id: 30}
    subtotal = await connection.fetchval("select subtotal_amount_cents from carts where store_id = $1", store.id)
    assert subtotal == 50 * 1000


@pytest.mark.parametrize("status", ["placed", "approved", "cancelled"])
async def test_every_order_that_was_placed_can_be_repeated(
    shopper: Shopper, connection: Connection, store: Store, status: str
) -> None:
    mug, at = await factories.sku(connection, store), clock.now(store)
    times = {"placed_at": at}
    times |= {"approved_at": at} if status == "approved" else {}
    times |= {"cancelled_at": at} if status == "cancelled" else {}
    number = await placed(connection, store, shopper, Line(mug), status=status, **times)
    assert (await shopper.reorder(number)).status_code == 200


@pytest.mark.rule("FM-08")
@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("nl-NL,nl;q=0.9,en;q=0.8", "2 artikelen toegevoegd, 1 niet beschikbaar"),
        ("fr, en;q=0.5", "Added 2 items, 1 unavailable"),
        ("", "Added 2 items, 1 unavailable"),
    ],
)
async def test_messages_follow_the_reader_and_codes_do_not(
    shopper: Shopper, connection: Connection, store: Store, language: str, message: str
) -> None:
    number = await sample_order(connection, store, shopper)
    response = await shopper.reorder(number, **{"Accept-Language": language})
    assert response.json()["message"] == message
    assert response.json()["data"]["skipped"][0]["reason"] == "unavailable"
    code = await connection.fetchval(
        "select code from reorder_outcomes where store_id = $1 and status = 'skipped'", store.id
    )
    assert code == "product_disabled"


async def test_a_dutch_store_speaks_dutch(shopper: Shopper, connection: Connection, store: Store) -> None:
    await connection.execute("update stores set locale = 'nl_NL' where store_id = $1", store.id)
    mug = await factories.sku(connection, store)
    number = await placed(connection, store, shopper, Line(mug))
    assert (await shopper.reorder(number)).json()["message"] == "1 artikel toegevoegd"
    assert (await shopper.reorder(number + 1)).json()["message"] == "Bestelling niet gevonden."
