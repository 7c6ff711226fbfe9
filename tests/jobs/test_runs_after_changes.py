"""What becomes of the runs of a subscription when prices, skus, coupons and wallets change, or a run goes wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asyncpg import Record

from service import clock
from service.principal import Store
from service.store.pool import Connection, Database
from tests import counted, factories
from tests.factories import Line, Sku
from tests.jobs.steps import (
    ask,
    bearer,
    claim_surely,
    finish,
    make,
    names_of,
    offences,
    refusal,
    row,
)
from tests.jobs.test_sweep import HOUR, due, ledger, swept
from tests.spec.writing import Api, pointers, to

DAY = timedelta(days=1)


@pytest.fixture
async def sku(connection: Connection, store: Store) -> Sku:
    return await factories.sku(connection, store, price=2000, stock=100)


async def subscribed(connection: Connection, store: Store, lines: list[Line], **columns: Any) -> str:
    """A daily subscription that is due since an hour; gives the id."""
    order_id = await factories.full_order(connection, store, lines)
    values = due(late=HOUR, period=DAY, frequency="daily", timezone="UTC")
    return await factories.subscription(connection, store, order_id, lines, **values | columns)


async def next_copy(database: Database, connection: Connection, store: Store, subscription_id: str) -> str:
    """The copy of the next occurrence, whose time is made to have come; gives the id."""
    await connection.execute(
        """
        update order_subscriptions set anchor_at = anchor_at - $3::interval, next_run_at = next_run_at - $3::interval
        where store_id = $1 and id = $2 and next_run_at > $4
        """,
        store.id, subscription_id, DAY, clock.now(),
    )  # fmt: skip
    await connection.execute(
        """
        update occurrences set nominal_at = nominal_at - $3::interval, scheduled_at = scheduled_at - $3::interval
        where store_id = $1 and order_subscription_id = $2 and status = 'planned'
            and (select next_run_at <= $4 from order_subscriptions where store_id = $1 and id = $2)
        """,
        store.id, subscription_id, DAY, clock.now(),
    )  # fmt: skip
    (copy_id,) = (await swept(database, store)).copies
    return copy_id


def instants(found: Record) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name.endswith("_at") and value is not None}


@pytest.mark.rule("FM-50")
async def test_a_copied_order_has_no_date_of_its_source(
    database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    long_ago = clock.now() - 400 * DAY
    past = {"placed_at": long_ago, "created_at": long_ago, "updated_at": long_ago, "approved_at": long_ago}
    order_id = await factories.full_order(connection, store, [Line(sku)], status="approved", **past)
    subscription_id = await factories.subscription(connection, store, order_id)
    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    order = await row(connection, "orders", store, await make(database, store, copy_id))
    lines = await connection.fetch(
        "select * from line_items where store_id = $1 and order_id = $2", store.id, order["id"]
    )
    addresses = [
        await row(connection, "addresses", store, order[f"{kind}_address_id"]) for kind in ("billing", "shipping")
    ]
    for found in (order, *lines, *addresses):
        assert {name: at for name, at in instants(found).items() if at < order["placed_at"]} == {}
    assert {"placed_at", "created_at"} <= instants(order).keys()
    assert "approved_at" not in instants(order)


async def pays_with(api: Api, subscription_id: str, wallet: str) -> None:
    linked = {"customer_payment_source": to("customer_payment_sources", wallet)}
    answer = await api.update("order_subscriptions", subscription_id, None, linked)
    assert answer.status_code == 200, answer.text


@pytest.mark.rule("FM-68")
async def test_a_run_is_paid_with_what_the_subscription_is_paid_with_when_it_is_made(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    id_ = await subscribed(connection, store, [Line(sku)])
    customer_id = (await row(connection, "order_subscriptions", store, id_))["customer_id"]
    expired, valid = [
        await factories.payment_source(connection, store, customer_id, expires_at=clock.now() + days * DAY)
        for days in (-1, 400)
    ]
    await pays_with(api, id_, expired)
    owing = await make(database, store, await next_copy(database, connection, store, id_))
    assert (await row(connection, "orders", store, owing))["status"] == "pending"
    claimed = await claim_surely(database, store, await next_copy(database, connection, store, id_))
    await pays_with(api, id_, valid)  # while a worker is at it
    target_id = await finish(database, claimed)
    assert target_id is not None
    target = await row(connection, "orders", store, target_id)
    assert (target["status"], target["customer_payment_source_id"]) == ("placed", valid)
    assert (await names_of(connection, store, id_)).count("order_subscriptions.update") == 2
    assert await offences(connection, store) == []


@pytest.mark.rule("FM-69")
async def test_a_run_that_is_made_or_paid_late_moves_no_other(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    id_ = await subscribed(connection, store, [Line(sku)], place_target_order=False)
    due_at = (await row(connection, "order_subscriptions", store, id_))["next_run_at"]
    foreseen = (await api.get(f"order_subscriptions/{id_}/forecast?page[size]=3"))["data"]
    target_id = await make(database, store, await next_copy(database, connection, store, id_))
    assert (await row(connection, "orders", store, target_id))["status"] == "pending"
    placed = await api.update("orders", target_id, {"_place": True})
    assert placed.status_code == 200, placed.text
    assert (await row(connection, "orders", store, target_id))["placed_at"] > due_at
    assert (await row(connection, "order_subscriptions", store, id_))["next_run_at"] == due_at + DAY
    to_come = (await api.get(f"order_subscriptions/{id_}/forecast?page[size]=2"))["data"]
    dates = [[one["attributes"]["scheduled_at"] for one in those] for those in (foreseen, to_come)]
    assert dates[1] == dates[0][1:]


@pytest.mark.rule("FM-70")
async def test_a_coupon_is_for_the_order_that_it_was_given_with(
    database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    once = {"name": "Once", "kind": "percent", "percentage": 10, "coupon_code": "ONCE", "max_uses": 5, "uses": 1}
    always = {"name": "Always", "kind": "percent", "percentage": 50}
    coupon_id = await factories.insert(connection, "promotions", store, **once)
    await factories.insert(connection, "promotions", store, **always)
    saved = [Line(sku, 2, unit_amount_cents=1500)]
    id_ = await subscribed(connection, store, saved, price_mode="fixed")
    source = await row(connection, "order_subscriptions", store, id_)
    await connection.execute(
        "update line_items set discount_cents = -300 where store_id = $1 and order_id = $2",
        store.id, source["source_order_id"],
    )  # fmt: skip
    await connection.execute(
        """
        update orders
        set coupon_code = 'ONCE', discount_amount_cents = -300, total_amount_cents = total_amount_cents - 300
        where store_id = $1 and id = $2
        """,
        store.id, source["source_order_id"],
    )  # fmt: skip
    for _ in range(2):
        order = await row(
            connection, "orders", store, await make(database, store, await next_copy(database, connection, store, id_))
        )
        shown = ("coupon_code", "discount_amount_cents", "subtotal_amount_cents", "total_amount_cents")
        assert tuple(order[name] for name in shown) == (None, 0, 3000, 3000 + 495)
    assert (await row(connection, "promotions", store, coupon_id))["uses"] == 1
    assert await offences(connection, store) == []


@pytest.mark.rule("FM-71")
async def test_nobody_changes_to_a_sku_without_a_price_and_one_that_loses_it_stops_no_later_run(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    unpriced = await factories.sku(connection, store, price=None)
    id_ = await subscribed(connection, store, [Line(sku)], price_mode="current")
    (item,) = (await api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    refused = await api.update("order_subscription_items", item["id"], {"sku_code": unpriced.code})
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/sku_code"])
    await make(database, store, await next_copy(database, connection, store, id_))

    await connection.execute("delete from prices where store_id = $1 and sku_id = $2", store.id, sku.id)
    await counted.anew(connection, store)
    without = await next_copy(database, connection, store, id_)
    assert await refusal(database, store, without) == {"line_items": [f"{sku.code} - no_price"]}
    await factories.insert(connection, "prices", store, sku_id=sku.id, currency_code="EUR", amount_cents=2100)
    target = await make(database, store, await next_copy(database, connection, store, id_))
    assert (await row(connection, "orders", store, target))["subtotal_amount_cents"] == 2100
    assert [status for _, status in await ledger(connection, store, id_)][:3] == ["completed", "failed", "completed"]
    happened = [name for name in await names_of(connection, store, id_) if "last_run" in name]
    assert happened == [f"order_subscriptions.last_run_{how}" for how in ("succeeded", "failed", "succeeded")]


@pytest.mark.rule("FM-78")
async def test_the_first_run_that_fails_is_told_of_at_once(
    *, api: Api, database: Database, connection: Connection, store: Store, sku: Sku
) -> None:
    id_ = await subscribed(connection, store, [Line(sku)])
    await connection.execute("update skus set disabled_at = $2 where store_id = $1", store.id, clock.now(store))
    for failures in (1, 2):
        copy_id = await next_copy(database, connection, store, id_)
        assert await refusal(database, store, copy_id) == {"line_items": [f"{sku.code} - product_disabled"]}
        assert (await names_of(connection, store, copy_id))[-1] == "recurring_order_copies.fail"
        assert (await names_of(connection, store, id_)).count("order_subscriptions.last_run_failed") == failures
        told = (await api.get(f"order_subscriptions/{id_}"))["data"]["attributes"]
        assert (told["status"], told["errors_count"], told["succeeded_on_last_run"]) == ("active", failures, False)
        log = (await api.get(f"recurring_order_copies/{copy_id}"))["data"]["attributes"]["errors_log"]
        assert log == {"line_items": [f"{sku.code} - product_disabled"]}
