"""Runs that order something else in the place of what can't be had."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line, Sku
from tests.faults.playing import Shop
from tests.jobs.steps import row
from tests.spec.writing import Api, offenders, pointers, to

POLICY = "substitute"


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Thursday 8 January 2026."""
    return await Shop.open(api, database, connection, store, "2026-01-08 12:00")


async def replaceable(shop: Shop, *codes: str) -> None:
    """Name what may come in the place of the shop's sku."""
    answer = await shop.api.update("skus", shop.sku.id, {"substitute_sku_codes": list(codes)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["attributes"]["substitute_sku_codes"] == list(codes)


async def made(shop: Shop, id_: str) -> tuple[dict[str, Any], list[tuple[str, int, int]]]:
    """The only run of a subscription: its copy, and the lines of its order as code, pieces and price of one."""
    found = await shop.api.get(
        f"order_subscriptions/{id_}/recurring_order_copies?include=target_order.line_items&page[size]=1"
    )
    lines = [one["attributes"] for one in found["included"] if one["type"] == "line_items"]
    return found["data"][0]["attributes"], [
        (one["sku_code"], one["quantity"], one["unit_amount_cents"]) for one in lines
    ]


async def sell_out(shop: Shop, *skus: Sku) -> None:
    await shop.connection.execute(
        "update stock_items set quantity = 0 where store_id = $1 and sku_id = any($2::text[])",
        shop.store.id, [sku.id for sku in skus],
    )  # fmt: skip


async def test_the_first_substitute_that_can_be_had_is_ordered_at_its_own_price(shop: Shop) -> None:
    """Its stock is taken, the other's isn't, and the copy says what came for what."""
    none = await factories.sku(shop.connection, shop.store, price=500, stock=1, code="MUG-FEW")
    some = await factories.sku(shop.connection, shop.store, price=700, stock=9, code="MUG-BLUE")
    await replaceable(shop, "MUG-FEW", "MUG-BLUE")
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", unavailable_policy=POLICY)
    await sell_out(shop, shop.sku)
    await shop.wait_until("2026-01-13 00:00")
    copy, lines = await made(shop, id_)
    assert (copy["status"], copy["errors_log"], lines) == ("completed", None, [("MUG-BLUE", 2, 700)])
    (outcome,) = copy["outcomes"]
    assert outcome.pop("order_subscription_item_id")
    assert outcome == {
        "sku_code": shop.sku.code,
        "status": "adjusted",
        "code": "substituted",
        "requested_quantity": 2,
        "resulting_quantity": 2,
        "substitute_sku_code": "MUG-BLUE",
    }
    stocks = [await factories.stock(shop.connection, shop.store, sku) for sku in (shop.sku, none, some)]
    assert stocks == [0, 1, 7]
    item = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"][0]["attributes"]
    assert (item["sku_code"], item["unit_amount_cents"]) == (shop.sku.code, 1900)
    assert await offenders(shop.connection, shop.store) == []


async def test_the_item_itself_comes_again_as_soon_as_it_can(shop: Shop) -> None:
    await factories.sku(shop.connection, shop.store, price=700, stock=9, code="MUG-BLUE")
    await replaceable(shop, "MUG-BLUE")
    changed = await shop.api.update("stores", str(shop.store.id), {"policies": {"unavailable_policy": POLICY}})
    assert changed.status_code == 200
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly")
    await sell_out(shop, shop.sku)
    await shop.wait_until("2026-01-13 00:00")
    await shop.connection.execute("update stock_items set quantity = 50 where store_id = $1", shop.store.id)
    await shop.wait_until("2026-01-20 00:00")
    orders = await shop.api.get(f"order_subscriptions/{id_}/orders?include=line_items&sort=created_at")
    codes = {one["id"]: one["attributes"]["sku_code"] for one in orders["included"]}
    lines = [order["relationships"]["line_items"]["data"] for order in orders["data"]]
    assert [[codes[one["id"]] for one in of_order] for of_order in lines] == [["MUG-BLUE"], [shop.sku.code]]


async def test_without_a_substitute_the_run_fails(shop: Shop) -> None:
    few = await factories.sku(shop.connection, shop.store, price=700, stock=1, code="MUG-FEW")
    await replaceable(shop, "MUG-FEW")
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", unavailable_policy=POLICY)
    await sell_out(shop, shop.sku)
    await shop.wait_until("2026-01-13 00:00")
    (copy,) = (await shop.api.get(f"order_subscriptions/{id_}/recurring_order_copies"))["data"]
    assert copy["attributes"]["status"] == "failed"
    assert copy["attributes"]["errors_log"] == {"line_items": [f"{shop.sku.code} - out_of_stock"]}
    assert await factories.stock(shop.connection, shop.store, few) == 1


async def test_the_forecast_shows_what_will_come(shop: Shop) -> None:
    """As far as it is known beforehand: a sku that is no longer sold from a day between two runs on."""
    await factories.sku(shop.connection, shop.store, price=800, code="MUG-BLUE")
    await replaceable(shop, "MUG-BLUE")
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", unavailable_policy=POLICY)
    answer = await shop.api.update("skus", shop.sku.id, {"disabled_at": "2026-01-15T00:00:00Z"})
    assert answer.status_code == 200, answer.text
    runs = (await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=2"))["data"]
    told = [
        (line["sku_code"], line["status"], line["code"], line["substitute_sku_code"], line["current_unit_amount_cents"])
        for run in runs
        for line in run["attributes"]["lines"]
    ]
    assert told == [
        (shop.sku.code, "added", None, None, 1900),
        (shop.sku.code, "adjusted", "substituted", "MUG-BLUE", 800),
    ]
    totals = [run["attributes"]["total_amount_cents"] for run in runs]
    await shop.wait_until("2026-01-20 00:00")
    orders = await shop.api.get(f"order_subscriptions/{id_}/orders?sort=created_at")
    assert [order["attributes"]["total_amount_cents"] for order in orders["data"]] == totals


async def test_a_dearer_substitute_waits_for_approval(shop: Shop) -> None:
    """Like is compared with like: with what the item itself cost."""
    await factories.sku(shop.connection, shop.store, price=9900, code="MUG-GOLD")
    await replaceable(shop, "MUG-GOLD")
    id_ = await shop.subscribe(
        "2026-01-05 09:00", frequency="weekly", unavailable_policy=POLICY, max_increase_percent=10
    )
    await shop.wait_until("2026-01-13 00:00")
    await sell_out(shop, shop.sku)
    await shop.wait_until("2026-01-20 00:00")
    assert [one["status"] for one in await shop.occurrences(id_)][:2] == ["completed", "held"]


async def test_runs_at_once_share_what_there_is_of_a_substitute(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    """Together and apart: as many are made as it suffices for, and nothing is sold twice."""
    gone = await factories.sku(connection, store, price=500, stock=0)
    other = await factories.sku(connection, store, price=700, stock=5)
    answer = await api.update("skus", gone.id, {"substitute_sku_codes": [other.code]})
    assert answer.status_code == 200
    order_id = await factories.full_order(connection, store, [Line(gone, 2)])
    sent = {"frequency": "monthly", "allow_duplicate": True, "unavailable_policy": POLICY}
    for _ in range(4):
        one = await api.create("order_subscriptions", sent, {"source_order": to("orders", order_id)})
        await api.update("order_subscriptions", one["id"], {"_run_now": True})
    ids = [copy["id"] for copy in (await api.get("recurring_order_copies"))["data"]]
    await asyncio.gather(*(CopyJob(database).make(store.id, some) for some in (ids[:2], ids[2:3], ids[3:])))
    statuses = [(await row(connection, "order_factories", store, id_))["status"] for id_ in ids]
    assert sorted(statuses) == ["completed", "completed", "failed", "failed"]
    assert await factories.stock(connection, store, other) == 1
    assert await offenders(connection, store) == []


async def test_substitutes_are_other_skus_each_once(shop: Shop) -> None:
    for code in ("MUG-BLUE", "MUG-RED"):
        await factories.sku(shop.connection, shop.store, code=code)
    sent = {"substitute_sku_codes": ["MUG-BLU", shop.sku.code, "MUG-RED", "MUG-RED"]}
    refused = await shop.api.update("skus", shop.sku.id, sent)
    where = "/data/attributes/substitute_sku_codes"
    assert (refused.status_code, pointers(refused)) == (422, [f"{where}/0", f"{where}/1", f"{where}/3"])
    assert refused.json()["errors"][0]["meta"]["suggestion"] == "MUG-BLUE"
    many = await shop.api.update("skus", shop.sku.id, {"substitute_sku_codes": [f"S{n}" for n in range(11)]})
    assert (many.status_code, pointers(many)) == (422, [where])
