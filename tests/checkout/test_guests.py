"""A guest holds the session of a cart: that cart, its addresses and its order, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest
from starlette.applications import Starlette

from service import clock
from service.http.auth import WRONG_SESSIONS
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection, Database
from tests import factories
from tests.checkout.conftest import ADDRESS, Holder, Ready, ordered, ordering, placed, ready
from tests.sealed import session_of
from tests.spec.writing import Api, ids, resource, to
from tests.support import Grant, make_store


@pytest.fixture
async def guests_cart(connection: Connection, store: Store) -> Ready:
    """A cart of nobody's."""
    return await ready(connection, store, billing_address_id=None, shipping_address_id=None)


@pytest.fixture
def guest(client: httpx2.AsyncClient, guests_cart: Ready) -> Api:
    """JSON:API requests with the session of that cart."""
    return Api(client, guests_cart.guest)


async def test_a_guest_checks_out_from_the_cart_to_the_placed_order(
    guest: Api, connection: Connection, store: Store, guests_cart: Ready
) -> None:
    cart = guests_cart
    assert ids(await guest.get("carts")) == [cart.id]
    (item,) = (await guest.get(f"carts/{cart.id}/cart_items"))["data"]
    assert (await guest.update("cart_items", item["id"], {"quantity": 3})).status_code == 200
    methods = await guest.get("shipping_methods")
    assert ids(methods) == [cart.shipping_id]
    address = await guest.create("addresses", ADDRESS)
    assert ids(await guest.get("addresses")) == [address["id"]]
    linked = {"billing_address": to("addresses", address["id"]), "shipping_address": to("addresses", address["id"])}
    assert (await guest.update("carts", cart.id, {"customer_email": "me@example.com"}, linked)).status_code == 200
    order = await ordered(guest, cart)
    assert (order["attributes"]["guest"], order["attributes"]["status"]) == (True, "pending")
    answer = await placed(guest, order["id"])
    assert answer.status_code == 200
    assert answer.json()["data"]["attributes"]["status"] == "placed"
    assert (await guest.update("orders", order["id"], {"_cancel": True})).status_code == 403
    assert ids(await guest.get("orders?include=line_items,shipping_address")) == [order["id"]]
    addresses = ids(await guest.get("addresses"))
    assert address["id"] in addresses
    assert order["relationships"]["shipping_address"]["data"]["id"] in addresses
    row = await connection.fetchrow(
        "select actor_type, actor_id from events where name = 'orders.place' and store_id = $1", store.id
    )
    assert row is not None
    assert tuple(row) == ("carts", cart.id)


async def test_a_guest_sees_and_changes_nothing_else(
    guest: Api, connection: Connection, store: Store, guests_cart: Ready
) -> None:
    customer_id = await factories.customer(connection, store)
    other = await ready(connection, store, customer_id=customer_id)
    shirt = await factories.sku(connection, store)
    order_id = await factories.full_order(connection, store, [factories.Line(shirt)], customer_id=customer_id)
    address_id = await factories.address(connection, store, customer_id=customer_id)
    item_id = await connection.fetchval("select id from cart_items where cart_id = $1", other.id)
    line_id = await connection.fetchval("select id from line_items where order_id = $1", order_id)
    for type_, id_ in (
        ("carts", other.id), ("cart_items", item_id), ("orders", order_id), ("line_items", line_id),
        ("addresses", address_id),
    ):  # fmt: skip
        assert (await guest.send("GET", f"{type_}/{id_}")).status_code == 404, type_
        assert (await guest.update(type_, id_, {"metadata": {"x": 1}})).status_code == 404, type_
    for type_ in ("orders", "line_items"):
        assert ids(await guest.get(type_)) == []
    attempts = [
        resource("carts", {"customer_email": "x@example.com"}),
        resource("orders", None, {"cart": to("carts", other.id)}),
        resource("cart_items", {"sku_code": shirt.code, "quantity": 1}, {"cart": to("carts", other.id)}),
        resource("reorders", None, {"source_order": to("orders", order_id)}),
        resource("customers", {"email": "new@example.com"}),
        resource("tokens", None, {"customer": to("customers", customer_id)}),
    ]
    for document in attempts:
        answer = await guest.send("POST", document["data"]["type"], document)
        assert answer.status_code in (403, 404), (document, answer.text)
    linked = {"billing_address": to("addresses", address_id)}
    assert (await guest.update("carts", guests_cart.id, None, linked)).status_code == 404
    claimed = await guest.update("carts", guests_cart.id, None, {"customer": to("customers", customer_id)})
    assert claimed.status_code == 403
    assert (await guest.send("DELETE", f"carts/{guests_cart.id}")).status_code == 403


@pytest.mark.parametrize("type_", RESOURCES)
async def test_every_other_type_is_refused(guest: Api, type_: str) -> None:
    readable = {"carts", "cart_items", "addresses", "orders", "line_items", "shipping_methods", "payment_methods"}
    writable = readable - {"shipping_methods", "payment_methods"}
    assert (await guest.send("GET", type_)).status_code == (200 if type_ in readable else 403)
    if type_ not in writable and RESOURCES[type_].create is not None:
        assert (await guest.send("POST", type_, resource(type_))).status_code == 403


async def test_no_facade_takes_a_session(client: httpx2.AsyncClient, guests_cart: Ready) -> None:
    headers = guests_cart.guest.headers
    url = f"/api/v3/{guests_cart.store.id}/orders/JJ5HH/repeatURL"
    assert (await client.get(url, headers=headers)).status_code in (401, 403)
    reorder = await client.post(
        "/api/services/webshop/v1/customer/orders/reorder", headers=headers | {"Content-Type": "application/json"},
        content=b'{"order_id": 1}',
    )  # fmt: skip
    assert reorder.status_code == 401


@pytest.mark.rule("FM-25")
async def test_a_guest_with_a_customers_email_gets_none_of_the_customers_orders(
    guest: Api, client: httpx2.AsyncClient, grant: Grant, connection: Connection, guests_cart: Ready
) -> None:
    store = guests_cart.store
    customer_id = await factories.customer(connection, store, email="victim@example.com")
    shirt = await factories.sku(connection, store)
    order_id = await factories.full_order(connection, store, [factories.Line(shirt)], customer_id=customer_id)
    await guest.update("carts", guests_cart.id, {"customer_email": "victim@example.com"})
    mine = await ordered(guest, guests_cart)
    assert mine["relationships"]["customer"]["data"] is None
    assert ids(await guest.get("orders")) == [mine["id"]]
    assert (await guest.send("GET", f"orders/{order_id}")).status_code == 404
    document = resource("reorders", None, {"source_order": to("orders", order_id)})
    assert (await guest.send("POST", "reorders", document)).status_code in (403, 404)
    victim = Api(client, await grant(customer_id=customer_id))
    assert ids(await victim.get("orders")) == [order_id]
    assert (await victim.send("GET", f"orders/{mine['id']}")).status_code == 404


@pytest.mark.parametrize(
    "header",
    ["", "x", "{store}.", "{store}.wrong-session-0123456789", "{other}.{session}", "{session}", "0.{session}",
     "{store}.{session}x", "99999999999999999999.{session}", "{store}.{session}\x7f", "{store}.ü"],
)  # fmt: skip
async def test_what_is_no_session_is_401(
    client: httpx2.AsyncClient, database: Database, guests_cart: Ready, header: str
) -> None:
    other = await make_store(database)
    sent = header.format(store=guests_cart.store.id, other=other.id, session=guests_cart.session)
    headers = [(b"accept", b"application/vnd.api+json"), (b"x-cart-session", sent.encode())]
    answer = await client.get("/api/carts", headers=headers)
    assert answer.status_code == 401
    (error,) = answer.json()["errors"]
    assert (error["code"], error["source"]) == ("INVALID_TOKEN", {"header": "X-Cart-Session"})
    assert guests_cart.session not in answer.text


async def test_too_many_wrong_sessions_are_refused(app: Starlette, store: Store) -> None:
    headers = Holder(store, "wrong-session-0123456789").headers
    there = httpx2.ASGITransport(app, client=("192.0.2.7", 1))
    async with httpx2.AsyncClient(transport=there, base_url="http://127.0.0.1") as client:
        answers = [await client.get("/api/carts", headers=headers) for _ in range(WRONG_SESSIONS.amount + 1)]
    assert [answer.status_code for answer in answers] == [401] * WRONG_SESSIONS.amount + [429]
    assert int(answers[-1].headers["retry-after"]) <= 60


async def test_the_bare_session_beside_a_token_of_the_store(
    client: httpx2.AsyncClient, grant: Grant, database: Database, guests_cart: Ready
) -> None:
    for access in (await grant(), await grant(scopes=["read_carts"])):
        headers = access.headers | {"X-Cart-Session": guests_cart.session}
        answer = await client.get("/api/carts", headers=headers)
        assert ids(answer.json()) == [guests_cart.id]
        assert (await client.get("/api/customers", headers=headers)).status_code == 403
    elsewhere = await grant(store=await make_store(database))
    for session in (guests_cart.session, f"{guests_cart.store.id}.{guests_cart.session}"):
        answer = await client.get("/api/carts", headers=elsewhere.headers | {"X-Cart-Session": session})
        assert answer.status_code == 401


async def test_who_signs_in_at_the_checkout_gets_the_order(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, guests_cart: Ready
) -> None:
    customer_id = await factories.customer(connection, store)
    access = await grant(customer_id=customer_id)
    headers = access.headers | {"X-Cart-Session": guests_cart.session}
    answer = await client.post("/api/orders", json=ordering(guests_cart), headers=headers)
    assert answer.status_code == 201, answer.text
    order = answer.json()["data"]
    assert order["attributes"]["guest"] is False
    (own,) = (await Api(client, access).get("orders"))["data"]
    assert own["id"] == order["id"]
    assert own["relationships"]["customer"]["data"]["id"] == customer_id


async def test_the_session_of_a_customers_cart_tells_nothing_of_the_customer(
    client: httpx2.AsyncClient, connection: Connection, store: Store, cart: Ready
) -> None:
    email = await connection.fetchval("select email from customers where store_id = $1", store.id)
    guest = Api(client, cart.guest)
    order = await ordered(guest, cart)
    for path in (f"carts/{cart.id}", f"orders/{order['id']}?include=cart", "carts", "orders"):
        text = str(await guest.get(path))
        assert (email in text, str(cart.customer_id) in text) == (False, False), path
    for term in (f"filter[q][customer_email_start]={email[:2]}", f"filter[customer]={cart.customer_id}"):
        hidden = await guest.send("GET", f"orders?{term}")
        assert (hidden.status_code, hidden.json()["errors"][0]["code"]) == (400, "FILTER_NOT_ALLOWED")


async def test_another_customer_has_no_use_for_a_customers_session(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, cart: Ready
) -> None:
    other = await grant(customer_id=await factories.customer(connection, store))
    answer = await client.get("/api/carts", headers=other.headers | {"X-Cart-Session": cart.session})
    assert answer.status_code == 401


async def test_a_session_is_over_a_day_after_its_order_or_when_the_cart_is_abandoned(
    guest: Api, connection: Connection, store: Store, guests_cart: Ready
) -> None:
    await ordered(guest, guests_cart)
    assert (await guest.send("GET", "orders")).status_code == 200
    await connection.execute(
        "update carts set converted_at = $2 where store_id = $1", store.id, clock.now() - timedelta(days=1, seconds=1)
    )
    assert (await guest.send("GET", "orders")).status_code == 401
    abandoned = await factories.cart(connection, store, status="abandoned")
    session = await session_of(connection, store, abandoned)
    lost = Api(guest._client, Holder(store, session))  # noqa: SLF001 -- the same client
    assert (await lost.send("GET", "carts")).status_code == 401


async def test_pages_of_other_origins_may_send_the_header(app: Starlette, client: httpx2.AsyncClient) -> None:
    answer = await client.options(
        "/api/carts",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-cart-session",
        },
    )
    assert app is not None
    assert answer.status_code == 200
    assert "x-cart-session" in answer.headers["access-control-allow-headers"].lower()


async def test_answers_depend_on_the_session(guest: Api) -> None:
    answer = await guest.send("GET", "carts")
    assert "x-cart-session" in answer.headers["vary"].lower()
