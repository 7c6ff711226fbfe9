"""The form of a repeat link, submitted: one cart per link and browser, no order, and a checkout to go on with."""
# ruff: noqa: RUF001 -- a quantity is written with a multiplication sign

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from starlette.applications import Starlette

from service import clock
from service.http.pages import nonces, repeat_page
from service.http.state import Service
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.pages import FORM, Link, Page, carts, digest, items, show, submit, url_of
from tests.spec.writing import Api, resource, to
from tests.support import Access


async def test_makes_a_cart_with_all_details_of_the_order_and_of_no_customer(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    await factories.set_price(connection, link.store, link.shirt, 3000)
    page = await show(client, link.url)
    answer = await submit(client, page.fields)
    (cart,) = await carts(connection, link.store)
    assert answer.status_code == 303
    assert answer.headers["location"] == (
        f"http://127.0.0.1/demo/checkout?store={link.store.id}&session={cart['session']}"
    )
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert await items(connection, cart) == [("Blue <T-Shirt>", 2, 3000), ("Cotton Mug", 1, 900)]
    assert (cart["shipping_amount_cents"], cart["total_amount_cents"]) == (495, 7395)
    assert cart["repeat_link_id"] == link.id
    assert (cart["status"], cart["customer_id"], cart["customer_email"]) == ("active", None, None)
    assert cart["customer_payment_source_id"] is None
    order = await connection.fetchrow("select * from orders where store_id = $1", link.store.id)
    assert order is not None
    assert cart["shipping_method_id"] == order["shipping_method_id"]
    assert cart["payment_method_id"] == order["payment_method_id"]
    for kind in ("billing_address_id", "shipping_address_id"):
        assert cart[kind] != order[kind]
        ours, theirs = await address(connection, link, cart[kind]), await address(connection, link, order[kind])
        assert ours == theirs | {"snapshot": True, "customer_id": None}
        assert (ours["line_1"], ours["email"], ours["notes"]) == ("Dorpsstraat 1", "sam@example.com", "third floor")
    uses = await connection.fetchval("select uses from repeat_links where store_id = $1", link.store.id)
    assert uses == 0
    events = await connection.fetch(
        "select name, actor_type, actor_id from events where store_id = $1 and resource_id = $2",
        link.store.id,
        cart["id"],
    )
    assert [tuple(event) for event in events] == [("carts.create", "repeat_links", link.id)]


async def address(connection: Connection, link: Link, id_: str) -> dict[str, Any]:
    row = await connection.fetchrow("select * from addresses where store_id = $1 and id = $2", link.store.id, id_)
    assert row is not None
    return {key: value for key, value in row.items() if key not in ("id", "created_at", "updated_at")}


async def test_a_coupon_of_the_order_is_not_carried(
    client: httpx2.AsyncClient, connection: Connection, link: Link, integration: Access
) -> None:
    await factories.insert(
        connection, "promotions", link.store, name="Old", kind="percent", percentage=50, coupon_code="OLD", max_uses=9
    )
    await connection.execute("update orders set coupon_code = 'OLD' where store_id = $1", link.store.id)
    assert (await submit(client, (await show(client, link.url)).fields)).status_code == 303
    (cart,) = await carts(connection, link.store)
    assert (cart["coupon_code"], cart["discount_amount_cents"]) == (None, 0)
    document = resource("orders", None, {"cart": to("carts", cart["id"])})
    made = await Api(client, integration).send("POST", "orders", document)
    assert made.status_code == 201, made.text
    shown = made.json()["data"]["attributes"]
    assert (shown["coupon_code"], shown["discount_amount_cents"]) == (None, 0)
    assert await connection.fetchval("select uses from promotions where store_id = $1", link.store.id) == 0


async def test_one_browser_finds_its_cart_again_and_another_gets_its_own(
    client: httpx2.AsyncClient, app: Starlette, connection: Connection, link: Link
) -> None:
    first = await submit(client, (await show(client, link.url)).fields)
    cookie = first.headers["set-cookie"]
    assert re.fullmatch(
        r"repeat_browser=[A-Za-z0-9_-]{22}; HttpOnly; Max-Age=2592000; Path=/repeat-order; SameSite=lax", cookie
    )
    for _ in range(3):
        again = await submit(client, (await show(client, link.url)).fields)
        assert again.headers["location"] == first.headers["location"]
    assert len(await carts(connection, link.store)) == 1
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as other:
        second = await submit(other, (await show(other, link.url)).fields)
    assert second.headers["location"] != first.headers["location"]
    assert len(await carts(connection, link.store)) == 2


async def test_a_form_that_is_sent_twice_at_once_makes_one_cart(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    fields = (await show(client, link.url)).fields
    answers = await asyncio.gather(*(submit(client, fields) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    (cart,) = await carts(connection, link.store)
    assert await items(connection, cart) == [("Blue <T-Shirt>", 2, 2500), ("Cotton Mug", 1, 900)]
    addresses = await connection.fetchval("select count(*) from addresses where store_id = $1", link.store.id)
    assert addresses == 4


async def test_a_cart_that_became_an_order_is_followed_by_a_new_one(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    first = await submit(client, (await show(client, link.url)).fields)
    await connection.execute(
        "update carts set status = 'converted', converted_at = $2 where store_id = $1", link.store.id, clock.now()
    )
    second = await submit(client, (await show(client, link.url)).fields)
    assert second.headers["location"] != first.headers["location"]


@pytest.mark.rule("FM-31")
async def test_without_the_pages_nonce_nothing_happens(
    app: Starlette, client: httpx2.AsyncClient, connection: Connection, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    mug = factories.Line(link.mug)
    await factories.order(connection, link.store, [mug], code="OTHER")
    other = await show(client, await url_of(app, connection, link.store, "OTHER"))
    fields = (await show(client, link.url)).fields
    before = await digest(connection, link.store)
    for nonce in ("", "x", other.fields["nonce"], fields["nonce"][:-1], f"{fields['nonce']}x", "é\0", fields["token"]):
        answer = await submit(client, fields | {"nonce": nonce})
        assert answer.status_code == 400
        assert "set-cookie" not in answer.headers
        page = Page(answer.text)
        assert "Please open the page again" in page.text
        (again,) = page.links
        assert (await client.get(f"/{again}")).status_code == 200
    for headers, body in (
        ({"Content-Type": "application/json"}, b"{}"),
        ({}, urlencode(fields).encode()),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\n"),
        (FORM, b"&".join(b"a=%d" % n for n in range(1000))),
        (FORM, b"\xff\xfe=%ff&id=%00&token=%00"),
    ):
        assert (await client.post("/repeat-order", content=body, headers=headers)).status_code == 410
    # What stands in the URL is not what the form sends.
    assert (await client.post(f"{link.url}&nonce={fields['nonce']}", headers=FORM)).status_code == 410
    later: datetime = clock.now() + timedelta(seconds=nonces.SECONDS + 2)
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda _=None: later)
        assert (await submit(client, fields)).status_code == 400
    assert await digest(connection, link.store) == before
    assert (await submit(client, fields)).status_code == 303


async def test_a_hand_made_cookie_is_no_browser(client: httpx2.AsyncClient, connection: Connection, link: Link) -> None:
    fields = (await show(client, link.url)).fields
    for cookie in ("x", "x" * 500, "'; drop table carts; --"):
        answer = await submit(client, fields, Cookie=f"{repeat_page.COOKIE}={cookie}")
        assert answer.status_code == 303
    assert len(await carts(connection, link.store)) == 1


async def test_the_stores_own_checkout(client: httpx2.AsyncClient, connection: Connection, link: Link) -> None:
    await connection.execute(
        "update stores set checkout_url = $2, mode = 'live' where store_id = $1",
        link.store.id,
        "https://shop.example:8443/pay?x=1&cart={session}#top",
    )
    shown = await client.get(link.url)
    assert "form-action 'self' https://shop.example:8443;" in shown.headers["content-security-policy"]
    answer = await submit(client, Page(shown.text).fields)
    (cart,) = await carts(connection, link.store)
    assert answer.headers["location"] == f"https://shop.example:8443/pay?x=1&cart={cart['session']}#top"


async def test_a_host_that_is_not_served_makes_no_cart(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    await connection.execute(
        "update stores set checkout_url = 'https://shop.example/{session}' where store_id = $1", link.store.id
    )
    fields = (await show(client, link.url)).fields
    assert (await submit(client, fields, Host="evil.example")).status_code == 400
    assert await carts(connection, link.store) == []


@pytest.mark.parametrize("url", ["https://shop.example; script-src *", "https://a b/", "https://[x", 'https://sh"op/'])
async def test_a_checkout_url_adds_nothing_to_the_policy_but_an_origin(
    client: httpx2.AsyncClient, connection: Connection, link: Link, url: str
) -> None:
    await connection.execute("update stores set checkout_url = $2 where store_id = $1", link.store.id, url)
    policy = (await client.get(link.url)).headers["content-security-policy"]
    assert "form-action 'self'; frame-ancestors" in policy
    assert "script-src" not in policy


async def test_a_live_store_without_a_checkout_says_so_and_makes_no_cart(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    fields = (await show(client, link.url)).fields
    await connection.execute("update stores set mode = 'live' where store_id = $1", link.store.id)
    page = await show(client, link.url)
    assert "This shop can't take orders here yet. Please ask the shop." in page.text
    assert "form" not in page.tags
    before = await digest(connection, link.store)
    answer = await submit(client, fields)
    assert answer.status_code == 409
    assert "This shop can't take orders here yet. Please ask the shop." in Page(answer.text).text
    assert await digest(connection, link.store) == before


async def test_when_nothing_can_be_bought_no_cart_is_made(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    fields = (await show(client, link.url)).fields
    await connection.execute("update skus set deleted_at = $2 where store_id = $1", link.store.id, clock.now())
    page = await show(client, link.url)
    assert "None of these products can be ordered at the moment." in page.text
    assert "form" not in page.tags
    before = await digest(connection, link.store)
    answer = await submit(client, fields)
    assert answer.status_code == 409
    assert "None of these products can be ordered at the moment." in Page(answer.text).text
    assert await digest(connection, link.store) == before


async def test_an_order_without_any_details(
    client: httpx2.AsyncClient, connection: Connection, app: Starlette, store: Store
) -> None:
    sku = await factories.sku(connection, store)
    await factories.order(connection, store, [factories.Line(sku)], code="X")
    page = await show(client, await url_of(app, connection, store, "X"))
    assert "Payment chosen at the checkout" in page.text
    assert "Delivered" not in page.text
    assert (await submit(client, page.fields)).status_code == 303
    (cart,) = await carts(connection, store)
    assert (cart["billing_address_id"], cart["shipping_address_id"]) == (None, None)


async def test_a_large_order_takes_no_more_statements(
    client: httpx2.AsyncClient, connection: Connection, app: Starlette, store: Store
) -> None:
    skus = [await factories.sku(connection, store) for _ in range(60)]
    await factories.order(connection, store, [factories.Line(sku) for sku in skus], code="X")
    page = await show(client, await url_of(app, connection, store, "X"))
    assert "Products €600.00" in page.text
    assert (await submit(client, page.fields)).status_code == 303
    (cart,) = await carts(connection, store)
    assert len(await items(connection, cart)) == 60


async def test_behind_https_the_cookie_is_secure_and_paths_follow_the_public_url(
    app: Starlette, client: httpx2.AsyncClient, link: Link
) -> None:
    service: Service = app.state.service
    elsewhere = service.settings.model_copy(update={"public_url": "https://api.shop.example/reprise"})
    app.state.service = replace(service, settings=elsewhere)
    answer = await submit(client, (await show(client, link.url)).fields)
    assert answer.headers["location"].startswith("https://api.shop.example/reprise/demo/checkout?store=")
    assert "; Path=/reprise/repeat-order;" in answer.headers["set-cookie"]
    assert answer.headers["set-cookie"].endswith("; Secure")


async def test_tokens_reach_no_log(
    client: httpx2.AsyncClient, link: Link, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    page = await show(client, link.url)
    answer = await submit(client, page.fields)
    await client.get(answer.headers["location"])
    await client.get(link.url.replace("JJ5HH", "OTHER"))
    logged = "".join(capsys.readouterr()) + caplog.text
    session = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["session"]
    assert not [secret for secret in (link.token, session, page.fields["nonce"]) if secret in logged]


# --- the stand-in checkout ---


async def test_the_stand_in_shows_the_cart_of_a_session(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    answer = await submit(client, (await show(client, link.url)).fields)
    before = await digest(connection, link.store)
    page = await show(client, answer.headers["location"])
    assert "Blue <T-Shirt> €50.00 2 × €25.00" in page.text
    assert "Subtotal €59.00 Shipping €4.95 Total €63.95 Tax, included" in page.text
    assert (
        "This page stands in for the shop's own checkout. The order is a test: nothing is charged or sent." in page.text
    )
    assert "form" not in page.tags
    assert await digest(connection, link.store) == before


async def test_the_stand_in_is_there_for_stores_in_test_mode_and_open_carts_only(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    answer = await submit(client, (await show(client, link.url)).fields)
    url = answer.headers["location"]
    session = dict(parse_qsl(urlsplit(url).query))["session"]
    for wrong in (
        f"store={link.store.id + 1}&session={session}",
        f"session={session}",
        f"store={link.store.id}&session={session}x",
        f"store={link.store.id}&session=%00",
        f"store={link.store.id}",
        f"store={2**63}&session={session}",
        f"store=%D9%A1&session={session}",
    ):
        assert (await client.get(f"/demo/checkout?{wrong}")).status_code == 404
    assert (await client.delete(url)).status_code == 405
    await connection.execute("update stores set mode = 'live' where store_id = $1", link.store.id)
    assert (await client.get(url)).status_code == 404
    await connection.execute("update stores set mode = 'test' where store_id = $1", link.store.id)
    await connection.execute("update carts set status = 'abandoned' where store_id = $1", link.store.id)
    assert (await client.get(url)).status_code == 404
