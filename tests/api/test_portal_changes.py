"""What a customer changes for good in the portal: how many of a product, and how often it comes; looked at before."""

from __future__ import annotations

import html
import re

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.pressing import PLACED, everything, hidden, link, nonce, press, upcoming
from tests.faults.playing import Shop, short
from tests.spec.writing import offenders

FOR_TWO_WEEKS = {"amend": "interval", "count": "2", "unit": "week"}


async def item_of(shop: Shop, subscription: str) -> tuple[str, int]:
    """The id of a subscription's only item, and how many are ordered of it."""
    (item,) = (await shop.api.get(f"order_subscriptions/{subscription}/order_subscription_items"))["data"]
    return item["id"], item["attributes"]["quantity"]


async def test_a_quantity_is_shown_and_then_changed_for_all_deliveries(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    path, (item, _) = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    before = await everything(connection, store)
    wish = {"amend": "quantity", "item": item, "quantity": "5"}
    looked = await press(client, path, do="look", **wish)
    assert looked.status_code == 200
    assert await everything(connection, store) == before
    text = html.unescape(looked.text)
    assert f"5 \N{MULTIPLICATION SIGN} {shop.sku.name} with each delivery." in text
    assert text.count("€99.95") == 3
    dutch = await client.post(path, data={"do": "look", **wish}, headers={"Accept-Language": "nl"})
    assert "Alle bezorgingen wijzigen" in dutch.text
    fields = hidden(looked)
    assert fields.keys() == {"nonce", "amend", "item", "quantity", "digest"}
    done = await client.post(path, data={"do": "amend", **fields})
    assert done.status_code == 303
    assert "for all deliveries to come" in (await client.get(done.headers["location"])).text
    assert await item_of(shop, id_) == (item, 5)
    told = await shop.api.get("events?filter[name]=order_subscription_items.update")
    assert [one["attributes"]["actor_type"] for one in told["data"]] == ["action_links"]
    assert not await offenders(connection, store)
    await shop.wait_until("2026-04-02 00:00")
    (order,) = (await shop.api.get(f"order_subscriptions/{id_}/orders"))["data"]
    assert order["attributes"]["subtotal_amount_cents"] == 9500


async def test_how_often_is_shown_and_then_changed(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    path = (await link(shop, id_, "manage"))["path"]
    before = await everything(connection, store)
    looked = await press(client, path, do="look", **FOR_TWO_WEEKS)
    assert await everything(connection, store) == before
    assert "Every 2 weeks." in looked.text
    shown = re.findall(r'<time datetime="([^"]+)"', looked.text)
    assert (await client.post(path, data={"do": "amend", **hidden(looked)})).status_code == 303
    runs = [one for one in await shop.occurrences(id_) if one["status"] == "planned"]
    assert [short(one["scheduled_at"]) for one in runs[:3]] == [short(at) for at in shown]
    assert (await shop.look(id_))["frequency"] == "2-week"
    days = await shop.tell(id_, weekdays=["monday", "thursday"])
    assert days["frequency"] == "2-week:monday,thursday"
    looked = await press(client, path, do="look", **FOR_TWO_WEEKS | {"count": "3"})
    assert "Every 3 weeks on Monday" in looked.text
    assert (await client.post(path, data={"do": "amend", **hidden(looked)})).status_code == 303
    assert (await shop.look(id_))["frequency"] == "3-week:monday,thursday"


async def test_a_model_says_how_often_it_may_come(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    offered = {"name": "Tea", "frequencies": ["monthly", "6-week", "three-month"]}
    model = await shop.api.create("subscription_models", offered)
    path = (await link(shop, id_, "manage"))["path"]
    of_model = "update order_subscriptions set subscription_model_id = $2 where store_id = $1"
    await connection.execute(of_model, store.id, model["id"])
    page = (await client.get(path)).text
    assert re.findall(r'<option value="([^"]+)"(?: selected)?>Every', page) == offered["frequencies"]
    assert 'name="count"' not in page
    before = await everything(connection, store)
    for wish in (FOR_TWO_WEEKS, {"amend": "frequency", "frequency": "weekly"}):
        for do in ("look", "amend"):
            refused = await press(client, path, do=do, **wish)
            assert refused.status_code == 422
            assert "come that often" in refused.text
            assert "frequency -" not in refused.text
    assert await everything(connection, store) == before
    looked = await press(client, path, do="look", amend="frequency", frequency="6-week")
    assert "Every 6 weeks." in looked.text
    assert (await client.post(path, data={"do": "amend", **hidden(looked)})).status_code == 303
    assert (await shop.look(id_))["frequency"] == "6-week"


async def test_what_leads_elsewhere_by_now_is_shown_once_more(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED, price_mode="current")
    path, (item, number) = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    wish = {"amend": "quantity", "item": item, "quantity": "3"}
    looked = await press(client, path, do="look", **wish)
    await factories.set_price(connection, store, shop.sku, 2500)
    before = await everything(connection, store)
    for fields in (hidden(looked), hidden(looked) | {"digest": ""}):
        again = await client.post(path, data={"do": "amend", **fields})
        assert again.status_code == 409
        assert "Please look at it once more" in again.text
        assert "€79.95" in again.text
    assert await everything(connection, store) == before
    assert (await item_of(shop, id_))[1] == number
    assert (await client.post(path, data={"do": "amend", **hidden(again)})).status_code == 303
    assert (await item_of(shop, id_))[1] == 3


@pytest.mark.parametrize("do", ["look", "amend"])
async def test_what_cannot_be_is_refused_in_words_for_customers(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store, do: str
) -> None:
    id_, other = await shop.subscribe(PLACED), await shop.subscribe(PLACED, frequency="weekly")
    path, (item, _), (foreign, _) = (
        (await link(shop, id_, "manage"))["path"],
        await item_of(shop, id_),
        await item_of(shop, other),
    )
    await connection.execute("update skus set max_quantity = 6 where store_id = $1", store.id)
    (run, *_) = [one["id"] for one in await shop.occurrences(id_) if one["status"] == "planned"]
    assert (await shop.api.update("occurrences", run, {"_skip": True})).status_code == 200
    before = await everything(connection, store)
    many = {"amend": "quantity", "item": item}
    refused: list[tuple[dict[str, str], int, str]] = [
        (many | {"quantity": "0"}, 422, "So many can't be ordered."),
        (many | {"quantity": "7"}, 422, "So many can't be ordered."),
        (many | {"quantity": "1e9"}, 422, "Choose a quantity from 1 to 9999."),
        (many | {"quantity": "99999"}, 422, "Choose a quantity from 1 to 9999."),
        ({"amend": "quantity", "item": foreign, "quantity": "2"}, 404, "no such line"),
        (FOR_TWO_WEEKS, 409, "was skipped or moved"),
        ({"amend": "interval", "count": "0", "unit": "week"}, 422, "come that often"),
        ({"amend": "interval", "count": "3000", "unit": "year"}, 422, "come that often"),
        ({"amend": "interval", "count": "2", "unit": "eon"}, 422, "That can't be done here."),
        ({"amend": "frequency", "frequency": "now and then"}, 422, "come that often"),
        ({"amend": "everything"}, 422, "That can't be done here."),
        ({}, 422 if do == "amend" else 200, ""),
    ]
    for wish, status, words in refused:
        answer = await press(client, path, do=do, **wish)
        assert (wish, answer.status_code) == (wish, status)
        assert words in html.unescape(answer.text), wish
        for name in ("interval_", "frequency -", "quantity -", run):
            assert name not in answer.text.partition('role="alert"')[2].partition("</div>")[0], wish
    assert await everything(connection, store) == before


async def test_text_that_cannot_be_kept_is_refused_like_any_other_that_is_not_there(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    path, (item, _) = (await link(shop, id_, "manage"))["path"], await item_of(shop, id_)
    (run, *_) = await upcoming(shop, id_)
    before = await everything(connection, store)
    nul = "\0"
    forms: list[tuple[str, dict[str, str]]] = [
        ("send", {"address": nul}),
        ("pay", {"card": nul}),
        ("settle", {"order": nul}),
        ("swap", {"item": item, "sku": nul}),
        ("unswap", {"item": nul}),
        ("add", {"run": run, "sku": nul}),
        ("send_once", {"run": run, "address": nul}),
        ("skip", {"run": nul}),
        ("move", {"run": run, "day": nul}),
        ("look", {"amend": "frequency", "frequency": nul}),
        ("look", {"amend": "quantity", "item": nul, "quantity": "2"}),
        (nul, {}),
    ]
    for do, fields in forms:
        refused = await press(client, path, do=do, **fields)
        assert refused.status_code in (404, 422), (do, fields, refused.status_code)
    assert await everything(connection, store) == before


async def test_a_page_that_stayed_open_says_in_words_for_customers_what_is_otherwise_by_now(
    shop: Shop, client: httpx2.AsyncClient
) -> None:
    id_ = await shop.subscribe(PLACED)
    path = (await link(shop, id_, "manage"))["path"]
    stale = nonce(await client.get(path))
    (run, *_) = await upcoming(shop, id_)

    async def told(**fields: str) -> str:
        answer = await client.post(path, data={"nonce": stale, **fields})
        assert answer.status_code in (400, 404, 409), answer.text
        alert = answer.text.partition('role="alert"')[2].partition("</div>")[0]
        return " ".join(re.findall(r"<p>(.*?)</p>", html.unescape(alert)))

    gone = "That can't be done here."
    assert await told(do="send", address="gone") == gone
    assert await told(do="pay", card="gone") == gone
    assert await told(do="send_once", run=run, address="gone") == gone
    assert (await client.post(path, data={"nonce": stale, "do": "cancel"})).status_code == 303
    cancelled = "The subscription is cancelled: it can't be changed."
    for fields in (
        {"do": "cancel", "reason": "too_expensive", "comment": "really"},
        {"do": "send", "address": "gone"},
        {"do": "look", **FOR_TWO_WEEKS},
        {"do": "amend", "amend": "frequency", "frequency": "now and then"},
    ):
        assert await told(**fields) == cancelled, fields
