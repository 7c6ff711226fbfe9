"""Runs that cost less phase by phase: what they are ordered at is what was forecast, and an independent sum."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.faults.playing import Shop, on, short
from tests.jobs.test_forecasts import happened, predicted
from tests.spec.writing import Api, offenders, pointers
from tests.support import Grant

PLACED = "2026-01-05 09:00"
PHASES = [
    {"occurrences": 2, "percentage": 50},
    {"occurrences": 1, "amount_cents": 1000},
    {"occurrences": None, "percentage": 10},
]
WHOLE = 3800
"""What two pieces cost without a discount; shipping and paying cost nothing."""


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Thursday 8 January 2026."""
    return await Shop.open(api, database, connection, store, "2026-01-08 12:00")


async def totals(shop: Shop, id_: str) -> list[int]:
    """What its orders came to, without shipping and paying."""
    found = await shop.api.get(f"order_subscriptions/{id_}/orders?sort=created_at&page[size]=25")
    return [
        one["attributes"]["subtotal_amount_cents"] + one["attributes"]["discount_amount_cents"] for one in found["data"]
    ]


async def weekly(shop: Shop, **attributes: Any) -> str:
    return await shop.subscribe(PLACED, frequency="weekly", **attributes)


async def test_runs_cost_what_their_phases_say_and_orders_show_it(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await weekly(shop, pricing_phases=PHASES)
    forecast = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=6")
    told = [one["attributes"]["discount_amount_cents"] for one in forecast["data"]]
    assert told == [-1900, -1900, -1000, -380, -380, -380]
    await shop.wait_until("2026-02-10 00:00")
    assert await totals(shop, id_) == [1900, 1900, 2800, 3420, 3420]
    orders = await shop.api.get(f"order_subscriptions/{id_}/orders?sort=created_at&include=line_items")
    attributes = orders["data"][2]["attributes"]
    assert (attributes["subtotal_amount_cents"], attributes["discount_amount_cents"]) == (WHOLE, -1000)
    assert {one["attributes"]["discount_cents"] for one in orders["included"]} == {-1900, -1000, -380}
    assert await happened(connection, store, {"id": id_}, 5) == predicted(forecast)[:5]
    assert not await offenders(connection, store)


async def test_a_forecast_goes_on_in_pages(shop: Shop) -> None:
    id_ = await weekly(shop, pricing_phases=PHASES)
    pages = [await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=2&page[number]={n}") for n in (1, 2)]
    assert [one["attributes"]["discount_amount_cents"] for page in pages for one in page["data"]] == [
        -1900,
        -1900,
        -1000,
        -380,
    ]


async def test_what_does_not_run_takes_no_place(shop: Shop, connection: Connection, store: Store) -> None:
    id_ = await weekly(shop, pricing_phases=PHASES)
    await shop.tell(id_, _skip_next=True)
    forecast = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=4")
    assert [one["attributes"]["discount_amount_cents"] for one in forecast["data"]] == [None, -1900, -1900, -1000]
    await connection.execute(
        "update skus set disabled_at = '2026-01-01' where store_id = $1 and id = $2", store.id, shop.sku.id
    )
    await shop.wait_until("2026-01-20 00:00")
    await connection.execute(
        "update skus set disabled_at = null where store_id = $1 and id = $2", store.id, shop.sku.id
    )
    failed = (await shop.occurrences(id_))[1]
    assert failed["status"] == "failed"
    await shop.wait_until("2026-02-03 00:00")
    assert await totals(shop, id_) == [1900, 1900]
    answer = await shop.api.update("occurrences", failed["id"], {"_retry": True})
    assert answer.status_code == 200, answer.text
    await shop.wait_until("2026-02-10 00:00")
    assert await totals(shop, id_) == [1900, 1900, 2800, 3420], "tried again it is the third that makes its order"


async def test_runs_that_are_made_up_for_at_once_follow_each_other(shop: Shop) -> None:
    id_ = await weekly(shop, pricing_phases=PHASES, catchup_policy="run_all")
    await shop.tell(id_, _deactivate=True)
    await shop.wait_until("2026-02-03 00:00")
    await shop.tell(id_, _activate=True)
    await shop.wait_until("2026-02-03 01:00")
    assert sorted(await totals(shop, id_)) == [1900, 1900, 2800, 3420]


async def test_an_extra_run_costs_what_the_next_one_does_and_does_not_count(shop: Shop) -> None:
    id_ = await weekly(shop, pricing_phases=[{"occurrences": 1, "percentage": 50}])
    await shop.tell(id_, _run_now=True)
    await shop.wait_until("2026-01-20 00:00")
    assert await totals(shop, id_) == [1900, 1900, WHOLE]


async def test_a_run_that_is_ordered_now_is_in_its_phase(shop: Shop) -> None:
    id_ = await weekly(shop, pricing_phases=[{"occurrences": 1, "percentage": 50}])
    await shop.tell(id_, _order_next_now=True)
    await shop.wait_until("2026-01-20 00:00")
    assert await totals(shop, id_) == [1900, WHOLE]


async def test_the_end_of_a_phase_is_no_rise_and_a_dearer_product_is(shop: Shop) -> None:
    phases = [{"occurrences": 1, "percentage": 50}, {"occurrences": 1, "amount_cents": 100}]
    id_ = await weekly(shop, pricing_phases=phases, max_increase_percent=5, price_mode="current")
    forecast = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=3")
    assert [one["attributes"]["needs_approval"] for one in forecast["data"]] == [False] * 3
    await shop.wait_until("2026-01-13 00:00")
    await factories.set_price(shop.connection, shop.store, shop.sku, 1990)
    await shop.wait_until("2026-01-20 00:00")
    assert await totals(shop, id_) == [1900, 3880], "a rise of 4.7 per cent, before the discount"
    await factories.set_price(shop.connection, shop.store, shop.sku, 2190)
    forecast = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=1")
    assert forecast["data"][0]["attributes"]["needs_approval"] is True
    await shop.wait_until("2026-01-27 00:00")
    (held,) = [one for one in await shop.occurrences(id_) if one["status"] == "held"]
    assert (await shop.api.update("occurrences", held["id"], {"_approve": True})).status_code == 200
    await shop.wait_until("2026-01-27 01:00")
    assert await totals(shop, id_) == [1900, 3880, 4380]


async def test_what_a_held_run_is_told_beside_has_the_discount_once(shop: Shop) -> None:
    phases = [{"occurrences": None, "amount_cents": 100}]
    id_ = await weekly(shop, pricing_phases=phases, max_increase_percent=5, price_mode="current")
    await shop.wait_until("2026-01-13 00:00")
    assert await totals(shop, id_) == [WHOLE - 100]
    await factories.set_price(shop.connection, shop.store, shop.sku, 2190)
    await shop.wait_until("2026-01-20 00:00")
    made = "select total_amount_cents from orders where store_id = $1 and order_subscription_id = $2"
    told = """
        select (payload ->> 'total_amount_cents')::bigint, (payload ->> 'last_amount_cents')::bigint
        from events where store_id = $1 and name = 'order_subscriptions.approval_required' and resource_id = $2
    """
    row = await shop.connection.fetchrow(told, shop.store.id, id_)
    assert row is not None
    total, before = row
    assert before == await shop.connection.fetchval(made, shop.store.id, id_)
    assert total - before == 2 * (2190 - 1900)


async def test_all_of_it_off_owes_nothing_for_the_items(shop: Shop) -> None:
    id_ = await weekly(
        shop, pricing_phases=[{"occurrences": 1, "percentage": 100}, {"occurrences": 1, "amount_cents": 10**9}]
    )
    await shop.wait_until("2026-01-27 00:00")
    assert await totals(shop, id_) == [0, 0, WHOLE]


async def test_a_model_hands_its_terms_to_the_subscriptions_that_it_leads_to(
    shop: Shop, api: Api, connection: Connection, store: Store
) -> None:
    await api.create(
        "subscription_models",
        {"name": "Save", "frequencies": ["weekly"], "min_occurrences": 2, "pricing_phases": PHASES},
    )
    order_id = await factories.full_order(connection, store, [Line(shop.sku, 2)], placed_at=on(PLACED))
    await connection.execute(
        "update line_items set frequency = 'weekly' where store_id = $1 and order_id = $2", store.id, order_id
    )
    made = await api.update("orders", order_id, {"_create_subscriptions": True})
    assert made.status_code == 200, made.text
    (found,) = (await api.get(f"orders/{order_id}/order_subscriptions"))["data"]
    assert (found["attributes"]["min_occurrences"], found["attributes"]["pricing_phases"]) == (2, PHASES)


async def test_shops_set_phases_and_customers_read_them(shop: Shop, client: httpx2.AsyncClient, grant: Grant) -> None:
    id_ = await weekly(shop, pricing_phases=PHASES)
    owner = (await shop.api.get(f"order_subscriptions/{id_}?include=customer"))["included"][0]["id"]
    api = Api(client, await grant(customer_id=owner))
    assert (await api.get(f"order_subscriptions/{id_}"))["data"]["attributes"]["pricing_phases"] == PHASES
    refused = await api.update("order_subscriptions", id_, {"pricing_phases": None})
    assert (refused.status_code, pointers(refused)) == (403, ["/data/attributes/pricing_phases"])
    wrong = await shop.edit(id_, pricing_phases=[{"occurrences": None, "percentage": 5}, *PHASES])
    assert (wrong.status_code, pointers(wrong)) == (422, ["/data/attributes/pricing_phases"])
    assert "phase 1 must have" in wrong.json()["errors"][0]["detail"]
    assert (await shop.tell(id_, pricing_phases=None))["pricing_phases"] is None
    await shop.wait_until("2026-01-13 00:00")
    assert await totals(shop, id_) == [WHOLE]


async def test_an_alert_tells_what_the_run_will_cost(shop: Shop) -> None:
    id_ = await weekly(shop, pricing_phases=PHASES)
    await shop.wait_until("2026-01-12 08:30")
    (alert,) = (await shop.api.get("events?filter[name]=order_subscriptions.renewal"))["data"]
    run = (await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=1"))["data"][0]["attributes"]
    assert alert["attributes"]["payload"]["total_amount_cents"] == run["total_amount_cents"]
    assert short(run["scheduled_at"]) == "2026-01-12 09:00"
