"""Deliveries that are paid for together: what is paid adds up to what they cost when their period was opened."""

from __future__ import annotations

from typing import Any

import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.faults.playing import Shop
from tests.spec.writing import Api, offenders, pointers, to

PLACED = "2026-01-05 09:00"
OWN = 3800 + 495
"""What a delivery costs by itself: two pieces, and shipping."""


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Thursday 8 January 2026."""
    return await Shop.open(api, database, connection, store, "2026-01-08 12:00")


async def orders(shop: Shop, id_: str) -> list[dict[str, Any]]:
    """The orders that a subscription made, the oldest first."""
    found = await shop.api.get(f"order_subscriptions/{id_}/orders?sort=created_at,number&page[size]=100")
    return [{"id": one["id"], **one["attributes"]} for one in found["data"]]


async def paid(shop: Shop, id_: str) -> list[int]:
    """What was asked for with each of its orders."""
    return [one["total_amount_with_taxes_cents"] for one in await orders(shop, id_)]


async def foretold(shop: Shop, id_: str, number: int = 12) -> list[int | None]:
    """What the runs to come are to ask for."""
    found = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]={number}")
    return [one["attributes"]["total_amount_cents"] for one in found["data"]]


async def prepay(shop: Shop, deliveries: int = 3, **attributes: Any) -> str:
    return await shop.subscribe(PLACED, frequency="weekly", prepaid_occurrences=deliveries, **attributes)


async def test_deliveries_are_paid_for_with_the_first_and_renewed_after_the_last(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await prepay(shop)
    ahead = await foretold(shop, id_, 7)
    assert ahead == [3 * OWN, 0, 0, 3 * OWN, 0, 0, 3 * OWN]
    await shop.wait_until("2026-01-13 00:00")
    first = (await orders(shop, id_))[0]
    assert (first["subtotal_amount_cents"], first["shipping_amount_cents"]) == (3800, 495)
    assert (first["prepaid_amount_cents"], first["total_amount_cents"]) == (2 * OWN, 3 * OWN)
    assert (await shop.look(id_))["prepaid_occurrences_left"] == 2
    await shop.wait_until("2026-02-24 00:00")
    assert await paid(shop, id_) == ahead
    second = (await orders(shop, id_))[1]
    assert (second["subtotal_amount_cents"], second["prepaid_amount_cents"]) == (3800, -OWN)
    assert (second["status"], second["payment_status"]) == ("placed", "free")
    assert not await offenders(connection, store)


async def test_a_forecast_goes_on_in_pages(shop: Shop) -> None:
    id_ = await prepay(shop, 4)
    await shop.wait_until("2026-01-20 00:00")
    whole = await foretold(shop, id_, 12)
    assert whole == [0, 0, *[4 * OWN, 0, 0, 0] * 2, 4 * OWN, 0]
    for number in range(1, 5):
        page = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=3&page[number]={number}")
        told = [one["attributes"]["total_amount_cents"] for one in page["data"]]
        assert told == whole[3 * number - 3 : 3 * number], number


async def test_prices_of_a_period_stay_until_the_next(shop: Shop, connection: Connection, store: Store) -> None:
    id_ = await prepay(shop, price_mode="current")
    await shop.wait_until("2026-01-13 00:00")
    await factories.set_price(connection, store, shop.sku, 2500)
    await connection.execute("update shipping_methods set price_amount_cents = 900 where store_id = $1", store.id)
    dearer = 5000 + 900
    assert await foretold(shop, id_, 4) == [0, 0, 3 * dearer, 0]
    await shop.wait_until("2026-02-03 00:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0, 3 * dearer]
    kept = (await orders(shop, id_))[2]
    assert (kept["subtotal_amount_cents"], kept["prepaid_amount_cents"]) == (3800, -OWN)
    assert not await offenders(connection, store)


async def test_taxes_on_top_are_paid_once(shop: Shop, connection: Connection, store: Store) -> None:
    await connection.execute("update skus set tax_rate = 0.21 where store_id = $1", store.id)
    id_ = await prepay(shop)
    await connection.execute(
        "update orders set tax_included = false where store_id = $1 and order_subscription_id is null", store.id
    )
    await shop.wait_until("2026-01-27 00:00")
    first, second, third = await orders(shop, id_)
    assert await paid(shop, id_) == [3 * (OWN + 798), 0, 0]
    assert (first["total_tax_amount_cents"], first["prepaid_tax_amount_cents"]) == (3 * 798, 2 * 798)
    assert (second["total_tax_amount_cents"], third["prepaid_tax_amount_cents"]) == (0, -798)
    assert not await offenders(connection, store)


async def test_each_delivery_is_paid_less_what_its_own_phase_takes_off(shop: Shop) -> None:
    phases = [{"occurrences": 2, "percentage": 50}, {"occurrences": None, "percentage": 10}]
    id_ = await prepay(shop, pricing_phases=phases)
    half, tenth = 1900 + 495, 3420 + 495
    assert await foretold(shop, id_, 4) == [2 * half + tenth, 0, 0, 3 * tenth]
    await shop.wait_until("2026-02-03 00:00")
    assert await paid(shop, id_) == [2 * half + tenth, 0, 0, 3 * tenth]
    assert [one["prepaid_amount_cents"] for one in await orders(shop, id_)] == [half + tenth, -half, -tenth, 2 * tenth]


async def test_what_is_different_once_is_paid_for_by_its_own_run(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await prepay(shop)
    extra = await factories.sku(connection, store, price=700, stock=100)
    own = to("order_subscriptions", id_)
    for index in (1, 2):
        await shop.api.create(
            "occurrence_items",
            {"sku_code": extra.code, "quantity": 1, "occurrence_index": index},
            {"order_subscription": own},
        )
    (item,) = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    more = {"order_subscription": own, "order_subscription_item": to("order_subscription_items", item["id"])}
    await shop.api.create("occurrence_items", {"quantity": 5, "occurrence_index": 3}, more)
    assert await foretold(shop, id_, 4) == [3 * OWN + 700, 700, 3 * 1900, 3 * OWN]
    await shop.wait_until("2026-02-03 00:00")
    assert await paid(shop, id_) == [3 * OWN + 700, 700, 3 * 1900, 3 * OWN]
    assert not await offenders(connection, store)


async def test_another_quantity_and_another_product_cost_the_difference(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await prepay(shop, 4)
    cheap = await factories.sku(connection, store, price=500, stock=100)
    await shop.wait_until("2026-01-13 00:00")
    (item,) = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    changed = await shop.api.update("order_subscription_items", item["id"], {"quantity": 3})
    assert changed.status_code == 200, changed.text
    assert await foretold(shop, id_, 4) == [1900, 1900, 1900, 4 * (OWN + 1900)]
    await shop.wait_until("2026-01-20 00:00")
    swapped = await shop.api.update("order_subscription_items", item["id"], {"_swap": cheap.code})
    assert swapped.status_code == 200, swapped.text
    assert await foretold(shop, id_, 3) == [0, 0, 4 * (1500 + 495)]
    await shop.wait_until("2026-02-10 00:00")
    assert await paid(shop, id_) == [4 * OWN, 1900, 0, 0, 4 * (1500 + 495)]
    assert [one["prepaid_amount_cents"] for one in await orders(shop, id_)][1:4] == [-OWN, -1995, -1995]
    assert not await offenders(connection, store)


async def test_what_does_not_run_takes_no_place_and_an_extra_run_pays_for_itself(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await prepay(shop)
    await shop.tell(id_, _order_next_now=True)
    await shop.wait_until("2026-01-08 12:01")
    await shop.tell(id_, _skip_next=True)
    await shop.tell(id_, _run_now=True)
    await shop.wait_until("2026-01-08 12:02")
    assert (await shop.look(id_))["prepaid_occurrences_left"] == 2
    assert await foretold(shop, id_, 5) == [None, 0, 0, 3 * OWN, 0]
    await connection.execute("update skus set disabled_at = '2026-01-01' where store_id = $1", store.id)
    await shop.wait_until("2026-01-27 00:00")
    await connection.execute("update skus set disabled_at = null where store_id = $1", store.id)
    (failed,) = [one for one in await shop.occurrences(id_) if one["status"] == "failed"]
    assert (await shop.look(id_))["prepaid_occurrences_left"] == 2
    assert (await shop.api.update("occurrences", failed["id"], {"_retry": True})).status_code == 200
    await shop.wait_until("2026-02-10 00:00")
    assert sorted(await paid(shop, id_)) == [0, 0, OWN, 3 * OWN, 3 * OWN]
    assert not await offenders(connection, store)


async def test_runs_that_are_made_up_for_at_once_follow_each_other(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await prepay(shop, catchup_policy="run_all")
    await shop.tell(id_, _deactivate=True)
    await shop.wait_until("2026-02-10 00:00")
    await shop.tell(id_, _activate=True)
    await shop.wait_until("2026-02-10 01:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0, 3 * OWN, 0]
    assert not await offenders(connection, store)


async def test_the_last_period_has_as_many_deliveries_as_are_left(shop: Shop) -> None:
    id_ = await prepay(shop, max_occurrences=5)
    assert await foretold(shop, id_, 9) == [3 * OWN, 0, 0, 2 * OWN, 0]
    await shop.wait_until("2026-03-10 00:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0, 2 * OWN, 0]
    assert (await shop.look(id_))["ended_at"] is not None


async def test_all_that_is_paid_for_comes_before_the_end_of_the_period(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await prepay(shop)
    await shop.wait_until("2026-01-13 00:00")
    await shop.tell(id_, cancel_at_period_end=True)
    assert await foretold(shop, id_) == [0, 0]
    await shop.wait_until("2026-03-10 00:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0]
    ended = await shop.look(id_)
    assert (ended["status"], ended["prepaid_occurrences_left"]) == ("active", 0)
    assert ended["ended_at"] == "2026-01-26T09:00:00.000Z"
    assert (await shop.tell(id_, cancel_at_period_end=False))["next_run_at"] == "2026-03-16T09:00:00.000Z"
    assert await foretold(shop, id_, 3) == [3 * OWN, 0, 0]
    assert not await offenders(connection, store)


async def test_without_a_period_it_ends_at_once(shop: Shop) -> None:
    id_ = await prepay(shop)
    assert (await shop.tell(id_, cancel_at_period_end=True))["ended_at"] is not None
    assert await foretold(shop, id_) == []
    back = await shop.tell(id_, cancel_at_period_end=False)
    assert (back["ended_at"], back["next_run_at"]) == (None, "2026-01-12T09:00:00.000Z")


async def test_a_paid_delivery_that_fails_is_made_up_for_before_the_end(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await prepay(shop)
    await shop.wait_until("2026-01-20 00:00")
    await shop.tell(id_, cancel_at_period_end=True)
    await connection.execute("update skus set disabled_at = '2026-01-01' where store_id = $1", store.id)
    await shop.wait_until("2026-01-27 00:00")
    await connection.execute("update skus set disabled_at = null where store_id = $1", store.id)
    assert await foretold(shop, id_) == [0]
    await shop.wait_until("2026-03-10 00:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0]
    assert (await shop.look(id_))["ended_at"] == "2026-02-02T09:00:00.000Z"


async def test_a_cancellation_tells_what_is_left(shop: Shop, connection: Connection, store: Store) -> None:
    id_ = await prepay(shop, 4)
    await shop.wait_until("2026-01-20 00:00")
    await shop.tell(id_, _cancel=True)
    (told,) = (await shop.api.get("events?filter[name]=order_subscriptions.cancel"))["data"]
    first = (await orders(shop, id_))[0]
    assert told["attributes"]["payload"] == {
        "verbs": ["_cancel"],
        "prepaid_order_id": first["id"],
        "prepaid_occurrences_left": 2,
        "prepaid_amount_cents": 2 * OWN,
        "currency_code": "EUR",
    }
    await shop.wait_until("2026-03-10 00:00")
    assert await paid(shop, id_) == [4 * OWN, 0]
    assert not await offenders(connection, store)


async def test_another_number_counts_from_the_next_period_on(shop: Shop) -> None:
    id_ = await prepay(shop)
    await shop.wait_until("2026-01-13 00:00")
    await shop.tell(id_, prepaid_occurrences=2)
    assert await foretold(shop, id_, 6) == [0, 0, 2 * OWN, 0, 2 * OWN, 0]
    await shop.tell(id_, prepaid_occurrences=None)
    assert await foretold(shop, id_, 4) == [0, 0, OWN, OWN]
    await shop.wait_until("2026-02-10 00:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0, OWN, OWN]


async def test_a_cancelled_order_pays_for_nothing(shop: Shop, connection: Connection, store: Store) -> None:
    id_ = await prepay(shop)
    await shop.wait_until("2026-01-13 00:00")
    (first,) = await orders(shop, id_)
    assert (await shop.api.update("orders", first["id"], {"_cancel": True})).status_code == 200
    assert await foretold(shop, id_, 4) == [3 * OWN, 0, 0, 3 * OWN]
    await shop.wait_until("2026-01-27 00:00")
    assert await paid(shop, id_) == [3 * OWN, 3 * OWN, 0]
    assert not await offenders(connection, store)


async def test_the_next_period_is_no_rise_and_dearer_products_are(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_ = await prepay(shop, max_increase_percent=5, price_mode="current")
    await shop.wait_until("2026-02-03 00:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0, 3 * OWN]
    await factories.set_price(connection, store, shop.sku, 2500)
    forecast = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=4")
    assert [one["attributes"]["needs_approval"] for one in forecast["data"]] == [False, False, True, False]
    await shop.wait_until("2026-02-24 00:00")
    (held,) = [one for one in await shop.occurrences(id_) if one["status"] == "held"]
    assert held["held_amount_cents"] == 3 * (5000 + 495)
    assert (await shop.api.update("occurrences", held["id"], {"_approve": True})).status_code == 200
    await shop.wait_until("2026-03-03 00:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0, 3 * OWN, 0, 0, 3 * 5495, 0]
    assert not await offenders(connection, store)


async def test_what_makes_no_sense_is_refused(shop: Shop) -> None:
    id_ = await prepay(shop)
    for sent, at in (
        ({"prepaid_occurrences": 1}, "prepaid_occurrences"),
        ({"prepaid_occurrences": 367}, "prepaid_occurrences"),
        ({"expires_at": "2026-06-01 00:00"}, "expires_at"),
        ({"place_target_order": False}, "place_target_order"),
    ):
        refused = await shop.edit(id_, **sent)
        assert (refused.status_code, pointers(refused)) == (422, [f"/data/attributes/{at}"]), refused.text
    await shop.wait_until("2026-01-13 00:00")
    refused = await shop.edit(id_, max_occurrences=2)
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/max_occurrences"]), refused.text
    assert "at least 3" in refused.json()["errors"][0]["detail"]
    assert (await shop.edit(id_, max_occurrences=3)).status_code == 200
    other = await shop.subscribe(PLACED, expires_at="2026-06-01 00:00")
    refused = await shop.edit(other, prepaid_occurrences=3)
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/prepaid_occurrences"])
    assert (await shop.edit(other, prepaid_occurrences=3, expires_at=None)).status_code == 200


async def test_an_alert_tells_what_will_be_asked_for(shop: Shop) -> None:
    await prepay(shop, 2)
    await shop.wait_until("2026-01-26 08:30")
    told = (await shop.api.get("events?filter[name]=order_subscriptions.renewal&sort=created_at"))["data"]
    shown = [
        [one["attributes"]["payload"][name] for name in ("total_amount_cents", "prepaid_amount_cents")] for one in told
    ]
    assert shown == [[2 * OWN, OWN], [0, -OWN], [2 * OWN, OWN]]
    assert [one["attributes"]["payload"]["change_amount_cents"] for one in told] == [0, 0, 0]
