"""A second click makes no second subscription: one of the same order, frequency and items, unless another is wanted."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.factories import Line
from tests.spec.writing import Api, pointers, resource, to

pytestmark = pytest.mark.rule("FM-108")


@pytest.fixture
async def order_id(connection: Connection, store: Store) -> str:
    """A placed order with two lines, of which two pieces and one are bought."""
    shirt, mug = [await factories.sku(connection, store) for _ in range(2)]
    return await factories.full_order(connection, store, [Line(shirt, 2), Line(mug)])


async def subscribe(api: Api, order_id: str, **attributes: Any) -> httpx2.Response:
    document = resource(
        "order_subscriptions", {"frequency": "monthly"} | attributes, {"source_order": to("orders", order_id)}
    )
    return await api.send("POST", "order_subscriptions", document)


def named(refused: httpx2.Response) -> str:
    """The subscription that a refusal names."""
    (problem,) = refused.json()["errors"]
    assert (refused.status_code, problem["meta"]["error"]) == (409, "duplicate"), refused.text
    return str(problem["meta"]["order_subscription_id"])


async def test_of_twenty_at_once_one_is_made(api: Api, order_id: str) -> None:
    answers = await asyncio.gather(*(subscribe(api, order_id) for _ in range(20)))
    (made,) = [answer.json()["data"]["id"] for answer in answers if answer.status_code == 201]
    assert [named(answer) for answer in answers if answer.status_code != 201] == [made] * 19
    assert len((await api.get("order_subscriptions"))["data"]) == 1


async def test_another_is_made_when_it_is_wanted_or_differs(api: Api, order_id: str) -> None:
    first = (await subscribe(api, order_id)).json()["data"]["id"]
    refused = await subscribe(api, order_id)
    assert (named(refused), pointers(refused)) == (first, ["/data/relationships/source_order/data"])
    assert (await subscribe(api, order_id, allow_duplicate=False)).status_code == 409
    wanted = await subscribe(api, order_id, allow_duplicate=True)
    assert wanted.status_code == 201
    assert "allow_duplicate" not in wanted.json()["data"]["attributes"]
    assert (await subscribe(api, order_id, frequency="weekly")).status_code == 201


async def test_one_with_other_items_is_no_duplicate(api: Api, order_id: str) -> None:
    first = (await subscribe(api, order_id)).json()["data"]["id"]
    item = (await api.get(f"order_subscriptions/{first}/order_subscription_items"))["data"][0]
    assert (await api.update("order_subscription_items", item["id"], {"quantity": 7})).status_code == 200
    assert (await subscribe(api, order_id)).status_code == 201


@pytest.mark.parametrize("verb", ["_deactivate", "_cancel"])
async def test_one_that_has_stopped_is_in_nobodys_way(api: Api, order_id: str, verb: str) -> None:
    first = (await subscribe(api, order_id)).json()["data"]["id"]
    await api.update("order_subscriptions", first, {verb: True})
    assert (await subscribe(api, order_id)).status_code == 201


async def test_one_that_waits_for_its_order_counts(api: Api, connection: Connection, store: Store) -> None:
    sku = await factories.sku(connection, store)
    order_id = await factories.full_order(connection, store, [Line(sku)], status="pending", placed_at=None)
    first = (await subscribe(api, order_id)).json()["data"]
    assert first["attributes"]["status"] == "draft"
    assert named(await subscribe(api, order_id)) == first["id"]


async def test_an_order_makes_what_its_lines_ask_for_once(api: Api, connection: Connection, store: Store) -> None:
    """Two lines that are equal are two subscriptions, and a second request for them makes none."""
    await factories.insert(
        connection, "subscription_models", store, name="Often", frequencies=["monthly"], strategy="by_line_items"
    )
    sku = await factories.sku(connection, store)
    order_id = await factories.full_order(connection, store, [Line(sku), Line(sku)])
    await connection.execute("update line_items set frequency = 'monthly' where store_id = $1", store.id)
    for _ in range(2):
        assert (await api.update("orders", order_id, {"_create_subscriptions": True})).status_code == 200
    assert len((await api.get("order_subscriptions"))["data"]) == 2
