"""Orders lead to subscriptions: made of their lines, begun when they are placed, ended with them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.checkout.conftest import Ready, events_of, ordered, placed, ready
from tests.factories import Line
from tests.spec.writing import Api, offenders, pointers, resource, to
from tests.support import Grant


async def bought(connection: Connection, store: Store, *frequencies: str | None, **columns: Any) -> str:
    """A placed order with a line for each of these frequencies; gives the id."""
    lines = [Line(await factories.sku(connection, store)) for _ in frequencies]
    order_id = await factories.full_order(connection, store, lines, **columns)
    for position, frequency in enumerate(frequencies, start=1):
        await connection.execute(
            "update line_items set frequency = $3 where store_id = $1 and order_id = $2 and position = $4",
            store.id, order_id, frequency, position,
        )  # fmt: skip
    return order_id


async def model(connection: Connection, store: Store, *frequencies: str, **columns: Any) -> str:
    values = {"name": "Again", "frequencies": list(frequencies)}
    return await factories.insert(connection, "subscription_models", store, **values | columns)


async def made_of(api: Api, order_id: str) -> list[Any]:
    """The subscriptions of an order, in the order in which they were made."""
    found: list[Any] = (await api.get(f"orders/{order_id}/order_subscriptions?sort=id"))["data"]
    return found


async def items(api: Api, subscription: Any) -> int:
    return len((await api.get(f"order_subscriptions/{subscription['id']}/order_subscription_items"))["data"])


async def test_there_is_a_subscription_for_each_frequency(api: Api, connection: Connection, store: Store) -> None:
    await model(connection, store, "weekly", "monthly")
    order_id = await bought(connection, store, "weekly", "monthly", None, "weekly")
    answer = await api.update("orders", order_id, {"_create_subscriptions": True})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["attributes"]["subscription_created_at"] is not None
    subscriptions = await made_of(api, order_id)
    shown = [(one["attributes"]["frequency"], one["attributes"]["status"]) for one in subscriptions]
    assert shown == [("weekly", "active"), ("monthly", "active")]
    assert [await items(api, one) for one in subscriptions] == [2, 1]
    assert all(one["attributes"]["next_run_at"] is not None for one in subscriptions)
    assert "orders.create_subscriptions" in await events_of(connection, store, order_id)
    assert await offenders(connection, store) == []


async def test_or_one_for_each_line_and_drafts_where_the_model_says_so(
    api: Api, connection: Connection, store: Store
) -> None:
    model_id = await model(connection, store, "weekly", strategy="by_line_items", auto_activate=False)
    order_id = await bought(connection, store, "weekly", "weekly")
    assert (await api.update("orders", order_id, {"_create_subscriptions": True})).status_code == 200
    subscriptions = await made_of(api, order_id)
    assert [one["attributes"]["status"] for one in subscriptions] == ["draft", "draft"]
    assert [await items(api, one) for one in subscriptions] == [1, 1]
    assert {one["relationships"]["subscription_model"]["data"]["id"] for one in subscriptions} == {model_id}
    begun = await api.update("order_subscriptions", subscriptions[0]["id"], {"_activate": True})
    assert begun.json()["data"]["attributes"]["status"] == "active"


async def test_asked_at_once_or_again_it_makes_no_more(api: Api, connection: Connection, store: Store) -> None:
    await model(connection, store, "weekly")
    order_id = await bought(connection, store, "weekly")
    asked = (api.update("orders", order_id, {"_create_subscriptions": True}) for _ in range(5))
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
    assert len(await made_of(api, order_id)) == 1
    assert (await events_of(connection, store, order_id)).count("orders.create_subscriptions") == 1


@pytest.mark.rule("FM-67")
async def test_all_of_an_orders_subscriptions_are_made_or_none_and_then_they_can_be_asked_for_again(
    api: Api, connection: Connection, store: Store
) -> None:
    await model(connection, store, "weekly")
    order_id = await bought(connection, store, "weekly", "yearly")
    refused = await api.update("orders", order_id, {"_create_subscriptions": True})
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/_create_subscriptions"])
    assert "'yearly'" in refused.json()["errors"][0]["detail"]
    assert await made_of(api, order_id) == []
    assert (await api.get(f"orders/{order_id}"))["data"]["attributes"]["subscription_created_at"] is None
    assert "orders.create_subscriptions" not in await events_of(connection, store, order_id)
    await model(connection, store, "yearly")
    assert (await api.update("orders", order_id, {"_create_subscriptions": True})).status_code == 200
    assert [one["attributes"]["frequency"] for one in await made_of(api, order_id)] == ["weekly", "yearly"]


@pytest.mark.rule("FM-73")
async def test_what_a_model_no_longer_offers_goes_on_and_nobody_changes_to_it(
    api: Api, connection: Connection, store: Store
) -> None:
    model_id = await model(connection, store, "weekly", "monthly", "yearly")
    order_id = await bought(connection, store, "weekly", "monthly")
    assert (await api.update("orders", order_id, {"_create_subscriptions": True})).status_code == 200
    weekly, monthly = await made_of(api, order_id)
    removed = await api.update("subscription_models", model_id, {"frequencies": ["monthly", "yearly"]})
    assert removed.status_code == 200, removed.text
    kept = (await api.get(f"order_subscriptions/{weekly['id']}"))["data"]["attributes"]
    assert (kept["status"], kept["frequency"], kept["next_run_at"]) == (
        "active", "weekly", weekly["attributes"]["next_run_at"],
    )  # fmt: skip
    refused = await api.update("order_subscriptions", monthly["id"], {"frequency": "weekly"})
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/frequency"])
    told = {"frequency": "weekly", "renewal_alert_period": 5}
    assert (await api.update("order_subscriptions", weekly["id"], told)).status_code == 200
    assert (await api.update("order_subscriptions", monthly["id"], {"frequency": "yearly"})).status_code == 200


async def test_what_is_not_placed_or_never_repeated_makes_none(api: Api, connection: Connection, store: Store) -> None:
    await model(connection, store, "weekly")
    pending = await bought(connection, store, "weekly", status="pending", placed_at=None)
    refused = await api.update("orders", pending, {"_create_subscriptions": True})
    assert (refused.status_code, pointers(refused)) == (409, ["/data/attributes/_create_subscriptions"])
    for frequencies in ((None,), ("weekly", "yearly")):
        order_id = await bought(connection, store, *frequencies)
        refused = await api.update("orders", order_id, {"_create_subscriptions": True})
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/_create_subscriptions"])
        assert await made_of(api, order_id) == []


async def test_customers_subscribe_to_their_own_orders_and_need_the_scope(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    await model(connection, store, "weekly")
    customer_id = await factories.customer(connection, store)
    order_id = await bought(connection, store, "weekly", customer_id=customer_id)
    reader = Api(client, await grant(customer_id=customer_id, scopes=["read_orders", "update_orders"]))
    assert (await reader.update("orders", order_id, {"_create_subscriptions": True})).status_code == 403
    buyer = Api(client, await grant(customer_id=customer_id))
    assert (await buyer.update("orders", order_id, {"_create_subscriptions": True})).status_code == 200
    (made,) = await made_of(buyer, order_id)
    assert made["relationships"]["customer"]["data"]["id"] == customer_id


async def test_a_buyer_says_how_often_and_subscribes_once_it_is_placed(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    await model(connection, store, "monthly")
    order = await ordered(buyer, cart)
    (line,) = (await buyer.get(f"orders/{order['id']}/line_items"))["data"]
    assert (await buyer.update("line_items", line["id"], {"frequency": "monthly"})).status_code == 200
    assert (await placed(buyer, order["id"])).status_code == 200
    assert (await buyer.update("orders", order["id"], {"_create_subscriptions": True})).status_code == 200
    (made,) = await made_of(buyer, order["id"])
    assert made["attributes"]["status"] == "active"


@pytest.mark.rule("FM-67")
@pytest.mark.parametrize("gateway", ["test", "manual"])
async def test_a_draft_begins_when_its_order_is_placed(
    api: Api, connection: Connection, store: Store, gateway: str
) -> None:
    customer_id = await factories.customer(connection, store)
    order = await ordered(api, await ready(connection, store, customer_id=customer_id, gateway=gateway))
    own = {"activate_by_source_order": False, "starts_at": "2030-01-01T00:00:00Z", "allow_duplicate": True}
    made = [
        await api.send(
            "POST",
            "order_subscriptions",
            resource(
                "order_subscriptions",
                {"frequency": "weekly", **more},
                {"source_order": to("orders", order["id"])},
            ),
        )
        for more in ({}, own)
    ]
    assert [answer.json()["data"]["attributes"]["status"] for answer in made] == ["draft", "draft"]
    assert (await placed(api, order["id"])).status_code == 200
    waiting, own = [(await api.get(f"order_subscriptions/{one.json()['data']['id']}"))["data"] for one in made]
    shown = (await api.get(f"orders/{order['id']}"))["data"]["attributes"]
    assert (waiting["attributes"]["status"], own["attributes"]["status"]) == ("active", "draft")
    assert waiting["attributes"]["anchor_at"][:19] == shown["placed_at"][:19]
    assert waiting["attributes"]["next_run_at"] > shown["placed_at"]
    begun = await connection.fetchrow(
        "select actor_type, actor_id from events where store_id = $1 and resource_id = $2 and name = $3",
        store.id, waiting["id"], "order_subscriptions.activate",
    )  # fmt: skip
    assert begun is not None
    assert (begun["actor_type"], bool(begun["actor_id"])) == ("tokens", True)
    assert await offenders(connection, store) == []


async def test_a_cancelled_order_ends_the_subscriptions_whose_model_says_so(
    api: Api, connection: Connection, store: Store
) -> None:
    await model(connection, store, "weekly", auto_cancel=True)
    await model(connection, store, "monthly")
    order_id = await bought(connection, store, "weekly", "monthly")
    assert (await api.update("orders", order_id, {"_create_subscriptions": True})).status_code == 200
    assert (await api.update("orders", order_id, {"_cancel": True})).status_code == 200
    statuses = [one["attributes"]["status"] for one in await made_of(api, order_id)]
    assert statuses == ["cancelled", "active"]
    assert "orders.cancel_subscriptions" in await events_of(connection, store, order_id)
    assert await offenders(connection, store) == []
