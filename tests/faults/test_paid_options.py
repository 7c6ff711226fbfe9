"""Options that cost something are never free: they are carried where prices are agreed, else the line is left out."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.jobs.steps import ask, bearer, make, offences, refusal, row
from tests.pages import show, submit, url_of
from tests.spec.writing import Api, to

pytestmark = pytest.mark.rule("FM-92")

ENGRAVED = {"engraving": "Sam"}


@pytest.fixture
async def order_id(connection: Connection, store: Store) -> str:
    """A placed order of two rings at 100.00, engraved for 30.00 in all, and a plain mug."""
    ring = await factories.sku(connection, store, price=12000, code="RING", options=[{"name": "engraving"}])
    mug = await factories.sku(connection, store, price=900, code="MUG")
    id_ = await factories.full_order(
        connection, store, [Line(ring, 2, 10000, options=ENGRAVED), Line(mug, 1)],
        subtotal_amount_cents=23900, total_amount_cents=23900 + 495,
    )  # fmt: skip
    await connection.execute(
        "update line_items set options_amount_cents = 3000, total_amount_cents = 23000"
        " where store_id = $1 and sku_code = 'RING'",
        store.id,
    )
    return id_


async def ring_of(connection: Connection, store: Store, order_id: str) -> Any:
    return await connection.fetchrow(
        "select * from line_items where store_id = $1 and order_id = $2 and sku_code = 'RING'", store.id, order_id
    )


@pytest.mark.parametrize(("quantity", "options_cost"), [(2, 3000), (4, 6000), (1, 1500)])
async def test_a_run_at_fixed_prices_has_them_by_its_pieces(
    *, database: Database, connection: Connection, store: Store, order_id: str, quantity: int, options_cost: int
) -> None:
    subscription_id = await factories.subscription(connection, store, order_id, price_mode="fixed")
    await connection.execute(
        "update order_subscription_items set quantity = $2, total_amount_cents = $2 * unit_amount_cents"
        " where store_id = $1 and sku_code = 'RING'",
        store.id, quantity,
    )  # fmt: skip
    target_id = await make(database, store, await ask(database, bearer(store), order_id, subscription_id))
    line = await ring_of(connection, store, target_id)
    assert (line["options_amount_cents"], line["total_amount_cents"]) == (options_cost, quantity * 10000 + options_cost)
    target = await row(connection, "orders", store, target_id)
    assert target["total_amount_cents"] == quantity * 10000 + options_cost + 900 + 495
    assert await offences(connection, store) == []


@pytest.mark.parametrize(
    "change",
    [
        "update order_subscriptions set price_mode = 'current' where store_id = $1",
        'update order_subscription_items set options = \'{"engraving": "Alex"}\' where store_id = $1',
        "update order_subscription_items set quantity = 7 where store_id = $1 and sku_code = 'RING'",
    ],
)
async def test_a_run_for_which_nobody_knows_their_price_says_so(
    *, database: Database, connection: Connection, store: Store, order_id: str, change: str
) -> None:
    subscription_id = await factories.subscription(connection, store, order_id, price_mode="fixed")
    await connection.execute("update line_items set options_amount_cents = 3001 where sku_code = 'RING'")
    await connection.execute(change, store.id)
    await connection.execute(
        "update order_subscription_items set options = '{}' where store_id = $1 and sku_code = 'MUG'", store.id
    )
    copy_id = await ask(database, bearer(store), order_id, subscription_id)
    assert await refusal(database, store, copy_id) == {"line_items": ["RING - option_invalid"]}


async def test_a_run_without_the_options_costs_nothing_for_them(
    database: Database, connection: Connection, store: Store, order_id: str
) -> None:
    subscription_id = await factories.subscription(connection, store, order_id, price_mode="fixed")
    await connection.execute("update order_subscription_items set options = '{}' where store_id = $1", store.id)
    target_id = await make(database, store, await ask(database, bearer(store), order_id, subscription_id))
    assert (await ring_of(connection, store, target_id))["total_amount_cents"] == 20000


async def test_an_order_copy_has_them(
    api: Api, database: Database, connection: Connection, store: Store, order_id: str
) -> None:
    copy = await api.create("order_copies", None, {"source_order": to("orders", order_id)})
    assert await CopyJob(database).make(store.id, [copy["id"]]) is None
    target_id = await connection.fetchval("select target_order_id from order_factories where id = $1", copy["id"])
    line = await ring_of(connection, store, target_id)
    assert (line["options_amount_cents"], line["total_amount_cents"]) == (3000, 23000)


async def test_a_reorder_and_a_link_leave_the_line_out(
    *, client: httpx2.AsyncClient, app: Starlette, api: Api, connection: Connection, store: Store, order_id: str
) -> None:
    reorder = await api.create("reorders", None, {"source_order": to("orders", order_id)})
    outcomes = (await api.get(f"reorders/{reorder['id']}/reorder_outcomes"))["data"]
    assert [(one["attributes"]["sku_code"], one["attributes"]["code"]) for one in outcomes] == [
        ("RING", "option_invalid"),
        ("MUG", None),
    ]
    code = await connection.fetchval("select code from orders where store_id = $1 and id = $2", store.id, order_id)
    page = await show(client, await url_of(app, connection, store, code))
    assert (await submit(client, page.fields)).status_code == 303
    held = await connection.fetch(
        "select sku_code from cart_items inner join carts on cart_items.cart_id = carts.id"
        " where carts.store_id = $1 and carts.repeat_link_id is not null",
        store.id,
    )
    assert [row["sku_code"] for row in held] == ["MUG"]
