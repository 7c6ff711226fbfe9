"""Sorting: https://jsonapi.org/format/1.1/#fetching-sorting, checklist chapter SO."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas import kinds
from schemas.graph import graph
from schemas.relationships import ToOne
from service.jsonapi.sorting import sortable
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection
from tests import factories
from tests.spec.reading import Reader


@pytest.fixture
async def orders(connection: Connection, store: Store) -> dict[str, str]:
    """Orders by name: three placed ones of two customers, one of nobody, and two drafts that were never placed."""
    zoe = await factories.customer(connection, store, email="zoe@example.com")
    adam = await factories.customer(connection, store, email="adam@example.com")
    sku = await factories.sku(connection, store, price=100)

    async def order(quantity: int, day: int | None, **columns: Any) -> str:
        placed = {"placed_at": datetime(2026, 1, day, tzinfo=UTC)} if day else {"status": "draft"}
        return await factories.order(connection, store, [factories.Line(sku, quantity)], **placed | columns)

    return {
        "a": await order(3, 5, customer_id=zoe),
        "b": await order(1, 5, customer_id=adam),
        "c": await order(2, 1, customer_id=zoe),
        "d": await order(2, 9),
        "e": await order(9, None, payment_status="unpaid"),
        "f": await order(1, None, payment_status="unpaid", customer_id=adam),
    }


@pytest.mark.rule("SO-01", "SO-02", "SO-03", "SO-05", "SO-06", "SO-08")
@pytest.mark.parametrize(
    ("sort", "wanted"),
    [
        ("total_amount_cents", "bfcdae"), ("-total_amount_cents", "eadcfb"),
        ("status,-total_amount_cents", "efadcb"), ("-status,total_amount_cents", "bcdafe"),
        ("placed_at", "cabdef"), ("-placed_at", "fedbac"), ("-placed_at,id", "efdabc"), ("-id", "fedcba"),
        ("customer.email", "bfacde"), ("-customer.email,id", "deacbf"), ("customer.email,-placed_at", "fbaced"),
        ("id,total_amount_cents", "abcdef"), ("status,status,-status", "efabcd"),
    ],
)  # fmt: skip
async def test_orders_come_in_the_order_asked_for(
    reader: Reader, orders: dict[str, str], sort: str, wanted: str
) -> None:
    """Nulls last upwards and first downwards, the id where all is equal."""
    for _ in range(2):
        assert await reader.ids("/api/orders", {"sort": sort}) == [orders[name] for name in wanted]
    by_cursor = await reader.ids("/api/orders", {"sort": sort, "page[after]": "start"})
    assert by_cursor == [orders[name] for name in wanted]


@pytest.mark.rule("SO-04", "SO-05")
@pytest.mark.parametrize(
    "sort",
    [
        "nope", "total_amount_cents,nope", "-", "--total_amount_cents", "customer.nope", "", ",", "status,", "Status",
        "customer", "customer.reference", "line_items.quantity", "customer.customer_group.name", "guest", "status desc",
        " status", "+status", "total_amount_float", "metadata", "status;drop table orders", "customer.email.x", "type",
    ],
)  # fmt: skip
async def test_what_can_not_be_sorted_by_is_refused(reader: Reader, sort: str) -> None:
    """To-many paths and everything undeclared, anywhere in the list."""
    error = await reader.refused("/api/orders", "sort", {"sort": sort})
    assert error["code"] == "INVALID_SORT_CRITERIA"
    assert "total_amount_cents" in error["detail"], "it says what there is"


@pytest.mark.rule("SO-07")
async def test_related_collections_can_be_sorted(reader: Reader, connection: Connection, store: Store) -> None:
    lines = [factories.Line(await factories.sku(connection, store), quantity) for quantity in (2, 3, 1)]
    order = await factories.order(connection, store, lines)
    for url in (f"/api/orders/{order}/line_items", f"/api/orders/{order}/relationships/line_items"):
        up = await reader.ids(f"{url}?sort=quantity")
        assert up == (await reader.ids(f"{url}?sort=-quantity"))[::-1]
        document = await reader.document(f"/api/orders/{order}/line_items?sort=quantity")
        assert [line["attributes"]["quantity"] for line in document["data"]] == [1, 2, 3]
    for url in (f"/api/orders/{order}", f"/api/orders/{order}/customer", f"/api/orders/{order}/relationships/customer"):
        await reader.refused(f"{url}?sort=id", "sort")


@pytest.mark.rule("SO-01", "SO-02")
@pytest.mark.parametrize("type_", RESOURCES)
async def test_every_type_can_be_sorted_by_everything_it_lists(reader: Reader, type_: str) -> None:
    for name in sortable(graph[type_]):
        await reader.ids(f"/api/{type_}", {"sort": f"-{name}"})
        await reader.ids(f"/api/{type_}", {"sort": name, "page[before]": "end"})


def test_a_sort_that_leads_nowhere_is_refused_at_import() -> None:
    broken = ToOne("customers", sort=("nope",))
    orders = graph["orders"]
    before = orders.relationships
    orders.relationships = {**before, "broken": broken}
    try:
        with pytest.raises(TypeError, match=r"^Order\.broken sorts by 'nope', which customers can't be sorted by$"):
            graph.check()
    finally:
        orders.relationships = before
    assert isinstance(graph["customers"].attributes["email"], kinds.Email)
