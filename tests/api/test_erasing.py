"""Erasing a customer: no row of the store names the person any more, what is others' stays, links are dead."""

from __future__ import annotations

import httpx2
import pytest

from service import clock
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.steps import ask, bearer, make
from tests.pages import Link, show, submit
from tests.support import Access, Grant

PERSON = ("Sam", "Rivers", "Dorpsstraat", "3511 AA", "+31 30", "sam@example.com", "third floor")


async def rows_of(connection: Connection, store: Store, customer_id: str) -> dict[str, list[str]]:
    """What the tables of a store keep of a customer, row by row."""
    tables = await connection.fetch(
        "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'store_id'"
    )
    rows = {
        table: await connection.fetch(
            f"select t::text from {table} t where store_id = $1 and strpos(t::text, $2) > 0 order by 1",
            store.id,
            customer_id,
        )
        for (table,) in tables
    }
    return {table: [text for (text,) in found] for table, found in rows.items() if found}


async def naming(connection: Connection, store: Store, words: tuple[str, ...]) -> dict[str, list[str]]:
    """The tables of a store with a row that holds one of these words, and which."""
    tables = await connection.fetch(
        "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'store_id'"
    )
    found: dict[str, list[str]] = {}
    for (table,) in tables:
        text = await connection.fetchval(
            f"select coalesce(string_agg(t::text, ''), '') from {table} t where store_id = $1", store.id
        )
        held = [word for word in words if word in text]
        if held:
            found[table] = held
    return found


async def erase(client: httpx2.AsyncClient, customer_id: str, access: Access) -> httpx2.Response:
    data = {"type": "customers", "id": customer_id, "attributes": {"_erase": True}}
    return await client.patch(f"/api/customers/{customer_id}", json={"data": data}, headers=access.headers)


@pytest.mark.rule("FM-36", "FM-80")
async def test_an_erased_customers_links_are_dead_and_nothing_names_them(
    client: httpx2.AsyncClient, connection: Connection, link: Link, integration: Access, grant: Grant
) -> None:
    store = link.store
    customer_id = await connection.fetchval("select customer_id from orders where store_id = $1", store.id)
    email = await connection.fetchval("select customer_email from orders where store_id = $1", store.id)
    await factories.payment_source(connection, store, customer_id, payment_source_token="tok_of_sam")
    await factories.subscription(connection, store, link.order_id)
    await factories.cart(connection, store, customer_id=customer_id, customer_email=email)
    page = await show(client, link.url)
    assert (await submit(client, page.fields)).status_code == 303
    own = await grant(customer_id=customer_id)
    keyed = integration.headers | {"Idempotency-Key": "one"}
    address = {"type": "addresses", "id": (await book(connection, store, customer_id)), "attributes": {"notes": "n"}}
    patched = await client.patch(f"/api/addresses/{address['id']}", json={"data": address}, headers=keyed)
    assert patched.status_code == 200, patched.text
    words = (*PERSON, email, "tok_of_sam")
    assert await naming(connection, store, words)

    answer = await erase(client, customer_id, integration)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["attributes"]["email"] == f"{customer_id}@erased.invalid"
    assert await naming(connection, store, words) == {}
    await show(client, link.url, 410)
    assert (await submit(client, page.fields)).status_code == 410
    read = await client.get(f"/api/repeat_links/{link.id}", headers=integration.headers)
    told = read.json()["data"]["attributes"]
    assert (told["state"], told["revoked_reason"]) == ("revoked", "customer erased")
    assert (await client.get("/api/orders", headers=own.headers)).status_code == 401
    statuses = await connection.fetch("select status from order_subscriptions where store_id = $1", store.id)
    assert [row["status"] for row in statuses] == ["cancelled"]
    order = (await client.get(f"/api/orders/{link.order_id}", headers=integration.headers)).json()["data"]
    assert order["attributes"]["total_amount_cents"] == 5900 + 495
    assert await connection.fetchval("select count(*) from idempotency_keys where store_id = $1", store.id) == 0


async def book(connection: Connection, store: Store, customer_id: str) -> str:
    return await factories.address(connection, store, customer_id=customer_id)


async def test_what_is_others_stays_as_it_is(
    client: httpx2.AsyncClient, connection: Connection, store: Store, link: Link, integration: Access
) -> None:
    somebody = await factories.customer(connection, store)
    await factories.full_order(connection, store, [factories.Line(link.mug)], customer_id=somebody, code="OTHER")
    path = f"/api/v3/{store.id}/orders/OTHER/repeatURL"
    url = (await client.get(path, headers=integration.headers)).json()["repeatOrderUrl"]
    customer_id = await connection.fetchval(
        "select customer_id from orders where store_id = $1 and id = $2", store.id, link.order_id
    )
    assert (await erase(client, customer_id, integration)).status_code == 200
    assert (await client.get(url)).status_code == 200
    kept = await connection.fetchval(
        "select count(*) from addresses where store_id = $1 and customer_id = $2 and line_1 = 'Dorpsstraat 1'",
        store.id,
        somebody,
    )
    assert kept == 2


@pytest.mark.rule("FM-80")
async def test_who_repeats_the_same_things_keeps_orders_and_subscriptions_as_they_are(
    *,
    client: httpx2.AsyncClient,
    database: Database,
    connection: Connection,
    store: Store,
    link: Link,
    integration: Access,
    grant: Grant,
) -> None:
    other = await factories.customer(connection, store, email="bea@example.com")
    order_id = await factories.full_order(connection, store, [factories.Line(link.mug)], customer_id=other)
    own = await factories.address(connection, store, customer_id=other, snapshot=True)
    subscription_id = await factories.subscription(connection, store, order_id, shipping_address_id=own)
    await factories.payment_source(connection, store, other)
    await make(database, store, await ask(database, bearer(store), order_id, subscription_id))
    keyed = (await grant(customer_id=other)).headers | {"Idempotency-Key": "of-the-other"}
    note = {"type": "order_subscriptions", "id": subscription_id, "attributes": {"reference": "bea@example.com"}}
    path = f"/api/order_subscriptions/{subscription_id}"
    patched = await client.patch(path, json={"data": note}, headers=keyed)
    assert patched.status_code == 200, patched.text
    before = await rows_of(connection, store, other)
    assert {"customers", "orders", "addresses", "order_subscriptions", "customer_payment_sources"} <= before.keys()
    erased = await connection.fetchval(
        "select customer_id from orders where store_id = $1 and id = $2", store.id, link.order_id
    )
    await factories.subscription(connection, store, link.order_id)
    assert (await erase(client, erased, integration)).status_code == 200
    assert await rows_of(connection, store, other) == before
    statuses = await connection.fetch(
        "select customer_id, status from order_subscriptions where store_id = $1", store.id
    )
    assert {status["customer_id"]: status["status"] for status in statuses} == {other: "active", erased: "cancelled"}
    again = await client.patch(path, json={"data": note}, headers=keyed)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")


async def test_customers_do_not_erase_themselves(
    client: httpx2.AsyncClient, connection: Connection, link: Link, grant: Grant
) -> None:
    customer_id = await connection.fetchval("select customer_id from orders where store_id = $1", link.store.id)
    answer = await erase(client, customer_id, await grant(customer_id=customer_id))
    assert answer.status_code == 403
    await show(client, link.url)


async def test_nobody_is_erased_while_a_gateway_is_asked_or_an_import_waits(
    client: httpx2.AsyncClient, connection: Connection, link: Link, integration: Access
) -> None:
    customer_id = await connection.fetchval("select customer_id from orders where store_id = $1", link.store.id)
    attempt = {"gateway": "test", "status": "pending", "currency_code": "EUR", "amount_cents": 1, "key": customer_id}
    attempt |= {"order_id": link.order_id, "source_token": "tok_of_sam", "lease_expires_at": clock.now()}
    payment = await factories.insert(connection, "payment_attempts", link.store, **attempt)
    answer = await erase(client, customer_id, integration)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "INVALID_STATE")
    await connection.execute(
        "update payment_attempts set status = 'declined', lease_expires_at = null, answered_at = $2 where id = $1",
        payment, clock.now(),
    )  # fmt: skip
    inputs = [{"type": "addresses", "customer_id": customer_id, "line_1": "Dorpsstraat 1"}]
    waiting = await factories.insert(connection, "imports", link.store, inputs=inputs)
    assert (await erase(client, customer_id, integration)).status_code == 409
    assert await naming(connection, link.store, ("Rivers",)) != {}
    await connection.execute("update imports set inputs = null where id = $1", waiting)
    assert (await erase(client, customer_id, integration)).status_code == 200
    assert await naming(connection, link.store, ("Rivers", "tok_of_sam")) == {}
