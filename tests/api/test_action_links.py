"""Action links: one thing done from a mail, once, and nothing by those who only look."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from service.principal import Store
from service.rules.named_tokens import NamedKeys
from service.store.pool import Connection
from tests import factories
from tests.api.pressing import NOW, PLACED, everything, link, nonce, press, status_of
from tests.faults.playing import Shop, on, short
from tests.jobs.playing import said
from tests.spec.writing import offenders, pointers, resource, to


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


@pytest.mark.parametrize(
    ("action", "becomes"), [("skip", ("2026-09-01 09:00", "skipped")), ("delay", ("2026-09-04 09:00", "planned"))]
)
async def test_a_link_about_a_run_far_ahead_gives_it_its_row_once_it_is_used(
    *,
    shop: Shop,
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    action: str,
    becomes: tuple[str, str],
) -> None:
    id_ = await shop.subscribe(PLACED)
    made = await link(shop, id_, action, occurrence_index=6, **({"days": 3} if action == "delay" else {}))
    before = await everything(connection, store)
    assert "1 September 2026" in (await client.get(made["path"])).text
    assert await everything(connection, store) == before
    assert (await press(client, made["path"])).status_code == 303
    last = (await shop.occurrences(id_))[-1]
    assert (last["occurrence_index"], short(last["scheduled_at"]), last["status"]) == (6, *becomes)


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


async def test_a_link_swaps_a_product_once(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    """Looking at it changes nothing; its page says for what and at which price, and stands for that alone."""
    mug = await factories.sku(connection, store, price=700, code="MUG-BLUE", name="Blue Mug", stock=100)
    id_ = await shop.subscribe(PLACED)
    made = await link(shop, id_, "swap", swap_sku_code="MUG-BLUE")
    assert (made["sku_code"], made["swap_sku_code"], made["occurrence_index"]) == (shop.sku.code, "MUG-BLUE", None)
    before = await everything(connection, store)
    for method in ["GET", "HEAD"] * 25:
        assert (await client.request(method, made["path"])).status_code == 200
    assert await everything(connection, store) == before
    page = await client.get(made["path"], headers={"Accept-Language": "nl"})
    assert "Blue Mug" in page.text
    assert "14,00" in page.text
    await factories.set_price(connection, store, mug, 800)
    stale = await client.post(made["path"], data={"nonce": nonce(page)})
    assert stale.status_code == 409
    pressed = await asyncio.gather(*(press(client, made["path"]) for _ in range(5)), return_exceptions=True)
    assert 303 in [one.status_code for one in pressed if isinstance(one, httpx2.Response)]
    (item,) = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    assert (item["attributes"]["sku_code"], item["attributes"]["unit_amount_cents"]) == ("MUG-BLUE", 800)
    told = await shop.api.get("events?filter[name]=order_subscription_items.swap")
    assert len(told["data"]) == 1
    assert "<button" not in (await client.get(made["path"])).text
    late = await link(shop, id_, "swap", swap_sku_code=shop.sku.code)
    await connection.execute("update skus set disabled_at = $2 where store_id = $1", store.id, on("2026-01-01 00:00"))
    assert "<button" not in (await client.get(late["path"])).text
    assert not await offenders(connection, store)


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"action": "swap"}, "/data/attributes/action"),
        ({"action": "swap", "swap_sku_code": "NOTHING"}, "/data/attributes/swap_sku_code"),
        ({"action": "swap", "swap_sku_code": "MUG-BLUE", "sku_code": "OTHER"}, "/data/attributes/sku_code"),
        ({"action": "skip", "swap_sku_code": "MUG-BLUE"}, "/data/attributes/swap_sku_code"),
    ],
)
async def test_a_link_that_swaps_says_what_for_what(
    shop: Shop, connection: Connection, store: Store, attributes: dict[str, Any], pointer: str
) -> None:
    await factories.sku(connection, store, code="MUG-BLUE")
    related = {"order_subscription": to("order_subscriptions", await shop.subscribe(PLACED))}
    refused = await shop.api.send("POST", "action_links", resource("action_links", attributes, related))
    assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
