"""A shop's own notes go where the order goes: from the cart to the order, and from there to its copies."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.checkout.conftest import ordered, ready
from tests.factories import Line
from tests.jobs.steps import ask, bearer, make
from tests.pages import show, submit, url_of
from tests.spec.writing import Api, to

pytestmark = pytest.mark.rule("FM-93")


async def noted(api: Api, connection: Connection, store: Store) -> Any:
    """A cart with notes on it and on its item."""
    cart = await ready(connection, store)
    item_id = await connection.fetchval("select id from cart_items where store_id = $1", store.id)
    assert (await api.update("carts", cart.id, {"metadata": {"desk": 4}})).status_code == 200
    assert (await api.update("cart_items", item_id, {"metadata": {"gift": True}})).status_code == 200
    return cart


async def test_the_notes_of_a_cart_are_those_of_its_order(api: Api, connection: Connection, store: Store) -> None:
    order = await ordered(api, await noted(api, connection, store))
    assert order["attributes"]["metadata"] == {"desk": 4}
    (line,) = (await api.get(f"orders/{order['id']}/line_items"))["data"]
    assert line["attributes"]["metadata"] == {"gift": True}


async def test_notes_that_are_sent_with_the_order_win(api: Api, connection: Connection, store: Store) -> None:
    order = await ordered(api, await noted(api, connection, store), metadata={"desk": 5})
    assert order["attributes"]["metadata"] == {"desk": 5}


async def test_the_notes_of_an_order_are_those_of_its_copies(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    order_id = await factories.full_order(
        connection, store, [Line(await factories.sku(connection, store))], metadata={"desk": 4}
    )
    await connection.execute("update line_items set metadata = '{\"gift\": true}' where store_id = $1", store.id)
    subscription_id = await factories.subscription(connection, store, order_id)
    run_id = await make(database, store, await ask(database, bearer(store), order_id, subscription_id))
    copy = await api.create("order_copies", None, {"source_order": to("orders", order_id)})
    assert await CopyJob(database).make(store.id, [copy["id"]]) is None
    copy_id = await connection.fetchval("select target_order_id from order_factories where id = $1", copy["id"])
    for target_id in (run_id, copy_id):
        assert (await api.get(f"orders/{target_id}"))["data"]["attributes"]["metadata"] == {"desk": 4}
        (line,) = (await api.get(f"orders/{target_id}/line_items"))["data"]
        assert line["attributes"]["metadata"] == {"gift": True}


async def test_a_reorder_takes_along_what_the_store_lists(api: Api, connection: Connection, store: Store) -> None:
    await connection.execute(
        'update stores set policies = policies || \'{"carried_metadata": ["desk", "gift"]}\' where store_id = $1',
        store.id,
    )
    customer_id = await factories.customer(connection, store)
    order_id = await factories.full_order(
        connection, store, [Line(await factories.sku(connection, store))], customer_id=customer_id,
        metadata={"desk": 4, "campaign": "spring"},
    )  # fmt: skip
    await connection.execute(
        'update line_items set metadata = \'{"gift": true, "batch": 7}\' where store_id = $1', store.id
    )
    reorder = await api.create("reorders", None, {"source_order": to("orders", order_id)})
    cart_id = reorder["relationships"]["cart"]["data"]["id"]
    assert (await api.get(f"carts/{cart_id}"))["data"]["attributes"]["metadata"] == {"desk": 4}
    (item,) = (await api.get(f"carts/{cart_id}/cart_items"))["data"]
    assert item["attributes"]["metadata"] == {"gift": True}
    # What the cart says itself stays.
    await api.update("carts", cart_id, {"metadata": {"desk": 9}})
    await api.create("reorders", None, {"source_order": to("orders", order_id)})
    assert (await api.get(f"carts/{cart_id}"))["data"]["attributes"]["metadata"] == {"desk": 9}


async def test_a_store_that_lists_nothing_and_a_link_take_nothing_along(
    *, client: httpx2.AsyncClient, app: Starlette, api: Api, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    order_id = await factories.full_order(
        connection, store, [Line(await factories.sku(connection, store))], customer_id=customer_id,
        metadata={"desk": 4}, code="AG-1",
    )  # fmt: skip
    reorder = await api.create("reorders", None, {"source_order": to("orders", order_id)})
    cart_id = reorder["relationships"]["cart"]["data"]["id"]
    assert (await api.get(f"carts/{cart_id}"))["data"]["attributes"]["metadata"] == {}

    await connection.execute(
        'update stores set policies = policies || \'{"carried_metadata": ["desk"]}\' where store_id = $1', store.id
    )
    page = await show(client, await url_of(app, connection, store, "AG-1"))
    assert (await submit(client, page.fields)).status_code == 303
    made = await connection.fetchval(
        "select metadata from carts where store_id = $1 and repeat_link_id is not null", store.id
    )
    assert made == "{}"
