"""Swapping a product in the portal: for what the shop names as its substitutes, once, and nothing by looking."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.pressing import PLACED, everything, hidden, link, press, upcoming
from tests.faults.playing import Shop
from tests.spec.writing import Api, offenders, to


@pytest.fixture
async def shop(shop: Shop, api: Api, connection: Connection, store: Store) -> Shop:
    """A shop on a test clock, whose sku has two substitutes on sale, and three that aren't to be had."""
    for code, price in (("MUG-BLUE", 700), ("MUG-RED", 800), ("MUG-FREE", None)):
        await factories.sku(connection, store, price=price, code=code, name=code.title())
    await factories.sku(connection, store, code="MUG-SIX", min_quantity=6)
    await factories.sku(connection, store, code="MUG-SIZES", options=[{"name": "size", "required": True}])
    codes = ["MUG-FREE", "MUG-RED", "MUG-SIX", "MUG-SIZES", "MUG-BLUE"]
    assert (await api.update("skus", shop.sku.id, {"substitute_sku_codes": codes})).status_code == 200
    return shop


async def item_of(shop: Shop, subscription: str) -> str:
    (item,) = (await shop.api.get(f"order_subscriptions/{subscription}/order_subscription_items"))["data"]
    return str(item["id"])


async def code_of(shop: Shop, subscription: str) -> str:
    (item,) = (await shop.api.get(f"order_subscriptions/{subscription}/order_subscription_items"))["data"]
    return str(item["attributes"]["sku_code"])


async def test_what_can_be_had_is_offered_at_todays_price_and_swapped_once_it_was_looked_at(
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
    before = await everything(connection, store)
    looked = await press(client, path, do="look", amend="swap", item=item, sku="MUG-BLUE")
    assert looked.status_code == 200
    assert f"Mug-Blue in place of {shop.sku.name}." in looked.text
    assert looked.text.count("2 \N{MULTIPLICATION SIGN} Mug-Blue") == 3
    assert await everything(connection, store) == before
    done = await client.post(path, data={"do": "amend", **hidden(looked)})
    assert done.status_code == 303
    assert "It is swapped, from the next delivery on." in (await client.get(done.headers["location"])).text
    assert await code_of(shop, id_) == "MUG-BLUE"
    assert "2 \N{MULTIPLICATION SIGN} Mug-Blue" in (await client.get(path)).text
    told = await shop.api.get("events?filter[name]=order_subscription_items.swap")
    assert [one["attributes"]["actor_type"] for one in told["data"]] == ["action_links"]


async def test_two_presses_of_one_page_swap_once(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED)
    path, item = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    looked = await press(client, path, do="look", amend="swap", item=item, sku="MUG-BLUE")
    sent = {"do": "amend", **hidden(looked)}
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
    own, foreign = await item_of(shop, id_), await item_of(shop, other)
    for do in ("look", "amend"):
        for wish in ({"item": own, "sku": sku}, {"item": foreign, "sku": "MUG-BLUE"}):
            refused = await press(client, path, do=do, amend="swap", **wish)
            assert (refused.status_code, "Please choose another one." in refused.text) == (422, True), (do, wish)
    unseen = await press(client, path, do="amend", amend="swap", item=own, sku="MUG-BLUE")
    assert unseen.status_code == 409
    assert "Please look at it once more" in unseen.text
    assert (await press(client, path, do="swap", item=own, sku="MUG-BLUE")).status_code == 422
    assert await everything(connection, store) == before


async def test_what_another_item_orders_already_is_not_offered(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED)
    whole = {"order_subscription": to("order_subscriptions", id_)}
    await shop.api.create("order_subscription_items", {"sku_code": "MUG-RED", "quantity": 1}, whole)
    page = await client.get((await link(shop, id_, "manage"))["path"])
    assert '<option value="MUG-BLUE">' in page.text
    assert '<option value="MUG-RED">' not in page.text


async def test_a_swap_can_begin_later_and_be_taken_back(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED)
    path, item = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    second = str((await shop.occurrences(id_))[0]["occurrence_index"] + 2)
    wish = {"amend": "swap", "item": item, "sku": "MUG-BLUE", "from": second}
    looked = await press(client, path, do="look", **wish)
    assert looked.text.count("2 \N{MULTIPLICATION SIGN} Mug-Blue") == 1
    assert (await client.post(path, data={"do": "amend", **hidden(looked)})).status_code == 303
    assert await code_of(shop, id_) != "MUG-BLUE"
    page = (await client.get(path)).text
    assert "Mug-Blue in place of" in page
    assert (await press(client, path, do="unswap", item=item)).status_code == 303
    assert "in place of" not in (await client.get(path)).text
    foreign = await item_of(shop, await shop.subscribe(PLACED, frequency="weekly"))
    assert (await press(client, path, do="unswap", item=foreign)).status_code == 404
    await shop.wait_until("2026-06-02 09:00")
    assert await code_of(shop, id_) != "MUG-BLUE"


LATER = "6"
"""A run that the portal lists and that has no row."""


async def swapped_once(shop: Shop, subscription: str) -> list[tuple[str, str, int]]:
    """What comes in the place of the item in single runs: the run, the sku and how many."""
    found = await shop.api.get(f"occurrence_items?filter[order_subscription]={subscription}&sort=id")
    lines = [one["attributes"] for one in found["data"]]
    return [(str(one["occurrence_index"]), one["sku_code"], one["quantity"]) for one in lines]


@pytest.mark.parametrize("run", ["1", LATER], ids=["next", "later"])
async def test_a_product_is_swapped_in_one_delivery_once_it_was_looked_at(
    *, shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store, run: str
) -> None:
    id_ = await shop.subscribe(PLACED)
    path, item, usual = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_), await code_of(shop, id_)
    offered = (await client.get(f"{path}?delivery={run}")).text
    assert '<option value="MUG-BLUE">' in offered
    before = await everything(connection, store)
    wish = {"amend": "swap", "item": item, "sku": "MUG-BLUE", "from": run, "only": "1"}
    looked = await press(client, path, do="look", **wish)
    assert looked.status_code == 200
    assert "Only on " in looked.text
    assert looked.text.count("2 \N{MULTIPLICATION SIGN} Mug-Blue") == 1
    # Two at 7.00, and the shipping and payment that every delivery costs.
    assert "\N{EURO SIGN}7.00 each" in looked.text
    dutch = await client.post(path, data=hidden(looked) | {"do": "look"}, headers={"Accept-Language": "nl"})
    assert "Alleen op " in dutch.text
    assert await everything(connection, store) == before
    done = await client.post(path, data={"do": "amend", **hidden(looked)})
    assert done.status_code == 303
    page = (await client.get(done.headers["location"])).text
    assert " only.</p>" in page.partition('role="status"')[2][:200]
    assert page.count(f"in place of {shop.sku.name}") == 1
    assert await swapped_once(shop, id_) == [(run, "MUG-BLUE", 2)]
    assert await code_of(shop, id_) == usual
    told = await shop.api.get("events?filter[name]=occurrence_items.create")
    assert [one["attributes"]["actor_type"] for one in told["data"]] == ["action_links"]
    assert not await offenders(connection, store)
    again = await press(client, f"{path}?delivery={run}", do="as_always", run=run, line=item)
    assert again.status_code == 303
    assert await swapped_once(shop, id_) == []
    assert "in place of" not in (await client.get(path)).text


async def test_what_is_swapped_once_is_ordered_once_in_the_quantity_of_that_delivery(
    shop: Shop, client: httpx2.AsyncClient
) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly")
    path, item = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    (_, run, *_) = await upcoming(shop, id_)
    assert (await press(client, path, do="alter", run=run, line=item, quantity="3")).status_code == 303
    wish = {"amend": "swap", "item": item, "sku": "MUG-RED", "from": run, "only": "1"}
    looked = await press(client, path, do="look", **wish)
    assert "3 \N{MULTIPLICATION SIGN} Mug-Red" in looked.text
    assert (await client.post(path, data={"do": "amend", **hidden(looked)})).status_code == 303
    await shop.wait_until("2026-03-30 00:00")
    found = await shop.api.get(f"order_subscriptions/{id_}/orders?sort=created_at&include=line_items")
    rows = {one["id"]: one["attributes"] for one in found["included"]}
    ordered = [
        [
            (rows[line["id"]]["sku_code"], rows[line["id"]]["quantity"])
            for line in order["relationships"]["line_items"]["data"]
        ]
        for order in found["data"]
    ]
    plain = [(shop.sku.code, 2)]
    assert ordered == [plain, [("MUG-RED", 3)], plain]


async def test_the_next_delivery_is_swapped_from_then_on_at_once(shop: Shop, client: httpx2.AsyncClient) -> None:
    """Its form names the run, since it may be for that one only."""
    id_ = await shop.subscribe(PLACED)
    path, item = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    (run, *_) = await upcoming(shop, id_)
    looked = await press(client, path, do="look", amend="swap", item=item, sku="MUG-BLUE", **{"from": run})
    done = await client.post(path, data={"do": "amend", **hidden(looked)})
    assert "It is swapped, from the next delivery on." in (await client.get(done.headers["location"])).text
    assert await code_of(shop, id_) == "MUG-BLUE"
    assert await swapped_once(shop, id_) == []


async def test_presses_at_once_swap_one_delivery_once(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED)
    paths, item = [(await link(shop, id_, "manage"))["path"] for _ in range(2)], await item_of(shop, id_)
    wish = {"amend": "swap", "item": item, "sku": "MUG-BLUE", "from": LATER, "only": "1"}
    sent = [(path, {"do": "amend", **hidden(await press(client, path, do="look", **wish))}) for path in paths]
    answers = await asyncio.gather(*(client.post(path, data=form) for path, form in sent * 3))
    assert {answer.status_code for answer in answers} <= {303, 409, 422}
    assert await swapped_once(shop, id_) == [(LATER, "MUG-BLUE", 2)]


async def test_a_swap_of_one_delivery_that_leads_elsewhere_by_now_is_shown_once_more(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    path, item = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    wish = {"amend": "swap", "item": item, "sku": "MUG-BLUE", "from": LATER, "only": "1"}
    looked = await press(client, path, do="look", **wish)
    await connection.execute(
        "update prices set amount_cents = 750 where store_id = $1 and amount_cents = 700", store.id
    )
    before = await everything(connection, store)
    again = await client.post(path, data={"do": "amend", **hidden(looked)})
    assert (again.status_code, "Please look at it once more" in again.text) == (409, True)
    assert "\N{EURO SIGN}7.50 each" in again.text
    assert await everything(connection, store) == before
    assert (await client.post(path, data={"do": "amend", **hidden(again)})).status_code == 303
    assert await swapped_once(shop, id_) == [(LATER, "MUG-BLUE", 2)]


@pytest.mark.parametrize("only", [{"only": "1"}, {}], ids=["once", "for good"])
async def test_a_swap_with_a_delivery_that_is_not_to_come_is_refused(
    *, shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store, only: dict[str, str]
) -> None:
    id_ = await shop.subscribe(PLACED)
    path, item = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    (first, *_) = await upcoming(shop, id_)
    wish = {"amend": "swap", "item": item, "sku": "MUG-BLUE", **only}
    seen = {do: await press(client, path, do="look", **wish, **{"from": first}) for do in ("look", "amend")}
    assert (await press(client, path, do="order_now")).status_code == 303
    before = await everything(connection, store)
    for run in ("0", "99", "-1", "soon", "9" * 30, first):
        for do, page in seen.items():
            refused = await client.post(path, data=hidden(page) | wish | {"do": do, "from": run})
            assert (do, run, refused.status_code) == (do, run, 404)
            assert "There is no such occurrence." in refused.text
    for do in ("look", "amend"):
        other = await press(client, path, do=do, **wish | {"sku": "MUG-FREE", "from": LATER})
        assert (other.status_code, "Please choose another one." in other.text) == (422, True)
    assert await everything(connection, store) == before
