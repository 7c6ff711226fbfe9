"""The page behind a repeat link, looked at: it changes nothing and shows nothing of the customer."""
# ruff: noqa: RUF001 -- a quantity is written with a multiplication sign

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode

import httpx2
import pytest
from starlette.applications import Starlette

from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.pages import Link, Page, carts, change, digest, items, keys, show, submit, url_of

SECRETS = ("Sam", "Rivers", "Dorpsstraat", "Utrecht", "3511 AA", "+31 30", "@example.com", "sam@")


@pytest.mark.rule("FM-30", "FM-32")
async def test_fifty_fetches_write_nothing_and_the_link_still_works(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    before = await digest(connection, link.store)
    assert len(before) > 30
    for method in ("HEAD", "GET"):
        for _ in range(50):
            answer = await client.request(method, link.url, headers={"User-Agent": "SafeLinks scanner"})
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
    assert await digest(connection, link.store) == before
    page = await show(client, link.url)
    assert (await submit(client, page.fields)).status_code == 303


async def test_shows_lines_with_prices_then_and_now_and_the_new_total(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    await factories.set_price(connection, link.store, link.shirt, 3000)
    page = await show(client, link.url)
    assert "Blue <T-Shirt> €60.00 2 × €30.00 each · Before: €25.00" in page.text
    assert "Cotton Mug €9.00 1 × €9.00 each" in page.text
    assert "Products €69.00" in page.text
    assert "Total €73.95" in page.text
    assert "Delivered to S*** R***, 35***" in page.text
    assert "Payment Wire transfer" in page.text
    assert "Parcel, €4.95" in page.text
    assert page.lang == "en"
    assert page.fields.keys() >= {"id", "token", "nonce", "choosing"}


async def test_hints_at_no_postal_code_that_it_will_ask_for_but_in_test_mode(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    await connection.execute("update stores set repeat_link_factor = 'zip_code' where store_id = $1", link.store.id)
    page = await show(client, link.url)
    assert "In this test it is 3511 AA." in page.text
    live = "update stores set mode = 'live', checkout_url = 'https://shop.example/{session}' where store_id = $1"
    await connection.execute(live, link.store.id)
    page = await show(client, link.url)
    assert "Delivered to S*** R***" in page.text
    assert "35" not in page.text


async def test_says_what_is_missing_and_why(
    client: httpx2.AsyncClient, connection: Connection, app: Starlette, store: Store
) -> None:
    few = await factories.sku(connection, store, price=500, stock=2, name="Few")
    none = await factories.sku(connection, store, price=500, stock=0, name="None left")
    gone = await factories.sku(connection, store, price=500, name="Gone", disabled_at=clock.now())
    unpriced = await factories.sku(connection, store, price=None, name="Unpriced")
    lines = [factories.Line(sku, 3, 500) for sku in (few, none, gone, unpriced)]
    order_id = await factories.order(connection, store, lines, code="X")
    await factories.insert(
        connection,
        "line_items",
        store,
        order_id=order_id,
        item_type="shipments",
        name="Post",
        quantity=1,
        currency_code="EUR",
        unit_amount_cents=495,
        total_amount_cents=495,
        position=9,
    )
    page = await show(client, await url_of(app, connection, store, "X"))
    assert "Few €10.00 2 × €5.00 each Only 2 of 3 are in stock." in page.text
    assert "Not available now None left 3 × This product is out of stock." in page.text
    assert "Gone 3 × This product is not available at the moment." in page.text
    assert "Unpriced 3 × This product has no price at the moment." in page.text
    assert "Products €10.00" in page.text
    assert "Post" not in page.text
    assert (await submit(client, page.fields)).status_code == 303
    (cart,) = await carts(connection, store)
    assert await items(connection, cart) == [("Few", 2, 500)]


async def test_options_are_shown_unless_they_are_the_customers_own_words(
    client: httpx2.AsyncClient, connection: Connection, app: Starlette, store: Store
) -> None:
    offered = [{"name": "size", "required": True, "values": ["M", "L"]}, {"name": "engraving", "required": False}]
    ring = await factories.sku(connection, store, name="Ring", options=offered)
    options = {"size": "L", "engraving": "For Anna"}
    await factories.order(connection, store, [factories.Line(ring, options=options)], code="X")
    page = await show(client, await url_of(app, connection, store, "X"))
    assert "Ring €10.00 L, 1 × €10.00 each" in page.text
    assert "Anna" not in page.text
    assert (await submit(client, page.fields)).status_code == 303
    kept = await connection.fetchval("select options ->> 'engraving' from cart_items where store_id = $1", store.id)
    assert kept == "For Anna"


@pytest.mark.rule("FM-35")
async def test_nothing_of_the_customer_is_shown(client: httpx2.AsyncClient, connection: Connection, link: Link) -> None:
    email = await connection.fetchval("select customer_email from orders where store_id = $1", link.store.id)
    page = await show(client, link.url)
    checkout = await submit(client, page.fields)
    for url in (link.url, checkout.headers["location"]):
        answer = await client.get(url)
        assert answer.status_code == 200
        everything = answer.text + str(answer.headers)
        assert [secret for secret in (*SECRETS, email, "third floor") if secret in everything] == []


async def test_headers_and_html_of_every_page(client: httpx2.AsyncClient, link: Link) -> None:
    page = await show(client, link.url)
    location = (await submit(client, page.fields)).headers["location"]
    answers = [
        await client.get(link.url),
        await client.head(link.url),
        await client.get("/repeat-order"),
        await submit(client, page.fields | {"nonce": ""}),
        await client.delete("/repeat-order"),
        await client.get(location),
        await client.get("/demo/checkout"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 410, 400, 405, 200, 404]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        if not answer.text:
            continue
        parsed = Page(answer.text)
        style = base64.b64encode(hashlib.sha256(parsed.style.encode()).digest()).decode()
        assert f"style-src 'sha256-{style}'" in policy
        # The page where there is nothing is the same for all URLs, and has the icon of the docs.
        loaded = {"script", "img", "iframe", "link", "object"} & set(parsed.tags)
        assert loaded == ({"link"} if answer.status_code == 404 else set())
        assert parsed.tags.count("h1") == parsed.tags.count("main") == 1
        # No inline handler or style, which the policy would refuse, and nothing from anywhere else.
        assert [name for name, _ in parsed.attributes if name.startswith("on") or name in ("style", "src")] == []
        assert "http" not in parsed.style


async def test_pictures_are_shown_from_where_the_shop_keeps_them_and_from_nowhere_else(
    client: httpx2.AsyncClient, connection: Connection, app: Starlette, store: Store
) -> None:
    urls = (
        "https://pictures.example/a.png?w=64&h=64",
        "https://pictures.example/b.png",
        "https://cdn.example:8443/c.png",
        "http://plain.example/d.png",
        "https://a.example; script-src *",
        "https://[x",
        None,
    )
    lines = [factories.Line(await factories.sku(connection, store, image_url=url)) for url in urls]
    await factories.order(connection, store, lines, code="X")
    answer = await client.get(await url_of(app, connection, store, "X"))
    page = Page(answer.text)
    assert [value for name, value in page.attributes if name == "src"] == list(urls[:3])
    assert page.tags.count("img") == 3
    assert page.attributes.count(("referrerpolicy", "no-referrer")) == 3
    policy = answer.headers["content-security-policy"]
    assert "; img-src https://cdn.example:8443 https://pictures.example; form-action " in policy
    assert "script-src" not in policy


async def test_speaks_the_readers_language_or_else_the_stores(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    dutch = await show(client, link.url, language="nl-NL,nl;q=0.9,en;q=0.1")
    assert dutch.lang == "nl"
    assert "Opnieuw bestellen" in dutch.text
    assert "€ 63,95" in dutch.text
    await connection.execute("update stores set locale = 'nl_NL' where store_id = $1", link.store.id)
    assert (await show(client, link.url, language="fr")).lang == "nl"
    assert (await show(client, link.url, language="en")).lang == "en"
    # A dead link knows no store.
    assert (await show(client, "/repeat-order", 410, language="fr")).lang == "en"
    assert (await show(client, link.url.replace("JJ5HH", "X"), 410, language="nl")).lang == "nl"


# --- dead links ---


@pytest.mark.rule("FM-34")
async def test_every_link_that_does_not_work_is_the_same_page(
    app: Starlette, client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    now = clock.now()
    other = await factories.order(connection, link.store, code="OTHER")
    live = {"id": "JJ5HH", "token": link.token}
    store_id, link_id, signature = link.token.split(".")
    tokens = {
        "tampered signature": f"{store_id}.{link_id}.{'A' * 43}",
        "other link": f"{store_id}.{clock.new_id()}.{signature}",
        "other store": f"{int(store_id) + 1}.{link_id}.{signature}",
        "no store": f"9.{link_id}.{signature}",
        "empty": "",
        "NUL": "\0",
        "long": "x" * 5000,
        "unicode": "é" * 43,
    }
    urls = [f"/repeat-order?{urlencode(live | {'token': token})}" for token in tokens.values()]
    urls += [f"/repeat-order?{urlencode(live | {'id': code})}" for code in ("OTHER", other, "", "\0")]
    urls += ["/repeat-order", f"/repeat-order?id=JJ5HH&type={link.token}", "/repeat-order?token=%ff&id=%00"]
    bodies = {(await client.get(url)).text for url in urls}
    for changes in (
        {"expires_at": now},
        {"expires_at": None, "max_uses": 1, "uses": 1},
        {"max_uses": None, "revoked_at": now},
        {"revoked_at": None, "token_version": 2},
        {"token_version": 1, "key_id": "gone"},
    ):
        await change(connection, link, changes)
        answer = await client.get(link.url)
        assert answer.status_code == 410, changes
        bodies.add(answer.text)
    assert [(await client.get(url)).status_code for url in urls] == [410] * len(urls)
    assert len(bodies) == 1
    assert "This link doesn't work any more" in bodies.pop().replace("&#39;", "'")
    await change(connection, link, {"key_id": keys(app).newest})
    assert (await client.get(link.url)).status_code == 200


async def test_submitting_a_form_whose_link_died_meanwhile_is_410(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    page = await show(client, link.url)
    await change(connection, link, {"revoked_at": clock.now()})
    before = await digest(connection, link.store)
    answer = await submit(client, page.fields)
    assert answer.status_code == 410
    assert answer.text == (await client.get(link.url)).text
    for spoilt in ({"token": "x"}, {"id": "OTHER"}, {"id": "", "token": ""}):
        assert (await submit(client, page.fields | spoilt)).status_code == 410
    assert await digest(connection, link.store) == before
