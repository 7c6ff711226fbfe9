"""Orders of carts that a repeat link made: by its customer, or by who knows what the store asks for."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.checkout.conftest import Ready, order_row, ordering, placed, ready
from tests.factories import Line
from tests.spec.writing import Api, ids, offenders, pointers
from tests.support import Grant

ZIP = "3511 AA"


class Made:
    """A repeat link of an order, and what makes carts of it."""

    def __init__(self, connection: Connection, store: Store, ids: tuple[str, str, str]) -> None:
        self.connection, self.store = connection, store
        self.customer_id, self.order_id, self.id = ids

    async def cart(self, browser: str = "browser") -> Ready:
        """A cart that the link made, with addresses of nobody's."""
        return await ready(
            self.connection,
            self.store,
            customer_email=None,
            repeat_link_id=self.id,
            browser=browser,
        )

    async def uses(self) -> int:
        found = await self.connection.fetchval(
            "select uses from repeat_links where store_id = $1 and id = $2", self.store.id, self.id
        )
        return int(found)

    async def factor(self, rule: str) -> None:
        await self.connection.execute(
            "update stores set repeat_link_factor = $2 where store_id = $1", self.store.id, rule
        )


@pytest.fixture
async def made(connection: Connection, store: Store) -> Made:
    """A link with which an order of sam@example.com is repeated, twice at most."""
    customer_id = await factories.customer(connection, store, email="sam@example.com")
    shirt = await factories.sku(connection, store)
    order_id = await factories.full_order(connection, store, [Line(shirt)], customer_id=customer_id, code="RB-1")
    link_id = await factories.insert(
        connection, "repeat_links", store, order_id=order_id, order_code="RB-1", key_id="k", max_uses=2
    )
    return Made(connection, store, (customer_id, order_id, link_id))


async def ask(client: httpx2.AsyncClient, cart: Ready, factor: str | None = None, **headers: str) -> httpx2.Response:
    attributes = {} if factor is None else {"_repeat_link_factor": factor}
    return await client.post("/api/orders", json=ordering(cart, **attributes), headers=cart.guest.headers | headers)


async def test_nobody_orders_with_the_session_alone(client: httpx2.AsyncClient, made: Made) -> None:
    cart = await made.cart()
    answer = await ask(client, cart)
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["meta"] == {"error": "identity_required", "proof": "sign_in"}
    assert pointers(answer) == ["/data/relationships/cart/data"]
    assert await made.uses() == 0


async def test_its_customer_orders_once_signed_in(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, made: Made
) -> None:
    cart = await made.cart()
    stranger = await grant(customer_id=await factories.customer(connection, store))
    headers = {"Authorization": f"Bearer {stranger.token}"}
    assert (await ask(client, cart, **headers)).status_code == 403
    access = await grant(customer_id=made.customer_id)
    headers = {"Authorization": f"Bearer {access.token}"}
    answer = await ask(client, cart, **headers)
    assert answer.status_code == 201, answer.text
    order = answer.json()["data"]
    row = await order_row(connection, store, order["id"])
    assert (row["customer_id"], row["customer_email"]) == (made.customer_id, "sam@example.com")
    assert (row["source_order_id"], row["root_order_id"]) == (made.order_id, made.order_id)
    assert row["repeat_link_id"] == made.id
    assert await made.uses() == 1
    mine = Api(client, access)
    assert order["id"] in ids(await mine.get("orders"))
    assert (await placed(mine, order["id"])).status_code == 200
    assert await offenders(connection, store) == []


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [("zip_code", "3511aa", "3511 AB"), ("email", "Sam@Example.com", "sam@example.nl")],
)
async def test_who_knows_what_the_store_asks_for_orders_too(
    client: httpx2.AsyncClient, connection: Connection, made: Made, *, rule: str, right: str, wrong: str
) -> None:
    await made.factor(rule)
    cart = await made.cart()
    answer = await ask(client, cart, wrong)
    assert answer.status_code == 422
    assert pointers(answer) == ["/data/attributes/_repeat_link_factor"]
    assert await made.uses() == 0
    answer = await ask(client, cart, right)
    assert answer.status_code == 201, answer.text
    row = await order_row(connection, made.store, answer.json()["data"]["id"])
    assert row["customer_id"] == made.customer_id
    assert await made.uses() == 1


async def test_no_factor_does_where_the_store_wants_customers_to_sign_in(
    client: httpx2.AsyncClient, made: Made
) -> None:
    cart = await made.cart()
    for said in (ZIP, "sam@example.com", ""):
        assert (await ask(client, cart, said)).status_code in (403, 422)
    assert await made.uses() == 0


async def test_the_shop_itself_needs_no_factor(api: Api, made: Made) -> None:
    cart = await made.cart()
    assert (await api.send("POST", "orders", ordering(cart))).status_code == 201
    assert await made.uses() == 1


async def test_a_link_leads_to_no_more_orders_than_it_may(api: Api, connection: Connection, made: Made) -> None:
    carts = [await made.cart(f"browser-{n}") for n in range(8)]
    answers = await asyncio.gather(*(api.send("POST", "orders", ordering(cart)) for cart in carts))
    assert sorted(answer.status_code for answer in answers) == [201, 201] + [410] * 6
    assert await made.uses() == 2
    assert await offenders(connection, made.store) == []


async def test_a_withdrawn_link_makes_no_orders(api: Api, connection: Connection, made: Made) -> None:
    cart = await made.cart()
    await connection.execute("update repeat_links set revoked_at = created_at where store_id = $1", made.store.id)
    assert (await api.send("POST", "orders", ordering(cart))).status_code == 410


async def test_the_addresses_of_the_order_stay_hidden_from_who_only_has_the_link(
    client: httpx2.AsyncClient, made: Made
) -> None:
    cart = await made.cart()
    guest = Api(client, cart.guest)
    assert ids(await guest.get("addresses")) == []
    shown = (await guest.get(f"carts/{cart.id}"))["data"]["relationships"]["shipping_address"]["data"]
    assert (await guest.send("GET", f"addresses/{shown['id']}")).status_code == 404
    assert (await guest.get(f"carts/{cart.id}?include=shipping_address"))["included"] == []
