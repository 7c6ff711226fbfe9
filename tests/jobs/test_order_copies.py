"""Copies of orders that are asked for once: what they keep of the source, what is left out, and that it is one."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import orjson
import pytest

from service import clock
from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.jobs.steps import jobs, names_of, offences, row
from tests.support import Access, Grant

URL = "/api/order_copies"


def document(order_id: str, **attributes: Any) -> dict[str, Any]:
    source = {"source_order": {"data": {"type": "orders", "id": order_id}}}
    return {"data": {"type": "order_copies", "attributes": attributes, "relationships": source}}


async def asked(client: httpx2.AsyncClient, access: Access, order_id: str, **attributes: Any) -> str:
    """The id of a new copy."""
    response = await client.post(URL, json=document(order_id, **attributes), headers=access.headers)
    assert response.status_code == 201, response.text
    made: str = response.json()["data"]["id"]
    return made


async def copied(
    client: httpx2.AsyncClient, access: Access, database: Database, store: Store, order_id: str, **attributes: Any
) -> dict[str, Any]:
    """A copy once a worker has done with it, as the API shows it, with the target order and its lines."""
    copy_id = await asked(client, access, order_id, **attributes)
    assert await CopyJob(database).make(store.id, [copy_id]) is None
    url = f"{URL}/{copy_id}?include=target_order.line_items"
    document: dict[str, Any] = (await client.get(url, headers=access.headers)).json()
    target = next((one for one in document["included"] if one["type"] == "orders"), None)
    lines = [one["attributes"] for one in document["included"] if one["type"] == "line_items"]
    return {
        **document["data"]["attributes"],
        "target": None if target is None else {"id": target["id"], **target["attributes"]},
        "lines": sorted(lines, key=lambda line: int(line["position"])),
    }


@pytest.fixture
async def source(connection: Connection, store: Store) -> str:
    """A placed order of two shirts at 19.00, 1.00 off, and a mug at 8.50, both dearer today."""
    shirt = await factories.sku(connection, store, price=2100, code="SHIRT", stock=9)
    mug = await factories.sku(connection, store, price=900, code="MUG", stock=9)
    id_ = await factories.full_order(
        connection, store, [Line(shirt, 2, 1900), Line(mug, 1, 850)], discount_amount_cents=-100,
        total_amount_cents=4650 - 100 + 495, coupon_code="THEN",
    )  # fmt: skip
    await connection.execute(
        "update line_items set discount_cents = -100 where store_id = $1 and sku_code = 'SHIRT'", store.id
    )
    return id_


async def test_a_copy_begins_pending_with_the_contract_s_defaults(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access, source: str
) -> None:
    copy_id = await asked(client, integration, source, reference="R1", metadata={"foo": "bar"})
    shown = (await client.get(f"{URL}/{copy_id}", headers=integration.headers)).json()["data"]
    expected = {
        "status": "pending", "place_target_order": False, "reuse_wallet": True, "cancel_source_order": False,
        "apply_promotions": False, "skip_errors": False, "ignore_invalid_coupon": False, "errors_log": None,
        "errors_count": 0, "reference": "R1", "metadata": {"foo": "bar"},
    }  # fmt: skip
    assert {name: shown["attributes"][name] for name in expected} == expected
    assert shown["relationships"]["target_order"]["data"] is None
    assert await jobs(connection, store, copy_id) == 1
    again = await client.post(
        URL, json={"data": {**document(source)["data"], "id": copy_id}}, headers=integration.headers
    )
    assert (again.status_code, again.json()["errors"][0]["source"]) == (409, {"pointer": "/data/id"})
    change = {"data": {"type": "order_copies", "id": copy_id, "attributes": {"reference": "R2"}}}
    changed = await client.patch(f"{URL}/{copy_id}", json=change, headers=integration.headers)
    assert changed.json()["data"]["attributes"]["reference"] == "R2"


async def test_prices_and_discounts_are_those_of_the_source(
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    integration: Access,
    source: str,
) -> None:
    made = await copied(client, integration, database, store, source)
    assert (made["status"], made["errors_log"]) == ("completed", None)
    assert [(line["quantity"], line["unit_amount_cents"], line["discount_cents"]) for line in made["lines"]] == [
        (2, 1900, -100),
        (1, 850, 0),
    ]
    before, after = await row(connection, "orders", store, source), made["target"]
    for name in ("subtotal", "discount", "shipping", "total"):
        assert after[f"{name}_amount_cents"] == before[f"{name}_amount_cents"]
    assert (after["status"], after["payment_status"], after["coupon_code"]) == ("pending", "unpaid", "THEN")
    target = await row(connection, "orders", store, after["id"])
    assert (target["source_order_id"], target["root_order_id"], target["order_subscription_id"]) == (
        source, source, None,
    )  # fmt: skip
    assert target["billing_address_id"] not in (None, before["billing_address_id"])
    assert await names_of(connection, store, target["id"]) == ["orders.create", "orders.pending"]
    copy_id = await connection.fetchval("select id from order_factories where store_id = $1", store.id)
    assert await names_of(connection, store, copy_id) == [
        "order_copies.create", "order_copies.start", "order_copies.complete",
    ]  # fmt: skip
    # Copies don't take part in what the order was before: it stays as it was, and the sums hold.
    assert (await row(connection, "orders", store, source))["version"] == before["version"]
    assert await offences(connection, store) == []


async def test_placing_takes_stock_and_the_wallet(
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    integration: Access,
    source: str,
) -> None:
    owner = (await row(connection, "orders", store, source))["customer_id"]
    wallet = await factories.payment_source(connection, store, owner)
    await connection.execute(
        "update orders set customer_payment_source_id = $3 where store_id = $1 and id = $2", store.id, source, wallet
    )
    made = await copied(client, integration, database, store, source, place_target_order=True)
    assert (made["target"]["status"], made["target"]["payment_status"]) == ("placed", "authorized")
    stocks = await connection.fetch("select quantity from stock_items where store_id = $1 order by quantity", store.id)
    assert [one["quantity"] for one in stocks] == [7, 8]
    assert (await row(connection, "orders", store, made["target"]["id"]))["customer_payment_source_id"] == wallet
    without = await copied(client, integration, database, store, source, reuse_wallet=False)
    assert (await row(connection, "orders", store, without["target"]["id"]))["customer_payment_source_id"] is None
    assert await offences(connection, store) == []


@pytest.mark.parametrize("skip_errors", [True, False])
async def test_what_cannot_be_had_fails_the_copy_or_is_left_out(
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    integration: Access,
    source: str,
    skip_errors: bool,
) -> None:
    gone = await factories.sku(connection, store, code="GONE", disabled_at=clock.now(store))
    await factories.insert(
        connection, "line_items", store, order_id=source, position=3, sku_id=gone.id, sku_code="GONE", name="Gone",
        quantity=1, currency_code="EUR", unit_amount_cents=100, total_amount_cents=100,
    )  # fmt: skip
    await connection.execute(
        "update orders set subtotal_amount_cents = subtotal_amount_cents + 100,"
        " total_amount_cents = total_amount_cents + 100 where store_id = $1",
        store.id,
    )
    await connection.execute("update stock_items set quantity = 1 where store_id = $1", store.id)
    made = await copied(client, integration, database, store, source, place_target_order=True, skip_errors=skip_errors)
    assert made["errors_log"] == {"line_items": ["GONE - product_disabled", "SHIRT - out_of_stock"]}
    assert made["errors_count"] == 2
    left = await connection.fetch("select quantity from stock_items where store_id = $1 order by 1", store.id)
    if skip_errors:
        assert (made["status"], made["target"]["status"]) == ("completed", "placed")
        assert [line["sku_code"] for line in made["lines"]] == ["MUG"]
        assert made["target"]["total_amount_cents"] == 850 + 495
        assert [one["quantity"] for one in left] == [0, 1]
    else:
        assert (made["status"], made["target"]) == ("failed", None)
        assert [one["quantity"] for one in left] == [1, 1]
        assert await connection.fetchval("select count(*) from orders where store_id = $1", store.id) == 1
    assert await offences(connection, store) == []


async def test_nothing_that_can_be_had_is_no_order(
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    integration: Access,
    source: str,
) -> None:
    await connection.execute("update skus set disabled_at = created_at where store_id = $1", store.id)
    made = await copied(client, integration, database, store, source, skip_errors=True)
    assert (made["status"], made["errors_log"]) == ("failed", {"line_items": ["can't be blank"]})


@pytest.mark.parametrize("status", ["placed", "approved", "cancelled", "draft", "pending"])
async def test_the_source_order_is_cancelled_where_asked_for(
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    integration: Access,
    source: str,
    status: str,
) -> None:
    at = clock.now(store)
    await connection.execute(
        "update orders set status = $3, approved_at = $4, cancelled_at = $5 where store_id = $1 and id = $2",
        store.id, source, status, at, at if status == "cancelled" else None,
    )  # fmt: skip
    made = await copied(client, integration, database, store, source, cancel_source_order=True)
    assert made["status"] == "completed"
    after = await row(connection, "orders", store, source)
    assert (after["status"], after["cancelled_at"] is None) == ("cancelled", False)
    cancelled = [] if status == "cancelled" else ["orders.cancel"]
    assert await names_of(connection, store, source) == cancelled


async def test_an_order_that_is_being_placed_is_not_cancelled(
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    integration: Access,
    source: str,
) -> None:
    await connection.execute("update orders set status = 'placing' where store_id = $1 and id = $2", store.id, source)
    made = await copied(client, integration, database, store, source, cancel_source_order=True)
    assert (made["status"], made["errors_log"]) == (
        "failed", {"source_order": ["cannot transition from placing to cancelled"]},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("coupon", "ignore", "status", "discount"),
    [
        ({}, False, "completed", -465 - 50),
        ({"max_uses": 1, "uses": 1}, False, "failed", None),
        ({"max_uses": 1, "uses": 1}, True, "completed", -465),
    ],
)
async def test_promotions_of_today_apply_where_asked_for(
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    integration: Access,
    source: str,
    coupon: dict[str, int],
    ignore: bool,
    status: str,
    discount: int | None,
) -> None:
    await factories.insert(connection, "promotions", store, name="Sale", kind="percent", percentage=10)
    of_then = {"name": "Then", "kind": "fixed", "amount_cents": 50, "currency_code": "EUR", "coupon_code": "THEN"}
    coupon_id = await factories.insert(connection, "promotions", store, **of_then | coupon)
    made = await copied(
        client, integration, database, store, source,
        apply_promotions=True, ignore_invalid_coupon=ignore, place_target_order=True,
    )  # fmt: skip
    assert made["status"] == status
    if discount is None:
        assert made["errors_log"] == {"coupon_code": ["has no uses left"]}
    else:
        assert made["target"]["discount_amount_cents"] == discount
        assert made["target"]["coupon_code"] == (None if ignore else "THEN")
        assert (await row(connection, "promotions", store, coupon_id))["uses"] == 1
    assert await offences(connection, store) == []


async def test_many_workers_make_one_order(
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    *,
    integration: Access,
    source: str,
) -> None:
    copy_id = await asked(client, integration, source)
    job = CopyJob(database)
    await asyncio.gather(*(job.make(store.id, [copy_id]) for _ in range(10)))
    assert await connection.fetchval("select count(*) from orders where store_id = $1", store.id) == 2
    headers = integration.headers | {"Idempotency-Key": "once"}
    answers = [await client.post(URL, json=document(source), headers=headers) for _ in range(2)]
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1


async def test_who_may_ask(
    client: httpx2.AsyncClient, connection: Connection, store: Store, *, integration: Access, source: str, grant: Grant
) -> None:
    owner = (await row(connection, "orders", store, source))["customer_id"]
    refused = await client.post(URL, json=document(source), headers=(await grant(customer_id=owner)).headers)
    assert refused.status_code == 403
    unknown = await client.post(URL, json=document("unknown"), headers=integration.headers)
    assert (unknown.status_code, unknown.json()["errors"][0]["source"]) == (
        404, {"pointer": "/data/relationships/source_order/data"},
    )  # fmt: skip
    assert await connection.fetchval("select count(*) from order_factories where store_id = $1", store.id) == 0
    empty = {"data": {"type": "order_copies"}}
    assert (await client.post(URL, content=orjson.dumps(empty), headers=integration.headers)).status_code == 422
