"""POST /api/reorder_previews, and reorders that are held to what a preview said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from service import clock
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.api.reorders import PREVIEWS, URL, document, preview, quantities
from tests.contract.contract import check_document
from tests.factories import Line
from tests.support import Access, Grant

AMOUNTS = (
    "currency_code", "tax_included", "coupon_status", "subtotal_amount_cents", "shipping_amount_cents",
    "payment_method_amount_cents", "discount_amount_cents", "total_tax_amount_cents", "total_amount_cents",
    "formatted_total_amount", "total_amount_float",
)  # fmt: skip
OUTCOME = (
    "position", "status", "code", "notices", "detail", "name", "sku_code", "sku_number", "requested_quantity",
    "resulting_quantity", "currency_code", "previous_unit_amount_cents", "current_unit_amount_cents",
)  # fmt: skip


@pytest.fixture
async def customer(connection: Connection, store: Store) -> str:
    return await factories.customer(connection, store)


@pytest.fixture
async def shopper(grant: Grant, customer: str) -> Access:
    return await grant(customer_id=customer)


async def contents(connection: Connection, store: Store, columns: str = "*") -> list[list[Any]]:
    """All rows of the store that a preview could have touched."""
    tables = ("carts", "cart_items", "reorders", "reorder_outcomes", "events", "idempotency_keys", "orders")
    return [
        await connection.fetch(f"select {columns} from {table} t where store_id = $1 order by t::text", store.id)
        for table in tables
    ]


WITH_WRITERS = "xmin, xmax, *"
"""Each row with the transactions that wrote and that locked it."""


async def commit(
    client: httpx2.AsyncClient, access: Access, order: str, digest: str, **attributes: Any
) -> httpx2.Response:
    body = document(order, expected_digest=digest, **attributes)
    return await client.post(f"{URL}?include=reorder_outcomes,cart", json=body, headers=access.headers)


Put = Callable[..., Awaitable[str]]


@pytest.fixture
def put(client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access) -> Put:
    """Puts lines into the customer's cart, by a reorder; gives the id of the cart."""

    async def put(*lines: Line) -> str:
        order = await factories.order(connection, store, lines, customer_id=customer)
        response = await client.post(URL, json=document(order), headers=shopper.headers)
        id_: str = response.json()["data"]["relationships"]["cart"]["data"]["id"]
        return id_

    return put


@pytest.mark.parametrize("strategy", ["append", "replace", "new"])
@pytest.mark.parametrize("with_cart", [True, False])
async def test_a_reorder_comes_to_what_its_preview_said(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    customer: str,
    *,
    shopper: Access,
    put: Put,
    strategy: str,
    with_cart: bool,
) -> None:
    mug, tea = await factories.sku(connection, store, price=700, stock=3), await factories.sku(connection, store)
    gone = await factories.sku(connection, store, disabled_at=clock.now(store))
    await factories.insert(connection, "promotions", store, name="Sale", kind="percent", percentage=10)
    await factories.insert(
        connection, "promotions", store, name="Coupon", kind="fixed", amount_cents=100, currency_code="EUR",
        coupon_code="HUNDRED",
    )  # fmt: skip
    if with_cart:
        cart = await put(Line(tea, 2), Line(mug))
        await connection.execute(
            "update carts set coupon_code = 'HUNDRED', shipping_method_id = $3 where store_id = $1 and id = $2",
            store.id, cart, await factories.shipping_method(connection, store),
        )  # fmt: skip
    order = await factories.order(
        connection, store, [Line(mug, 5, 500), Line(gone), Line(mug, 1)], customer_id=customer
    )
    before = await contents(connection, store, WITH_WRITERS)
    said = await preview(client, shopper, order, strategy=strategy, stock_policy="partial")
    assert await contents(connection, store, WITH_WRITERS) == before
    check_document(said)
    attributes = said["data"]["attributes"]
    assert said["data"]["type"] == "reorder_previews"
    assert said["data"]["id"] == attributes["digest"]

    made = await commit(client, shopper, order, attributes["digest"], strategy=strategy, stock_policy="partial")
    assert made.status_code == 201, made.text
    done = made.json()["data"]["attributes"]
    for name in ("digest", "strategy", "stock_policy", "lines", "added_count", "adjusted_count", "skipped_count"):
        assert attributes[name] == done[name], name
    included = made.json()["included"]
    (cart_made,) = (one["attributes"] for one in included if one["type"] == "carts")
    assert {name: attributes[name] for name in AMOUNTS} == {name: cart_made[name] for name in AMOUNTS}
    outcomes = {
        one["relationships"]["source_line_item"]["data"]["id"]: {name: one["attributes"][name] for name in OUTCOME}
        for one in included
        if one["type"] == "reorder_outcomes"
    }
    assert {one["id"]: {n: one["attributes"][n] for n in OUTCOME} for one in said["included"]} == outcomes
    found = said["data"]["relationships"]["cart"]["data"]
    assert (found is not None) == (with_cart and strategy != "new")


async def test_all_skipped_comes_to_nothing(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    gone = await factories.sku(connection, store, disabled_at=clock.now(store))
    order = await factories.order(connection, store, [Line(gone)], customer_id=customer)
    said = (await preview(client, shopper, order))["data"]
    assert (said["attributes"]["skipped_count"], said["attributes"]["total_amount_cents"]) == (1, None)
    assert said["relationships"]["cart"] == {"data": None}
    assert (await commit(client, shopper, order, said["id"])).status_code == 201


STALE = {
    "a price": "update prices set amount_cents = amount_cents + 1 where store_id = $1",
    "a sale that begins": "update promotions set disabled_at = null where store_id = $1",
    "a product that is gone": "update skus set disabled_at = created_at where store_id = $1 and code = 'MUG'",
    "stock that ran low": "update stock_items set quantity = 1 where store_id = $1",
    "a line of the order": "update line_items set unit_amount_cents = 1, total_amount_cents = quantity"
    " where store_id = $1 and sku_code = 'MUG'",
    "the rest of the cart": "update cart_items set quantity = quantity + 1, total_amount_cents = unit_amount_cents"
    " * (quantity + 1) where store_id = $1",
}


@pytest.mark.parametrize("change", STALE)
async def test_what_a_preview_said_no_longer_holds(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    customer: str,
    *,
    shopper: Access,
    put: Put,
    change: str,
) -> None:
    mug = await factories.sku(connection, store, code="MUG", stock=9)
    tea = await factories.sku(connection, store)
    await factories.insert(
        connection, "promotions", store, name="Sale", kind="percent", percentage=10, disabled_at=clock.now(store)
    )
    await put(Line(tea))
    order = await factories.order(connection, store, [Line(mug, 2)], customer_id=customer)
    digest = (await preview(client, shopper, order))["data"]["id"]
    await connection.execute(STALE[change], store.id)
    before = await contents(connection, store)
    refused = await commit(client, shopper, order, digest)
    assert refused.status_code == 409
    (error,) = refused.json()["errors"]
    assert (error["code"], error["source"]) == ("PREVIEW_STALE", {"pointer": "/data/attributes/expected_digest"})
    assert await contents(connection, store) == before
    fresh = (await preview(client, shopper, order))["data"]["id"]
    assert error["meta"] == {"digest": fresh} != {"digest": digest}
    assert (await commit(client, shopper, order, fresh)).status_code == 201


async def test_what_changes_nothing_for_the_customer_keeps_the_digest(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    mug = await factories.sku(connection, store, stock=9)
    order = await factories.order(connection, store, [Line(mug, 2)], customer_id=customer)
    digest = (await preview(client, shopper, order))["data"]["id"]
    await connection.execute("update stock_items set quantity = 8 where store_id = $1", store.id)
    await connection.execute("update orders set version = version + 1, reference = 'x' where store_id = $1", store.id)
    assert (await preview(client, shopper, order))["data"]["id"] == digest
    assert (await preview(client, shopper, order, strategy="new"))["data"]["id"] != digest


async def test_chosen_lines_and_languages(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    mug, rare = await factories.sku(connection, store), await factories.sku(connection, store, stock=1)
    order = await factories.order(connection, store, [Line(mug), Line(rare, 2)], customer_id=customer)
    line = await connection.fetchval("select id from line_items where store_id = $1 and sku_id = $2", store.id, rare.id)
    lines = [{"line_item_id": line, "quantity": 4}]
    body = document(order, type_="reorder_previews", lines=lines, stock_policy="partial")
    response = await client.post(PREVIEWS, json=body, headers=shopper.headers | {"Accept-Language": "nl"})
    (outcome,) = response.json()["included"]
    assert response.json()["data"]["attributes"]["lines"] == lines
    assert (outcome["id"], outcome["attributes"]["resulting_quantity"]) == (line, 1)
    assert outcome["attributes"]["detail"] == "Er is er maar 1 van de 4 op voorraad."


async def test_what_is_wrong_is_told_where_it_is(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, *, shopper: Access, grant: Grant
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug)], customer_id=customer)
    old = await factories.cart(
        connection, store, customer_id=customer, status="converted", converted_at=clock.now(store)
    )
    foreign = await factories.cart(connection, store, customer_id=await factories.customer(connection, store))
    blind = await grant(customer_id=customer, scopes=["read_orders"])
    cart = "/data/relationships/cart/data"
    for url, type_ in ((PREVIEWS, "reorder_previews"), (URL, "reorders")):
        expected = [
            (document(order, cart_id=old, type_=type_), 409, cart),
            (document(order, cart_id=foreign, type_=type_), 404, cart),
            (document(order, cart_id=old, type_=type_, strategy="new"), 422, cart),
            (document(order, type_=type_, lines=[]), 422, "/data/attributes/lines"),
            (document(order, type_=type_, strategy="merge"), 422, "/data/attributes/strategy"),
            (document("unknown", type_=type_), 404, "/data/relationships/source_order/data"),
            (document(order, type_="orders"), 409, "/data/type"),
        ]
        for body, status, pointer in expected:
            response = await client.post(url, json=body, headers=shopper.headers)
            assert (response.status_code, response.json()["errors"][0]["source"]) == (status, {"pointer": pointer})
        assert (
            await client.post(f"{url}?sort=id", json=document(order, type_=type_), headers=shopper.headers)
        ).status_code == 400
        refused = await client.post(url, json=document(order, type_=type_), headers=blind.headers)
        assert refused.status_code == 403
        response = await client.post(url, content=b"{}", headers=shopper.headers | {"Content-Type": "text/plain"})
        assert response.status_code == 415


@pytest.mark.parametrize("given", [True, False])
async def test_a_full_cart_is_told_ahead(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    customer: str,
    *,
    shopper: Access,
    put: Put,
    given: bool,
) -> None:
    many = await factories.sku(connection, store, options=[{"name": "text", "required": False, "values": []}])
    lines = [Line(many, options={"text": str(n)}) for n in range(999)]
    cart = await put(*lines)
    two = [Line(await factories.sku(connection, store)) for _ in range(2)]
    order = await factories.order(connection, store, two, customer_id=customer)
    named = {"cart_id": cart} if given else {}
    for url, type_ in ((PREVIEWS, "reorder_previews"), (URL, "reorders")):
        response = await client.post(url, json=document(order, type_=type_, **named), headers=shopper.headers)
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        where = "cart" if given else "source_order"
        assert (error["detail"], error["source"]["pointer"]) == (
            "A cart holds at most 1000 lines.", f"/data/relationships/{where}/data",
        )  # fmt: skip


async def test_a_cart_in_another_currency_takes_what_has_a_price_in_it(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    mug, tea = await factories.sku(connection, store), await factories.sku(connection, store)
    await factories.insert(connection, "prices", store, sku_id=tea.id, currency_code="USD", amount_cents=1200)
    cart = await factories.cart(connection, store, customer_id=customer, currency_code="USD")
    order = await factories.order(connection, store, [Line(mug), Line(tea)], customer_id=customer)
    said = await preview(client, shopper, order, cart_id=cart)
    assert [one["attributes"]["code"] for one in said["included"]] == ["currency_mismatch", None]
    attributes = said["data"]["attributes"]
    assert (attributes["currency_code"], attributes["total_amount_cents"]) == ("USD", 1200)
    response = await client.post(URL, json=document(order, cart_id=cart), headers=shopper.headers)
    assert response.json()["data"]["attributes"]["digest"] == said["data"]["id"]
    assert await quantities(connection, store, cart) == {tea.id: 1}


async def test_guests_and_their_carts(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access, shopper: Access
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug)], guest=True)
    cart = await factories.cart(connection, store)
    said = (await preview(client, integration, order, cart_id=cart))["data"]
    assert said["relationships"]["customer"] == {"data": None}
    assert said["relationships"]["cart"]["data"]["id"] == cart
    body = document(order, type_="reorder_previews")
    assert (await client.post(PREVIEWS, json=body, headers=shopper.headers)).status_code == 404


async def test_a_cart_that_somebody_holds_can_be_looked_at(
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    customer: str,
    *,
    shopper: Access,
    database: Database,
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug)], customer_id=customer)
    await factories.cart(connection, store, customer_id=customer)
    async with database.transaction() as holding:
        await holding.execute("select from carts where store_id = $1 for update", store.id)
        assert (await preview(client, shopper, order))["data"]["attributes"]["added_count"] == 1


async def test_order_reorder_and_cart_lead_to_each_other(
    client: httpx2.AsyncClient, connection: Connection, store: Store, customer: str, shopper: Access
) -> None:
    mug = await factories.sku(connection, store)
    order = await factories.order(connection, store, [Line(mug)], customer_id=customer)
    made = (await client.post(URL, json=document(order), headers=shopper.headers)).json()["data"]
    cart = made["relationships"]["cart"]["data"]["id"]

    async def ids(url: str) -> list[str]:
        data = (await client.get(f"/api/{url}", headers=shopper.headers)).json()["data"]
        return [one["id"] for one in (data if isinstance(data, list) else [data])]

    assert await ids(f"orders/{order}/reorders") == await ids(f"carts/{cart}/reorders") == [made["id"]]
    assert await ids(f"reorders/{made['id']}/source_order") == [order]
    assert await ids(f"reorders/{made['id']}/cart") == [cart]
