"""Coupons of carts: given, refused, no longer valid, and used up."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from service import clock
from service.operations.catalogue import pricing
from service.principal import Store
from service.store.pool import Connection, Database
from tests import counted, factories
from tests.api.carts import amounts, filled
from tests.spec.writing import Api, resource

DAY = timedelta(days=1)


async def refused(api: Api, cart: str, coupon: str) -> str:
    """Why a cart's new coupon is refused."""
    answer = await api.update("carts", cart, {"coupon_code": coupon})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["source"]) == (422, {"pointer": "/data/attributes/coupon_code"})
    assert (await amounts(api, cart))["coupon_code"] != coupon
    return str(error["meta"]["error"])


async def test_a_coupon_has_to_apply_when_it_is_given(api: Api, connection: Connection, store: Store) -> None:
    at = clock.now()
    mug, tea = [await factories.sku(connection, store) for _ in range(2)]
    group = await factories.insert(connection, "customer_groups", store, name="Staff")
    conditions: dict[str, dict[str, Any]] = {
        "OFF": {"disabled_at": at - DAY},
        "EARLY": {"starts_at": at + DAY},
        "LATE": {"expires_at": at - DAY},
        "SPENT": {"max_uses": 1, "uses": 1},
        "STAFF": {"customer_group_id": group},
        "DOLLARS": {"currency_code": "USD"},
        "MORE": {"currency_code": "EUR", "minimum_subtotal_cents": 2001},
        "TEA": {"sku_codes": [tea.code]},
        "TEN": {},
    }
    for code, columns in conditions.items():
        values = {"name": code, "kind": "percent", "percentage": 10, "coupon_code": code}
        await factories.insert(connection, "promotions", store, **values | columns)
    cart = await filled(api, [(mug, 2)])
    assert {code: await refused(api, cart, code) for code in ("NO", "ten", "", "OFF", "EARLY", "LATE", "SPENT")} == {
        "NO": "unknown",
        "ten": "unknown",
        "": "unknown",
        "OFF": "disabled",
        "EARLY": "not_started",
        "LATE": "expired",
        "SPENT": "used_up",
    }
    assert {code: await refused(api, cart, code) for code in ("STAFF", "DOLLARS", "MORE", "TEA")} == {
        "STAFF": "not_for_customer",
        "DOLLARS": "not_for_currency",
        "MORE": "minimum_not_reached",
        "TEA": "no_matching_items",
    }
    answer = await api.send("POST", "carts", resource("carts", {"coupon_code": "NO"}))
    assert (answer.status_code, answer.json()["errors"][0]["detail"]) == (422, "coupon_code - is not known")
    assert (await api.update("carts", cart, {"coupon_code": "TEN"})).status_code == 200
    found = await amounts(api, cart)
    assert (found["coupon_status"], found["discount_amount_cents"]) == ("applied", -200)
    assert (await api.update("carts", cart, {"coupon_code": None})).status_code == 200
    found = await amounts(api, cart)
    assert (found["coupon_status"], found["discount_amount_cents"], found["total_amount_cents"]) == (None, 0, 2000)


async def test_a_coupon_that_stops_applying_stays_and_says_why(api: Api, connection: Connection, store: Store) -> None:
    mug = await factories.sku(connection, store)
    columns = {"name": "Five", "kind": "fixed", "amount_cents": 500, "currency_code": "EUR", "coupon_code": "FIVE"}
    await factories.insert(connection, "promotions", store, **columns, minimum_subtotal_cents=2000)
    cart = await filled(api, [(mug, 2)])
    assert (await api.update("carts", cart, {"coupon_code": "FIVE"})).status_code == 200
    (item,) = (await api.get(f"carts/{cart}/cart_items"))["data"]

    async def told(quantity: int) -> tuple[Any, ...]:
        assert (await api.update("cart_items", item["id"], {"quantity": quantity})).status_code == 200
        found = await amounts(api, cart)
        return tuple(found[name] for name in ("coupon_code", "coupon_status", "discount_amount_cents"))

    assert await told(1) == ("FIVE", "minimum_not_reached", 0)
    # Sending it back unchanged is no new coupon.
    assert (await api.update("carts", cart, {"coupon_code": "FIVE", "reference": "mine"})).status_code == 200
    assert await told(3) == ("FIVE", "applied", -500)
    await connection.execute("delete from promotions where store_id = $1", store.id)
    await counted.anew(connection, store)
    assert await told(2) == ("FIVE", "unknown", 0)


async def test_a_coupon_is_used_as_often_as_it_allows(database: Database, connection: Connection, store: Store) -> None:
    """Of ten conversions at once, which wait for one that is given up, three have the coupon."""
    columns = {"name": "Three", "kind": "percent", "percentage": 10, "coupon_code": "THREE", "max_uses": 3}
    await factories.insert(connection, "promotions", store, **columns)
    counted: list[bool] = []

    async def convert() -> None:
        async with database.transaction() as inside:
            counted.append(await pricing.count_coupon(inside, store, "THREE", at=clock.now()))

    async def give_up() -> None:
        async with database.transaction() as inside:
            await pricing.count_coupon(inside, store, "THREE", at=clock.now())
            waiting.extend(asyncio.create_task(convert()) for _ in range(10))
            await asyncio.wait(waiting, timeout=0.1)
            raise ZeroDivisionError

    waiting: list[asyncio.Task[None]] = []
    with pytest.raises(ZeroDivisionError):
        await give_up()
    await asyncio.gather(*waiting)
    assert await connection.fetchval("select uses from promotions where store_id = $1", store.id) == 3
    assert sorted(counted) == [False] * 7 + [True] * 3


async def test_limits_of_a_coupon(api: Api, connection: Connection, store: Store) -> None:
    """`uses` is the service's to count; the limit is no less than it, and only coupons have one."""
    coupon = {"name": "One", "kind": "percent", "percentage": 10, "coupon_code": "ONE", "max_uses": 2}
    made = await api.create("promotions", coupon)
    assert made["attributes"]["uses"] == 0
    for _ in range(2):
        await pricing.count_coupon(connection, store, "ONE", at=clock.now())
    assert (await api.update("promotions", made["id"], {"uses": 0})).status_code == 403
    assert (await api.update("promotions", made["id"], {"max_uses": 1})).status_code == 422
    assert (await api.update("promotions", made["id"], {"coupon_code": None})).status_code == 422
    assert (await api.update("promotions", made["id"], {"max_uses": 3})).status_code == 200
