"""What previews, carts and orders say that has to be paid is what is paid, whether prices include taxes or not."""

from __future__ import annotations

import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.checkout.conftest import placing
from tests.factories import Line
from tests.spec.writing import Api, to


@pytest.mark.rule("FM-90")
@pytest.mark.parametrize(("included", "due"), [(False, 2420 + 495), (True, 2000 + 495)])
async def test_the_total_with_taxes_is_what_is_paid(
    *, api: Api, connection: Connection, store: Store, included: bool, due: int
) -> None:
    await connection.execute("update stores set prices_include_tax = $2 where store_id = $1", store.id, included)
    customer_id = await factories.customer(connection, store)
    mug = await factories.sku(connection, store, price=1000, tax_rate="0.21")
    past = await factories.full_order(connection, store, [Line(mug, 2)], customer_id=customer_id)
    shipping = await factories.shipping_method(connection, store)
    paying = await factories.payment_method(connection, store)
    address = await factories.address(connection, store, customer_id=customer_id)
    cart = await api.create(
        "carts",
        None,
        {
            "customer": to("customers", customer_id),
            "shipping_method": to("shipping_methods", shipping),
            "payment_method": to("payment_methods", paying),
            "billing_address": to("addresses", address),
            "shipping_address": to("addresses", address),
        },
    )
    wish = {"source_order": to("orders", past), "cart": to("carts", cart["id"])}
    previewed = await api.send(
        "POST", "reorder_previews", {"data": {"type": "reorder_previews", "relationships": wish}}
    )
    assert previewed.status_code == 200, previewed.text
    await api.create("reorders", None, wish)
    order = await api.create("orders", None, {"cart": to("carts", cart["id"])})
    shown = (
        previewed.json()["data"],
        (await api.get(f"carts/{cart['id']}"))["data"],
        order,
    )
    for attributes in (one["attributes"] for one in shown):
        assert attributes["total_amount_with_taxes_cents"] == due
        assert attributes["total_amount_with_taxes_float"] == due / 100
        assert attributes["formatted_total_amount_with_taxes"] == f"€{due / 100:.2f}"
        assert (attributes["total_amount_cents"] == due) is included
    placed = await api.send("PATCH", f"orders/{order['id']}", placing(order["id"]))
    assert placed.status_code == 200, placed.text
    paid = await connection.fetchval("select amount_cents from payment_attempts where store_id = $1", store.id)
    assert paid == due


@pytest.mark.rule("FM-90")
async def test_a_preview_of_nothing_has_no_total(api: Api, connection: Connection, store: Store) -> None:
    gone = await factories.sku(connection, store, price=None)
    past = await factories.full_order(connection, store, [Line(gone)])
    wish = {"type": "reorder_previews", "relationships": {"source_order": to("orders", past)}}
    previewed = await api.send("POST", "reorder_previews", {"data": wish})
    attributes = previewed.json()["data"]["attributes"]
    for name in (
        "total_amount_with_taxes_cents",
        "total_amount_with_taxes_float",
        "formatted_total_amount_with_taxes",
    ):
        assert attributes[name] is None
