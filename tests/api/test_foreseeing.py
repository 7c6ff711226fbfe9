"""A subscription whose next run can't be ordered as things are is taken, and whoever wrote it is told why."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.factories import Line, Sku
from tests.jobs.playing import said
from tests.spec.operating import Batches, add, update
from tests.spec.writing import Api, resource, to
from tests.support import Access

DUTCH = "Zoals het nu is, zou de volgende bestelling mislukken"


@pytest.fixture
async def tea(connection: Connection, store: Store) -> Sku:
    """A sku that can be bought."""
    return await factories.sku(connection, store, price=500, code="TEA")


@pytest.fixture
async def order_id(connection: Connection, store: Store, tea: Sku) -> str:
    """A placed order of it, with everything that it takes to order that again."""
    return await factories.full_order(connection, store, [Line(tea, 2)])


async def subscribe(api: Api, order_id: str, **attributes: Any) -> tuple[str, list[str]]:
    """A new subscription: its id, and what its maker was warned of."""
    sent = resource(
        "order_subscriptions", {"frequency": "monthly", **attributes}, {"source_order": to("orders", order_id)}
    )
    answer = await api.send("POST", "order_subscriptions", sent)
    assert answer.status_code == 201, answer.text
    document = answer.json()
    assert document["data"]["attributes"]["status"] == "active"
    return document["data"]["id"], document.get("meta", {}).get("warnings", [])


async def changed(api: Api, id_: str, **attributes: Any) -> list[str]:
    """What somebody who changes a subscription is warned of."""
    answer = await api.update("order_subscriptions", id_, attributes)
    assert answer.status_code == 200, answer.text
    warnings: list[str] = answer.json().get("meta", {}).get("warnings", [])
    return warnings


async def forecast_of(api: Api, id_: str) -> list[str]:
    """What the first run of the forecast fails for, field by field."""
    (first, *_) = (await api.get(f"order_subscriptions/{id_}/forecast"))["data"]
    log = first["attributes"]["errors_log"] or {}
    return [f"{name} - {message}" for name, messages in log.items() for message in messages]


async def test_nobody_is_warned_of_what_can_be_ordered(api: Api, order_id: str) -> None:
    id_, warnings = await subscribe(api, order_id)
    assert warnings == await forecast_of(api, id_) == []
    assert await changed(api, id_, frequency="weekly") == []


@pytest.mark.parametrize(
    ("trouble", "about"),
    [
        ("update skus set disabled_at = created_at where store_id = $1", "line_items - TEA - product_disabled"),
        ("update prices set min_quantity = 9 where store_id = $1", "line_items - TEA - no_price"),
    ],
)
async def test_what_is_no_longer_sold_is_named(
    *, api: Api, connection: Connection, store: Store, order_id: str, trouble: str, about: str
) -> None:
    await connection.execute(trouble, store.id)
    id_, warnings = await subscribe(api, order_id, price_mode="current")
    assert warnings == [f"As things are, the next run would fail: {about}"]
    assert await forecast_of(api, id_) == [about]
    assert await changed(api, id_, _deactivate=True) == []
    assert await changed(api, id_, _activate=True) == warnings
    assert await changed(api, id_, metadata={"seen": True}) == [], "a label changes nothing of what is ordered"


@pytest.mark.parametrize("column", ["shipping_method_id", "payment_method_id"])
async def test_a_way_that_is_no_longer_offered_is_named_where_orders_are_placed(
    api: Api, connection: Connection, store: Store, order_id: str, column: str
) -> None:
    name = column.removesuffix("_id")
    await connection.execute(f"update {name}s set disabled_at = created_at where store_id = $1", store.id)
    id_, warnings = await subscribe(api, order_id, place_target_order=False)
    assert warnings == [], "an order that is left pending can still be given another one"
    warnings = await changed(api, id_, place_target_order=True)
    assert [warning.split(": ", 1)[1].split(" - ")[0] for warning in warnings] == [name]
    assert [warning.split(": ", 1)[1] for warning in warnings] == await forecast_of(api, id_)
    await connection.execute(f"update {name}s set disabled_at = null where store_id = $1", store.id)
    assert await changed(api, id_, frequency="weekly") == []


async def test_warnings_are_in_the_language_of_the_client(
    api: Api, connection: Connection, store: Store, order_id: str
) -> None:
    await connection.execute("update skus set disabled_at = created_at where store_id = $1", store.id)
    sent = resource("order_subscriptions", {"frequency": "monthly"}, {"source_order": to("orders", order_id)})
    answer = await api.send("POST", "order_subscriptions", sent, **{"Accept-Language": "nl"})
    assert answer.json()["meta"]["warnings"] == [f"{DUTCH}: line_items - TEA - product_disabled"]


def warnings_of(result: Any) -> list[str]:
    """What the result of an operation warns of; it has no `meta` without warnings."""
    assert result.keys() <= {"data", "meta"}
    if "meta" not in result:
        return []
    found: list[str] = result["meta"]["warnings"]
    assert found
    return found


async def test_each_result_of_atomic_operations_warns_as_a_request_of_its_own(
    *, api: Api, connection: Connection, store: Store, order_id: str, integration: Access, client: httpx2.AsyncClient
) -> None:
    batches = Batches(client, integration)
    healthy = await factories.full_order(connection, store, [Line(await factories.sku(connection, store), 1)])
    await connection.execute("update skus set disabled_at = created_at where code = 'TEA' and store_id = $1", store.id)
    _, expected = await subscribe(api, order_id, price_mode="current")
    assert expected
    weekly = {"frequency": "weekly", "price_mode": "current"}
    made = await batches.run(
        add("order_subscriptions", weekly, {"source_order": to("orders", order_id)}, lid="a"),
        add("order_subscriptions", weekly, {"source_order": to("orders", healthy)}, lid="b"),
    )
    first, second = made.json()["atomic:results"]
    assert (warnings_of(first), warnings_of(second)) == (expected, [])
    ids = [one["data"]["id"] for one in (first, second)]
    changes = [
        update("order_subscriptions", {"reference": "seen"}, id=ids[0]),
        update("order_subscriptions", {"frequency": "monthly"}, id=ids[1]),
        update("order_subscriptions", {"_deactivate": True}, id=ids[0]),
        update("order_subscriptions", {"_activate": True}, id=ids[0]),
    ]
    key = {"Idempotency-Key": "again", "Accept-Language": "nl"}
    answers = [(await batches.run(*changes, **key)).json() for _ in range(2)]
    (dutch,) = [one.replace("As things are, the next run would fail", DUTCH) for one in expected]
    for answer in answers:
        assert [warnings_of(one) for one in answer["atomic:results"]] == [[], [], [], [dutch]]


async def test_what_a_change_later_in_the_batch_mends_is_no_warning_any_more(
    *, api: Api, connection: Connection, store: Store, order_id: str, integration: Access, client: httpx2.AsyncClient
) -> None:
    await connection.execute("update skus set disabled_at = created_at where store_id = $1", store.id)
    id_, expected = await subscribe(api, order_id, price_mode="current")
    sku = await connection.fetchval("select id from skus where store_id = $1", store.id)
    again, mended = (
        update("order_subscriptions", {"frequency": "weekly"}, id=id_),
        update("skus", {"disabled_at": None}, id=sku),
    )
    batches = Batches(client, integration)
    (alone,) = (await batches.run(again)).json()["atomic:results"]
    both = (await batches.run(again, mended)).json()["atomic:results"]
    assert (warnings_of(alone), [warnings_of(one) for one in both]) == (expected, [[], []])


async def test_a_clock_that_no_store_keeps_is_named_in_its_result(
    api: Api, integration: Access, client: httpx2.AsyncClient
) -> None:
    clock_id = (await api.create("test_clocks", {"name": "alone", "frozen_at": said(clock.now())}))["id"]
    single = (await api.update("test_clocks", clock_id, {"name": "Mine"})).json()["meta"]["warnings"]
    results = await Batches(client, integration).run(update("test_clocks", {"name": "Yours"}, id=clock_id))
    assert [warnings_of(one) for one in results.json()["atomic:results"]] == [single]
