"""Swapping a product in the portal: for what the shop names as its substitutes, once, and nothing by looking."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.api.test_action_links import NOW, PLACED, everything, link, nonce, press
from tests.faults.playing import Shop
from tests.spec.writing import Api, to


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on a test clock, whose sku has two substitutes on sale, and three that aren't to be had."""
    opened = await Shop.open(api, database, connection, store, NOW)
    for code, price in (("MUG-BLUE", 700), ("MUG-RED", 800), ("MUG-FREE", None)):
        await factories.sku(connection, store, price=price, code=code, name=code.title())
    await factories.sku(connection, store, code="MUG-SIX", min_quantity=6)
    await factories.sku(connection, store, code="MUG-SIZES", options=[{"name": "size", "required": True}])
    codes = ["MUG-FREE", "MUG-RED", "MUG-SIX", "MUG-SIZES", "MUG-BLUE"]
    assert (await api.update("skus", opened.sku.id, {"substitute_sku_codes": codes})).status_code == 200
    return opened


async def item_of(shop: Shop, subscription: str) -> str:
    (item,) = (await shop.api.get(f"order_subscriptions/{subscription}/order_subscription_items"))["data"]
    return str(item["id"])


async def code_of(shop: Shop, subscription: str) -> str:
    (item,) = (await shop.api.get(f"order_subscriptions/{subscription}/order_subscription_items"))["data"]
    return str(item["attributes"]["sku_code"])


async def test_what_can_be_had_is_offered_at_todays_price_and_swapped_in_one_press(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    path, item = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    before = await everything(connection, store)
    for _ in range(10):
        page = await client.get(path)
    assert await everything(connection, store) == before
    offered = [part.split('"')[0] for part in page.text.split('<option value="')[1:]]
    assert offered[:2] == ["MUG-RED", "MUG-BLUE"]
    assert not {"MUG-FREE", "MUG-SIX", "MUG-SIZES"} & {*offered}
    assert "Mug-Red · €8.00" in page.text
    assert "Ruilen" in (await client.get(path, headers={"Accept-Language": "nl"})).text
    assert (await press(client, path, do="swap", item=item, sku="MUG-BLUE")).status_code == 303
    assert await code_of(shop, id_) == "MUG-BLUE"
    assert "2 \N{MULTIPLICATION SIGN} Mug-Blue" in (await client.get(path)).text
    told = await shop.api.get("events?filter[name]=order_subscription_items.swap")
    assert [one["attributes"]["actor_type"] for one in told["data"]] == ["action_links"]


async def test_two_presses_of_one_page_swap_once(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED)
    path, item = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    sent = {"nonce": nonce(await client.get(path)), "do": "swap", "item": item, "sku": "MUG-BLUE"}
    answers = await asyncio.gather(*(client.post(path, data=sent) for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {303, 422}
    told = await shop.api.get("events?filter[name]=order_subscription_items.swap")
    assert len(told["data"]) == 1


@pytest.mark.parametrize("sku", ["MUG-FREE", "MUG-SIX", "LAWNMOWER", ""])
async def test_what_is_not_offered_is_refused_in_words(
    *, shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store, sku: str
) -> None:
    id_, other = await shop.subscribe(PLACED), await shop.subscribe(PLACED, frequency="weekly")
    path = (await link(shop, id_, "manage"))["path"]
    before = await everything(connection, store)
    refused = await press(client, path, do="swap", item=await item_of(shop, id_), sku=sku)
    assert refused.status_code == 422
    assert "Please choose another one." in refused.text
    foreign = await press(client, path, do="swap", item=await item_of(shop, other), sku="MUG-BLUE")
    assert foreign.status_code == 422
    assert await everything(connection, store) == before


async def test_what_another_item_orders_already_is_not_offered(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED)
    whole = {"order_subscription": to("order_subscriptions", id_)}
    await shop.api.create("order_subscription_items", {"sku_code": "MUG-RED", "quantity": 1}, whole)
    page = await client.get((await link(shop, id_, "manage"))["path"])
    assert '<option value="MUG-BLUE">' in page.text
    assert '<option value="MUG-RED">' not in page.text
