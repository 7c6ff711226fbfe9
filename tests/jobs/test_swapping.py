"""Another sku in the place of an item's: what the runs from then on order, at which price, and what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson
import pytest

from service import clock
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line, Sku
from tests.faults.playing import Shop, on, short
from tests.jobs.steps import make, names_of, row
from tests.jobs.test_at_once import made_at_once
from tests.jobs.test_sweep import due, swept
from tests.spec.writing import Api, offenders, pointers, to
from tests.support import Grant


@dataclass
class Subscribed:
    """A subscription to two shirts a week at 10.00, who shops with it, and mugs at 7.00."""

    shop: Shop
    id: str
    item: str
    mug: Sku
    customer: Api

    async def swap(self, code: str, api: Api | None = None, **attributes: Any) -> httpx2.Response:
        """Send `_swap` for its item, by its customer unless somebody else is named."""
        return await (api or self.customer).update("order_subscription_items", self.item, {"_swap": code, **attributes})

    async def look(self) -> dict[str, Any]:
        """The item's attributes."""
        return dict((await self.customer.get(f"order_subscription_items/{self.item}"))["data"]["attributes"])

    async def lines(self) -> list[tuple[str, list[tuple[str, int, int]]]]:
        """When its orders were made, and what is in each: code, pieces and the price of one."""
        found = await self.shop.api.get(
            f"order_subscriptions/{self.id}/orders?sort=created_at&include=line_items&page[size]=100"
        )
        lines = {one["id"]: one["attributes"] for one in found.get("included", [])}
        return [
            (
                short(order["attributes"]["created_at"]),
                [
                    (lines[one["id"]]["sku_code"], lines[one["id"]]["quantity"], lines[one["id"]]["unit_amount_cents"])
                    for one in order["relationships"]["line_items"]["data"]
                ],
            )
            for order in found["data"]
        ]


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Thursday 8 January 2026."""
    return await Shop.open(api, database, connection, store, "2026-01-08 12:00")


@pytest.fixture
async def weekly(shop: Shop, client: httpx2.AsyncClient, grant: Grant) -> Subscribed:
    """A customer's, of Monday 5 January, at prices that were agreed on."""
    mug = await factories.sku(shop.connection, shop.store, price=700, code="MUG-BLUE", name="Blue Mug", stock=100)
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly")
    owner = (await row(shop.connection, "order_subscriptions", shop.store, id_))["customer_id"]
    (item,) = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    return Subscribed(shop, id_, item["id"], mug, Api(client, await grant(customer_id=owner)))


async def test_the_runs_from_then_on_order_the_other_sku_at_its_own_price(weekly: Subscribed) -> None:
    """What was agreed on for the old sku is not passed on to the new one."""
    await weekly.shop.wait_until("2026-01-13 00:00")
    answer = await weekly.swap("MUG-BLUE")
    assert answer.status_code == 200, answer.text
    shown = answer.json()["data"]["attributes"]
    assert (shown["sku_code"], shown["name"], shown["quantity"]) == ("MUG-BLUE", "Blue Mug", 2)
    assert (shown["unit_amount_cents"], shown["total_amount_cents"]) == (700, 1400)
    await factories.set_price(weekly.shop.connection, weekly.shop.store, weekly.mug, 900)
    await weekly.shop.wait_until("2026-01-20 00:00")
    assert await weekly.lines() == [
        ("2026-01-12 09:00", [(weekly.shop.sku.code, 2, 1900)]),
        ("2026-01-19 09:00", [("MUG-BLUE", 2, 700)]),
    ]
    assert await offenders(weekly.shop.connection, weekly.shop.store) == []


async def test_an_event_tells_what_was_swapped_for_what_and_by_whom(weekly: Subscribed) -> None:
    connection, store = weekly.shop.connection, weekly.shop.store
    assert (await weekly.swap("MUG-BLUE")).status_code == 200
    (event,) = await connection.fetch(
        "select * from events where store_id = $1 and name = 'order_subscription_items.swap'", store.id
    )
    told = orjson.loads(event["changes"])
    assert told["sku_code"] == {"from": weekly.shop.sku.code, "to": "MUG-BLUE"}
    assert told["unit_amount_cents"] == {"from": 1900, "to": 700}
    assert event["actor_type"] == "customers"
    known = await names_of(connection, store, weekly.item)
    assert (await weekly.swap("MUG-BLUE")).status_code == 200
    assert await names_of(connection, store, weekly.item) == known


async def test_the_price_follows_the_table_of_prices(weekly: Subscribed) -> None:
    """A price that an integration set goes with the sku that it was set for, unless it sends another along."""
    assert (await weekly.swap("MUG-BLUE", weekly.shop.api, unit_amount_cents=650)).status_code == 200
    assert (await weekly.look())["unit_amount_cents"] == 650
    assert (await weekly.swap(weekly.shop.sku.code, weekly.shop.api)).status_code == 200
    assert (await weekly.look())["unit_amount_cents"] == 1900
    refused = await weekly.swap("MUG-BLUE", unit_amount_cents=1)
    assert refused.status_code == 403
    assert (await weekly.look())["sku_code"] == weekly.shop.sku.code


async def test_what_cannot_be_had_is_refused_and_the_item_stays_as_it_was(weekly: Subscribed) -> None:
    connection, store = weekly.shop.connection, weekly.shop.store
    before = await weekly.look()
    await factories.sku(connection, store, code="MUG-GONE", disabled_at=on("2026-01-01 00:00"))
    await factories.sku(connection, store, code="MUG-FREE", price=None)
    abroad = await factories.sku(connection, store, code="MUG-ABROAD", price=None)
    await factories.insert(connection, "prices", store, sku_id=abroad.id, currency_code="GBP", amount_cents=500)
    await factories.sku(connection, store, code="MUG-SIZES", options=[{"name": "size", "required": True}])
    await factories.sku(connection, store, code="MUG-SIX", min_quantity=6, step_quantity=6)
    for code, why in {
        "MUG-GONE": "product_disabled",
        "MUG-FREE": "no_price",
        "MUG-ABROAD": "currency_mismatch",
        "MUG-SIZES": "option_required",
        "MUG-SIX": "quantity_raised_min",
    }.items():
        refused = await weekly.swap(code)
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/_swap"]), refused.text
        assert refused.json()["errors"][0]["meta"]["error"] == why
    assert (await weekly.swap("MUG-SIZES", options={"size": "L"})).status_code == 200
    assert (await weekly.swap(weekly.shop.sku.code, options={})).status_code == 200
    changed = {"updated_at", "unit_amount_cents", "total_amount_cents"}
    after = await weekly.look()
    assert {name: after[name] for name in before if name not in changed} == {
        name: before[name] for name in before if name not in changed
    }


async def test_the_nearest_code_on_sale_is_suggested(weekly: Subscribed) -> None:
    await factories.sku(weekly.shop.connection, weekly.shop.store, code="MUG-BLEU", deleted_at=clock.now())
    refused = await weekly.swap("MUG-BLU")
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/_swap"])
    (error,) = refused.json()["errors"]
    assert (error["meta"]["error"], error["meta"]["suggestion"]) == ("unknown", "MUG-BLUE")
    assert "Did you mean MUG-BLUE?" in error["detail"]
    far = (await weekly.swap("LAWNMOWER")).json()["errors"][0]
    assert "suggestion" not in far["meta"]
    empty = await weekly.swap("")
    assert (empty.status_code, pointers(empty)) == (422, ["/data/attributes/_swap"])
    twice = await weekly.swap("MUG-BLUE", sku_code="MUG-RED")
    assert (twice.status_code, pointers(twice)) == (422, ["/data/attributes/_swap"])


async def test_two_items_never_become_one(weekly: Subscribed) -> None:
    """What is ordered already with the same options is refused, naming the item; with others it is another thing."""
    whole = {"order_subscription": to("order_subscriptions", weekly.id)}
    other = await weekly.customer.create("order_subscription_items", {"sku_code": "MUG-BLUE", "quantity": 1}, whole)
    refused = await weekly.swap("MUG-BLUE")
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/_swap"])
    assert refused.json()["errors"][0]["meta"] == {"error": "taken", "order_subscription_item_id": other["id"]}
    await weekly.shop.connection.execute(
        "update skus set options = $2 where store_id = $1", weekly.shop.store.id, '[{"name": "size"}]'
    )
    assert (await weekly.swap("MUG-BLUE", options={"size": "L"})).status_code == 200


async def test_nobody_swaps_what_is_anothers_or_cancelled(
    weekly: Subscribed, client: httpx2.AsyncClient, grant: Grant
) -> None:
    stranger = await factories.customer(weekly.shop.connection, weekly.shop.store)
    refused = await weekly.swap("MUG-BLUE", Api(client, await grant(customer_id=stranger)))
    assert refused.status_code == 404
    await weekly.shop.tell(weekly.id, _cancel=True)
    assert (await weekly.swap("MUG-BLUE")).status_code == 409


async def test_one_run_alone_orders_something_else(weekly: Subscribed) -> None:
    """The forecast shows it, the run orders it at its own price, and the runs around it stay as they are."""
    related = {
        "order_subscription": to("order_subscriptions", weekly.id),
        "order_subscription_item": to("order_subscription_items", weekly.item),
    }
    sent = {"occurrence_index": 2, "sku_code": "MUG-BLUE", "quantity": 2}
    await weekly.customer.create("occurrence_items", sent, related)
    forecast = (await weekly.customer.get(f"order_subscriptions/{weekly.id}/forecast?page[size]=3"))["data"]
    shirt, mug = (weekly.shop.sku.code, 2, 1900), ("MUG-BLUE", 2, 700)
    told = [
        [(line["sku_code"], line["quantity"], line["current_unit_amount_cents"]) for line in run["attributes"]["lines"]]
        for run in forecast
    ]
    assert told == [[shirt], [mug], [shirt]]
    await weekly.shop.wait_until("2026-01-27 00:00")
    assert [lines for _, lines in await weekly.lines()] == told
    assert (await weekly.look())["sku_code"] == weekly.shop.sku.code
    assert await offenders(weekly.shop.connection, weekly.shop.store) == []


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_swap_beside_a_run_gives_the_old_sku_or_the_new_one(
    *, api: Api, database: Database, connection: Connection, store: Store, at_once: bool
) -> None:
    """Never both, never neither, and each at its own price, however the two fall together."""
    one, other = [await factories.sku(connection, store, price=price, stock=100) for price in (500, 800)]
    order_id = await factories.full_order(connection, store, [Line(one, 2)])
    for turn in range(8):
        id_ = await factories.subscription(connection, store, order_id, **due())
        (item,) = (await api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]

        async def run() -> None:
            await (made_at_once if at_once else swept)(database, store)

        async def swap(item_id: str = item["id"], wait: float = turn / 200) -> None:
            await asyncio.sleep(wait)
            answer = await api.update("order_subscription_items", item_id, {"_swap": other.code})
            assert answer.status_code == 200, answer.text

        if not at_once:
            await run()
            (copy,) = (await api.get(f"order_subscriptions/{id_}/recurring_order_copies"))["data"]
            await asyncio.gather(make(database, store, copy["id"]), swap())
        else:
            await asyncio.gather(run(), swap())
            # A sweep passes over one that somebody holds.
            await run()
        found = await api.get(f"order_subscriptions/{id_}/orders?include=line_items")
        (line,) = [one["attributes"] for one in found["included"]]
        assert (line["sku_code"], line["quantity"], line["unit_amount_cents"]) in {
            (one.code, 2, 500),
            (other.code, 2, 800),
        }
    taken = [100 - await factories.stock(connection, store, sku) for sku in (one, other)]
    assert sum(taken) == 16
    assert await offenders(connection, store) == []
