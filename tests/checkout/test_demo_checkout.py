"""The stand-in checkout of stores in test mode, from the cart to the order that is placed."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.checkout.conftest import Ready, ready
from tests.pages import FORM, Page, digest
from tests.spec.writing import offenders

TYPED = {
    "email": "gus@example.com",
    "first_name": "Gus",
    "last_name": "Guest",
    "line_1": "Nieuwstraat 7",
    "zip_code": "2611 AB",
    "city": "Delft",
    "country_code": "NL",
    "card": "card_approved",
}


@pytest.fixture
async def bare(connection: Connection, store: Store) -> Ready:
    """A guest's cart without an address or a way to ship and to pay."""
    return await ready(
        connection, store, billing_address_id=None, shipping_address_id=None, customer_email=None,
        shipping_method_id=None, payment_method_id=None,
    )  # fmt: skip


def url_of(cart: Ready) -> str:
    return f"/demo/checkout?store={cart.store.id}&session={cart.session}"


async def show(client: httpx2.AsyncClient, cart: Ready, language: str = "en") -> Page:
    answer = await client.get(url_of(cart), headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def hidden(page: Page) -> dict[str, str]:
    return {name: page.fields[name] for name in ("store", "session", "nonce", "shown")}


async def send(client: httpx2.AsyncClient, fields: Mapping[str, str]) -> httpx2.Response:
    return await client.post("/demo/checkout", content=urlencode(fields), headers=FORM)


async def test_a_guest_orders_without_a_script(
    client: httpx2.AsyncClient, connection: Connection, store: Store, bare: Ready
) -> None:
    page = await show(client, bare)
    assert TYPED.keys() <= page.fields.keys()
    assert "script" not in page.tags
    chosen = {"shipping_method": bare.shipping_id, "payment_method": bare.payment_id}
    answer = await send(client, hidden(page) | TYPED | chosen)
    assert answer.status_code == 303, Page(answer.text).text
    assert answer.headers["location"] == f"http://127.0.0.1{url_of(bare)}"
    assert answer.headers["cache-control"] == "no-store"
    order = await connection.fetchrow("select * from orders where store_id = $1", store.id)
    assert order is not None
    assert (order["status"], order["customer_email"], order["guest"]) == ("placed", "gus@example.com", True)
    placed = await show(client, bare)
    assert "Thank you for your order" in placed.text
    assert order["code"] in placed.text
    assert "€54.95" in placed.text
    for private in ("gus@example.com", "Nieuwstraat", "Gus Guest", "Guest"):
        assert private not in placed.text
    assert await offenders(connection, store) == []


@pytest.mark.parametrize("gateway", ["test", "manual"])
async def test_cards_are_for_ways_to_pay_that_take_them(
    client: httpx2.AsyncClient, connection: Connection, bare: Ready, gateway: str
) -> None:
    await connection.execute("update payment_methods set gateway = $2 where store_id = $1", bare.store.id, gateway)
    assert ("Test card" in (await show(client, bare)).text) == (gateway == "test")


async def test_a_declined_card_is_told_and_another_one_places_the_same_order(
    client: httpx2.AsyncClient, connection: Connection, store: Store, bare: Ready
) -> None:
    chosen = {"shipping_method": bare.shipping_id, "payment_method": bare.payment_id}
    for card, problem in (("card_declined", "The card was declined."), ("card_silent", "The bank did not answer.")):
        answer = await send(client, hidden(await show(client, bare)) | TYPED | chosen | {"card": card})
        assert answer.status_code == 402
        page = Page(answer.text)
        assert f"{problem} Nothing was ordered or charged" in page.text
        assert "email" not in page.fields
    answer = await send(client, hidden(page) | {"card": "card_approved", "payment_method": bare.payment_id})
    assert answer.status_code == 303
    rows = await connection.fetch("select status from orders where store_id = $1", store.id)
    assert [row["status"] for row in rows] == ["placed"]
    assert await factories.stock(connection, store, bare.shirt) == 8


async def test_what_was_typed_wrong_is_told_and_kept_in_the_form(
    client: httpx2.AsyncClient, connection: Connection, store: Store, bare: Ready
) -> None:
    wrong = TYPED | {"country_code": "Nowhere", "city": ""}
    before = await digest(connection, store)
    answer = await send(client, hidden(await show(client, bare)) | wrong)
    assert answer.status_code == 422
    page = Page(answer.text)
    assert "That didn't work" in page.text
    assert page.fields["line_1"] == "Nieuwstraat 7"
    assert await digest(connection, store) == before


async def test_out_of_stock_is_told_on_the_page(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    cart = await ready(connection, store, stock=1)
    answer = await send(client, hidden(await show(client, cart)) | {"card": "card_approved"})
    assert answer.status_code == 422
    assert "Shirt" in Page(answer.text).text
    assert await connection.fetchval("select count(*) from orders where store_id = $1", store.id) == 0


@pytest.mark.parametrize("nonce", ["", "x", "other"])
async def test_only_the_page_that_was_shown_can_be_submitted(
    client: httpx2.AsyncClient, connection: Connection, store: Store, bare: Ready, nonce: str
) -> None:
    other = await ready(connection, store)
    sent = hidden(await show(client, other))["nonce"] if nonce == "other" else nonce
    before = await digest(connection, store)
    answer = await send(client, hidden(await show(client, bare)) | TYPED | {"nonce": sent})
    assert answer.status_code == 400
    assert "Please open the page again" in Page(answer.text).text
    assert await digest(connection, store) == before


async def test_it_is_shown_in_dutch_and_sets_no_cookie(client: httpx2.AsyncClient, bare: Ready) -> None:
    answer = await client.get(url_of(bare), headers={"Accept-Language": "nl"})
    page = Page(answer.text)
    assert page.lang == "nl"
    assert "Bestelling plaatsen" in page.text
    assert "set-cookie" not in answer.headers
    assert "form-action 'self'" in answer.headers["content-security-policy"]
    declined = await send(client, hidden(page) | TYPED)
    assert declined.status_code == 422


async def test_fifty_looks_change_nothing(
    client: httpx2.AsyncClient, connection: Connection, store: Store, bare: Ready
) -> None:
    before = await digest(connection, store)
    for _ in range(25):
        await client.get(url_of(bare))
        await client.head(url_of(bare))
    assert await digest(connection, store) == before


async def test_stores_in_live_mode_have_none(
    client: httpx2.AsyncClient, connection: Connection, store: Store, bare: Ready
) -> None:
    fields = hidden(await show(client, bare))
    await connection.execute("update stores set mode = 'live' where store_id = $1", store.id)
    assert (await client.get(url_of(bare))).status_code == 404
    assert (await send(client, fields | TYPED)).status_code == 404
