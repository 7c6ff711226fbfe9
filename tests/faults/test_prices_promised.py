"""What was shown is what is placed: prices, promotions, shipping and taxes that changed since are told, not charged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.checkout.conftest import order_row, ordered, placed, placing, ready
from tests.factories import Line, Sku
from tests.jobs.steps import ask, bearer, make, refusal
from tests.spec.writing import Api, offenders, resource, to
from tests.support import Grant


@pytest.fixture
async def customer_id(connection: Connection, store: Store) -> str:
    return await factories.customer(connection, store, email="sam@example.com")


@pytest.fixture
async def customer(client: httpx2.AsyncClient, grant: Grant, customer_id: str) -> Api:
    """JSON:API requests of a customer."""
    return Api(client, await grant(customer_id=customer_id))


@pytest.fixture
async def pen(connection: Connection, store: Store) -> Sku:
    return await factories.sku(connection, store, price=100, name="Pen", stock=1000)


class Draft:
    """A draft order of a customer, ready to be placed but for its lines."""

    def __init__(self, api: Api, id_: str) -> None:
        self.api, self.id = api, id_

    async def add(self, sku: Sku, quantity: int, **attributes: Any) -> str:
        made = await self.api.create(
            "line_items", {"sku_code": sku.code, "quantity": quantity, **attributes}, {"order": to("orders", self.id)}
        )
        return str(made["id"])

    async def lines(self) -> list[tuple[int, int]]:
        """Quantity and price of each line."""
        found = (await self.api.get(f"orders/{self.id}/line_items"))["data"]
        return [(one["attributes"]["quantity"], one["attributes"]["unit_amount_cents"]) for one in found]

    async def shown(self) -> Any:
        return (await self.api.get(f"orders/{self.id}"))["data"]["attributes"]

    async def place(self, **attributes: Any) -> httpx2.Response:
        return await self.api.send("PATCH", f"orders/{self.id}", placing(self.id, **attributes))


async def draft(api: Api, connection: Connection, store: Store, customer_id: str, **columns: Any) -> Draft:
    order_id = await factories.full_order(
        connection, store, [], customer_id=customer_id, status="draft", payment_status="unpaid",
        **{"shipping_amount_cents": 0, **columns},
    )  # fmt: skip
    return Draft(api, order_id)


def meta(answer: httpx2.Response) -> list[Any]:
    assert answer.status_code == 422, answer.text
    return [error["meta"] for error in answer.json()["errors"]]


# --- lines that customers change ---------------------------------------------------------------------------------


@pytest.mark.rule("FM-83")
async def test_a_new_quantity_costs_what_it_costs_today(
    customer: Api, connection: Connection, store: Store, customer_id: str, pen: Sku
) -> None:
    order = await draft(customer, connection, store, customer_id)
    line_id = await order.add(pen, 1)
    await factories.set_price(connection, store, pen, 99900)
    answer = await customer.update("line_items", line_id, {"quantity": 9})
    assert answer.json()["data"]["attributes"]["unit_amount_cents"] == 99900
    assert (await order.shown())["subtotal_amount_cents"] == 9 * 99900


@pytest.mark.rule("FM-83")
async def test_tiers_count_all_pieces_of_a_sku_and_go_both_ways(
    customer: Api, connection: Connection, store: Store, customer_id: str, pen: Sku
) -> None:
    await factories.insert(
        connection, "prices", store, sku_id=pen.id, currency_code="EUR", amount_cents=60, min_quantity=10
    )
    order = await draft(customer, connection, store, customer_id)
    first = await order.add(pen, 6)
    second = await order.add(pen, 4)
    assert await order.lines() == [(6, 60), (4, 60)]
    await customer.update("line_items", second, {"quantity": 3})
    assert await order.lines() == [(6, 100), (3, 100)]
    await customer.update("line_items", second, {"quantity": 4})
    assert (await order.shown())["subtotal_amount_cents"] == 600
    assert (await customer.send("DELETE", f"line_items/{first}")).status_code == 204
    assert await order.lines() == [(4, 100)]
    assert await offenders(connection, store) == []


@pytest.mark.rule("FM-83")
async def test_a_draft_is_not_placed_at_a_price_that_changed(
    customer: Api, connection: Connection, store: Store, customer_id: str, pen: Sku
) -> None:
    order = await draft(customer, connection, store, customer_id)
    line_id = await order.add(pen, 2)
    await factories.set_price(connection, store, pen, 150)
    (refused,) = meta(await order.place())
    assert refused == {
        "error": "price_changed", "line_item_id": line_id, "unit_amount_cents": 150, "previous_unit_amount_cents": 100,
        "due_amount_cents": 300 + 495, "previous_due_amount_cents": 200 + 495,
    }  # fmt: skip
    assert await factories.stock(connection, store, pen) == 1000
    fresh = await customer.update("orders", order.id, {"_refresh_prices": True})
    assert fresh.json()["data"]["attributes"]["total_amount_cents"] == 795
    assert (await order.place()).status_code == 200
    assert await offenders(connection, store) == []


@pytest.mark.rule("FM-83")
async def test_a_price_that_an_integration_set_stays_whatever_the_quantity(
    *, api: Api, customer: Api, connection: Connection, store: Store, customer_id: str, pen: Sku
) -> None:
    order = await draft(api, connection, store, customer_id)
    line_id = await order.add(pen, 2, unit_amount_cents=80)
    await factories.set_price(connection, store, pen, 150)
    await customer.update("line_items", line_id, {"quantity": 3})
    assert await order.lines() == [(3, 80)]
    assert (await order.place()).status_code == 200


@pytest.mark.rule("FM-83")
async def test_an_order_is_priced_for_its_customer_as_soon_as_that_is_known(
    api: Api, connection: Connection, store: Store, pen: Sku
) -> None:
    group_id = await factories.insert(connection, "customer_groups", store, name="Members")
    await factories.insert(
        connection, "prices", store, sku_id=pen.id, currency_code="EUR", amount_cents=80, customer_group_id=group_id
    )
    member_id = await factories.customer(connection, store, customer_group_id=group_id)
    order_id = (await api.create("orders"))["id"]
    order = Draft(api, order_id)
    await order.add(pen, 2)
    assert await order.lines() == [(2, 100)]
    await api.update("orders", order_id, None, {"customer": to("customers", member_id)})
    assert await order.lines() == [(2, 80)]


# --- what else changes by itself ----------------------------------------------------------------------------------


CHANGES = {
    "a promotion that ends": ("update promotions set disabled_at = created_at where store_id = $1", ["discount"]),
    "a promotion that grows": ("update promotions set percentage = 50 where store_id = $1", ["discount"]),
    "dearer shipping": ("update shipping_methods set price_amount_cents = 900 where store_id = $1", ["shipping"]),
    "cheaper shipping": ("update shipping_methods set price_amount_cents = 0 where store_id = $1", ["shipping"]),
    "dearer paying": ("update payment_methods set price_amount_cents = 30 where store_id = $1", ["payment_method"]),
    "another tax rate": ("update skus set tax_rate = 0.09 where store_id = $1", ["subtotal_tax"]),
}


@pytest.mark.rule("FM-87")
@pytest.mark.parametrize("change", CHANGES)
async def test_what_an_order_comes_to_otherwise_is_told_with_both_totals(
    *, api: Api, connection: Connection, store: Store, change: str
) -> None:
    await factories.insert(connection, "promotions", store, name="Sale", kind="percent", percentage=Decimal(10))
    order = await ordered(api, await ready(connection, store))
    before = await order_row(connection, store, order["id"])
    statement, named = CHANGES[change]
    await connection.execute(statement, store.id)

    # Other changes of the order promise nothing else.
    await api.update("orders", order["id"], {"return_url": "https://shop.example/thanks"})
    unchanged = await order_row(connection, store, order["id"])
    assert unchanged["total_amount_cents"] == before["total_amount_cents"]

    refused = meta(await placed(api, order["id"]))[-1]
    assert (refused["error"], refused["previous_due_amount_cents"]) == ("price_changed", before["total_amount_cents"])
    assert set(refused["changed"]) >= {f"{name}_amount_cents" for name in named}
    assert await factories.stock(connection, store, (await skus_of(connection, store))[0]) == 10

    wrong = await api.update(
        "orders", order["id"], {"_refresh_prices": True, "_due_amount_cents": refused["due_amount_cents"] + 1}
    )
    assert meta(wrong) == [{"error": "price_changed", "due_amount_cents": refused["due_amount_cents"]}]
    accepted = placing(order["id"], _refresh_prices=True, _payment_source_token="tok_approve")
    assert (await api.send("PATCH", f"orders/{order['id']}", accepted)).status_code == 422
    accepted["data"]["attributes"]["_due_amount_cents"] = refused["due_amount_cents"]
    answer = await api.send("PATCH", f"orders/{order['id']}", accepted)
    assert answer.status_code == 200, answer.text
    paid = await connection.fetchval("select amount_cents from payment_attempts where store_id = $1", store.id)
    assert paid == refused["due_amount_cents"]
    assert await offenders(connection, store) == []


async def skus_of(connection: Connection, store: Store) -> list[Sku]:
    rows = await connection.fetch("select id, code, name from skus where store_id = $1", store.id)
    return [Sku(row["id"], row["code"], row["name"], 0) for row in rows]


@pytest.mark.rule("FM-87")
async def test_an_amount_without_taking_prices_over_is_refused(api: Api, connection: Connection, store: Store) -> None:
    order = await ordered(api, await ready(connection, store))
    answer = await api.update("orders", order["id"], {"_due_amount_cents": 1})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["source"] == {"pointer": "/data/attributes/_due_amount_cents"}


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.rule("FM-84")
async def test_limits_hold_for_the_sum_of_a_sku(
    customer: Api, connection: Connection, store: Store, customer_id: str
) -> None:
    rare = await factories.sku(connection, store, max_quantity=3, options=[{"name": "colour"}])
    order = await draft(customer, connection, store, customer_id)
    await order.add(rare, 2, options={"colour": "red"})
    line = {"sku_code": rare.code, "quantity": 2, "options": {"colour": "blue"}}
    document = resource("line_items", line, {"order": to("orders", order.id)})
    answer = await customer.send("POST", "line_items", document)
    assert [one["error"] for one in meta(answer)] == ["quantity_reduced_max"]
    await order.add(rare, 1, options={"colour": "blue"})
    await connection.execute("update skus set max_quantity = 2 where store_id = $1", store.id)
    # Two fit, of the first line; nothing is left for the second.
    assert [one["error"] for one in meta(await order.place())] == ["quantity_below_min"]
    await connection.execute("update skus set max_quantity = 3 where store_id = $1", store.id)
    assert (await order.place()).status_code == 200


@pytest.mark.rule("FM-84")
async def test_limits_hold_for_the_sum_of_a_sku_in_a_run(
    database: Database, connection: Connection, store: Store, customer_id: str
) -> None:
    rare = await factories.sku(connection, store, max_quantity=3, code="RARE")
    order_id = await factories.full_order(connection, store, [Line(rare, 2), Line(rare, 2)], customer_id=customer_id)
    subscription_id = await factories.subscription(connection, store, order_id, price_mode="current")
    copy_id = await ask(database, bearer(store), order_id, subscription_id)
    assert await refusal(database, store, copy_id) == {"line_items": ["RARE - quantity_reduced_max"]}
    # What was agreed on binds the shop.
    await connection.execute("update order_subscriptions set price_mode = 'fixed' where store_id = $1", store.id)
    await make(database, store, await ask(database, bearer(store), order_id, subscription_id))


# --- coupons ---------------------------------------------------------------------------------------------------------


async def uses(connection: Connection, store: Store) -> int:
    return int(await connection.fetchval("select uses from promotions where store_id = $1", store.id))


async def coupon(connection: Connection, store: Store, **columns: Any) -> None:
    values = {"name": "Once", "kind": "percent", "percentage": Decimal(10), "coupon_code": "ONCE", "max_uses": 1}
    await factories.insert(connection, "promotions", store, **values | columns)


@pytest.mark.rule("FM-98")
async def test_an_order_that_was_never_placed_gives_the_use_of_its_coupon_back(
    api: Api, connection: Connection, store: Store
) -> None:
    await coupon(connection, store)
    for _ in range(2):
        order = await ordered(api, await ready(connection, store, coupon_code="ONCE"))
        assert await uses(connection, store) == 1
        assert (await placed(api, order["id"], "tok_decline")).status_code == 402
        for _ in range(2):
            assert (await api.update("orders", order["id"], {"_cancel": True})).status_code == 200
        assert await uses(connection, store) == 0
    order = await ordered(api, await ready(connection, store, coupon_code="ONCE"))
    assert (await placed(api, order["id"])).status_code == 200
    assert (await api.update("orders", order["id"], {"_cancel": True})).status_code == 200
    assert await uses(connection, store) == 1


@pytest.mark.rule("FM-98")
async def test_the_coupon_of_a_draft_is_checked_taken_off_and_counted_like_a_cart_s(
    customer: Api, connection: Connection, store: Store, customer_id: str, pen: Sku
) -> None:
    await coupon(connection, store, minimum_subtotal_cents=300, currency_code="EUR")
    order = await draft(customer, connection, store, customer_id)
    await order.add(pen, 2)
    for code, status in (("NONE", "unknown"), ("ONCE", "minimum_not_reached")):
        (refused,) = meta(await customer.update("orders", order.id, {"coupon_code": code}))
        assert refused == {"error": status}
    await order.add(pen, 1)
    shown = (await customer.update("orders", order.id, {"coupon_code": "ONCE"})).json()["data"]["attributes"]
    assert (shown["discount_amount_cents"], shown["total_amount_cents"]) == (-30, 270 + 495)
    assert await uses(connection, store) == 0
    assert (await order.place()).status_code == 200
    assert await uses(connection, store) == 1

    other = await draft(customer, connection, store, customer_id)
    await other.add(pen, 3)
    assert meta(await customer.update("orders", other.id, {"coupon_code": "ONCE"})) == [{"error": "used_up"}]
    assert await offenders(connection, store) == []


@pytest.mark.rule("FM-98")
async def test_of_two_drafts_with_the_last_use_of_a_coupon_one_is_placed(
    customer: Api, connection: Connection, store: Store, customer_id: str, pen: Sku
) -> None:
    await coupon(connection, store)
    orders = [await draft(customer, connection, store, customer_id) for _ in range(2)]
    for order in orders:
        await order.add(pen, 1)
        assert (await customer.update("orders", order.id, {"coupon_code": "ONCE"})).status_code == 200
    assert (await orders[0].place()).status_code == 200
    refused = meta(await orders[1].place())
    assert [one["error"] for one in refused] == ["price_changed"]
    assert await uses(connection, store) == 1


@pytest.mark.rule("FM-98")
async def test_a_link_counts_no_order_that_was_never_placed(
    api: Api, connection: Connection, store: Store, customer_id: str
) -> None:
    source_id = await factories.full_order(connection, store, [], customer_id=customer_id, code="RB-1")
    link_id = await factories.insert(
        connection, "repeat_links", store, order_id=source_id, order_code="RB-1", key_id="k", max_uses=1
    )
    for _ in range(2):
        order = await ordered(api, await ready(connection, store, repeat_link_id=link_id, browser="b"))
        assert await connection.fetchval("select uses from repeat_links where store_id = $1", store.id) == 1
        await api.update("orders", order["id"], {"_cancel": True})
        assert await connection.fetchval("select uses from repeat_links where store_id = $1", store.id) == 0
