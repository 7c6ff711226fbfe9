"""One item that can't be had costs a run all the others only where the shop wants that (`unavailable_policy`)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line, Sku
from tests.jobs.steps import offences
from tests.spec.writing import Api, to

pytestmark = pytest.mark.rule("FM-109")


@pytest.fixture
async def scarce(connection: Connection, store: Store) -> Sku:
    """A sku of which there are three."""
    return await factories.sku(connection, store, price=1000, stock=3)


@pytest.fixture
async def order_id(connection: Connection, store: Store, scarce: Sku) -> str:
    """Five of the scarce one and two of another."""
    plenty = await factories.sku(connection, store, price=500)
    return await factories.full_order(connection, store, [Line(scarce, 5), Line(plenty, 2)])


async def run(api: Api, database: Database, store: Store, order_id: str, **attributes: Any) -> Any:
    """A run of a new subscription: its copy, and the quantities of the lines of its order."""
    sent = {"frequency": "monthly", "allow_duplicate": True} | attributes
    made = await api.create("order_subscriptions", sent, {"source_order": to("orders", order_id)})
    await api.update("order_subscriptions", made["id"], {"_run_now": True})
    (copy,) = (await api.get(f"order_subscriptions/{made['id']}/recurring_order_copies"))["data"]
    assert await CopyJob(database).make(store.id, [copy["id"]]) is None
    shown = await api.get(f"recurring_order_copies/{copy['id']}?include=target_order.line_items")
    lines = [one["attributes"] for one in shown["included"] if one["type"] == "line_items"]
    return shown["data"]["attributes"], sorted(line["quantity"] for line in lines)


async def test_by_default_the_run_fails(
    *, api: Api, database: Database, connection: Connection, store: Store, order_id: str, scarce: Sku
) -> None:
    copy, quantities = await run(api, database, store, order_id)
    assert (copy["status"], copy["outcomes"], quantities) == ("failed", None, [])
    assert copy["errors_log"] == {"line_items": [f"{scarce.code} - out_of_stock"]}
    assert await factories.stock(connection, store, scarce) == 3


@pytest.mark.parametrize("of_store", [True, False])
@pytest.mark.parametrize(
    ("policy", "ordered", "status", "code", "left"),
    [
        ("skip_line", [2], "skipped", "out_of_stock", 3),
        ("partial", [2, 3], "adjusted", "quantity_reduced_stock", 0),
    ],
)
async def test_the_rest_is_ordered_and_the_copy_says_what_is_not(
    *, api: Api, database: Database, connection: Connection, store: Store, order_id: str, scarce: Sku, of_store: bool,
    policy: str, ordered: list[int], status: str, code: str, left: int,
) -> None:  # fmt: skip
    if of_store:
        changed = await api.update("stores", str(store.id), {"policies": {"unavailable_policy": policy}})
        assert changed.status_code == 200
    own = {} if of_store else {"unavailable_policy": policy}
    copy, quantities = await run(api, database, store, order_id, **own)
    assert (copy["status"], copy["errors_log"], quantities) == ("completed", None, ordered)
    (outcome,) = copy["outcomes"]
    assert outcome.pop("order_subscription_item_id")
    assert outcome == {
        "sku_code": scarce.code,
        "status": status,
        "code": code,
        "requested_quantity": 5,
        "resulting_quantity": 3 if policy == "partial" else 0,
        "substitute_sku_code": None,
    }
    assert await factories.stock(connection, store, scarce) == left
    assert await offences(connection, store) == []


async def test_what_is_switched_off_is_left_out(
    *, api: Api, database: Database, connection: Connection, store: Store, order_id: str, scarce: Sku
) -> None:
    await connection.execute(
        "update skus set disabled_at = created_at where store_id = $1 and id = $2", store.id, scarce.id
    )
    copy, quantities = await run(api, database, store, order_id, unavailable_policy="partial")
    assert (copy["outcomes"][0]["code"], quantities) == ("product_disabled", [2])


async def test_a_run_with_nothing_left_fails(
    api: Api, database: Database, connection: Connection, store: Store, order_id: str
) -> None:
    await connection.execute("update skus set disabled_at = created_at where store_id = $1", store.id)
    copy, quantities = await run(api, database, store, order_id, unavailable_policy="skip_line")
    assert (copy["status"], copy["outcomes"], quantities) == ("failed", None, [])
    assert len(copy["errors_log"]["line_items"]) == 2


async def test_runs_at_once_share_what_there_is(
    *, api: Api, database: Database, connection: Connection, store: Store, order_id: str, scarce: Sku
) -> None:
    """Together and apart: none fails because another was faster."""
    sent = {"frequency": "monthly", "allow_duplicate": True, "unavailable_policy": "partial"}
    for _ in range(4):
        made = await api.create("order_subscriptions", sent, {"source_order": to("orders", order_id)})
        await api.update("order_subscriptions", made["id"], {"_run_now": True})
    ids = [copy["id"] for copy in (await api.get("recurring_order_copies"))["data"]]
    await asyncio.gather(*(CopyJob(database).make(store.id, some) for some in (ids[:2], ids[2:3], ids[3:])))
    copies = [one["attributes"] for one in (await api.get("recurring_order_copies"))["data"]]
    assert [copy["status"] for copy in copies] == ["completed"] * 4
    assert sum(copy["outcomes"][0]["resulting_quantity"] for copy in copies) == 3
    assert await factories.stock(connection, store, scarce) == 0
