"""What single runs order: lines that are added, other quantities, items that are left out, and other ways to go."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line, Sku
from tests.faults.playing import Shop, on
from tests.jobs.steps import offences
from tests.spec.writing import Api, offenders, pointers, resource, to
from tests.support import Grant

NOW = "2026-01-08 12:00"
"""A Thursday."""

WEEKLY = {"frequency": "weekly"}

SHIPPING = 495
"""What shipping costs, in cents."""


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    return await Shop.open(api, database, connection, store, NOW)


async def subscribe(shop: Shop, *skus: Sku, **attributes: Any) -> str:
    """A weekly subscription of Monday 5 January, of two pieces of the shop's sku and one of each other."""
    lines = [Line(shop.sku, 2), *(Line(sku) for sku in skus)]
    order_id = await factories.full_order(shop.connection, shop.store, lines, placed_at=on("2026-01-05 09:00"))
    made = await shop.api.create("order_subscriptions", WEEKLY | attributes, {"source_order": to("orders", order_id)})
    return str(made["id"])


async def ask(api: Api, id_: str, attributes: dict[str, Any], **named: Any) -> httpx2.Response:
    """Send a line for a run of a subscription."""
    whose = {"order_subscription": to("order_subscriptions", id_), **named}
    return await api.send("POST", "occurrence_items", resource("occurrence_items", attributes, whose))


async def add(shop: Shop, id_: str, sku: Sku, quantity: int = 1, **attributes: Any) -> dict[str, Any]:
    answer = await ask(shop.api, id_, {"sku_code": sku.code, "quantity": quantity, **attributes})
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    return {"id": made["id"], **made["attributes"]}


async def items(shop: Shop, id_: str) -> list[dict[str, Any]]:
    found = await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items?sort=id")
    return [{"id": one["id"], **one["attributes"]} for one in found["data"]]


async def alter(shop: Shop, id_: str, quantity: int, place: int = 0, **attributes: Any) -> dict[str, Any]:
    """Have another quantity of an item in a run."""
    item = (await items(shop, id_))[place]
    named = {"order_subscription_item": to("order_subscription_items", item["id"])}
    answer = await ask(shop.api, id_, {"quantity": quantity, **attributes}, **named)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    return {"id": made["id"], **made["attributes"]}


async def made(shop: Shop, id_: str) -> list[dict[str, int]]:
    """What each order of a subscription has: pieces by sku, in the order of the orders."""
    found = await shop.api.get(f"order_subscriptions/{id_}/orders?sort=created_at&include=line_items&page[size]=100")
    lines = {one["id"]: one["attributes"] for one in found.get("included", []) if one["type"] == "line_items"}
    return [
        {
            lines[line["id"]]["sku_code"]: lines[line["id"]]["quantity"]
            for line in order["relationships"]["line_items"]["data"]
        }
        for order in found["data"]
    ]


async def forecast(shop: Shop, id_: str, size: int = 5) -> list[tuple[int, dict[str, int], int]]:
    """What the next runs will be: index, pieces by sku, total."""
    found = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]={size}")
    return [
        (
            one["attributes"]["occurrence_index"],
            {line["sku_code"]: line["quantity"] for line in one["attributes"]["lines"]},
            one["attributes"]["total_amount_cents"],
        )
        for one in found["data"]
    ]


async def test_a_product_comes_along_once(shop: Shop, connection: Connection, store: Store) -> None:
    mug = await factories.sku(connection, store, price=850)
    id_ = await subscribe(shop)
    line = await add(shop, id_, mug, 3)
    assert (line["occurrence_index"], line["draft"], line["total_amount_cents"]) == (1, False, 2550)
    plain, more = {shop.sku.code: 2}, {shop.sku.code: 2, mug.code: 3}
    assert await forecast(shop, id_, 2) == [(1, more, 6350 + SHIPPING), (2, plain, 3800 + SHIPPING)]
    await shop.wait_until("2026-01-20 00:00")
    assert await made(shop, id_) == [more, plain]
    assert await offences(connection, store) == []
    assert await offenders(connection, store) == []


async def test_an_item_is_more_or_less_or_left_out_once(shop: Shop, connection: Connection, store: Store) -> None:
    tea = await factories.sku(connection, store, price=400)
    id_ = await subscribe(shop, tea)
    await alter(shop, id_, 5)
    await alter(shop, id_, 0, 1)
    await alter(shop, id_, 4, 1, occurrence_index=2)
    assert await forecast(shop, id_, 3) == [
        (1, {shop.sku.code: 5}, 9500 + SHIPPING),
        (2, {shop.sku.code: 2, tea.code: 4}, 5400 + SHIPPING),
        (3, {shop.sku.code: 2, tea.code: 1}, 4200 + SHIPPING),
    ]
    await shop.wait_until("2026-01-27 00:00")
    assert await made(shop, id_) == [
        {shop.sku.code: 5},
        {shop.sku.code: 2, tea.code: 4},
        {shop.sku.code: 2, tea.code: 1},
    ]


async def test_an_item_is_another_product_once(shop: Shop, connection: Connection, store: Store) -> None:
    tea = await factories.sku(connection, store, price=400)
    id_ = await subscribe(shop)
    line = await alter(shop, id_, 2, sku_code=tea.code)
    assert (line["name"], line["unit_amount_cents"], line["total_amount_cents"]) == (tea.name, 400, 800)
    await shop.wait_until("2026-01-20 00:00")
    assert await made(shop, id_) == [{tea.code: 2}, {shop.sku.code: 2}]


async def test_any_run_to_come_can_be_named(shop: Shop) -> None:
    """It gets a row; those in between need none, and the schedule stays as it was."""
    id_ = await subscribe(shop)
    before = [one["attributes"]["scheduled_at"] for one in await coming(shop, id_)]
    await alter(shop, id_, 7, occurrence_index=40)
    assert [one["occurrence_index"] for one in await shop.occurrences(id_)][-4:] == [1, 2, 3, 40]
    assert [one["attributes"]["scheduled_at"] for one in await coming(shop, id_)] == before
    await shop.wait_until("2026-10-13 00:00")
    lines = await made(shop, id_)
    assert len(lines) == 40
    assert lines[38:] == [{shop.sku.code: 2}, {shop.sku.code: 7}]


async def coming(shop: Shop, id_: str) -> list[Any]:
    found = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=50")
    return list(found["data"])


def naming(id_: str, index: int, **linked: Any) -> dict[str, Any]:
    whose = {"order_subscription": to("order_subscriptions", id_), **linked}
    return resource("occurrences", {"occurrence_index": index}, whose)


async def test_any_run_to_come_goes_elsewhere_once_it_is_named(
    shop: Shop, connection: Connection, store: Store
) -> None:
    """Without contents of its own; by its row it is left out and moved as any other."""
    id_ = await subscribe(shop)
    before = [one["attributes"]["scheduled_at"] for one in await coming(shop, id_)]
    office = await factories.address(connection, store, city="Delft")
    linked = {"shipping_address": to("addresses", office)}
    named = await shop.api.send("POST", "occurrences", naming(id_, 12, **linked))
    assert named.status_code == 201, named.text
    made_ = named.json()["data"]
    assert made_["attributes"]["scheduled_at"] == before[11]
    assert (made_["attributes"]["status"], made_["attributes"]["reason"]) == ("planned", None)
    assert [one["attributes"]["scheduled_at"] for one in await coming(shop, id_)] == before
    twice = await shop.api.send("POST", "occurrences", naming(id_, 12))
    assert (twice.status_code, pointers(twice)) == (409, ["/data/attributes/occurrence_index"])
    assert twice.json()["errors"][0]["meta"]["occurrence_id"] == made_["id"]
    left_out = (await shop.api.send("POST", "occurrences", naming(id_, 14))).json()["data"]["id"]
    assert (await shop.api.update("occurrences", left_out, {"_skip": True})).status_code == 200
    for index in (0, 5_000):
        wrong = await shop.api.send("POST", "occurrences", naming(id_, index))
        assert (wrong.status_code, pointers(wrong)) == (422, ["/data/attributes/occurrence_index"])
    await shop.wait_until("2026-04-20 00:00")
    found = await shop.api.get(
        f"order_subscriptions/{id_}/orders?sort=created_at&include=shipping_address&page[size]=20"
    )
    cities = {one["id"]: one["attributes"]["city"] for one in found["included"]}
    went = [cities[order["relationships"]["shipping_address"]["data"]["id"]] for order in found["data"]]
    assert [city == "Delft" for city in went] == [n == 11 for n in range(13)]
    assert await offences(connection, store) == []
    assert await offenders(connection, store) == []


async def test_runs_of_what_doesnt_run_and_of_others_are_not_named(
    shop: Shop, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    id_ = await subscribe(shop)
    stranger = Api(client, await grant(customer_id=await factories.customer(connection, store)))
    assert (await stranger.send("POST", "occurrences", naming(id_, 12))).status_code == 404
    await shop.tell(id_, _deactivate=True)
    assert (await shop.api.send("POST", "occurrences", naming(id_, 12))).status_code == 409
    assert [one["occurrence_index"] for one in await shop.occurrences(id_)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"quantity": 1}, "/data"),
        ({"quantity": 0, "sku_code": "-"}, "/data/attributes/quantity"),
        ({"quantity": -1, "sku_code": "-"}, "/data/attributes/quantity"),
        ({"quantity": 1, "sku_code": "nothing"}, "/data/attributes/sku_code"),
        ({"quantity": 1, "sku_code": "-", "occurrence_index": 0}, "/data/attributes/occurrence_index"),
        ({"quantity": 1, "sku_code": "-", "occurrence_index": 5_000}, "/data/attributes/occurrence_index"),
    ],
)
async def test_what_cant_be_is_said(shop: Shop, attributes: dict[str, Any], pointer: str) -> None:
    id_ = await subscribe(shop)
    sent = {**attributes, **({"sku_code": shop.sku.code} if attributes.get("sku_code") == "-" else {})}
    answer = await ask(shop.api, id_, sent)
    assert (answer.status_code, pointers(answer)) == (422, [pointer]), answer.text


async def test_a_run_orders_something(shop: Shop, connection: Connection, store: Store) -> None:
    """The last line stays, whichever way it would go."""
    tea = await factories.sku(connection, store, price=400)
    id_ = await subscribe(shop)
    (item,) = await items(shop, id_)
    named = {"order_subscription_item": to("order_subscription_items", item["id"])}
    refused = await ask(shop.api, id_, {"quantity": 0}, **named)
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/quantity"])
    line = await add(shop, id_, tea)
    assert (await ask(shop.api, id_, {"quantity": 0}, **named)).status_code == 201
    assert (await shop.api.send("DELETE", f"occurrence_items/{line['id']}")).status_code == 422


async def test_an_item_that_is_left_out_becomes_no_other_product(
    shop: Shop, connection: Connection, store: Store
) -> None:
    """Else a line would show a product that nobody looked for, and order the item's own once it has pieces again."""
    tea = await factories.sku(connection, store, price=400)
    id_ = await subscribe(shop)
    await add(shop, id_, tea)
    (item,) = await items(shop, id_)
    named = {"order_subscription_item": to("order_subscription_items", item["id"])}
    for code in (tea.code, "nothing"):
        refused = await ask(shop.api, id_, {"sku_code": code, "quantity": 0}, **named)
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/sku_code"])
    refused = await ask(shop.api, id_, {"options": {"size": "L"}, "quantity": 0}, **named)
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/options"])
    left_out = await alter(shop, id_, 0, sku_code=shop.sku.code)
    refused = await shop.api.update("occurrence_items", left_out["id"], {"sku_code": tea.code})
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/sku_code"])
    taken = await shop.api.update("occurrence_items", left_out["id"], {"sku_code": tea.code, "quantity": 3})
    assert taken.status_code == 200, taken.text
    # What is another product already stays it while it is left out, and comes back as that.
    for quantity in (0, 2):
        answer = await shop.api.update("occurrence_items", left_out["id"], {"sku_code": tea.code, "quantity": quantity})
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["attributes"]["name"] == tea.name
    assert (await forecast(shop, id_, 1))[0][2] == (1 + 2) * 400 + SHIPPING
    assert await offenders(connection, store) == []


async def test_an_item_is_something_else_once(shop: Shop) -> None:
    id_ = await subscribe(shop)
    await alter(shop, id_, 5)
    (item,) = await items(shop, id_)
    named = {"order_subscription_item": to("order_subscription_items", item["id"])}
    again = await ask(shop.api, id_, {"quantity": 6}, **named)
    assert again.status_code in (409, 422), again.text


async def test_another_subscription_has_other_items_and_runs(shop: Shop) -> None:
    one, other = await subscribe(shop), await subscribe(shop, allow_duplicate=True)
    (foreign,) = await items(shop, other)
    run = (await shop.occurrences(other))[0]["id"]
    item = {"order_subscription_item": to("order_subscription_items", foreign["id"])}
    answer = await ask(shop.api, one, {"quantity": 1}, **item)
    assert (answer.status_code, pointers(answer)) == (422, ["/data/relationships/order_subscription_item/data"])
    named = {"occurrence": to("occurrences", run)}
    answer = await ask(shop.api, one, {"quantity": 1, "sku_code": shop.sku.code}, **named)
    assert (answer.status_code, pointers(answer)) == (422, ["/data/relationships/occurrence/data"])


async def test_the_next_day_is_settled_where_the_shop_says_so(shop: Shop) -> None:
    """A run that is cut off stays as it is, and says since when; what names no run goes to the one after it."""
    id_ = await subscribe(shop, cutoff_hours=120)
    mine = await add(shop, id_, shop.sku)
    assert mine["occurrence_index"] == 2
    late = await ask(shop.api, id_, {"sku_code": shop.sku.code, "quantity": 1, "occurrence_index": 1})
    assert (late.status_code, pointers(late)) == (409, ["/data/attributes/occurrence_index"])
    assert late.json()["errors"][0]["meta"]["closed_at"] == "2026-01-07T09:00:00.000Z"
    await shop.wait_until("2026-01-14 12:00")
    for method in ("PATCH", "DELETE"):
        document = resource("occurrence_items", {"quantity": 3}, id=mine["id"]) if method == "PATCH" else None
        answer = await shop.api.send(method, f"occurrence_items/{mine['id']}", document)
        assert answer.status_code == 409, answer.text
        assert answer.json()["errors"][0]["meta"]["closed_at"] == "2026-01-14T09:00:00.000Z"


async def test_what_has_run_stays_as_it_was(shop: Shop, connection: Connection, store: Store) -> None:
    id_ = await subscribe(shop)
    line = await add(shop, id_, shop.sku)
    await shop.wait_until("2026-01-13 00:00")
    for method in ("PATCH", "DELETE"):
        document = resource("occurrence_items", {"quantity": 3}, id=line["id"]) if method == "PATCH" else None
        assert (await shop.api.send(method, f"occurrence_items/{line['id']}", document)).status_code == 409
    assert await offenders(connection, store) == []


async def test_what_is_the_clients_own_can_be_noted_of_what_has_run(shop: Shop) -> None:
    id_ = await subscribe(shop)
    line = await add(shop, id_, shop.sku)
    await shop.wait_until("2026-01-13 00:00")
    before = (await shop.api.get(f"occurrence_items/{line['id']}"))["data"]
    echo = await shop.api.send("PATCH", f"occurrence_items/{line['id']}", {"data": before})
    assert echo.json()["data"] == before
    noted = await shop.api.update("occurrence_items", line["id"], {"reference": "A-1", "quantity": line["quantity"]})
    assert noted.status_code == 200, noted.text
    assert noted.json()["data"]["attributes"]["reference"] == "A-1"
    both = await shop.api.update("occurrence_items", line["id"], {"reference": "A-2", "quantity": 9})
    assert both.status_code == 409, both.text
    after = (await shop.api.get(f"occurrence_items/{line['id']}"))["data"]["attributes"]
    changing = {"reference": "A-1", "updated_at": after["updated_at"]}
    assert after == before["attributes"] | changing


async def test_a_draft_changes_nothing_until_it_is_committed(shop: Shop, connection: Connection, store: Store) -> None:
    mug = await factories.sku(connection, store, price=850)
    id_ = await subscribe(shop)
    await alter(shop, id_, 3)
    await alter(shop, id_, 6, draft=True)
    await add(shop, id_, mug, draft=True)
    assert (await forecast(shop, id_, 1))[0][1] == {shop.sku.code: 3}
    run = next(one["id"] for one in await shop.occurrences(id_) if one["occurrence_index"] == 1)
    assert (await shop.api.update("occurrences", run, {"_commit": True})).status_code == 200
    assert (await forecast(shop, id_, 1))[0][1] == {shop.sku.code: 6, mug.code: 1}
    kept = (await shop.api.get(f"occurrences/{run}/occurrence_items"))["data"]
    assert sorted((one["attributes"]["quantity"], one["attributes"]["draft"]) for one in kept) == [
        (1, False),
        (6, False),
    ]
    again = await shop.api.update("occurrences", run, {"_commit": True})
    assert again.status_code == 200, "there is nothing left to do"
    await shop.wait_until("2026-01-13 00:00")
    assert await made(shop, id_) == [{shop.sku.code: 6, mug.code: 1}]
    assert await offenders(connection, store) == []


async def test_drafts_are_left_where_they_would_leave_nothing(shop: Shop, connection: Connection, store: Store) -> None:
    tea = await factories.sku(connection, store, price=400)
    id_ = await subscribe(shop)
    line = await add(shop, id_, tea, draft=True)
    await alter(shop, id_, 0, draft=True)
    assert (await shop.api.send("DELETE", f"occurrence_items/{line['id']}")).status_code == 204
    run = next(one["id"] for one in await shop.occurrences(id_) if one["occurrence_index"] == 1)
    answer = await shop.api.update("occurrences", run, {"_commit": True})
    assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/_commit"])


async def test_one_run_goes_elsewhere_another_way(shop: Shop, connection: Connection, store: Store) -> None:
    express = await factories.insert(
        connection, "shipping_methods", store, name="Express", currency_code="EUR", price_amount_cents=900
    )
    id_ = await subscribe(shop)
    (first, *_) = await forecast(shop, id_, 1)
    office = await factories.address(connection, store, city="Delft")
    run = next(one["id"] for one in await shop.occurrences(id_) if one["occurrence_index"] == 1)
    linked = {"shipping_address": to("addresses", office), "shipping_method": to("shipping_methods", express)}
    answer = await shop.api.send("PATCH", f"occurrences/{run}", resource("occurrences", None, linked, id=run))
    assert answer.status_code == 200, answer.text
    assert (await forecast(shop, id_, 1))[0][2] == first[2] - SHIPPING + 900
    await shop.wait_until("2026-01-20 00:00")
    found = await shop.api.get(f"order_subscriptions/{id_}/orders?sort=created_at&include=shipping_address")
    cities = {one["id"]: one["attributes"]["city"] for one in found["included"]}
    orders = found["data"]
    shipped = [cities[order["relationships"]["shipping_address"]["data"]["id"]] for order in orders]
    assert shipped[0] == "Delft"
    assert shipped[1] != "Delft"
    assert orders[0]["attributes"]["shipping_amount_cents"] == 900


@pytest.mark.parametrize("edit", [{"frequency": "2-week"}, {"frequency": "monthly"}, {"timezone": "Asia/Tokyo"}])
async def test_another_frequency_takes_contents_along(shop: Shop, edit: dict[str, Any]) -> None:
    id_ = await subscribe(shop)
    await alter(shop, id_, 9, occurrence_index=2)
    await shop.tell(id_, **edit)
    assert [(index, lines[shop.sku.code]) for index, lines, _ in await forecast(shop, id_, 3)] == [
        (1, 2),
        (2, 9),
        (3, 2),
    ]


async def test_a_run_that_is_left_out_keeps_its_contents(shop: Shop) -> None:
    id_ = await subscribe(shop)
    await alter(shop, id_, 9)
    await shop.tell(id_, _skip_next=True)
    run = (await shop.occurrences(id_))[0]
    assert run["status"] == "skipped"
    assert [lines for _, lines, _ in await forecast(shop, id_, 2)] == [{}, {shop.sku.code: 2}]
    assert (await shop.api.update("occurrences", run["id"], {"_unskip": True})).status_code == 200
    assert [lines for _, lines, _ in await forecast(shop, id_, 2)] == [{shop.sku.code: 9}, {shop.sku.code: 2}]


async def test_ordered_now_and_moved_a_run_has_its_contents(shop: Shop) -> None:
    id_ = await subscribe(shop)
    await alter(shop, id_, 9)
    await alter(shop, id_, 8, occurrence_index=2)
    await shop.tell(id_, _order_next_now=True)
    await shop.tell(id_, next_run_at="2026-01-17 09:00")
    await shop.wait_until("2026-01-27 00:00")
    assert await made(shop, id_) == [{shop.sku.code: 9}, {shop.sku.code: 8}, {shop.sku.code: 2}]


async def test_an_extra_run_is_like_any_other(shop: Shop) -> None:
    id_ = await subscribe(shop)
    await alter(shop, id_, 9)
    await shop.tell(id_, _run_now=True)
    await shop.wait_until("2026-01-13 00:00")
    assert await made(shop, id_) == [{shop.sku.code: 2}, {shop.sku.code: 9}]


async def test_what_wont_come_any_more_takes_its_contents_along(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await subscribe(shop)
    await alter(shop, id_, 9, occurrence_index=6)
    await alter(shop, id_, 8, occurrence_index=2)
    await shop.tell(id_, max_occurrences=3)
    kept = await shop.api.get(f"occurrence_items?filter[order_subscription]={id_}")
    assert [one["attributes"]["occurrence_index"] for one in kept["data"]] == [2]
    told = await shop.api.get("events?filter[name]=occurrence_items.destroy")
    assert len(told["data"]) == 1
    await shop.tell(id_, max_occurrences=None)
    assert [lines[shop.sku.code] for _, lines, _ in await forecast(shop, id_, 6)] == [2, 8, 2, 2, 2, 2]
    assert await offenders(connection, store) == []


async def test_a_pause_leaves_contents_unordered(shop: Shop) -> None:
    id_ = await subscribe(shop)
    await alter(shop, id_, 9)
    await alter(shop, id_, 8, occurrence_index=2)
    await shop.tell(id_, _pause_until="2026-01-15 00:00")
    await shop.wait_until("2026-01-27 00:00")
    assert await made(shop, id_) == [{shop.sku.code: 8}, {shop.sku.code: 2}]


@pytest.mark.parametrize("verb", ["_deactivate", "_cancel"])
async def test_what_doesnt_run_takes_no_contents(shop: Shop, verb: str) -> None:
    id_ = await subscribe(shop)
    await shop.tell(id_, **{verb: True})
    answer = await ask(shop.api, id_, {"sku_code": shop.sku.code, "quantity": 1})
    assert answer.status_code == 409, answer.text


async def test_another_product_of_an_item_is_one_in_its_runs_too(
    shop: Shop, connection: Connection, store: Store
) -> None:
    """A run of more pieces is of the new product; one that is of another product already stays as it is."""
    tea, cocoa = [await factories.sku(connection, store, price=price) for price in (400, 500)]
    id_ = await subscribe(shop)
    await alter(shop, id_, 5)
    await alter(shop, id_, 1, sku_code=cocoa.code, occurrence_index=2)
    (item,) = await items(shop, id_)
    changed = await shop.api.update("order_subscription_items", item["id"], {"sku_code": tea.code})
    assert changed.status_code == 200, changed.text
    assert [lines for _, lines, _ in await forecast(shop, id_, 3)] == [{tea.code: 5}, {cocoa.code: 1}, {tea.code: 2}]
    assert (await forecast(shop, id_, 1))[0][2] == 2000 + SHIPPING


async def test_what_failed_follows_a_swap_as_well(shop: Shop, connection: Connection, store: Store) -> None:
    """A run orders what the subscription contains when its order is made, and is tried again."""
    tea = await factories.sku(connection, store, price=400)
    id_ = await subscribe(shop)
    await alter(shop, id_, 5)
    long_ago = on("2026-01-01 00:00")
    await connection.execute("update skus set disabled_at = $2 where store_id = $1", store.id, long_ago)
    await shop.wait_until("2026-01-13 00:00")
    failed = (await shop.occurrences(id_))[0]
    assert failed["status"] == "failed"
    await connection.execute("update skus set disabled_at = null where store_id = $1", store.id)
    (item,) = await items(shop, id_)
    assert (await shop.api.update("order_subscription_items", item["id"], {"_swap": tea.code})).status_code == 200
    assert (await shop.api.update("occurrences", failed["id"], {"_retry": True})).status_code == 200
    await shop.wait_until("2026-01-14 00:00")
    assert await made(shop, id_) == [{tea.code: 5}]


async def test_a_swap_leaves_prices_of_runs_before_it_alone(shop: Shop, connection: Connection, store: Store) -> None:
    """What the shop set for a run counts, whatever the item becomes later."""
    tea = await factories.sku(connection, store, price=400)
    id_ = await subscribe(shop)
    await alter(shop, id_, 3, unit_amount_cents=1000)
    await alter(shop, id_, 3, unit_amount_cents=900, occurrence_index=2)
    (item,) = await items(shop, id_)
    for sent in ({"_swap": tea.code, "_swap_from": 2}, {"_swap": tea.code, "_swap_from": 3}, {"_unswap": True}):
        assert (await shop.api.update("order_subscription_items", item["id"], sent)).status_code == 200
        assert (await forecast(shop, id_, 1))[0][2] == 3 * 1000 + SHIPPING
    # The second run was another product for a while: what was set for this one counts no more.
    assert (await forecast(shop, id_, 2))[1][2] == 3 * shop.sku.price + SHIPPING


async def test_a_price_that_was_set_is_not_that_of_what_an_item_is_swapped_to(
    shop: Shop, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    """A customer's other quantity leaves the price alone that was set, and takes today's of the product to come."""
    tea = await factories.sku(connection, store, price=400)
    id_ = await subscribe(shop)
    (item,) = await items(shop, id_)
    for sent in ({"unit_amount_cents": 1000}, {"_swap": tea.code, "_swap_from": 2}):
        assert (await shop.api.update("order_subscription_items", item["id"], sent)).status_code == 200
    await factories.set_price(connection, store, tea, 450)
    assert (await shop.api.update("order_subscription_items", item["id"], {"quantity": 1})).status_code == 200
    assert [total for *_, total in await forecast(shop, id_, 2)] == [1000 + SHIPPING, 400 + SHIPPING]
    customer_id = await connection.fetchval(
        "select customer_id from order_subscriptions where store_id = $1 and id = $2", store.id, id_
    )
    theirs = Api(client, await grant(customer_id=str(customer_id)))
    assert (await theirs.update("order_subscription_items", item["id"], {"quantity": 3})).status_code == 200
    assert [total for *_, total in await forecast(shop, id_, 2)] == [3000 + SHIPPING, 1350 + SHIPPING]


async def test_deleting_an_item_deletes_what_single_runs_say_of_it(
    shop: Shop, connection: Connection, store: Store
) -> None:
    tea = await factories.sku(connection, store, price=400)
    id_ = await subscribe(shop, tea)
    await alter(shop, id_, 5, 1)
    assert (await shop.api.get("occurrence_items"))["meta"]["record_count"] == 1
    assert (await shop.api.send("DELETE", f"order_subscription_items/{(await items(shop, id_))[1]['id']}")).is_success
    assert (await shop.api.get("occurrence_items"))["meta"]["record_count"] == 0
    assert await offenders(connection, store) == []


async def test_limits_of_a_sku_hold_for_a_run_as_a_whole(shop: Shop, connection: Connection, store: Store) -> None:
    tea = await factories.sku(connection, store, price=400, max_quantity=3)
    id_ = await subscribe(shop, tea)
    await add(shop, id_, tea, 2)
    over = await ask(shop.api, id_, {"sku_code": tea.code, "quantity": 1})
    assert over.status_code == 422, over.text


async def test_customers_add_to_their_own_at_todays_price(
    shop: Shop, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    """Another quantity of what was agreed on is at today's price as well; a price is set by the shop only."""
    customer, other = [await factories.customer(connection, store) for _ in range(2)]
    order_id = await factories.full_order(
        connection, store, [Line(shop.sku, 2)], placed_at=on("2026-01-05 09:00"), customer_id=customer
    )
    made_ = await shop.api.create("order_subscriptions", WEEKLY, {"source_order": to("orders", order_id)})
    id_ = str(made_["id"])
    await factories.set_price(connection, store, shop.sku, 2100)
    theirs = Api(client, await grant(customer_id=customer))
    (item,) = await items(shop, id_)
    named = {"order_subscription_item": to("order_subscription_items", item["id"])}
    line = await ask(theirs, id_, {"quantity": 3}, **named)
    assert line.status_code == 201, line.text
    assert line.json()["data"]["attributes"]["unit_amount_cents"] == 2100
    priced = await ask(theirs, id_, {"sku_code": shop.sku.code, "quantity": 1, "unit_amount_cents": 1})
    assert priced.status_code == 403
    stranger = Api(client, await grant(customer_id=other))
    assert (await ask(stranger, id_, {"sku_code": shop.sku.code, "quantity": 1})).status_code == 404
    told = (await shop.api.get("events?filter[name]=occurrence_items.create"))["data"]
    assert [(one["attributes"]["actor_type"], one["attributes"]["actor_id"]) for one in told] == [
        ("customers", customer)
    ]


async def test_a_free_sample_stays_free(shop: Shop, connection: Connection, store: Store) -> None:
    mug = await factories.sku(connection, store, price=850)
    id_ = await subscribe(shop, price_mode="current")
    await add(shop, id_, mug, price_mode="fixed", unit_amount_cents=0)
    assert (await forecast(shop, id_, 1))[0] == (1, {shop.sku.code: 2, mug.code: 1}, 3800 + SHIPPING)
    await shop.wait_until("2026-01-13 00:00")
    (order,) = (await shop.api.get(f"order_subscriptions/{id_}/orders"))["data"]
    assert order["attributes"]["total_amount_cents"] == 3800 + SHIPPING


async def test_what_is_added_is_no_rise_in_price(shop: Shop, connection: Connection, store: Store) -> None:
    """Nobody is asked about what they asked for; the run after it isn't held against the larger total either."""
    mug = await factories.sku(connection, store, price=8500)
    id_ = await subscribe(shop, price_mode="current", max_increase_percent=1)
    await add(shop, id_, mug, occurrence_index=2)
    await alter(shop, id_, 20, occurrence_index=3)
    found = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=5")
    assert [one["attributes"]["needs_approval"] for one in found["data"]] == [False] * 5
    await shop.wait_until("2026-02-10 00:00")
    assert [one["status"] for one in await shop.occurrences(id_)][:5] == ["completed"] * 5
