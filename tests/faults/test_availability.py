"""What can be chosen and bought is one rule: every route goes by the same instant and currency."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest
from starlette.applications import Starlette

from service import clock
from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.checkout.conftest import ordered, placed, ready
from tests.factories import Line
from tests.jobs.steps import ask, bearer, make, refusal, row
from tests.pages import url_of
from tests.spec.writing import Api, resource, to

pytestmark = pytest.mark.rule("FM-88")

LATER = "update {table} set disabled_at = $2 where store_id = $1"
ELSEWHERE = "update {table} set currency_code = 'USD' where store_id = $1"
METHODS = ("shipping_methods", "payment_methods")


@pytest.fixture
async def order_id(connection: Connection, store: Store) -> str:
    """A placed order of one shirt, which can be ordered again."""
    return await factories.full_order(connection, store, [Line(await factories.sku(connection, store))], code="AG-1")


async def switch_off_later(connection: Connection, store: Store) -> None:
    """Announce the end of all methods and skus for tomorrow."""
    for table in (*METHODS, "skus"):
        await connection.execute(LATER.format(table=table), store.id, clock.now() + timedelta(days=1))


async def copied(api: Api, database: Database, store: Store, order_id: str) -> dict[str, object]:
    """An order copy that is to be placed, once a worker has done with it."""
    copy = await api.create("order_copies", {"place_target_order": True}, {"source_order": to("orders", order_id)})
    assert await CopyJob(database).make(store.id, [copy["id"]]) is None
    shown: dict[str, object] = (await api.get(f"order_copies/{copy['id']}"))["data"]["attributes"]
    return shown


async def test_what_ends_tomorrow_is_ordered_today_by_every_route(
    *, api: Api, client: httpx2.AsyncClient, app: Starlette, database: Database, connection: Connection, store: Store,
    order_id: str,
) -> None:  # fmt: skip
    subscription_id = await factories.subscription(connection, store, order_id)
    cart = await ready(connection, store)
    await switch_off_later(connection, store)

    order = await ordered(api, cart)
    assert (await placed(api, order["id"])).status_code == 200

    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    run = await row(connection, "orders", store, await make(database, store, copy_id))
    assert run["status"] == "placed"

    assert (await copied(api, database, store, order_id))["status"] == "completed"

    page = await client.get(await url_of(app, connection, store, "AG-1"))
    assert "Parcel" in page.text
    assert "Wire transfer" in page.text


async def test_what_is_in_another_currency_is_ordered_by_no_route(
    *, api: Api, client: httpx2.AsyncClient, app: Starlette, database: Database, connection: Connection, store: Store,
    order_id: str,
) -> None:  # fmt: skip
    subscription_id = await factories.subscription(connection, store, order_id)
    order = await ordered(api, await ready(connection, store))
    for table in METHODS:
        await connection.execute(ELSEWHERE.format(table=table), store.id)

    answer = await placed(api, order["id"])
    assert answer.status_code == 422
    assert [error["meta"]["field"] for error in answer.json()["errors"] if "field" in error["meta"]] == [
        "shipping_method", "payment_method",
    ]  # fmt: skip

    expected = {name: ["is no longer available"] for name in ("shipping_method", "payment_method")}
    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    assert await refusal(database, store, copy_id) == expected
    assert (await copied(api, database, store, order_id))["errors_log"] == expected

    page = await client.get(await url_of(app, connection, store, "AG-1"))
    assert "Parcel" not in page.text
    assert "Wire transfer" not in page.text


async def test_the_instant_itself_is_the_end(api: Api, store: Store) -> None:
    clock_id = (await api.create("test_clocks", {"name": "Still", "frozen_at": "2031-05-01T00:00:00Z"}))["id"]
    await api.update("stores", str(store.id), None, {"test_clock": to("test_clocks", clock_id)})
    for disabled_at, status in (("2031-05-01T00:00:00Z", 422), ("2031-05-01T00:00:00.001Z", 201)):
        bike = {"name": "Bike", "currency_code": "EUR", "disabled_at": disabled_at}
        method = await api.create("shipping_methods", bike)
        chosen = resource("orders", None, {"shipping_method": to("shipping_methods", method["id"])})
        assert (await api.send("POST", "orders", chosen)).status_code == status
