"""Customers who see to an unpaid run themselves: the link that pays it, and the card and the button of the portal."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import httpx2
import pytest

from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.operations.orders import owed
from service.operations.subscriptions import link_uses
from service.principal import Store
from service.rules.named_tokens import NamedKeys
from service.store.pool import Connection, Database
from tests import factories
from tests.api.pressing import nonce, press
from tests.gateways import example, nearby
from tests.jobs.paying import Run
from tests.jobs.steps import offences
from tests.jobs.test_failure_types import scheduled, sweep_and_make
from tests.jobs.test_worker import until
from tests.servers import server
from tests.spec.writing import Api, pointers, resource, to
from tests.support import KEYS

TABLES = ("action_links", "order_subscriptions", "orders", "payment_attempts", "customer_payment_sources", "events")


@pytest.fixture
async def unpaid(database: Database, connection: Connection, store: Store) -> Run:
    """A subscription whose first run waits to be paid."""
    run = await scheduled(database, connection, store)
    await run.token("tok_decline")
    await sweep_and_make(run)
    await run.pay()
    return run


async def link(api: Api, run: Run, action: str, **attributes: Any) -> str:
    """The path of a new link."""
    related = {"order_subscription": to("order_subscriptions", run.subscription_id)}
    made = await api.create("action_links", {"action": action, **attributes}, related)
    return str(httpx2.URL(made["attributes"]["url"]).path)


async def everything(run: Run) -> list[Any]:
    """What can change in a store by what such a link does."""
    found = []
    for table in TABLES:
        rows = await run.connection.fetch(f"select * from {table} where store_id = $1 order by id", run.store.id)
        found.append([dict(row) for row in rows])
    return found


async def test_looking_pays_nothing_and_twenty_who_press_pay_once(
    unpaid: Run, api: Api, client: httpx2.AsyncClient
) -> None:
    path = await link(api, unpaid, "pay")
    before = await everything(unpaid)
    for method in ["GET", "HEAD"] * 25:
        assert (await client.request(method, path, headers={"Sec-Purpose": "prefetch"})).status_code == 200
    assert await everything(unpaid) == before
    page = await client.get(path)
    assert "is not paid yet" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    dutch = await client.get(path, headers={"Accept-Language": "nl"})
    assert "is nog niet betaald" in dutch.text
    await unpaid.token("tok_approve")
    field = {"nonce": nonce(page)}
    answers = await asyncio.gather(*(client.post(path, data=field) for _ in range(20)))
    assert 303 in {answer.status_code for answer in answers} <= {303, 409, 503}
    assert await unpaid.statuses() == ["declined", "authorized"]
    assert (await unpaid.order())["status"] == "placed"
    done = await client.get(path)
    assert "This was done on" in done.text
    assert "<button" not in done.text
    uses = "select count(*) from events where store_id = $1 and name = 'action_links.use'"
    assert await unpaid.connection.fetchval(uses, unpaid.store.id) == 1
    assert await offences(unpaid.connection, unpaid.store) == []


async def test_a_refusal_is_said_and_the_link_goes_on_working(
    unpaid: Run, api: Api, client: httpx2.AsyncClient
) -> None:
    path = await link(api, unpaid, "pay")
    refused = await press(client, path)
    assert refused.status_code == 402
    assert "nothing was charged: The card was declined." in refused.text
    assert await unpaid.statuses() == ["declined", "declined"]
    await unpaid.token("tok_approve")
    assert (await press(client, path)).status_code == 303
    assert await unpaid.statuses() == ["declined", "declined", "authorized"]


async def test_a_card_that_is_refused_for_good_is_not_asked_again(
    unpaid: Run, api: Api, client: httpx2.AsyncClient
) -> None:
    await unpaid.token("tok_decline_hard")
    path = await link(api, unpaid, "pay")
    assert (await press(client, path)).status_code == 402
    before = await unpaid.statuses()
    again = await press(client, path)
    assert again.status_code == 409
    assert "Please choose another one." in again.text
    assert await unpaid.statuses() == before


async def test_what_was_killed_on_the_way_is_charged_once(unpaid: Run, api: Api, client: httpx2.AsyncClient) -> None:
    """The process died after it had noted the payment: a worker goes on, and the link has nothing left to do."""
    path = await link(api, unpaid, "pay")
    await unpaid.token("tok_approve")
    keys = NamedKeys(KEYS, "action link")
    async with unpaid.database.transaction() as held:
        opened = await link_uses.open_link(held, keys, path.rpartition("/")[2], hold=True)
        begun = await owed.use(held, opened, (await link_uses.prospect(held, opened)).shown)
    assert begun is not None, "its gateway was to be asked, and never was"
    assert (await unpaid.order())["status"] == "placing"
    await unpaid.leases_end()
    job = PaymentJob(unpaid.database, nearby())
    order_id = (await unpaid.order())["id"]
    await asyncio.gather(*(job.go_on(unpaid.store.id, order_id) for _ in range(3)))
    assert ((await unpaid.order())["status"], await unpaid.statuses()) == ("placed", ["declined", "authorized"])
    page = await client.get(path)
    assert "This delivery is paid." in page.text
    assert "<button" not in page.text
    assert await offences(unpaid.connection, unpaid.store) == []


async def test_a_server_killed_between_the_charge_and_its_answer_has_charged_once(
    *, database: Database, connection: Connection, store: Store, api: Api, client: httpx2.AsyncClient, database_url: str
) -> None:
    """The gateway has taken the money when the process dies; whoever presses again meanwhile is charged nothing."""
    async with example() as gateway:
        await gateway.serve(connection, store)
        run = await scheduled(database, connection, store, gateway="external")
        await run.token("tok_short")
        await sweep_and_make(run)
        await run.pay()
        path = await link(api, run, "pay")
        await run.token("tok_slow")

        async def charged() -> bool:
            return [one["status"] for one in (await gateway.payments()).values()] == ["declined", "authorized"]

        async with server(database_url, "--near") as (process, dying):
            pressed = asyncio.create_task(press(dying, path))
            await until(charged)
            process.send_signal(signal.SIGKILL)
            with pytest.raises(httpx2.TransportError):
                await pressed
            assert await process.wait() == -signal.SIGKILL
        assert (await run.order())["status"] == "placing"
        assert "The payment is under way" in (await client.get(path)).text
        async with server(database_url, "--near") as (_, other):
            page = await other.get(path)
            assert "<button" not in page.text
            await run.leases_end()
            job, order_id = PaymentJob(database, nearby()), (await run.order())["id"]
            await asyncio.gather(*(job.go_on(store.id, order_id) for _ in range(3)))
            assert "This delivery is paid." in (await other.get(path)).text
        assert await charged(), "the card was asked for it once"
        assert ((await run.order())["status"], await run.statuses()) == ("placed", ["declined", "authorized"])
        assert await offences(connection, store) == []


async def test_a_link_to_pay_is_about_a_run_that_is_owed(unpaid: Run, api: Api) -> None:
    related = {"order_subscription": to("order_subscriptions", unpaid.subscription_id)}
    wrong = await api.send(
        "POST", "action_links", resource("action_links", {"action": "pay", "occurrence_index": 7}, related)
    )
    assert (wrong.status_code, pointers(wrong)) == (422, ["/data/attributes/occurrence_index"])
    await unpaid.token("tok_approve")
    order_id = (await unpaid.order())["id"]
    assert (await api.update("orders", order_id, {"_place": True})).status_code == 200
    over = await api.send("POST", "action_links", resource("action_links", {"action": "pay"}, related))
    assert (over.status_code, pointers(over)) == (422, ["/data/attributes/action"])


async def test_an_extra_run_is_paid_like_any_other(
    unpaid: Run, api: Api, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    """It has no index: its link names the order."""
    scheduled_order = (await unpaid.order())["id"]
    assert (await api.update("order_subscriptions", unpaid.subscription_id, {"_run_now": True})).status_code == 200
    (copy,) = (await api.get("recurring_order_copies?filter[status]=pending"))["data"]
    assert await CopyJob(unpaid.database).make(store.id, [copy["id"]]) is None
    orders = "select id from orders where store_id = $1 and order_subscription_id = $2 and id <> $3"
    extra = await connection.fetchval(orders, store.id, unpaid.subscription_id, scheduled_order)
    await PaymentJob(unpaid.database, nearby()).go_on(store.id, extra)
    assert await unpaid.statuses() == ["declined", "declined"]
    related = {"order_subscription": to("order_subscriptions", unpaid.subscription_id)}
    oldest = await api.create("action_links", {"action": "pay"}, related)
    assert (await api.get(f"action_links/{oldest['id']}/order"))["data"]["id"] == scheduled_order
    named = await api.create("action_links", {"action": "pay"}, related | {"order": to("orders", extra)})
    assert named["attributes"]["occurrence_index"] is None
    portal = await client.get(await link(api, unpaid, "manage"))
    assert portal.text.count("Pay now") == 2
    await unpaid.token("tok_approve")
    path = str(httpx2.URL(named["attributes"]["url"]).path)
    assert "is not paid yet" in (await client.get(path)).text
    assert (await press(client, path)).status_code == 303
    statuses = "select status from orders where store_id = $1 and id = any($2) order by id = $3"
    found = await connection.fetch(statuses, store.id, [scheduled_order, extra], extra)
    assert [row["status"] for row in found] == ["pending", "placed"]
    assert "This was done on" in (await client.get(path)).text
    for action in ("pay", "skip"):
        over = resource("action_links", {"action": action}, related | {"order": to("orders", extra)})
        refused = await api.send("POST", "action_links", over)
        assert (refused.status_code, pointers(refused)) == (422, ["/data/relationships/order/data"])
    assert await offences(connection, store) == []


async def test_in_the_portal_another_card_is_chosen_and_pays(
    unpaid: Run, api: Api, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    good = await factories.payment_source(
        connection,
        store,
        unpaid.customer_id,
        gateway="test",
        payment_source_token="tok_good",
        name="Visa 4242424242424242",
    )
    await factories.payment_source(
        connection, store, await factories.customer(connection, store), gateway="test", payment_source_token="tok_other"
    )
    path = await link(api, unpaid, "manage")
    before = await everything(unpaid)
    page = await client.get(path)
    assert await everything(unpaid) == before
    assert "Not paid yet" in page.text
    assert "4242424242424242" not in page.text
    refused = await press(client, path, do="settle", order=(await unpaid.order())["id"])
    assert refused.status_code == 402
    assert (await press(client, path, do="pay", card=good)).status_code == 303
    subscription = await unpaid.subscription()
    assert subscription["customer_payment_source_id"] == good
    assert (await press(client, path, do="settle", order=(await unpaid.order())["id"])).status_code == 303
    order = await unpaid.order()
    assert (order["status"], order["customer_payment_source_id"]) == ("placed", good)
    assert "Not paid yet" not in (await client.get(path)).text
    assert await offences(connection, store) == []


async def test_the_portal_pays_and_takes_nothing_of_others(unpaid: Run, api: Api, client: httpx2.AsyncClient) -> None:
    other = await scheduled(unpaid.database, unpaid.connection, unpaid.store)
    await other.token("tok_decline")
    await sweep_and_make(other)
    await other.pay()
    path = await link(api, unpaid, "manage")
    before = await everything(unpaid)
    assert (await press(client, path, do="settle", order=(await other.order())["id"])).status_code == 404
    assert (await press(client, path, do="pay", card=other.source_id)).status_code in (404, 422)
    assert await everything(unpaid) == before


async def test_what_was_stopped_goes_on(unpaid: Run, api: Api, client: httpx2.AsyncClient) -> None:
    told = await api.update("order_subscriptions", unpaid.subscription_id, {"_deactivate": True})
    assert told.status_code == 200
    path = await link(api, unpaid, "manage")
    assert "Stopped: no delivery comes" in (await client.get(path)).text
    assert (await press(client, path, do="activate")).status_code == 303
    assert (await unpaid.subscription())["status"] == "active"


async def test_a_link_orders_the_next_run_once(unpaid: Run, api: Api, client: httpx2.AsyncClient) -> None:
    path = await link(api, unpaid, "order_now")
    page = await client.get(path)
    assert "is ordered now instead" in page.text
    answers = await asyncio.gather(*(client.post(path, data={"nonce": nonce(page)}) for _ in range(20)))
    assert 303 in {answer.status_code for answer in answers} <= {303, 503}
    copies = await api.get(f"recurring_order_copies?filter[order_subscription]={unpaid.subscription_id}")
    assert len(copies["data"]) == 2
    assert "This was done on" in (await client.get(path)).text
