"""Each row of the tables of verbs, said over HTTP: what it leads to, which event tells of it, and who can't say it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import orjson
import pytest

from schemas.fields import HARMLESS
from schemas.graph import graph
from service.operations.access import tokens
from service.principal import Store
from service.rules.verbs import VERBS
from service.store.pool import Connection, Database
from tests import counted, factories
from tests.checkout.conftest import Holder, ordered, ready
from tests.checkout.test_subscribing import bought, model
from tests.factories import Line
from tests.faults.playing import Shop, on
from tests.jobs.playing import said
from tests.jobs.steps import names_of
from tests.sealed import session_of
from tests.spec.writing import Api, offenders, to
from tests.support import Grant

ROWS = [(type_, verb) for type_, verbs in VERBS.items() for verb in verbs]
NOW = "2026-03-10 09:00"
PLACED = "2026-03-01 09:00"
ATTRIBUTES = {
    "_pause_until": said(on("2026-04-10 09:00")),
    "_advance_to": said(on("2026-03-12 09:00")),
    "_replay_since": said(on("2026-03-10 08:00")),
    "_delay": 2,
    "_swap": "MUG",
}
"""What is sent of a verb that takes more than `true`."""
WITH = {("orders", "place"): {"_payment_source_token": "tok_approve"}}
AROUND = {("orders", "place"): (["placing"], []), ("orders", "cancel"): ([], ["void"])}
"""What else is told of the resource, before the verb and after it: a gateway is asked, and lets go of the money."""


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on a test clock."""
    return await Shop.open(api, database, connection, store, NOW)


async def order(shop: Shop, *verbs: str) -> str:
    """A pending order, after some verbs; gives the id."""
    made = await ordered(shop.api, await ready(shop.connection, shop.store))
    for verb in verbs:
        answer = await shop.api.update("orders", made["id"], {verb: True, **WITH.get(("orders", verb[1:]), {})})
        assert answer.status_code == 200, answer.text
    return str(made["id"])


async def ordered_again(shop: Shop) -> str:
    await model(shop.connection, shop.store, "weekly")
    return await bought(shop.connection, shop.store, "weekly")


async def subscription(shop: Shop, **verbs: Any) -> str:
    id_ = await shop.subscribe(PLACED)
    if verbs:
        await shop.tell(id_, **verbs)
    return id_


async def parked(shop: Shop) -> str:
    id_ = await shop.subscribe(PLACED)
    await shop.connection.execute(
        "update order_subscriptions set parked_at = $3, parked_reason = 'it ran away', next_run_at = null"
        " where store_id = $1 and id = $2",
        shop.store.id, id_, on(NOW),
    )  # fmt: skip
    return id_


async def occurrence(shop: Shop, status: str, **attributes: Any) -> str:
    id_ = await shop.subscribe(PLACED, **attributes)
    if status in ("held", "failed"):
        await factories.set_price(shop.connection, shop.store, shop.sku, 9900)
        await shop.wait_until("2026-04-02 09:00")
    (found,) = [one for one in await shop.occurrences(id_) if one["status"] == status][:1]
    return str(found["id"])


async def held(shop: Shop) -> str:
    return await occurrence(shop, "held", max_increase_percent=1, price_mode="current")


async def failed(shop: Shop) -> str:
    await shop.connection.execute("update stock_items set quantity = 0 where store_id = $1", shop.store.id)
    return await occurrence(shop, "failed", place_target_order=True)


async def skipped(shop: Shop) -> str:
    id_ = await occurrence(shop, "planned")
    assert (await shop.api.update("occurrences", id_, {"_skip": True})).status_code == 200
    return id_


async def draft_item(shop: Shop, id_: str) -> Any:
    """A draft of a line for the next run of a subscription."""
    sent = {"sku_code": shop.sku.code, "quantity": 2, "draft": True}
    return await shop.api.create("occurrence_items", sent, {"order_subscription": to("order_subscriptions", id_)})


async def with_a_draft(shop: Shop) -> str:
    id_ = await subscription(shop)
    await draft_item(shop, id_)
    (found,) = [one for one in await shop.occurrences(id_) if one["status"] == "planned"][:1]
    return str(found["id"])


async def item(shop: Shop) -> str:
    id_ = await subscription(shop)
    found = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    await factories.set_price(shop.connection, shop.store, shop.sku, 2100)
    return str(found[0]["id"])


async def swappable(shop: Shop) -> str:
    await factories.sku(shop.connection, shop.store, code=ATTRIBUTES["_swap"])
    return await item(shop)


async def swapped_later(shop: Shop) -> str:
    id_ = await swappable(shop)
    sent = {"_swap": ATTRIBUTES["_swap"], "_swap_from": 2}
    assert (await shop.api.update("order_subscription_items", id_, sent)).status_code == 200
    return id_


async def link(shop: Shop) -> str:
    order_id = await factories.full_order(shop.connection, shop.store, [Line(shop.sku)])
    return str((await shop.api.create("repeat_links", {}, {"order": to("orders", order_id)}))["id"])


async def action_link(shop: Shop) -> str:
    of = {"order_subscription": to("order_subscriptions", await subscription(shop))}
    return str((await shop.api.create("action_links", {"action": "skip"}, of))["id"])


async def clock_of(shop: Shop) -> str:
    return shop.clock_id


async def issuer(shop: Shop) -> str:
    attributes = {"issuer": "https://login.example.com/", "audience": "https://shop.example.com"}
    return str((await shop.api.create("issuers", attributes))["id"])


async def webhook(shop: Shop, **columns: Any) -> str:
    attributes = {"topic": "orders.place", "callback_url": "https://shop.example.com/hooks"}
    id_ = str((await shop.api.create("webhooks", attributes))["id"])
    for column, value in columns.items():
        await shop.connection.execute(
            f"update webhooks set {column} = $3 where store_id = $1 and id = $2", shop.store.id, id_, value
        )
    return id_


async def stopped(shop: Shop) -> str:
    return await webhook(shop, circuit_state="open", circuit_failure_count=30, health="stopped")


async def disabled(shop: Shop) -> str:
    return await webhook(shop, disabled_at=on(NOW), health="disabled")


async def bringing(shop: Shop) -> str:
    return str((await shop.api.create("imports", {"resource_type": "tags", "inputs": [{"name": "vip"}]}))["id"])


async def taking(shop: Shop, **verbs: bool) -> str:
    id_ = str((await shop.api.create("exports", {"resource_type": "tags"}))["id"])
    if verbs:
        assert (await shop.api.update("exports", id_, verbs)).status_code == 200
    return id_


async def event(shop: Shop) -> str:
    """An event that a webhook wants."""
    await shop.api.update("webhooks", await webhook(shop), {"topic": "repeat_links.*"})
    return str((await shop.api.get(f"repeat_links/{await link(shop)}/events"))["data"][0]["id"])


async def token(shop: Shop) -> str:
    id_, _ = await tokens.issue(
        shop.connection, shop.store.id, customer_id=None, scopes=["read_orders"], name=None, expires_at=None, at=on(NOW)
    )
    return id_


async def api_client(shop: Shop) -> str:
    return str((await shop.api.create("api_clients", {"name": "Till", "kind": "sales_channel"}))["id"])


SUBJECTS: dict[tuple[str, str], Callable[[Shop], Awaitable[str]]] = {
    ("orders", "place"): order,
    ("orders", "cancel"): lambda shop: order(shop, "_place", "_approve"),
    ("orders", "approve"): lambda shop: order(shop, "_place"),
    ("orders", "refresh_prices"): order,
    ("orders", "create_subscriptions"): ordered_again,
    ("order_subscriptions", "activate"): lambda shop: subscription(shop, _deactivate=True),
    ("order_subscriptions", "deactivate"): subscription,
    ("order_subscriptions", "cancel"): subscription,
    ("order_subscriptions", "unpark"): parked,
    ("order_subscriptions", "pause_until"): subscription,
    ("order_subscriptions", "resume"): lambda shop: subscription(shop, _pause_until="2026-05-01 09:00"),
    ("order_subscriptions", "skip_next"): subscription,
    ("order_subscriptions", "delay"): subscription,
    ("order_subscriptions", "order_next_now"): subscription,
    ("order_subscriptions", "run_now"): subscription,
    ("occurrences", "skip"): lambda shop: occurrence(shop, "planned"),
    ("occurrences", "unskip"): skipped,
    ("occurrences", "approve"): held,
    ("occurrences", "reject"): held,
    ("occurrences", "retry"): failed,
    ("occurrences", "commit"): with_a_draft,
    ("order_subscription_items", "reprice"): item,
    ("order_subscription_items", "unswap"): swapped_later,
    ("order_subscription_items", "swap"): swappable,
    ("customers", "erase"): lambda shop: factories.customer(shop.connection, shop.store),
    ("repeat_links", "revoke"): link,
    ("repeat_links", "rotate"): link,
    ("action_links", "revoke"): action_link,
    ("test_clocks", "advance_to"): clock_of,
    ("access_tokens", "revoke"): token,
    ("issuers", "revoke"): issuer,
    ("api_clients", "rotate_secret"): api_client,
    ("api_clients", "revoke"): api_client,
    ("imports", "interrupt"): bringing,
    ("exports", "start"): lambda shop: taking(shop, _interrupt=True),
    ("exports", "interrupt"): taking,
    ("events", "trigger"): event,
    ("webhooks", "enable"): disabled,
    ("webhooks", "disable"): webhook,
    ("webhooks", "reset_circuit"): stopped,
    ("webhooks", "rotate_secret"): webhook,
    ("webhooks", "test"): webhook,
    ("webhooks", "replay_since"): webhook,
}
"""What each verb is said to: a resource in a status from which it is done."""


def saying(type_: str, verb: str) -> dict[str, Any]:
    """The attributes that say it."""
    return {f"_{verb}": ATTRIBUTES.get(f"_{verb}", True), **WITH.get((type_, verb), {})}


def status_of(attributes: dict[str, Any]) -> str | None:
    """The attribute that a type calls its status."""
    return next((attributes[name] for name in ("status", "state", "health") if name in attributes), None)


def test_no_row_is_left_out() -> None:
    assert set(SUBJECTS) == set(ROWS)


@pytest.mark.parametrize(("type_", "verb"), ROWS)
async def test_a_verb_leads_where_its_row_says_and_its_event_tells_of_it(
    *, shop: Shop, api: Api, connection: Connection, store: Store, type_: str, verb: str
) -> None:
    row = VERBS[type_][verb]
    id_ = await SUBJECTS[type_, verb](shop)
    before = (await api.get(f"{type_}/{id_}"))["data"]["attributes"]
    if row.sources:
        assert status_of(before) in row.sources
    known = len(await names_of(connection, store, id_))
    answer = await api.update(type_, id_, saying(type_, verb))
    assert answer.status_code == 200, answer.text
    after = answer.json()["data"]["attributes"]
    if row.target is not None:
        assert status_of(after) == row.target
    happened = (await names_of(connection, store, id_))[known:]
    # Each write is an `update`; what else is told is the verb's own.
    told = [name for name in happened if name != f"{type_}.update" or row.event == "update"]
    before_it, after_it = AROUND.get((type_, verb), ([], []))
    assert told == [f"{type_}.{event}" for event in (*before_it, row.event, *after_it)]
    await says_what_happened(connection, store, type_, verb, id_)
    assert await offenders(connection, store) == []


async def says_what_happened(connection: Connection, store: Store, type_: str, verb: str, id_: str) -> None:
    """The event of a verb names its sender, and what has changed or what else came of it."""
    row = VERBS[type_][verb]
    event = await connection.fetchrow(
        "select * from events where store_id = $1 and resource_id = $2 and name = $3 order by sequence desc limit 1",
        store.id, id_, f"{type_}.{row.event}",
    )  # fmt: skip
    assert event is not None
    assert (event["actor_type"], bool(event["actor_id"])) == ("tokens", True)
    changes, payload = orjson.loads(event["changes"]), orjson.loads(event["payload"])
    assert changes or payload
    if row.target is not None and "status" in graph[type_].attributes:
        assert changes["status"]["to"] == row.target
        assert changes["status"].get("from", "") != row.target
    marks = {name: field.mark for name, field in graph[type_].attributes.items()}
    assert [name for name, both in changes.items() if both and not (marks.get(name) or HARMLESS).harmless] == []


@pytest.mark.parametrize(("type_", "verb"), [row for row in ROWS if VERBS[row[0]][row[1]].settled])
async def test_said_where_all_is_so_already_it_tells_nothing(
    *, shop: Shop, api: Api, connection: Connection, store: Store, type_: str, verb: str
) -> None:
    id_ = await SUBJECTS[type_, verb](shop)
    assert (await api.update(type_, id_, saying(type_, verb))).status_code == 200
    known = await names_of(connection, store, id_)
    again = await api.update(type_, id_, saying(type_, verb))
    assert again.status_code == 200, again.text
    assert await names_of(connection, store, id_) == known


@pytest.mark.parametrize(
    ("type_", "verb"), [row for row in ROWS if VERBS[row[0]][row[1]].who != "guests" or VERBS[row[0]][row[1]].only]
)
async def test_somebody_it_is_not_for_is_refused_and_nothing_changes(
    shop: Shop, client: httpx2.AsyncClient, grant: Grant, type_: str, verb: str
) -> None:
    """The customer whose it is says what is for the shop; a guest, what is for customers."""
    api, connection, store = shop.api, shop.connection, shop.store
    id_ = await (order(shop, "_place") if verb == "create_subscriptions" else SUBJECTS[type_, verb](shop))
    status = (await api.get(f"{type_}/{id_}"))["data"]["attributes"].get("status")
    needed = VERBS[type_][verb].needs(status)
    if needed == "customers":
        sender = Api(client, Holder(store, await session_for(shop, id_)))
    else:
        # Only what is the sender's own is refused for what it is: all else isn't there.
        sender = Api(client, await grant(customer_id=await owner_of(shop, type_, id_)))
    before = (await api.get(f"{type_}/{id_}"), await names_of(connection, store, id_))
    answer = await sender.update(type_, id_, saying(type_, verb))
    assert answer.status_code == 403, answer.text
    assert (await api.get(f"{type_}/{id_}"), await names_of(connection, store, id_)) == before


async def session_for(shop: Shop, order_id: str) -> str:
    """The session of the cart that became an order; of any cart where it is no order."""
    found = await shop.connection.fetchval(
        "select cart_id from orders where store_id = $1 and id = $2", shop.store.id, order_id
    )
    if found is None:
        return (await ready(shop.connection, shop.store)).session
    return await session_of(shop.connection, shop.store, found)


async def owner_of(shop: Shop, type_: str, id_: str) -> str:
    """The customer whose resource it is; one who owns nothing where no customer does."""
    owner = {
        "orders": "select customer_id from orders where store_id = $1 and id = $2",
        "order_subscriptions": "select customer_id from order_subscriptions where store_id = $1 and id = $2",
        "order_subscription_items": (
            "select customer_id from order_subscriptions where store_id = $1 and id ="
            " (select order_subscription_id from order_subscription_items where store_id = $1 and id = $2)"
        ),
        "customers": "select id from customers where store_id = $1 and id = $2",
    }.get(type_)
    found = owner and await shop.connection.fetchval(owner, shop.store.id, id_)
    if owner is not None and found is None:
        found = await factories.customer(shop.connection, shop.store)
        await shop.connection.execute(
            f"update {type_} set customer_id = $3 where store_id = $1 and id = $2", shop.store.id, id_, found
        )
        await counted.anew(shop.connection, shop.store)
    return str(found or await factories.customer(shop.connection, shop.store))


async def test_prices_are_refreshed_also_at_an_instant_at_which_they_were(shop: Shop, api: Api) -> None:
    cart = await ready(shop.connection, shop.store)
    made = await ordered(api, cart)
    assert (await api.update("orders", made["id"], {"_refresh_prices": True})).status_code == 200
    await factories.set_price(shop.connection, shop.store, cart.shirt, 2600)
    again = await api.update("orders", made["id"], {"_refresh_prices": True})
    assert again.json()["data"]["attributes"]["subtotal_amount_cents"] == 5200


async def test_an_item_that_costs_what_it_would_today_is_left_alone(shop: Shop, api: Api) -> None:
    id_ = await item(shop)
    first = await api.update("order_subscription_items", id_, {"_reprice": True})
    again = await api.update("order_subscription_items", id_, {"_reprice": True})
    assert again.json()["data"]["attributes"]["unit_amount_cents"] == 2100
    assert again.json()["data"]["meta"] == first.json()["data"]["meta"]
    assert (await names_of(shop.connection, shop.store, id_)).count("order_subscription_items.update") == 1
