"""What is charged is what an independent calculator says, by carts, draft orders and the page, whatever changes."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.principal import Store
from service.store.pool import Connection, Database
from tests import calculator, factories
from tests.calculator import Shop
from tests.checkout.conftest import placing, ready
from tests.checkout.test_demo_checkout import TYPED, send
from tests.faults.owing import check, put_in, whole
from tests.pages import Page, show
from tests.sealed import session_of
from tests.shops import change_shop, open_shop, shops
from tests.spec.writing import Api, offenders, resource, to
from tests.support import Grant, make_store

pytestmark = pytest.mark.rule("FM-83", "FM-87", "FM-98")


@pytest.mark.parametrize("of_cart", [True, False])
async def test_an_order_owes_what_the_calculator_says(
    *, client: httpx2.AsyncClient, connection: Connection, database: Database, grant: Grant, of_cart: bool
) -> None:
    generated: list[tuple[Shop, Shop]] = []

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(shops, shops)
    def generate(shop: Shop, later: Shop) -> None:
        generated.append((shop, later))

    generate()
    for shop, later in generated:
        if not shop.lines:
            continue
        store = await make_store(database)
        opened = await open_shop(connection, store, shop)
        api = Api(client, await grant(store=store, customer_id=opened.customer_id))
        expected = calculator.amounts(shop)
        type_ = "carts" if of_cart else "orders"
        id_ = await whole(api, connection, opened, type_)
        if shop.coupon is not None:
            answer = await api.update(type_, id_, {"coupon_code": "CODE"})
            assert answer.status_code == (200 if expected.coupon_applies else 422), shop
        order_id = id_
        if of_cart:
            answer = await api.send("POST", "orders", resource("orders", None, {"cart": to("carts", id_)}))
            assert answer.status_code == 201, answer.text
            order_id = answer.json()["data"]["id"]
        await check(api, order_id, expected)

        await change_shop(connection, opened, later)
        coupon = shop.coupon if expected.coupon_applies else None
        changed = replace(later, lines=shop.lines, coupon=coupon, member=shop.member, tax_included=shop.tax_included)
        now = calculator.amounts(changed)
        answer = await api.send("PATCH", f"orders/{order_id}", placing(order_id))
        if answer.status_code == 422:
            errors = [error["meta"] for error in answer.json()["errors"]]
            assert {error["error"] for error in errors} == {"price_changed"}, (shop, later)
            assert {error["due_amount_cents"] for error in errors} == {calculator.due(changed, now)}, (shop, later)
            assert {error["previous_due_amount_cents"] for error in errors} == {calculator.due(shop, expected)}
            await check(api, order_id, expected)
            accepted = placing(order_id, _refresh_prices=True, _due_amount_cents=calculator.due(changed, now))
            answer = await api.send("PATCH", f"orders/{order_id}", accepted)
        assert answer.status_code == 200, answer.text
        await check(api, order_id, now)
        paid = await connection.fetchval("select amount_cents from payment_attempts where store_id = $1", store.id)
        assert (paid or 0) == calculator.due(changed, now), (shop, later)
        assert await offenders(connection, store) == []


def shown(shop: Shop) -> object:
    """What the page says of prices before anything is chosen: of products, and of each way to ship and to pay."""
    found = calculator.amounts(shop)
    ships = any(shop.products[product].ships for product, _ in shop.lines)
    on_top = 0 if shop.tax_included else sum(found.taxes)
    return found.units, found.subtotal, sum(found.discounts), on_top, shop.shipping if ships else None, shop.paying


async def test_the_page_charges_what_it_showed(
    client: httpx2.AsyncClient, connection: Connection, database: Database, grant: Grant
) -> None:
    """Where the shop has changed since, nothing is charged before the buyer has seen what it comes to now."""
    found: list[tuple[Shop, Shop]] = []

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(shops.filter(lambda shop: bool(shop.lines)), shops, st.booleans())
    def generate(shop: Shop, later: Shop, alike: bool) -> None:  # noqa: FBT001 -- drawn by position
        found.append((replace(shop, member=False), shop if alike else later))

    generate()
    for shop, later in found:
        store = await make_store(database)
        opened = await open_shop(connection, store, shop)
        await connection.execute("update payment_methods set gateway = 'test' where store_id = $1", store.id)
        staff = Api(client, await grant(store=store))
        cart_id = (await staff.create("carts"))["id"]
        await put_in(staff, opened, "carts", cart_id)
        applies = calculator.amounts(shop).coupon_applies
        if applies:
            assert (await staff.update("carts", cart_id, {"coupon_code": "CODE"})).status_code == 200
        session = await session_of(connection, store, cart_id)
        page = await show(client, f"/demo/checkout?store={store.id}&session={session}")

        await change_shop(connection, opened, later)
        coupon = shop.coupon if applies else None
        now = replace(later, lines=shop.lines, coupon=coupon, member=False, tax_included=shop.tax_included)
        answer = await send(client, page.fields | TYPED)
        assert answer.status_code == (303 if shown(now) == shown(shop) else 422), (answer.text[-6000:], shop, later)
        if answer.status_code == 422:
            assert await connection.fetch("select from orders where store_id = $1", store.id) == []
            page = Page(answer.text)
            assert "It comes to another amount by now." in page.text
            answer = await send(client, page.fields | TYPED)
        assert answer.status_code == 303, Page(answer.text).text
        order_id = await connection.fetchval(
            "select id from orders where store_id = $1 and status = 'placed'", store.id
        )
        await check(staff, order_id, calculator.amounts(now))
        paid = await connection.fetchval("select amount_cents from payment_attempts where store_id = $1", store.id)
        assert (paid or 0) == calculator.due(now, calculator.amounts(now)), (shop, later)
        assert await offenders(connection, store) == []


async def test_an_order_whose_card_was_declined_is_shown_again_where_its_price_has_changed(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    cart = await ready(connection, store, customer_email="gus@example.com")
    url = f"/demo/checkout?store={store.id}&session={cart.session}"
    declined = await send(client, (await show(client, url)).fields | TYPED | {"card": "card_declined"})
    assert declined.status_code == 402
    await factories.set_price(connection, store, cart.shirt, 2600)
    refused = await send(client, Page(declined.text).fields | TYPED)
    assert refused.status_code == 422
    assert "Total €56.95" in Page(refused.text).text
    assert (await send(client, Page(refused.text).fields | TYPED)).status_code == 303
    paid = "select amount_cents from payment_attempts where store_id = $1 and status = 'authorized'"
    assert await connection.fetchval(paid, store.id) == 5695
