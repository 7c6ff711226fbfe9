"""Which price a subscription's item has follows from who changes it, and a customer's own change is no rise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line, Sku
from tests.jobs.steps import claim_surely, finish, row
from tests.jobs.test_sweep import due, swept
from tests.spec.writing import Api, to
from tests.support import Grant


@pytest.fixture
async def sku(connection: Connection, store: Store) -> Sku:
    """A shirt at 10.00, and at 5.00 from ten on."""
    sku = await factories.sku(connection, store, price=1000)
    await factories.insert(
        connection, "prices", store, sku_id=sku.id, currency_code="EUR", amount_cents=500, min_quantity=10
    )
    return sku


@pytest.fixture
async def order_id(connection: Connection, store: Store, sku: Sku) -> str:
    """An old order of one shirt, when it still cost 1.00."""
    return await factories.full_order(connection, store, [Line(sku, 1, unit_amount_cents=100)])


@pytest.fixture
async def customer(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant, order_id: str
) -> Api:
    """The one who ordered."""
    return Api(client, await grant(customer_id=(await row(connection, "orders", store, order_id))["customer_id"]))


async def subscribe(api: Api, order_id: str, **attributes: Any) -> str:
    made = await api.create(
        "order_subscriptions", {"frequency": "daily"} | attributes, {"source_order": to("orders", order_id)}
    )
    return str(made["id"])


async def item_of(api: Api, subscription_id: str) -> tuple[str, int]:
    """The only item of a subscription: its id, and the price of one."""
    (item,) = (await api.get(f"order_subscriptions/{subscription_id}/order_subscription_items"))["data"]
    assert item["attributes"]["total_amount_cents"] == (
        item["attributes"]["quantity"] * item["attributes"]["unit_amount_cents"]
    )
    return item["id"], item["attributes"]["unit_amount_cents"]


async def changed(api: Api, id_: str, **attributes: Any) -> int:
    """The price of one of an item after a change."""
    answer = await api.update("order_subscription_items", id_, attributes)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["data"]["attributes"]["unit_amount_cents"])


@pytest.mark.rule("FM-85")
async def test_a_customer_subscribes_at_the_prices_of_each_day(
    *, customer: Api, database: Database, connection: Connection, store: Store, sku: Sku, order_id: str
) -> None:
    """An old order is no way to old prices."""
    id_ = await subscribe(customer, order_id)
    shown = (await customer.get(f"order_subscriptions/{id_}"))["data"]["attributes"]
    assert shown["price_mode"] == "current"
    item, unit = await item_of(customer, id_)
    assert unit == 1000
    assert await changed(customer, item, quantity=50) == 500
    await factories.set_price(connection, store, sku, 1234)
    await customer.update("order_subscriptions", id_, {"_run_now": True})
    (copy,) = (await customer.get(f"order_subscriptions/{id_}/recurring_order_copies"))["data"]
    assert await CopyJob(database).make(store.id, [copy["id"]]) is None
    (order,) = (await customer.get(f"order_subscriptions/{id_}/orders"))["data"]
    assert order["attributes"]["subtotal_amount_cents"] == 50 * 1234


@pytest.mark.rule("FM-85")
async def test_an_integration_agrees_on_the_prices_of_the_order(api: Api, customer: Api, order_id: str) -> None:
    """So does an order that makes its subscriptions itself; a customer's change of them is at today's price."""
    id_ = await subscribe(api, order_id)
    item, unit = await item_of(api, id_)
    assert unit == 100
    assert await changed(api, item, quantity=3) == 100
    assert await changed(customer, item, quantity=3) == 100
    assert await changed(customer, item, quantity=4) == 1000


@pytest.mark.rule("FM-85")
async def test_an_order_agrees_on_its_prices_when_it_makes_subscriptions(
    customer: Api, connection: Connection, store: Store, order_id: str
) -> None:
    await factories.insert(connection, "subscription_models", store, name="Often", frequencies=["monthly"])
    await connection.execute("update line_items set frequency = 'monthly' where store_id = $1", store.id)
    assert (await customer.update("orders", order_id, {"_create_subscriptions": True})).status_code == 200
    (made,) = (await customer.get("order_subscriptions"))["data"]
    assert made["attributes"]["price_mode"] == "fixed"
    assert (await item_of(customer, made["id"]))[1] == 100


@pytest.mark.rule("FM-86")
async def test_a_customers_quantity_reprices_both_ways(customer: Api, order_id: str) -> None:
    item, _ = await item_of(customer, await subscribe(customer, order_id))
    assert await changed(customer, item, quantity=10) == 500
    assert await changed(customer, item, quantity=1) == 1000


@pytest.mark.rule("FM-86")
async def test_a_price_set_by_hand_stays_until_another_is_asked_for(api: Api, customer: Api, order_id: str) -> None:
    item, _ = await item_of(api, await subscribe(api, order_id))
    assert await changed(api, item, unit_amount_cents=777) == 777
    assert await changed(customer, item, quantity=10) == 777
    assert await changed(api, item, quantity=2) == 777
    refused = await customer.update("order_subscription_items", item, {"_reprice": True})
    assert refused.status_code == 403
    assert await changed(api, item, _reprice=True) == 1000
    assert await changed(customer, item, quantity=12) == 500


@pytest.mark.rule("FM-86")
async def test_what_a_customer_swaps_or_adds_is_at_todays_price(
    api: Api, customer: Api, connection: Connection, store: Store, order_id: str
) -> None:
    """All items of a sku count together, for its tiers as for its limits."""
    other = await factories.sku(connection, store, price=300, max_quantity=5)
    id_ = await subscribe(api, order_id)
    item, _ = await item_of(api, id_)
    await changed(api, item, unit_amount_cents=777)
    assert await changed(customer, item, sku_code=other.code, quantity=3) == 300
    whole = {"order_subscription": to("order_subscriptions", id_)}
    added = {"sku_code": other.code, "quantity": 2}
    made = await customer.create("order_subscription_items", added, whole)
    assert made["attributes"]["unit_amount_cents"] == 300
    refused = await customer.update("order_subscription_items", made["id"], {"quantity": 3})
    assert (refused.status_code, refused.json()["errors"][0]["meta"]["error"]) == (422, "quantity_reduced_max")


@pytest.mark.rule("FM-96")
async def test_a_customers_own_change_is_no_rise(
    *, api: Api, client: httpx2.AsyncClient, grant: Grant, database: Database, connection: Connection, store: Store,
    sku: Sku,
) -> None:  # fmt: skip
    """Ten at 5.00, then one at 10.00, then nine of them: none of that waits. Then the shop doubles its prices."""
    order_id = await factories.full_order(connection, store, [Line(sku, 10, unit_amount_cents=500)])
    customer = Api(client, await grant(customer_id=(await row(connection, "orders", store, order_id))["customer_id"]))
    overdue = due(timedelta(hours=3, minutes=1), catchup_policy="run_all", max_increase_percent=10)
    id_ = await factories.subscription(connection, store, order_id, **overdue, price_mode="current")
    item, _ = await item_of(api, id_)
    first, second, third, fourth = (await swept(database, store)).copies

    async def run(copy_id: str) -> str:
        """What becomes of a copy."""
        await finish(database, await claim_surely(database, store, copy_id))
        return str((await row(connection, "order_factories", store, copy_id))["status"])

    assert await run(first) == "completed"
    assert await changed(customer, item, quantity=1) == 1000
    assert await run(second) == "completed"
    assert await changed(customer, item, quantity=9) == 1000
    assert await run(third) == "completed"
    await connection.execute("update prices set amount_cents = amount_cents * 2 where store_id = $1", store.id)
    assert await run(fourth) == "aborted"
