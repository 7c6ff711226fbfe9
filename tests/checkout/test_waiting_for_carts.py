"""Who waits for a cart goes by what the cart is once it is there: one statement locks it and reads what is in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from schemas.graph import graph
from service.jsonapi.body import Draft
from service.operations.carts.cart_items import CartItems
from service.principal import Principal, Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line, Sku
from tests.nodes import WAITING
from tests.spec.writing import Api, resource, to


@dataclass(frozen=True)
class Shop:
    """A cart with two apples and a pear, and an order of two apples; figs cost nothing."""

    store: Store
    cart: str
    order: str
    apple: Sku
    pear: Sku
    fig: Sku


Change = Callable[[Connection, Shop], Awaitable[object]]
Work = Callable[[Api, Shop], Coroutine[Any, Any, httpx2.Response]]

RESOURCE = graph["cart_items"]


async def _add(inside: Connection, shop: Shop, sku: Sku, quantity: int) -> None:
    wanted = Draft(RESOURCE, None, {"sku_code": sku.code, "quantity": quantity}, {"cart": shop.cart})
    await CartItems().create(inside, Principal.of_service(shop.store, "workers"), wanted)


async def _item(connection: Connection, shop: Shop, sku: Sku) -> str:
    found: str = await connection.fetchval(
        "select id from cart_items where store_id = $1 and cart_id = $2 and sku_id = $3",
        *(shop.store.id, shop.cart, sku.id),
    )
    return found


async def add_a_fig(inside: Connection, shop: Shop) -> None:
    """It changes no amount of the cart."""
    await _add(inside, shop, shop.fig, 1)


async def remove_the_pear(inside: Connection, shop: Shop) -> None:
    writer, principal = CartItems(), Principal.of_service(shop.store, "workers")
    await writer.remove(
        inside, principal, await writer.lock(inside, principal, RESOURCE, await _item(inside, shop, shop.pear))
    )


async def want_seven_apples(inside: Connection, shop: Shop) -> None:
    writer, principal = CartItems(), Principal.of_service(shop.store, "workers")
    locked = await writer.lock(inside, principal, RESOURCE, await _item(inside, shop, shop.apple))
    await writer.change(inside, principal, locked, {"quantity": 7})


async def reorder(api: Api, shop: Shop) -> httpx2.Response:
    ends = {"source_order": to("orders", shop.order), "cart": to("carts", shop.cart)}
    return await api.send("POST", "reorders", resource("reorders", None, ends))


async def add_a_fig_too(api: Api, shop: Shop) -> httpx2.Response:
    wanted = {"sku_code": shop.fig.code, "quantity": 2}
    return await api.send("POST", "cart_items", resource("cart_items", wanted, {"cart": to("carts", shop.cart)}))


async def order(api: Api, shop: Shop) -> httpx2.Response:
    return await api.send("POST", "orders", resource("orders", None, {"cart": to("carts", shop.cart)}))


@pytest.mark.parametrize("work", [reorder, add_a_fig_too, order], ids=lambda work: work.__name__)
@pytest.mark.parametrize("change", [add_a_fig, remove_the_pear, want_seven_apples], ids=lambda change: change.__name__)
async def test_what_waits_for_a_cart_comes_to_the_same_as_what_comes_after(
    api: Api, database: Database, store: Store, change: Change, work: Work
) -> None:
    async with database.connection() as connection:
        after, waiting = await _shop(connection, store), await _shop(connection, store)
        async with connection.transaction():
            await change(connection, after)
        expected = await work(api, after)

        async with connection.transaction():
            held = "select from carts where store_id = $1 and id = $2 for update"
            await connection.execute(held, store.id, waiting.cart)
            task = asyncio.create_task(work(api, waiting))
            await _until_something_waits(connection)
            await change(connection, waiting)
        answer = await task
        assert answer.status_code == expected.status_code
        assert await _content(connection, waiting) == await _content(connection, after)


async def test_reorders_at_once_add_as_often(api: Api, connection: Connection, store: Store) -> None:
    shop = await _shop(connection, store)
    answers = await asyncio.gather(*(reorder(api, shop) for _ in range(8)))
    assert [answer.status_code for answer in answers] == [201] * 8
    assert ("apple", 2 + 8 * 2, 1800) in (await _content(connection, shop))["items"]


async def _shop(connection: Connection, store: Store) -> Shop:
    apple, pear, fig = [
        await factories.sku(connection, store, name=name, price=price)
        for name, price in (("apple", 100), ("pear", 300), ("fig", 0))
    ]
    customer = await factories.customer(connection, store)
    cart = await factories.cart(connection, store, customer_id=customer)
    bought = await factories.full_order(connection, store, [Line(apple, 2)], customer_id=customer)
    shop = Shop(store, cart, bought, apple, pear, fig)
    async with connection.transaction():
        await _add(connection, shop, apple, 2)
        await _add(connection, shop, pear, 1)
    return shop


async def _until_something_waits(connection: Connection) -> None:
    """Until somebody waits for what this connection holds."""
    async with asyncio.timeout(10):
        while not await connection.fetchval(WAITING):  # noqa: ASYNC110 -- Postgres tells nobody
            await asyncio.sleep(0.01)


async def _content(connection: Connection, shop: Shop) -> dict[str, Any]:
    """What is in a cart, what it comes to, and what its order holds, by names."""
    cart = await connection.fetchrow(
        "select status, total_amount_cents from carts where store_id = $1 and id = $2", shop.store.id, shop.cart
    )
    items, lines = [
        await connection.fetch(
            f"select name, quantity, total_amount_cents from {table} where store_id = $1 and {whole}"
            " order by name, quantity",
            shop.store.id,
            shop.cart,
        )
        for table, whole in (
            ("cart_items", "cart_id = $2"),
            ("line_items", "order_id in (select id from orders where store_id = $1 and cart_id = $2)"),
        )
    ]
    return {
        "cart": cart and tuple(cart),
        "items": [tuple(row) for row in items],
        "lines": [tuple(row) for row in lines],
    }
