"""POST /api/reorders: the same operation as a JSON:API resource."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service import clock
from service.operations.repeating import reorders
from service.operations.repeating.plans import Wish
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.api.reorders import URL, document, quantities
from tests.factories import Line
from tests.support import Access, Grant


@pytest.fixture
async def customer(connection: Connection, store: Store) -> str:
    return await factories.customer(connection, store)


@pytest.fixture
async def shopper(grant: Grant, customer: str) -> Access:
    return await grant(customer_id=customer)


async def test_a_reorder_is_created_with_its_outcomes(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    mug = await factories.sku(connection, store, price=700, stock=1)
    gone = await factories.sku(connection, store, disabled_at=clock.now(store))
    order = await factories.order(connection, store, [Line(mug, 2, 500), Line(gone)], customer_id=customer)
    body = document(order, stock_policy="partial", reference="R-1", metadata={"from": "test"})
    response = await client.post(f"{URL}?include=reorder_outcomes,cart", json=body, headers=shopper.headers)
    assert response.status_code == 201
    made = response.json()["data"]
    attributes = made["attributes"]
    assert [attributes[f"{status}_count"] for status in ("added", "adjusted", "skipped")] == [0, 1, 1]
    assert (attributes["strategy"], attributes["stock_policy"]) == ("append", "partial")
    assert (attributes["reference"], attributes["metadata"]) == ("R-1", {"from": "test"})
    outcomes = [one["attributes"] for one in response.json()["included"] if one["type"] == "reorder_outcomes"]
    told = {one["code"]: one for one in outcomes}
    assert told.keys() == {"quantity_reduced_stock", "product_disabled"}
    reduced = told["quantity_reduced_stock"]
    assert (reduced["requested_quantity"], reduced["resulting_quantity"]) == (2, 1)
    assert (reduced["previous_unit_amount_cents"], reduced["current_unit_amount_cents"]) == (500, 700)
    assert reduced["notices"] == ["price_increased"]
    assert reduced["detail"] == "Only 1 of 2 is in stock."


async def test_limits_of_a_sku_bind_the_sum_in_the_cart(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    ticket = await factories.sku(connection, store, max_quantity=1)
    order = await factories.order(connection, store, [Line(ticket)], customer_id=customer)
    counts = []
    for _ in range(2):
        response = await client.post(URL, json=document(order), headers=shopper.headers)
        attributes = response.json()["data"]["attributes"]
        counts.append((attributes["added_count"], attributes["skipped_count"]))
    assert counts == [(1, 0), (0, 1)]


@pytest.mark.parametrize("strategy", ["append", "replace", "new"])
async def test_strategies(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    grant: Grant,
    strategy: str,
) -> None:
    customer = await factories.customer(connection, store)
    shopper = await grant(customer_id=customer)
    mug, tea = await factories.sku(connection, store), await factories.sku(connection, store)
    first = await factories.order(connection, store, [Line(mug, 2), Line(tea, 1)], customer_id=customer)
    second = await factories.order(connection, store, [Line(mug, 3)], customer_id=customer)
    carts = []
    for order, how in [(first, "append"), (second, strategy)]:
        response = await client.post(URL, json=document(order, strategy=how), headers=shopper.headers)
        assert response.status_code == 201
        carts.append(response.json()["data"]["relationships"]["cart"]["data"]["id"])
    found = await quantities(connection, store, carts[1])
    assert found == {"append": {mug.id: 5, tea.id: 1}, "replace": {mug.id: 3}, "new": {mug.id: 3}}[strategy]
    assert (carts[0] == carts[1]) == (strategy != "new")
    status = await connection.fetchval("select status from carts where store_id = $1 and id = $2", store.id, carts[0])
    assert status == ("abandoned" if strategy == "new" else "active")
    subtotal = await connection.fetchval(
        "select subtotal_amount_cents from carts where store_id = $1 and id = $2", store.id, carts[1]
    )
    assert subtotal == sum(found.values()) * 1000


@pytest.mark.parametrize("strategy", ["replace", "new"])
async def test_nothing_available_leaves_the_cart_alone(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    grant: Grant,
    strategy: str,
) -> None:
    customer = await factories.customer(connection, store)
    shopper = await grant(customer_id=customer)
    mug, gone = await factories.sku(connection, store), await factories.sku(connection, store, price=None)
    kept = await factories.order(connection, store, [Line(mug)], customer_id=customer)
    lost = await factories.order(connection, store, [Line(gone)], customer_id=customer)
    await client.post(URL, json=document(kept), headers=shopper.headers)
    response = await client.post(URL, json=document(lost, strategy=strategy), headers=shopper.headers)
    assert response.status_code == 201
    assert response.json()["data"]["relationships"]["cart"]["data"] is None
    rows = await connection.fetch("select status, subtotal_amount_cents from carts where store_id = $1", store.id)
    assert [tuple(row) for row in rows] == [("active", 1000)]


async def test_chosen_lines_and_quantities(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    mug, tea = await factories.sku(connection, store), await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug, 2), Line(tea, 1)], customer_id=customer)
    line = await connection.fetchval("select id from line_items where store_id = $1 and sku_id = $2", store.id, mug.id)
    chosen = [{"line_item_id": line, "quantity": 7}]
    response = await client.post(URL, json=document(order, lines=chosen), headers=shopper.headers)
    assert response.status_code == 201
    cart = response.json()["data"]["relationships"]["cart"]["data"]["id"]
    assert await quantities(connection, store, cart) == {mug.id: 7}

    wrong = [
        {"line_item_id": "unknown"}, {"line_item_id": line, "quantity": 0}, {"line_item_id": line, "quantity": True},
        "x", {"quantity": 1}, {"line_item_id": line, "more": 1}, {"line_item_id": ["x"]},
    ]  # fmt: skip
    response = await client.post(URL, json=document(order, lines=wrong), headers=shopper.headers)
    assert response.status_code == 422
    pointers = [error["source"]["pointer"] for error in response.json()["errors"]]
    assert [pointer.removeprefix("/data/attributes/lines/") for pointer in pointers] == [
        "0/line_item_id", "1/quantity", "2/quantity", "3", "4", "5", "6/line_item_id",
    ]  # fmt: skip
    response = await client.post(URL, json=document(order, lines=[]), headers=shopper.headers)
    assert response.status_code == 422


async def test_a_given_cart_must_be_ones_own_and_active(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    grant: Grant,
) -> None:
    customer, mug = await factories.customer(connection, store), await factories.sku(connection, store)
    shopper, integration = await grant(customer_id=customer), await grant()
    order = await factories.order(connection, store, [Line(mug)], customer_id=customer)
    stranger = await factories.customer(connection, store)
    foreign = await factories.cart(connection, store, customer_id=stranger)
    old = await factories.cart(connection, store, customer_id=customer, status="abandoned")
    guests = await factories.cart(connection, store)
    own = await factories.cart(connection, store, customer_id=customer)
    expected = [
        (shopper, foreign, 404), (shopper, "unknown", 404), (shopper, guests, 404), (shopper, old, 409),
        (shopper, own, 201), (integration, foreign, 422), (integration, guests, 201), (integration, own, 201),
    ]  # fmt: skip
    for access, cart, status in expected:
        response = await client.post(URL, json=document(order, cart_id=cart), headers=access.headers)
        assert response.status_code == status, (cart, response.json())
        if status != 201:
            assert response.json()["errors"][0]["source"] == {"pointer": "/data/relationships/cart/data"}
    assert await quantities(connection, store, own) == {mug.id: 2}


async def test_orders_of_others_are_not_found_and_unplaced_ones_are_no_past_ones(
    *,
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    customer: str,
    shopper: Access,
    integration: Access,
) -> None:
    mug = await factories.sku(connection, store)
    foreign = await factories.order(
        connection, store, [Line(mug)], customer_id=await factories.customer(connection, store)
    )
    unplaced = [
        await factories.order(connection, store, [Line(mug)], customer_id=customer, status=status)
        for status in ("draft", "pending")
    ]
    preview = URL.replace("reorders", "reorder_previews")
    for access, order, status in (
        (shopper, foreign, 404), (shopper, "unknown", 404), (integration, "unknown", 404),
        *((access, order, 422) for access in (shopper, integration) for order in unplaced),
    ):  # fmt: skip
        for url, type_ in ((URL, "reorders"), (preview, "reorder_previews")):
            sent = document(order)
            sent["data"]["type"] = type_
            response = await client.post(url, json=sent, headers=access.headers)
            assert response.status_code == status, response.text
            (error,) = response.json()["errors"]
            assert error["source"] == {"pointer": "/data/relationships/source_order/data"}
            assert status != 422 or error["detail"] == "source_order - was never placed"


async def test_a_guests_order_fills_a_cart_of_nobody(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug)], guest=True)
    for _ in range(2):
        response = await client.post(URL, json=document(order), headers=integration.headers)
        assert response.status_code == 201
    rows = await connection.fetch("select customer_id from carts where store_id = $1", store.id)
    assert [row["customer_id"] for row in rows] == [None, None]


async def test_a_taken_id_is_409(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug)], customer_id=customer)
    body = document(order)
    body["data"]["id"] = clock.new_id()
    assert (await client.post(URL, json=body, headers=shopper.headers)).status_code == 201
    response = await client.post(URL, json=body, headers=shopper.headers)
    assert response.status_code == 409
    assert response.json()["errors"][0]["source"] == {"pointer": "/data/id"}
    assert await connection.fetchval("select sum(quantity) from cart_items where store_id = $1", store.id) == 1


async def test_prices_of_the_customers_group_sales_and_quantities(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    at = clock.now(store)
    group = await factories.insert(connection, "customer_groups", store, name="Wholesale")
    other = await factories.insert(connection, "customer_groups", store, name="Staff")
    customer = await factories.customer(connection, store, customer_group_id=group)
    shopper = await grant(customer_id=customer)
    mug, tea = await factories.sku(connection, store), await factories.sku(connection, store)
    for columns in (
        {"sku_id": mug.id, "amount_cents": 800, "customer_group_id": group},
        {"sku_id": mug.id, "amount_cents": 100, "customer_group_id": other},
        {"sku_id": mug.id, "amount_cents": 200, "expires_at": at},
        {"sku_id": tea.id, "amount_cents": 600, "min_quantity": 5},
        {"sku_id": tea.id, "amount_cents": 900, "starts_at": at},
    ):
        await factories.insert(connection, "prices", store, currency_code="EUR", **columns)
    order = await factories.order(connection, store, [Line(mug), Line(tea, 3)], customer_id=customer)

    async def units() -> dict[str, int]:
        await client.post(URL, json=document(order), headers=shopper.headers)
        rows = await connection.fetch("select sku_id, unit_amount_cents from cart_items where store_id = $1", store.id)
        return {row["sku_id"]: row["unit_amount_cents"] for row in rows}

    assert await units() == {mug.id: 800, tea.id: 900}
    assert await units() == {mug.id: 800, tea.id: 600}


async def test_the_number_of_statements_does_not_grow_with_the_lines(database: Database, store: Store) -> None:
    async with database.transaction() as connection:
        customer = await factories.customer(connection, store)
        skus = [await factories.sku(connection, store) for _ in range(500)]
        counts = []
        for lines in (1, 500):
            order = await factories.order(connection, store, list(map(Line, skus[:lines])), customer_id=customer)
            statements: list[str] = []

            def note(query: Any, seen: list[str] = statements) -> None:
                seen.append(query.query)

            wish = Wish(customer_id=customer, actor="tests", locale="en")
            await reorders.reorder(connection, store, wish, order_id=order)
            connection.add_query_logger(note)
            await reorders.reorder(connection, store, wish, order_id=order)
            connection.remove_query_logger(note)
            counts.append(len(statements))
    assert counts[0] == counts[1] <= 7
