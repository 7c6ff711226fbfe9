"""Wallets: integrations fill them, what paid goes into them when that is asked for, and nobody pays from another's."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service.jobs.pay import PaymentJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import counted, factories, sealed
from tests.checkout.conftest import Holder, ordered, placed, placing, ready
from tests.gateways import SECRET, example, nearby
from tests.jobs.paying import Run, prepare
from tests.jobs.steps import names_of
from tests.spec.writing import Api, offenders, pointers, to
from tests.support import Grant

WALLET = "_save_payment_source_to_customer_wallet"
SUBSCRIPTION = "_save_payment_source_to_order_subscription"


async def source_row(connection: Connection, store: Store, id_: str) -> Any:
    query = "select * from customer_payment_sources where store_id = $1 and id = $2"
    row = await connection.fetchrow(query, store.id, id_)
    return None if row is None else sealed.opened(connection, "customer_payment_sources", row)


async def sources_of(connection: Connection, store: Store, customer_id: str) -> list[Any]:
    query = "select * from customer_payment_sources where store_id = $1 and customer_id = $2 order by id"
    rows = await connection.fetch(query, store.id, customer_id)
    return [sealed.opened(connection, "customer_payment_sources", row) for row in rows]


async def put(api: Api, customer_id: str, token: str, **attributes: Any) -> Any:
    """A source in a customer's wallet, as integrations put it there."""
    return await api.create(
        "customer_payment_sources",
        {"payment_source_token": token, **attributes},
        {"customer": to("customers", customer_id)},
    )


@pytest.mark.rule("FM-118")
async def test_a_run_is_paid_from_a_source_that_an_integration_put_into_the_wallet(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    run = await prepare(database, connection, store, token="tok_decline_hard")
    made = await put(api, run.customer_id, "card_of_anna", customer_token="cus_anna")
    assert made["attributes"]["gateway"] == "test", "a store in test mode needs no more than the token"
    answer = await api.update(
        "order_subscriptions",
        run.subscription_id,
        None,
        {"customer_payment_source": to("customer_payment_sources", made["id"])},
    )
    assert answer.status_code == 200, answer.text
    await run.begin()
    await run.pay()
    assert (await run.order())["status"] == "placed"
    (attempt,) = await run.attempts()
    assert (attempt["source_token"], attempt["customer_payment_source_id"]) == ("card_of_anna", made["id"])
    assert await offenders(connection, store) == []


@pytest.mark.rule("FM-118")
async def test_tokens_of_a_source_are_kept_and_never_shown(api: Api, connection: Connection, store: Store) -> None:
    customer_id = await factories.customer(connection, store)
    made = await put(api, customer_id, "card_1", customer_token="cus_1", name="Visa ending in 4242")
    changed = await api.update("customer_payment_sources", made["id"], {"payment_source_token": "card_2"})
    assert changed.status_code == 200
    row = await source_row(connection, store, made["id"])
    assert (row["payment_source_token"], row["customer_token"], row["version"]) == ("card_2", "cus_1", 2)
    again = await api.update("customer_payment_sources", made["id"], {"payment_source_token": "card_2"})
    assert again.json()["data"]["meta"]["version"] == 2, "nothing changed"
    events = await connection.fetchval("select string_agg(payload::text, '') from events where store_id = $1", store.id)
    listed = await api.send("GET", f"customers/{customer_id}?include=customer_payment_sources")
    for text in (events, listed.text, changed.text, str(made)):
        assert not any(token in text for token in ("card_1", "card_2", "cus_1"))
    blank = await api.update("customer_payment_sources", made["id"], {"payment_source_token": " "})
    assert (blank.status_code, pointers(blank)) == (422, ["/data/attributes/payment_source_token"])


@pytest.mark.rule("FM-118")
async def test_a_source_has_the_gateway_of_its_payment_method_else_that_of_its_store(
    api: Api, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    method_id = await factories.payment_method(connection, store, gateway="manual")
    whose = {"customer": to("customers", customer_id)}
    through = whose | {"payment_method": to("payment_methods", method_id)}
    assert (await api.create("customer_payment_sources", None, through))["attributes"]["gateway"] == "manual"
    refused = await api.send(
        "POST",
        "customer_payment_sources",
        {"data": {"type": "customer_payment_sources", "attributes": {"gateway": "test"}, "relationships": through}},
    )
    assert (refused.status_code, pointers(refused)) == (422, ["/data/relationships/payment_method/data"])
    await connection.execute("update stores set gateway_url = 'https://pay.example/' where store_id = $1", store.id)
    await sealed.put(connection, store, "stores", str(store.id), gateway_secret=SECRET)
    assert (await api.create("customer_payment_sources", None, whose))["attributes"]["gateway"] == "external"
    await connection.execute("update stores set gateway_url = null, mode = 'live' where store_id = $1", store.id)
    document = {"data": {"type": "customer_payment_sources", "relationships": whose}}
    nothing = await api.send("POST", "customer_payment_sources", document)
    assert nothing.status_code == 422
    assert "gateway" in nothing.json()["errors"][0]["detail"]


@pytest.mark.rule("FM-118")
async def test_customers_put_nothing_into_their_wallet_by_themselves(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    source_id = await factories.payment_source(connection, store, customer_id, gateway="test")
    own = Api(client, await grant(customer_id=customer_id))
    document = {"data": {"type": "customer_payment_sources", "attributes": {"name": "Mine"}}}
    assert (await own.send("POST", "customer_payment_sources", document)).status_code == 403
    changed = await own.update("customer_payment_sources", source_id, {"payment_source_token": "card_2"})
    assert changed.status_code == 403


@pytest.mark.rule("FM-118")
@pytest.mark.parametrize("later", [False, True])
async def test_what_paid_is_saved_to_the_wallet_once(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, *, later: bool
) -> None:
    customer_id = await factories.customer(connection, store)
    buyer = Api(client, await grant(customer_id=customer_id))
    for number in (1, 2):
        order = await ordered(buyer, await ready(connection, store, customer_id=customer_id))
        with_it = {} if later else {WALLET: True}
        document = placing(order["id"], _payment_source_token="card_new", **with_it)
        answer = await buyer.send("PATCH", f"orders/{order['id']}", document)
        assert answer.status_code == 200, answer.text
        if later:
            assert await sources_of(connection, store, customer_id) == [] or number == 2
            answer = await buyer.update("orders", order["id"], {WALLET: True})
            assert answer.status_code == 200, answer.text
        (saved,) = await sources_of(connection, store, customer_id)
        assert (saved["payment_source_token"], saved["gateway"]) == ("card_new", "test")
        linked = answer.json()["data"]["relationships"]["customer_payment_source"]["data"]
        assert linked == {"type": "customer_payment_sources", "id": saved["id"]}
        assert await names_of(connection, store, saved["id"]) == ["customer_payment_sources.create"]
    assert await offenders(connection, store) == []


@pytest.mark.rule("FM-118")
async def test_what_was_refused_is_not_saved(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    buyer = Api(client, await grant(customer_id=customer_id))
    order = await ordered(buyer, await ready(connection, store, customer_id=customer_id))
    early = await buyer.update("orders", order["id"], {WALLET: True})
    assert (early.status_code, pointers(early)) == (409, [f"/data/attributes/{WALLET}"])
    document = placing(order["id"], _payment_source_token="tok_decline", **{WALLET: True})
    assert (await buyer.send("PATCH", f"orders/{order['id']}", document)).status_code == 402
    assert await sources_of(connection, store, customer_id) == []
    assert (await placed(buyer, order["id"], "card_not_asked_for")).status_code == 200
    assert await sources_of(connection, store, customer_id) == [], "that it was asked for went with the refused payment"


@pytest.mark.rule("FM-118")
async def test_a_guest_has_no_wallet(client: httpx2.AsyncClient, connection: Connection, store: Store) -> None:
    cart = await ready(connection, store)
    guest = Api(client, cart.guest)
    order = await ordered(guest, cart)
    document = placing(order["id"], _payment_source_token="card_guest", **{WALLET: True})
    answer = await guest.send("PATCH", f"orders/{order['id']}", document)
    assert (answer.status_code, pointers(answer)) == (422, [f"/data/attributes/{WALLET}"])
    no_run = await guest.send(
        "PATCH", f"orders/{order['id']}", placing(order["id"], _payment_source_token="c", **{SUBSCRIPTION: True})
    )
    assert (no_run.status_code, pointers(no_run)) == (422, [f"/data/attributes/{SUBSCRIPTION}"])


async def renewal(database: Database, connection: Connection, store: Store) -> Run:
    """A renewal that the card in the wallet is refused for, for good."""
    run = await prepare(database, connection, store, token="tok_decline_hard")
    await run.begin()
    await run.pay()
    assert await run.statuses() == ["declined"]
    return run


@pytest.mark.rule("FM-118")
@pytest.mark.parametrize("later", [False, True])
async def test_a_card_that_pays_a_failed_renewal_pays_the_next_ones_when_asked(
    client: httpx2.AsyncClient,
    grant: Grant,
    database: Database,
    connection: Connection,
    store: Store,
    *,
    later: bool,
) -> None:
    run = await renewal(database, connection, store)
    order = await run.order()
    buyer = Api(client, await grant(customer_id=run.customer_id))
    asked = {SUBSCRIPTION: True}
    document = placing(order["id"], _payment_source_token="card_good", **({} if later else asked))
    assert (await buyer.send("PATCH", f"orders/{order['id']}", document)).status_code == 200
    if later:
        assert (await run.subscription())["customer_payment_source_id"] == run.source_id
        assert (await buyer.update("orders", order["id"], asked)).status_code == 200
    subscription = await run.subscription()
    saved = await source_row(connection, store, subscription["customer_payment_source_id"])
    assert (saved["payment_source_token"], saved["customer_id"]) == ("card_good", run.customer_id)
    assert (await run.events())[-1] in ("order_subscriptions.update", "order_subscriptions.last_run_succeeded")
    await run.begin()
    (newest,) = await connection.fetch(
        "select * from orders where store_id = $1 and order_subscription_id = $2 and status = 'placing'",
        store.id,
        run.subscription_id,
    )
    await PaymentJob(database, nearby()).go_on(store.id, newest["id"])
    assert (await run.statuses())[-1] == "authorized"
    assert (await run.attempts())[-1]["source_token"] == "card_good"
    assert await offenders(connection, store) == []


@pytest.mark.rule("FM-118")
async def test_another_source_of_the_wallet_becomes_the_subscriptions_as_it_is(
    client: httpx2.AsyncClient, grant: Grant, database: Database, connection: Connection, store: Store
) -> None:
    run = await renewal(database, connection, store)
    order = await run.order()
    other_id = await factories.payment_source(
        connection, store, run.customer_id, gateway="test", payment_source_token="card_other"
    )
    buyer = Api(client, await grant(customer_id=run.customer_id))
    document = placing(order["id"], **{SUBSCRIPTION: True})
    document["data"]["relationships"] = {"customer_payment_source": to("customer_payment_sources", other_id)}
    answer = await buyer.send("PATCH", f"orders/{order['id']}", document)
    assert answer.status_code == 200, answer.text
    assert (await run.subscription())["customer_payment_source_id"] == other_id
    assert len(await sources_of(connection, store, run.customer_id)) == 2


@pytest.mark.rule("FM-119")
async def test_nobody_pays_with_a_token_of_another_wallet(
    api: Api, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    anna, ben = [await factories.customer(connection, store) for _ in range(2)]
    await put(api, anna, "card_of_anna")
    of_ben = Api(client, await grant(customer_id=ben))
    order = await ordered(of_ben, await ready(connection, store, customer_id=ben))
    for who in (of_ben, api):
        answer = await placed(who, order["id"], "card_of_anna")
        assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/_payment_source_token"])
        assert answer.json()["errors"][0]["meta"]["error"] == "foreign_payment_source"
    cart = await ready(connection, store)
    guest = Api(client, cart.guest)
    answer = await placed(guest, (await ordered(guest, cart))["id"], "card_of_anna")
    assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/_payment_source_token"])
    assert await connection.fetchval("select count(*) from payment_attempts where store_id = $1", store.id) == 0
    of_anna = Api(client, await grant(customer_id=anna))
    hers = await ordered(of_anna, await ready(connection, store, customer_id=anna))
    assert (await placed(of_anna, hers["id"], "card_of_anna")).status_code == 200


@pytest.mark.rule("FM-119")
async def test_a_guest_with_an_order_of_a_customer_does_not_pay_with_the_customers_token(
    client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store
) -> None:
    anna = await factories.customer(connection, store)
    await put(api, anna, "card_of_anna")
    cart = await ready(connection, store)
    guest = Api(client, Holder(store, cart.session))
    order = await ordered(guest, cart)
    await connection.execute(
        "update orders set customer_id = $3 where store_id = $1 and id = $2", store.id, order["id"], anna
    )
    await counted.anew(connection, store)
    answer = await placed(guest, order["id"], "card_of_anna")
    assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/_payment_source_token"])


@pytest.mark.rule("FM-119")
async def test_a_token_is_in_one_customers_wallet(api: Api, connection: Connection, store: Store) -> None:
    anna, ben = [await factories.customer(connection, store) for _ in range(2)]
    await put(api, anna, "card_of_anna")
    for_ben = {
        "data": {
            "type": "customer_payment_sources",
            "attributes": {"payment_source_token": "card_of_anna"},
            "relationships": {"customer": to("customers", ben)},
        }
    }
    answer = await api.send("POST", "customer_payment_sources", for_ben)
    assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/payment_source_token"])
    his = await put(api, ben, "card_of_ben")
    moved = await api.update("customer_payment_sources", his["id"], {"payment_source_token": "card_of_anna"})
    assert (moved.status_code, pointers(moved)) == (422, ["/data/attributes/payment_source_token"])
    for customer_id in (anna, ben):
        await put(api, customer_id, "tok_approve")


@pytest.mark.rule("FM-119")
async def test_a_shops_gateway_is_told_the_customer_and_the_source(
    api: Api, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    async with example() as gateway:
        await gateway.serve(connection, store)
        source = await put(api, customer_id, "card_of_anna", customer_token="cus_anna")
        buyer = Api(client, await grant(customer_id=customer_id))
        for token, saves in (("card_of_anna", False), ("tok_once", True)):
            order = await ordered(buyer, await ready(connection, store, customer_id=customer_id, gateway="external"))
            document = placing(order["id"], _payment_source_token=token, **({WALLET: True} if saves else {}))
            answer = await buyer.send("PATCH", f"orders/{order['id']}", document)
            assert answer.status_code == 200, answer.text
        first, second = (await gateway.books())["told"]
    assert (first["customer_id"], first["customer_payment_source_id"]) == (customer_id, source["id"])
    assert (first["customer_token"], first["save_source"]) == ("cus_anna", False)
    assert (second["customer_id"], second["customer_payment_source_id"]) == (customer_id, None)
    assert second["save_source"] is True
    _, saved = await sources_of(connection, store, customer_id)
    assert saved["payment_source_token"] == "kept_tok_once", "the gateway's own name for it from then on"
