"""Repeat links: who proves to be the customer, how often somebody may be wrong, and what the page promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import structlog
from starlette.applications import Starlette

from service import clock
from service.http import guessing
from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection
from tests import counted, factories
from tests.api.wemasy import application
from tests.checkout.conftest import Ready, ordering, ready
from tests.factories import Line
from tests.pages import Page, carts, items, show, submit, url_of
from tests.spec.writing import Api, pointers
from tests.support import Grant

ZIP = "3511 AA"


class Made:
    """A repeat link of an order, and carts that it made."""

    def __init__(self, connection: Connection, store: Store, order_id: str, link_id: str) -> None:
        self.connection, self.store, self.order_id, self.id = connection, store, order_id, link_id

    async def cart(self, browser: str = "browser") -> Ready:
        return await ready(self.connection, self.store, customer_email=None, repeat_link_id=self.id, browser=browser)


async def of_a_guest(connection: Connection, store: Store, code: str = "X") -> str:
    """An order of a mug that somebody without an account placed; gives the id."""
    mug = await factories.sku(connection, store, name="Mug")
    order_id = await factories.full_order(connection, store, [Line(mug)], code=code)
    await connection.execute("update orders set customer_id = null where store_id = $1 and id = $2", store.id, order_id)
    await counted.anew(connection, store)
    return order_id


async def made(connection: Connection, store: Store, rule: str = "zip_code", code: str = "RB-1") -> Made:
    """A link of a customer's order whose store takes this proof; with `customer` of a guest's."""
    await connection.execute("update stores set repeat_link_factor = $2 where store_id = $1", store.id, rule)
    if rule == "customer":
        order_id = await of_a_guest(connection, store, code)
    else:
        mug = await factories.sku(connection, store)
        order_id = await factories.full_order(connection, store, [Line(mug)], code=code)
    link_id = await factories.insert(connection, "repeat_links", store, order_id=order_id, order_code=code, key_id="k")
    return Made(connection, store, order_id, link_id)


@asynccontextmanager
async def visitor(app: Starlette, address: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who asks from an address."""
    transport = httpx2.ASGITransport(app, client=(address, 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as opened:
        yield opened


async def answered(client: httpx2.AsyncClient, cart: Ready, factor: str) -> httpx2.Response:
    document = ordering(cart, _repeat_link_factor=factor)
    return await client.post("/api/orders", json=document, headers=cart.guest.headers)


@pytest.mark.rule("FM-99")
@pytest.mark.parametrize("zip_code", ["", " ", "-"])
async def test_an_order_without_a_postal_code_is_not_proven_by_none(
    client: httpx2.AsyncClient, connection: Connection, store: Store, zip_code: str
) -> None:
    link = await made(connection, store)
    await connection.execute("update addresses set zip_code = $2 where store_id = $1", store.id, zip_code)
    cart = await link.cart()
    for said in ("", "- -", zip_code):
        answer = await answered(client, cart, said)
        assert answer.status_code in (403, 422), said
    assert await connection.fetchval("select count(*) from orders where store_id = $1", store.id) == 1


@pytest.mark.rule("FM-100")
async def test_a_guests_order_that_nothing_proves_says_so_before_the_button(
    client: httpx2.AsyncClient, app: Starlette, connection: Connection, store: Store
) -> None:
    await of_a_guest(connection, store)
    url = await url_of(app, connection, store, "X")
    page = await show(client, url)
    said, _, after = page.text.partition("Continue to the checkout")
    assert "this link alone can't order it again" in said
    assert after
    token = url.partition("token=")[2].partition("&")[0]
    bearer = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.api+json"}
    preview = await client.get("/api/repeat_link_preview", headers=bearer)
    assert preview.json()["data"]["attributes"]["proof"] is None
    assert (await submit(client, page.fields)).status_code == 303
    (cart,) = await carts(connection, store)
    checkout = await show(client, f"/demo/checkout?store={store.id}&session={cart['session']}")
    assert "it can't be placed here" in checkout.text


@pytest.mark.rule("FM-100")
@pytest.mark.parametrize(
    ("rule", "told"),
    [("customer", "you sign in"), ("zip_code", "the postal code of this order"), ("email", "the e-mail address")],
)
async def test_the_page_says_what_will_be_asked_for(
    client: httpx2.AsyncClient, app: Starlette, connection: Connection, store: Store, *, rule: str, told: str
) -> None:
    await connection.execute("update stores set repeat_link_factor = $2 where store_id = $1", store.id, rule)
    mug = await factories.sku(connection, store)
    await factories.full_order(connection, store, [Line(mug)], code="X")
    page = await show(client, await url_of(app, connection, store, "X"))
    assert told in page.text.partition("Continue to the checkout")[0]


@pytest.mark.rule("FM-100")
async def test_the_api_says_that_nothing_proves_an_order(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    link = await made(connection, store, "customer")
    cart = await link.cart()
    answer = await client.post("/api/orders", json=ordering(cart), headers=cart.guest.headers)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["meta"]) == (403, {"error": "identity_required", "proof": None})
    assert "only the shop" in error["detail"]


@pytest.mark.rule("FM-101")
async def test_a_strangers_wrong_answers_keep_nobody_else_from_a_link(
    app: Starlette, connection: Connection, store: Store
) -> None:
    link = await made(connection, store)
    cart = await link.cart()
    async with visitor(app, "192.0.2.1") as stranger, visitor(app, "192.0.2.2") as customer:
        answers = [await answered(stranger, cart, f"{number:04}") for number in range(5)]
        assert [answer.status_code for answer in answers] == [422, 422, 422, 429, 429]
        assert 50 <= int(answers[-1].headers["retry-after"]) <= 60
        late = await answered(stranger, cart, ZIP)
        assert late.status_code == 429, "what comes too early is not looked at, so it tells nothing"
        answer = await answered(customer, cart, ZIP)
        assert answer.status_code == 201, answer.text


@pytest.mark.rule("FM-101")
async def test_many_guesses_at_once_are_no_more_than_one_after_the_other(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    link = await made(connection, store)
    made_carts = [await link.cart(f"browser-{number}") for number in range(2)]
    answers = await asyncio.gather(*(answered(client, made_carts[number % 2], f"{number:04}") for number in range(30)))
    assert sorted(answer.status_code for answer in answers) == [422] * 3 + [429] * 27


@pytest.mark.rule("FM-101")
async def test_delays_grow_with_each_wrong_answer_and_are_forgotten_after_a_day(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    link = await made(connection, store)
    cart = await link.cart()
    for _ in range(guessing.FACTORS.free):
        assert (await answered(client, cart, "wrong")).status_code == 422
    for delay in (60, 300, 900, 3600, 3600):
        early = await answered(client, cart, "wrong")
        assert early.status_code == 429
        assert delay - 10 <= int(early.headers["retry-after"]) <= delay
        await connection.execute(
            "update rate_limits set started_at = started_at - make_interval(secs => $2::float8)"
            " where store_id = $1 and key like 'wrong_factors/%'",
            store.id,
            float(delay),
        )
        assert (await answered(client, cart, "wrong")).status_code == 422
    await connection.execute(
        "update rate_limits set started_at = started_at - interval '2 days', expires_at = $2"
        " where store_id = $1 and key like 'wrong_factors/%'",
        store.id,
        clock.now(),
    )
    assert (await answered(client, cart, "wrong")).status_code == 422
    assert (await answered(client, cart, ZIP)).status_code == 201


@pytest.mark.rule("FM-101")
async def test_right_answers_never_count(client: httpx2.AsyncClient, connection: Connection, store: Store) -> None:
    link = await made(connection, store)
    for number in range(guessing.FACTORS_OF_LINK.amount + 2):
        cart = await link.cart(f"browser-{number}")
        assert (await answered(client, cart, ZIP)).status_code == 201
    guessed = "select coalesce(sum(hits), 0) from rate_limits where store_id = $1 and key like 'wrong%'"
    assert await connection.fetchval(guessed, store.id) == 0


@pytest.mark.rule("FM-101")
async def test_many_addresses_guess_no_faster_than_the_ceiling_of_a_link(
    app: Starlette, connection: Connection, store: Store
) -> None:
    link = await made(connection, store)
    other = await made(connection, store, code="RB-2")
    cart = await link.cart()
    statuses = []
    for number in range(guessing.FACTORS_OF_LINK.amount + 5):
        async with visitor(app, f"192.0.2.{number + 1}") as stranger:
            answer = await answered(stranger, cart, f"{number:04}")
            statuses.append(answer.status_code)
    most = guessing.FACTORS_OF_LINK.amount
    assert statuses == [422] * most + [429] * 5
    assert int(answer.headers["retry-after"]) <= 3600
    async with visitor(app, "192.0.2.1") as somebody:
        assert (await answered(somebody, await other.cart(), ZIP)).status_code == 201


@pytest.mark.rule("FM-101")
async def test_a_proxy_that_is_not_trusted_is_told_of_once(settings: Settings) -> None:
    async with application(settings) as here:
        with structlog.testing.capture_logs() as told:
            for _ in range(3):
                await here.get("/healthz", headers={"X-Forwarded-For": "203.0.113.9"})
            await here.get("/healthz")
    (warning,) = [entry for entry in told if entry["log_level"] == "warning"]
    assert warning["header"] == "x-forwarded-for"
    assert "REPRISE_TRUSTED_PROXIES" in warning["hint"]
    trusting = settings.model_copy(update={"trusted_proxies": "127.0.0.1"})
    async with application(trusting) as here:
        with structlog.testing.capture_logs() as told:
            await here.get("/healthz", headers={"X-Forwarded-For": "203.0.113.9"})
    assert [entry for entry in told if entry["log_level"] == "warning"] == []


async def coupon_cart(connection: Connection, store: Store, **columns: Any) -> Ready:
    """A cart in a store with a coupon TEN."""
    values = {"name": "Ten", "kind": "percent", "percentage": 10, "coupon_code": "TEN"}
    await factories.insert(connection, "promotions", store, **values)
    return await ready(connection, store, **columns)


async def try_coupons(api: Api, cart: Ready, number: int) -> list[int]:
    answers = await asyncio.gather(
        *(api.update("carts", cart.id, {"coupon_code": f"GUESS-{index}"}) for index in range(number))
    )
    return sorted(answer.status_code for answer in answers)


@pytest.mark.rule("FM-98")
@pytest.mark.parametrize("who", ["customer", "guest", "integration"])
async def test_guesses_of_coupons_are_few(
    api: Api, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, *, who: str
) -> None:
    customer_id = await factories.customer(connection, store) if who == "customer" else None
    cart = await coupon_cart(connection, store, customer_id=customer_id)
    shopper = {"customer": Api(client, await grant(customer_id=customer_id)), "guest": Api(client, cart.guest)}
    asking = shopper.get(who, api)
    free = guessing.COUPONS.free
    assert await try_coupons(asking, cart, 20) == [422] * free + [429] * (20 - free)
    refused = await asking.update("carts", cart.id, {"coupon_code": "TEN"})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert (await asking.update("carts", cart.id, {"reference": "mine"})).status_code == 200
    assert (await asking.update("carts", cart.id, {"coupon_code": None})).status_code == 200
    if who == "integration":
        other = await ready(connection, store)
        assert (await api.update("carts", other.id, {"coupon_code": "TEN"})).status_code == 200


@pytest.mark.rule("FM-98")
async def test_coupons_that_are_known_do_not_count(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    cart = await coupon_cart(connection, store)
    guest = Api(client, cart.guest)
    for number in range(2 * guessing.COUPONS.free):
        coupon = "TEN" if number % 2 else None
        assert (await guest.update("carts", cart.id, {"coupon_code": coupon})).status_code == 200
    assert await try_coupons(guest, cart, guessing.COUPONS.free) == [422] * guessing.COUPONS.free


@pytest.mark.rule("FM-98")
async def test_coupons_of_draft_orders_are_counted_with_those_of_carts(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    cart = await coupon_cart(connection, store, customer_id=customer_id)
    shopper = Api(client, await grant(customer_id=customer_id))
    assert await try_coupons(shopper, cart, guessing.COUPONS.free) == [422] * guessing.COUPONS.free
    for coupon in ("GUESS", "TEN"):
        document = {"data": {"type": "orders", "attributes": {"coupon_code": coupon}}}
        assert (await shopper.send("POST", "orders", document)).status_code == 429


@pytest.mark.rule("FM-98")
async def test_coupons_in_batches_are_counted_too(api: Api, connection: Connection, store: Store) -> None:
    cart = await coupon_cart(connection, store)
    atomic = 'application/vnd.api+json;ext="https://jsonapi.org/ext/atomic"'
    answers = []
    for number in range(guessing.COUPONS.free + 1):
        data = {"type": "carts", "id": cart.id, "attributes": {"coupon_code": f"GUESS-{number}"}}
        document = {"atomic:operations": [{"op": "update", "data": data}]}
        answers.append(await api.send("POST", "operations", document, Accept=atomic, **{"Content-Type": atomic}))
    assert [answer.status_code for answer in answers] == [422] * guessing.COUPONS.free + [429]
    assert pointers(answers[0]) == ["/atomic:operations/0/data/attributes/coupon_code"]


async def bought(connection: Connection, store: Store, **columns: Any) -> tuple[factories.Sku, str]:
    """A mug of 10.00 that a customer bought one of, as order X, to be proven by postal code; the customer's id."""
    await connection.execute("update stores set repeat_link_factor = 'zip_code' where store_id = $1", store.id)
    mug = await factories.sku(connection, store, price=1000, name="Mug", **columns)
    customer_id = await factories.customer(connection, store)
    await factories.full_order(connection, store, [Line(mug)], code="X", customer_id=customer_id)
    return mug, customer_id


async def previewed(client: httpx2.AsyncClient, url: str) -> Any:
    """What the API shows of the order behind a link's URL."""
    token = url.partition("token=")[2].partition("&")[0]
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.api+json"}
    answer = await client.get("/api/repeat_link_preview", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["attributes"]


@pytest.mark.rule("FM-89")
async def test_a_link_is_priced_for_its_buyer_from_the_page_to_the_order(
    client: httpx2.AsyncClient, app: Starlette, connection: Connection, store: Store
) -> None:
    mug, customer_id = await bought(connection, store)
    group = await factories.insert(connection, "customer_groups", store, name="Trade")
    await connection.execute(
        "update customers set customer_group_id = $3 where store_id = $1 and id = $2", store.id, customer_id, group
    )
    values = {"sku_id": mug.id, "customer_group_id": group, "currency_code": "EUR", "amount_cents": 800}
    await factories.insert(connection, "prices", store, **values)
    url = await url_of(app, connection, store, "X")
    page = await show(client, url)
    assert "Products €8.00" in page.text
    assert (await previewed(client, url))["total_amount_cents"] == 800 + 495
    assert (await submit(client, page.fields)).status_code == 303
    (cart,) = await carts(connection, store)
    assert cart["total_amount_cents"] == 800 + 495
    zip_code = await connection.fetchval("select zip_code from addresses where store_id = $1 limit 1", store.id)
    holder = {"X-Cart-Session": f"{store.id}.{cart['session']}", "Content-Type": "application/vnd.api+json"}
    document = {
        "data": {
            "type": "orders",
            "attributes": {"_repeat_link_factor": zip_code},
            "relationships": {"cart": {"data": {"type": "carts", "id": cart["id"]}}},
        }
    }
    order = await client.post("/api/orders", json=document, headers=holder)
    assert order.status_code == 201, order.text
    assert order.json()["data"]["attributes"]["total_amount_cents"] == 800 + 495
    placing = {"data": {"type": "orders", "id": order.json()["data"]["id"], "attributes": {"_place": True}}}
    answer = await client.patch(f"/api/orders/{placing['data']['id']}", json=placing, headers=holder)
    assert answer.status_code == 200, answer.text


@pytest.mark.rule("FM-90")
@pytest.mark.parametrize(("included", "total", "tax"), [(False, 1210 + 495, 210), (True, 1000 + 495, 174)])
async def test_the_total_is_what_will_be_paid_and_tax_has_a_line(
    client: httpx2.AsyncClient,
    app: Starlette,
    connection: Connection,
    store: Store,
    *,
    included: bool,
    total: int,
    tax: int,
) -> None:
    await connection.execute("update stores set prices_include_tax = $2 where store_id = $1", store.id, included)
    await bought(connection, store, tax_rate="0.21")
    url = await url_of(app, connection, store, "X")
    page = await show(client, url)
    assert f"Total €{total / 100:.2f}" in page.text
    assert (f"Tax, included €{tax / 100:.2f}" if included else f"Tax €{tax / 100:.2f}") in page.text
    shown = await previewed(client, url)
    assert (shown["total_amount_cents"], shown["total_tax_amount_cents"]) == (total, tax)
    assert shown["tax_included"] is included
    assert (await submit(client, page.fields)).status_code == 303
    (cart,) = await carts(connection, store)
    checkout = await show(client, f"/demo/checkout?store={store.id}&session={cart['session']}")
    assert f"Total €{total / 100:.2f}" in checkout.text


@pytest.mark.rule("FM-95")
async def test_a_second_press_brings_an_untouched_cart_to_today(
    client: httpx2.AsyncClient, app: Starlette, connection: Connection, store: Store
) -> None:
    mug, _ = await bought(connection, store)
    url = await url_of(app, connection, store, "X")
    assert (await submit(client, (await show(client, url)).fields)).status_code == 303
    (first,) = await carts(connection, store)
    await connection.execute("delete from cart_items where store_id = $1", store.id)
    await counted.anew(connection, store)
    await factories.set_price(connection, store, mug, 3000)
    page = await show(client, url)
    assert "Total €34.95" in page.text
    assert (await submit(client, page.fields)).status_code == 303
    (second,) = await carts(connection, store)
    assert (second["id"], second["total_amount_cents"]) == (first["id"], 3000 + 495)


@pytest.mark.rule("FM-95")
async def test_a_second_press_reprices_a_cart_that_was_changed_and_keeps_what_is_in_it(
    client: httpx2.AsyncClient, app: Starlette, connection: Connection, store: Store
) -> None:
    mug, _ = await bought(connection, store)
    url = await url_of(app, connection, store, "X")
    assert (await submit(client, (await show(client, url)).fields)).status_code == 303
    (cart,) = await carts(connection, store)
    holder = {"X-Cart-Session": f"{store.id}.{cart['session']}", "Content-Type": "application/vnd.api+json"}
    item_id = await connection.fetchval("select id from cart_items where store_id = $1", store.id)
    document = {"data": {"type": "cart_items", "id": item_id, "attributes": {"quantity": 3}}}
    assert (await client.patch(f"/api/cart_items/{item_id}", json=document, headers=holder)).status_code == 200
    await factories.set_price(connection, store, mug, 2000)
    assert (await submit(client, (await show(client, url)).fields)).status_code == 303
    (again,) = await carts(connection, store)
    assert (again["id"], again["total_amount_cents"]) == (cart["id"], 3 * 2000 + 495)


@pytest.mark.rule("FM-102")
@pytest.mark.parametrize(("price", "struck"), [(3000, False), (500, True)])
async def test_only_a_price_that_fell_is_struck_through(
    client: httpx2.AsyncClient, app: Starlette, connection: Connection, store: Store, *, price: int, struck: bool
) -> None:
    mug, _ = await bought(connection, store)
    await factories.set_price(connection, store, mug, price)
    page = await show(client, await url_of(app, connection, store, "X"))
    assert ("s" in page.tags) is struck
    now = f"€{price / 100:.2f}"
    assert (f"Before: €10.00 Now: {now} each" if struck else f"{now} each · Before: €10.00") in page.text
    assert "Delivered to" in page.text
    assert ", ***" in page.text, "the postal code is masked whole where it proves the customer"


@pytest.mark.rule("FM-102")
async def test_lines_and_quantities_are_chosen_on_the_page_without_a_script(
    app: Starlette, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    shirt = await factories.sku(connection, store, price=2500, name="Shirt")
    mug = await factories.sku(connection, store, price=900, name="Mug")
    await factories.full_order(connection, store, [Line(shirt, 2), Line(mug, 1)], code="PICK-1")
    page = await show(client, await url_of(app, connection, store, "PICK-1"))
    assert "script" not in page.tags
    chosen = [name for name in page.fields if name.startswith("line-")]
    assert len(chosen) == 2
    assert "€59.00" in page.text, "two shirts and a mug"
    of_mug = next(name for name in chosen if page.fields[name.replace("line", "quantity")] == "1")
    of_shirt = next(name for name in chosen if name != of_mug)
    picked = {name: value for name, value in page.fields.items() if name != of_mug}
    picked[of_shirt.replace("line", "quantity")] = "3"

    shown = await submit(client, picked | {"show": "1"})
    assert shown.status_code == 200
    assert "€75.00" in Page(shown.text).text, "three shirts"
    assert "Mug" in shown.text, "what is left out can be chosen again"
    assert not await carts(connection, store), "looking makes no cart"

    none = {name: value for name, value in page.fields.items() if name not in chosen}
    refused = await submit(client, none)
    assert (refused.status_code, "Choose at least one product." in refused.text) == (409, True)

    assert (await submit(client, picked)).status_code == 303
    (cart,) = await carts(connection, store)
    assert await items(connection, cart) == [("Shirt", 3, 2500)]
    nonsense = {**picked, of_shirt.replace("line", "quantity"): "-7"}
    assert (await submit(client, nonsense)).status_code == 303
    assert [quantity for _, quantity, _ in await items(connection, cart)] == [1]
