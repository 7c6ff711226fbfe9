"""Action links and the portal: one thing done from a mail, once, and nothing by those who only look."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from service.principal import Store
from service.rules.named_tokens import NamedKeys
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.faults.playing import Shop, on, short
from tests.jobs.playing import said
from tests.spec.writing import Api, offenders, pointers, resource, to

NOW = "2026-03-10 09:00"
PLACED = "2026-03-01 09:00"
PLAIN = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on a test clock."""
    return await Shop.open(api, database, connection, store, NOW)


async def link(shop: Shop, subscription: str, action: str, **attributes: Any) -> dict[str, Any]:
    """A new link: its attributes, id and the path of its page."""
    made = await shop.api.create(
        "action_links",
        {"action": action, **attributes},
        {"order_subscription": to("order_subscriptions", subscription)},
    )
    return {"id": made["id"], "path": urlsplit(made["attributes"]["url"]).path, **made["attributes"]}


def nonce(page: httpx2.Response) -> str:
    """The nonce of a page's form."""
    found = re.search(r'name="nonce" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


async def press(client: httpx2.AsyncClient, path: str, **fields: str) -> httpx2.Response:
    """Open a page and press a button on it."""
    page = await client.get(path)
    assert page.status_code == 200, page.text
    return await client.post(path, data={"nonce": nonce(page), **fields})


async def everything(connection: Connection, store: Store) -> list[Any]:
    """What can change in a store by what a link does."""
    found = []
    for table in ("action_links", "order_subscriptions", "occurrences", "events"):
        rows = await connection.fetch(f"select * from {table} where store_id = $1 order by id", store.id)
        found.append([dict(row) for row in rows])
    return found


async def status_of(shop: Shop, subscription: str) -> list[tuple[str, str]]:
    return [(short(one["scheduled_at"]), one["status"]) for one in await shop.occurrences(subscription)][:3]


async def test_looking_at_it_changes_nothing_however_often_and_pressing_does_it_once(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    made = await link(shop, id_, "skip")
    assert (made["state"], made["occurrence_index"], made["days"]) == ("live", 1, None)
    before = await everything(connection, store)
    for method in ["GET", "HEAD"] * 25:
        answer = await client.request(method, made["path"], headers={"Sec-Purpose": "prefetch"})
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
    assert await everything(connection, store) == before
    page = await client.get(made["path"])
    assert "April 1, 2026" in page.text or "1 April 2026" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    pressed = await press(client, made["path"])
    assert (pressed.status_code, urlsplit(pressed.headers["location"]).path) == (303, made["path"])
    assert (await status_of(shop, id_))[0] == ("2026-04-01 09:00", "skipped")
    after = await everything(connection, store)
    done = await client.get(made["path"])
    assert "This was done on" in done.text
    assert "<button" not in done.text
    again = await client.post(made["path"], data={"nonce": nonce(page)})
    assert again.status_code == 303
    assert await everything(connection, store) == after
    shown = await shop.api.get(f"action_links/{made['id']}")
    assert (shown["data"]["attributes"]["state"], shown["data"]["attributes"]["used_at"]) == ("used", said(on(NOW)))
    told = await shop.api.get(f"events?filter[actor_type]=action_links&filter[actor_id]={made['id']}")
    assert sorted(one["attributes"]["name"] for one in told["data"]) == [
        "action_links.use",
        "occurrences.skip",
        "occurrences.update",
    ]
    assert not await offenders(connection, store)


async def test_twenty_who_press_at_once_do_it_once(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    made = await link(shop, id_, "delay", days=3)
    field = {"nonce": nonce(await client.get(made["path"]))}
    answers = await asyncio.gather(*(client.post(made["path"], data=field) for _ in range(20)))
    assert 303 in {answer.status_code for answer in answers} <= {303, 503}
    assert (await status_of(shop, id_))[0] == ("2026-04-04 09:00", "planned")
    count = "select count(*) from events where store_id = $1 and name = 'action_links.use'"
    assert await connection.fetchval(count, store.id) == 1


async def held(shop: Shop) -> str:
    """A subscription whose next run has become dearer."""
    id_ = await shop.subscribe(PLACED, max_increase_percent=1, price_mode="current")
    await factories.set_price(shop.connection, shop.store, shop.sku, 9900)
    await shop.wait_until("2026-04-02 09:00")
    return id_


async def plain(shop: Shop) -> str:
    return await shop.subscribe(PLACED)


async def paused(shop: Shop) -> str:
    id_ = await shop.subscribe(PLACED)
    await shop.tell(id_, _pause_until="2026-06-01 00:00")
    return id_


@pytest.mark.parametrize(
    ("action", "begin", "attributes", "column", "value"),
    [
        ("pause", plain, {"days": 60}, "paused_until", "2026-05-09 00:00"),
        ("resume", paused, {}, "paused_until", ""),
        ("cancel", plain, {}, "cancelled_at", NOW),
    ],
)
async def test_each_does_what_it_says_to_the_subscription(
    *,
    shop: Shop,
    client: httpx2.AsyncClient,
    action: str,
    begin: Callable[[Shop], Awaitable[str]],
    attributes: dict[str, Any],
    column: str,
    value: str,
) -> None:
    id_ = await begin(shop)
    made = await link(shop, id_, action, **attributes)
    assert (await press(client, made["path"])).status_code == 303
    assert short((await shop.look(id_))[column]) == value


@pytest.mark.parametrize(("action", "status"), [("approve", "due"), ("reject", "skipped")])
async def test_a_dearer_run_is_agreed_to_or_left_out(
    shop: Shop, client: httpx2.AsyncClient, action: str, status: str
) -> None:
    id_ = await held(shop)
    made = await link(shop, id_, action)
    page = await client.get(made["path"])
    (run,) = [one for one in await shop.occurrences(id_) if one["status"] == "held"]
    assert html.unescape(page.text).count(run["formatted_held_amount"]) == 1
    assert (await press(client, made["path"])).status_code == 303
    assert (await status_of(shop, id_))[0][1] == status


async def test_every_url_that_opens_none_is_the_same_410(shop: Shop, client: httpx2.AsyncClient, store: Store) -> None:
    id_ = await shop.subscribe(PLACED)
    made, portal = await link(shop, id_, "skip"), await link(shop, id_, "manage")
    revoked, short_lived = (
        await link(shop, id_, "cancel"),
        await link(shop, id_, "pause", expires_at=said(on("2026-03-11 09:00"))),
    )
    assert (await shop.api.update("action_links", revoked["id"], {"_revoke": True})).status_code == 200
    await shop.wait_until("2026-03-12 09:00")
    calendar = urlsplit((await shop.look(id_))["calendar_url"]).path.removeprefix("/calendars/").removesuffix(".ics")
    dead = [
        revoked["path"],
        short_lived["path"],
        made["path"].replace("/actions/", "/portal/"),
        portal["path"].replace("/portal/", "/actions/"),
        # Not the last letter, which stands for fewer bits than a letter has.
        f"{made['path'][:-5]}{'A' if made['path'][-5] != 'A' else 'B'}{made['path'][-4:]}",
        f"/actions/{NamedKeys(['another-key'], 'action link').token(store.id, made['id'])}",
        f"/actions/{calendar}",
        "/actions/nonsense",
        "/portal/%00",
    ]
    answers = [await client.get(path) for path in dead] + [
        await client.post(path, data={"nonce": "x"}) for path in dead
    ]
    assert {answer.status_code for answer in answers} == {410}
    assert len({answer.text for answer in answers}) == 1
    assert (await status_of(shop, id_))[0][1] == "planned"


async def test_a_button_of_another_page_or_of_one_that_shows_something_else_does_nothing(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    one, other = await link(shop, id_, "skip"), await link(shop, id_, "delay")
    foreign, own = nonce(await client.get(other["path"])), nonce(await client.get(one["path"]))
    before = await everything(connection, store)
    for sent in ({"nonce": foreign}, {"nonce": ""}, {}):
        answer = await client.post(one["path"], data=sent)
        assert answer.status_code == 422
        assert "open for too long" in answer.text
    assert await everything(connection, store) == before
    (run, *_) = [one for one in await shop.occurrences(id_) if one["status"] == "planned"]
    moved = await shop.api.update("occurrences", run["id"], {"scheduled_at": said(on("2026-04-05 09:00"))})
    assert moved.status_code == 200
    answer = await client.post(one["path"], data={"nonce": own})
    assert answer.status_code == 409
    assert "Please look at it once more" in answer.text
    assert "5" in answer.text
    assert (await status_of(shop, id_))[0] == ("2026-04-05 09:00", "planned")
    assert (await press(client, one["path"])).status_code == 303
    gone = await client.get(other["path"])
    assert gone.status_code == 200
    assert "nothing to do here any more" in gone.text
    assert "<button" not in gone.text


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"action": "explode"}, "/data/attributes/action"),
        ({"action": "skip", "occurrence_index": 5_000}, "/data/attributes/occurrence_index"),
        ({"action": "pause", "occurrence_index": 1}, "/data/attributes/occurrence_index"),
        ({"action": "approve"}, "/data/attributes/action"),
        ({"action": "skip", "days": 3}, "/data/attributes/days"),
        ({"action": "delay", "days": 366}, "/data/attributes/days"),
        ({"action": "skip", "expires_at": said(on("2026-03-10 08:00"))}, "/data/attributes/expires_at"),
        ({"action": "skip", "expires_at": said(on("2026-09-10 08:00"))}, "/data/attributes/expires_at"),
    ],
)
async def test_what_can_be_no_link_is_refused_where_it_stands(
    shop: Shop, attributes: dict[str, Any], pointer: str
) -> None:
    id_ = await shop.subscribe(PLACED)
    document = resource("action_links", attributes, {"order_subscription": to("order_subscriptions", id_)})
    answer = await shop.api.send("POST", "action_links", document)
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == [pointer]


async def test_a_subscription_that_is_over_gets_no_link(shop: Shop) -> None:
    id_ = await shop.subscribe(PLACED)
    await shop.tell(id_, _cancel=True)
    document = resource("action_links", {"action": "skip"}, {"order_subscription": to("order_subscriptions", id_)})
    answer = await shop.api.send("POST", "action_links", document)
    assert (answer.status_code, pointers(answer)) == (422, ["/data/relationships/order_subscription/data"])


async def test_the_portal_does_what_customers_do_and_says_it_in_dutch(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    path = (await link(shop, id_, "manage"))["path"]
    before = await everything(connection, store)
    for _ in range(10):
        assert (await client.get(path)).status_code == 200
    assert await everything(connection, store) == before
    (first, second, *_) = [one["id"] for one in await shop.occurrences(id_) if one["status"] == "planned"]
    assert (await press(client, path, do="skip", occurrence=first)).status_code == 303
    assert (await press(client, path, do="move", occurrence=second, day="2026-05-03")).status_code == 303
    assert await status_of(shop, id_) == [
        ("2026-04-01 09:00", "skipped"),
        ("2026-05-03 09:00", "planned"),
        ("2026-06-01 09:00", "planned"),
    ]
    for day, told in (
        ("2026-03-01", "Choose one from Thursday 2 April 2026 to Sunday 31 May 2026."),
        ("2027-06-01", "Choose one from Thursday 2 April 2026 to Sunday 31 May 2026."),
        ("someday", "on that day."),
    ):
        refused = await press(client, path, do="move", occurrence=second, day=day)
        assert refused.status_code == 422
        assert told in refused.text
        assert "scheduled_at" not in refused.text
    for day in ("2026-04-02", "2026-05-31", "2026-05-03"):
        assert (await press(client, path, do="move", occurrence=second, day=day)).status_code == 303
    assert (await press(client, path, do="unskip", occurrence=first)).status_code == 303
    assert (await press(client, path, do="pause", days="28")).status_code == 303
    assert short((await shop.look(id_))["paused_until"]) == "2026-04-07 09:00"
    assert (await press(client, path, do="resume")).status_code == 303
    dutch = await client.get(path, headers={"Accept-Language": "nl"})
    assert "Je bezorgingen" in dutch.text
    assert 'lang="nl"' in dutch.text
    ending = await client.get(f"{path}?end")
    assert "End it for good" in ending.text
    assert (await press(client, path, do="cancel")).status_code == 303
    assert "has ended" in (await client.get(path)).text
    assert (await shop.look(id_))["status"] == "cancelled"
    told = await shop.api.get("events?filter[actor_type]=action_links&page[size]=50")
    assert {one["attributes"]["name"] for one in told["data"]} >= {"occurrences.skip", "order_subscriptions.cancel"}


async def test_the_portal_sends_it_elsewhere_and_has_it_paid_with_another_card(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    customer = await connection.fetchval("select customer_id from order_subscriptions where id = $1", id_)
    home, work = [
        await factories.address(connection, store, customer_id=customer, line_1=line_1)
        for line_1 in ("Oudegracht 1", "Zadelstraat 2")
    ]
    old, new = [
        await factories.payment_source(connection, store, customer, name=f"Visa ending in {digits}")
        for digits in ("4242", "5556")
    ]
    other = await factories.address(connection, store, customer_id=await factories.customer(connection, store))
    path = (await link(shop, id_, "manage"))["path"]
    page = (await client.get(path)).text
    for shown in ("Ou***", "Za***", "***4242", "***5556"):
        assert shown in page
    for hidden in ("Oudegracht", "Zadelstraat", "Visa", other):
        assert hidden not in page
    assert (await press(client, path, do="send", address=home)).status_code == 303
    assert (await press(client, path, do="send", address=work)).status_code == 303
    assert (await press(client, path, do="pay", card=old)).status_code == 303
    assert (await press(client, path, do="pay", card=new)).status_code == 303
    kept = "select shipping_address_id, customer_payment_source_id from order_subscriptions where id = $1"
    row = await connection.fetchrow(kept, id_)
    assert row is not None
    assert tuple(row) == (work, new)
    assert f'<option value="{work}" selected>' in (await client.get(path)).text
    for fields in ({"do": "send", "address": other}, {"do": "pay", "card": "nobodys"}, {"do": "send", "address": ""}):
        assert (await press(client, path, **fields)).status_code in (404, 422)
    assert tuple(await connection.fetchrow(kept, id_) or ()) == (work, new)


async def test_the_portal_changes_what_comes_once(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    """A product along with one delivery, another quantity in it, another address for it: and for no other."""
    id_ = await shop.subscribe(PLACED)
    customer = await connection.fetchval("select customer_id from order_subscriptions where id = $1", id_)
    mug = await factories.sku(connection, store, price=850)
    await factories.full_order(connection, store, [Line(mug)], customer_id=customer, placed_at=on("2026-02-01 09:00"))
    work, _ = [
        await factories.address(connection, store, customer_id=customer, line_1=line_1, city=city)
        for line_1, city in (("Zadelstraat 2", "Delft"), ("Oudegracht 1", "Utrecht"))
    ]
    foreign = await factories.address(connection, store, customer_id=await factories.customer(connection, store))
    path = (await link(shop, id_, "manage"))["path"]
    before = await everything(connection, store)
    page = (await client.get(path)).text
    assert "Add it once" in page
    assert f'<option value="{mug.code}">' in page
    assert "Zadelstraat" not in page
    dutch = (await client.get(path, headers={"Accept-Language": "nl"})).text
    for words in ("Eén keer toevoegen", "Alleen deze keer", "Deze daarheen sturen"):
        assert words in dutch
    assert await everything(connection, store) == before
    run = next(one["id"] for one in await shop.occurrences(id_) if one["status"] == "planned")
    (item,) = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    of_run = {"occurrence": run}
    assert (await press(client, path, do="add", sku=mug.code, **of_run)).status_code == 303
    for quantity in ("5", "3"):
        altered = await press(client, path, do="alter", line=item["id"], quantity=quantity, **of_run)
        assert altered.status_code == 303, altered.text
    assert (await press(client, path, do="send_once", address=work, **of_run)).status_code == 303
    refused = {
        "unknown": await press(client, path, do="add", sku="nothing", **of_run),
        "foreign": await press(client, path, do="send_once", address=foreign, **of_run),
        "many": await press(client, path, do="alter", line=item["id"], quantity="1e9", **of_run),
        "nobodys": await press(client, path, do="alter", line="nobodys", quantity="1", **of_run),
    }
    for why, answer in refused.items():
        assert answer.status_code in (404, 422), why
        assert "sku_code" not in answer.text, why
    await shop.wait_until("2026-05-02 00:00")
    found = await shop.api.get(f"order_subscriptions/{id_}/orders?sort=created_at&include=line_items,shipping_address")
    rows = {one["id"]: one["attributes"] for one in found["included"]}
    ordered = [
        (
            {
                rows[line["id"]]["sku_code"]: rows[line["id"]]["quantity"]
                for line in order["relationships"]["line_items"]["data"]
            },
            rows[order["relationships"]["shipping_address"]["data"]["id"]]["city"],
        )
        for order in found["data"]
    ]
    plain = {shop.sku.code: 2}
    assert ordered[0] == ({shop.sku.code: 3, mug.code: 1}, "Delft")
    assert ordered[1][0] == plain
    assert ordered[1][1] != "Delft"
    told = await shop.api.get("events?filter[actor_type]=action_links&page[size]=50")
    assert {one["attributes"]["name"] for one in told["data"]} >= {"occurrence_items.create", "occurrence_items.update"}


async def test_the_portal_orders_the_next_delivery_at_once_and_not_twice(
    shop: Shop, client: httpx2.AsyncClient
) -> None:
    id_ = await shop.subscribe(PLACED)
    path = (await link(shop, id_, "manage"))["path"]
    assert "doesn&#39;t come again on Wednesday" in (await client.get(path)).text
    assert (await press(client, path, do="order_now")).status_code == 303
    assert await shop.ledger(id_) == [
        (NOW, "due", "ordered"),
        ("2026-05-01 09:00", "planned", None),
        ("2026-06-01 09:00", "planned", None),
        ("2026-07-01 09:00", "planned", None),
    ]
    refused = await press(client, path, do="order_now")
    assert refused.status_code == 409
    assert "can be ordered ahead of its day from 1 April 2026 on" in html.unescape(refused.text)
    assert len([one for one in await shop.ledger(id_) if one[2] == "ordered"]) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "explode"},
        {"do": "pause", "days": "9999"},
        {"do": "skip", "occurrence": "01JD8R6Q0VN3T5W7Y9ABCDEFGH"},
        {"do": "move", "day": "yesterday"},
        {"do": "skip", "nonce": "x"},
    ],
)
async def test_the_portal_refuses_what_it_did_not_offer(
    *, shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store, fields: dict[str, str]
) -> None:
    id_, other = await shop.subscribe(PLACED), await shop.subscribe(PLACED, frequency="weekly")
    path = (await link(shop, id_, "manage"))["path"]
    (own, *_) = [one["id"] for one in await shop.occurrences(id_) if one["status"] == "planned"]
    (foreign, *_) = [one["id"] for one in await shop.occurrences(other) if one["status"] == "planned"]
    before = await everything(connection, store)
    answer = await press(client, path, **({"occurrence": own} | fields))
    assert answer.status_code in (404, 422)
    assert "That didn" in answer.text
    answer = await press(client, path, do="skip", occurrence=foreign)
    assert answer.status_code == 404
    assert await everything(connection, store) == before
