"""What one customer keeps is bounded, by whatever way and in however many requests at once it is added to."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from schemas.graph import graph
from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.reorders import document
from tests.checkout.conftest import Holder, ordered, placing, ready
from tests.processes import ROOT, serving
from tests.sealed import session_of
from tests.spec.operating import Batches, add
from tests.spec.writing import Api, resource, to
from tests.support import Access, Grant

ADDRESS = {"first_name": "Ann", "last_name": "Bo", "line_1": "Street 1", "city": "Utrecht", "country_code": "NL"}
QUOTAS = {type_: found.quota for type_, found in graph.items() if found.quota is not None}
MOST = 2


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotas that are quickly used up."""
    for type_, quota in QUOTAS.items():
        monkeypatch.setattr(graph[type_], "quota", replace(quota, most=MOST))


class Shopper:
    """A customer, and what they may have a number of."""

    def __init__(self, connection: Connection, store: Store, customer: str, sku: factories.Sku) -> None:
        self.connection, self.store, self.customer, self.sku = connection, store, customer, sku

    async def order(self) -> str:
        """An order of theirs."""
        return await factories.full_order(
            self.connection, self.store, [factories.Line(self.sku)], customer_id=self.customer
        )

    async def fill(self, type_: str, number: int) -> list[str]:
        """Rows of a type that are theirs and count; none of those that come with them does."""
        return [await self._row(type_, place) for place in range(number)]

    async def _row(self, type_: str, place: int) -> str:
        connection, store, customer = self.connection, self.store, self.customer
        match type_:
            case "addresses":
                await factories.address(connection, store, customer_id=customer, snapshot=True)
                return await factories.address(connection, store, customer_id=customer)
            case "carts":
                at = clock.now()
                await factories.cart(connection, store, customer_id=customer, status="converted", converted_at=at)
                return await factories.cart(connection, store, customer_id=customer, status="abandoned")
            case "customer_payment_sources":
                token = f"tok_of_{customer}_{place}"
                return await factories.payment_source(connection, store, customer, payment_source_token=token)
            case "action_links":
                subscription = await factories.subscription(connection, store, await self.order())
                columns = {"order_subscription_id": subscription, "action": "cancel"}
                at = clock.now() + timedelta(days=30)
                await factories.insert(connection, "action_links", store, expires_at=at, revoked_at=at, **columns)
                return await factories.insert(connection, "action_links", store, expires_at=at, **columns)
            case "order_subscriptions":
                await factories.subscription(connection, store, await self.order(), status="cancelled")
                return await factories.subscription(connection, store, await self.order())
            case _:
                order = await self.order()
                found = "select code from orders where store_id = $1 and id = $2"
                code = await connection.fetchval(found, store.id, order)
                columns = {"order_id": order, "order_code": code, "kind": "custom", "key_id": "k"}
                return await factories.insert(connection, "repeat_links", store, **columns)

    async def one_more(self, type_: str) -> Any:
        """The document that makes one more."""
        whose = {"customer": to("customers", self.customer)}
        match type_:
            case "addresses":
                return resource(type_, ADDRESS, whose)
            case "carts":
                return resource(type_, None, whose)
            case "customer_payment_sources":
                return resource(type_, {"name": "Invoice", "gateway": "manual"}, whose)
            case "action_links":
                subscription = await factories.subscription(self.connection, self.store, await self.order())
                of = {"order_subscription": to("order_subscriptions", subscription)}
                return resource(type_, {"action": "cancel"}, of)
            case "order_subscriptions":
                return resource(type_, {"frequency": "weekly"}, {"source_order": to("orders", await self.order())})
            case _:
                return resource(type_, {"max_uses": 1}, {"order": to("orders", await self.order())})


@pytest.fixture
async def shopper(connection: Connection, store: Store) -> Shopper:
    return Shopper(
        connection, store, await factories.customer(connection, store), await factories.sku(connection, store)
    )


def refused(answer: httpx2.Response, type_: str, pointer: str, most: int = MOST) -> None:
    """It is a problem that says where, how many there may be, and what to do."""
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (422, "QUOTA_EXCEEDED"), answer.text
    assert error["source"] == {"pointer": pointer}
    advice = str(QUOTAS[type_].advice)
    assert error["meta"] == {"limit": most, "suggestion": advice}
    assert f"{most} {type_}" in error["detail"]
    assert advice in error["detail"]


WHERE = {
    "action_links": "/data/relationships/order_subscription/data",
    "order_subscriptions": "/data",
    "repeat_links": "/data/relationships/order/data",
}
ENDING: dict[str, dict[str, Any]] = {
    "action_links": {"_revoke": True}, "order_subscriptions": {"_cancel": True}, "repeat_links": {"_revoke": True},
}  # fmt: skip


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("type_", QUOTAS)
async def test_one_more_is_refused_until_there_is_room(api: Api, shopper: Shopper, type_: str) -> None:
    first, *_ = await shopper.fill(type_, MOST)
    answer = await api.send("POST", type_, await shopper.one_more(type_))
    refused(answer, type_, WHERE.get(type_, "/data/relationships/customer/data"))
    other = Shopper(
        shopper.connection, shopper.store, await factories.customer(shopper.connection, shopper.store), shopper.sku
    )
    assert (await api.send("POST", type_, await other.one_more(type_))).status_code == 201, "another has room"
    if type_ in ENDING:
        assert (await api.update(type_, first, ENDING[type_])).status_code == 200
    else:
        assert (await api.send("DELETE", f"{type_}/{first}")).status_code == 204
    assert (await api.send("POST", type_, await shopper.one_more(type_))).status_code == 201


@pytest.mark.usefixtures("small")
async def test_customers_and_guests_are_told_too(
    client: httpx2.AsyncClient, connection: Connection, store: Store, *, shopper: Shopper, grant: Grant
) -> None:
    await shopper.fill("addresses", MOST)
    signed_in = Api(client, await grant(customer_id=shopper.customer))
    refused(await signed_in.send("POST", "addresses", resource("addresses", ADDRESS)), "addresses", "/data")
    dutch = await signed_in.send("POST", "addresses", resource("addresses", ADDRESS), **{"Accept-Language": "nl"})
    assert "verwijder adressen" in dutch.json()["errors"][0]["detail"]
    cart = await factories.cart(connection, store)
    session = await session_of(connection, store, cart)
    guest = Api(client, Holder(store, session))
    for _ in range(MOST):
        await guest.create("addresses", ADDRESS)
    refused(await guest.send("POST", "addresses", resource("addresses", ADDRESS)), "addresses", "/data")


@pytest.mark.usefixtures("small")
async def test_a_batch_adds_no_more_either(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, *, shopper: Shopper
) -> None:
    whose = {"customer": to("customers", shopper.customer)}
    batch = [add("addresses", ADDRESS, whose)] * (MOST + 1)
    answer = await Batches(client, integration).run(*batch)
    refused(answer, "addresses", f"/atomic:operations/{MOST}/data/relationships/customer/data")
    owned = "select count(*) from addresses where store_id = $1 and customer_id = $2"
    assert await connection.fetchval(owned, store.id, shopper.customer) == 0
    assert (await Batches(client, integration).run(*batch[:MOST])).status_code == 200


@pytest.mark.usefixtures("small")
async def test_a_reorder_makes_no_cart_too_many(api: Api, shopper: Shopper) -> None:
    await shopper.fill("carts", MOST)
    order = await shopper.order()
    answer = await api.send("POST", "reorders", document(order, strategy="new"))
    refused(answer, "carts", "/data/relationships/source_order/data")


@pytest.mark.usefixtures("small")
async def test_nothing_is_paid_for_what_the_wallet_can_not_keep(
    api: Api, connection: Connection, store: Store, shopper: Shopper
) -> None:
    cart = await ready(connection, store, customer_id=shopper.customer)
    order = await ordered(api, cart)
    await shopper.fill("customer_payment_sources", MOST)
    saving = {"_payment_source_token": "tok_approve", "_save_payment_source_to_customer_wallet": True}
    answer = await api.send("PATCH", f"orders/{order['id']}", placing(order["id"], **saving))
    pointer = "/data/attributes/_save_payment_source_to_customer_wallet"
    refused(answer, "customer_payment_sources", pointer)
    attempts = "select count(*) from payment_attempts where store_id = $1"
    assert await connection.fetchval(attempts, store.id) == 0
    del saving["_save_payment_source_to_customer_wallet"]
    answer = await api.send("PATCH", f"orders/{order['id']}", placing(order["id"], **saving))
    assert answer.json()["data"]["attributes"]["status"] == "placed"


@pytest.fixture(scope="module")
def servers(database_url: str) -> Iterator[Sequence[str]]:
    """The URLs of two processes on one database."""
    settings = {"DATABASE_URL": database_url, "REPRISE_SECRET_KEYS": "first-key-of-the-tests"}
    with ExitStack() as held:
        yield [
            held.enter_context(
                serving("serve", "--port", "0", until="answers at", REPRISE_LOG_LEVEL="warning", **settings)
            ).url
            for _ in range(2)
        ]


@pytest.mark.parametrize("type_", ["addresses", "customer_payment_sources"])
async def test_many_at_once_are_never_one_too_many(
    servers: Sequence[str], integration: Access, shopper: Shopper, type_: str
) -> None:
    """Over two real processes, with the real quota."""
    quota = QUOTAS[type_]
    await shopper.fill(type_, quota.most - 3)
    sent = await shopper.one_more(type_)
    async with httpx2.AsyncClient(base_url=servers[0]) as one, httpx2.AsyncClient(base_url=servers[1]) as other:
        answers = await asyncio.gather(
            *(
                (one, other)[n % 2].post(f"/api/{type_}", json=sent, headers=integration.headers, timeout=60)
                for n in range(24)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {201: 3, 422: 21}
    refused(next(a for a in answers if a.status_code == 422), type_, "/data/relationships/customer/data", quota.most)


def test_the_reference_lists_every_quota() -> None:
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    section = page.partition("### Quotas per customer")[2]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE))
    assert listed == {type_: f"{quota.most:_} | {quota.what}".replace("_", " ", 1) for type_, quota in QUOTAS.items()}
