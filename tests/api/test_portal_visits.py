"""The portal: what customers do with their deliveries there, and that looking at it changes nothing."""

from __future__ import annotations

import html

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.pressing import NOW, PLACED, everything, link, press, status_of, upcoming
from tests.factories import Line
from tests.faults.playing import Shop, on, short


async def test_the_portal_does_what_customers_do_and_says_it_in_dutch(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED)
    path = (await link(shop, id_, "manage"))["path"]
    before = await everything(connection, store)
    for _ in range(10):
        assert (await client.get(path)).status_code == 200
    assert await everything(connection, store) == before
    (first, second, *_) = await upcoming(shop, id_)
    assert (await press(client, path, do="skip", run=first)).status_code == 303
    assert (await press(client, path, do="move", run=second, day="2026-05-03")).status_code == 303
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
        refused = await press(client, path, do="move", run=second, day=day)
        assert refused.status_code == 422
        assert told in refused.text
        assert "scheduled_at" not in refused.text
    for day in ("2026-04-02", "2026-05-31", "2026-05-03"):
        assert (await press(client, path, do="move", run=second, day=day)).status_code == 303
    assert (await press(client, path, do="unskip", run=first)).status_code == 303
    assert (await press(client, path, do="pause", days="28")).status_code == 303
    assert short((await shop.look(id_))["paused_until"]) == "2026-04-07 09:00"
    assert (await press(client, path, do="resume")).status_code == 303
    dutch = await client.get(path, headers={"Accept-Language": "nl"})
    assert "Uw bezorgingen" in dutch.text
    assert 'lang="nl"' in dutch.text
    ending = await client.get(f"{path}?end")
    assert "End it for good" in ending.text
    assert (await press(client, path, do="cancel")).status_code == 303
    assert "has ended" in (await client.get(path)).text
    assert (await shop.look(id_))["status"] == "cancelled"
    told = await shop.api.get("events?filter[actor_type]=action_links&page[size]=50")
    assert {one["attributes"]["name"] for one in told["data"]} >= {"occurrences.skip", "order_subscriptions.cancel"}


async def test_the_portal_says_what_a_press_did(shop: Shop, client: httpx2.AsyncClient) -> None:
    """Each press leads to a page that says what it did, and a changed delivery shows what comes with it."""
    id_ = await shop.subscribe(PLACED)
    path = (await link(shop, id_, "manage"))["path"]
    first, second, *_ = await upcoming(shop, id_)
    (item,) = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]

    async def told(**form: str) -> str:
        answer = await press(client, path, **form)
        assert answer.status_code == 303, answer.text
        return str((await client.get(answer.headers["location"])).text)

    assert "The delivery of Wednesday 1 April 2026 is skipped." in await told(do="skip", run=first)
    assert "The delivery of Wednesday 1 April 2026 comes after all." in await told(do="unskip", run=first)
    assert "The delivery comes on Sunday 3 May 2026 now." in await told(do="move", run=second, day="2026-05-03")
    page = await told(do="alter", run=first, line=item["id"], quantity="5")
    assert "The delivery of Wednesday 1 April 2026 is changed." in page
    name = item["attributes"]["name"]
    assert page.count(f"<li>5 \N{MULTIPLICATION SIGN} {name}</li>") == 1
    paused = await told(do="pause", days="28")
    assert "Left out: Wednesday 1 April 2026." in paused
    assert "The deliveries go on." in await told(do="resume")
    nothing = await told(do="order_now")
    assert "It is ordered." in nothing
    assert "is skipped" not in (await client.get(f"{path}?done=skip&run=nobodys")).text
    assert "evil" not in (await client.get(f"{path}?done=evil")).text


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
    (run, *_) = await upcoming(shop, id_)
    page = (await client.get(f"{path}?delivery={run}")).text
    assert "Add it once" in page
    assert f'<option value="{mug.code}">' in page
    assert "Zadelstraat" not in page
    dutch = (await client.get(f"{path}?delivery={run}", headers={"Accept-Language": "nl"})).text
    for words in ("Eén keer toevoegen", "Wat u hier wijzigt, geldt alleen voor deze bezorging", "Deze daarheen sturen"):
        assert words in dutch
    assert await everything(connection, store) == before
    (item,) = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    of_run = {"run": run}
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
        {"do": "skip", "run": "01JD8R6Q0VN3T5W7Y9ABCDEFGH"},
        {"do": "move", "day": "yesterday"},
        {"do": "skip", "nonce": "x"},
    ],
)
async def test_the_portal_refuses_what_it_did_not_offer(
    *, shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store, fields: dict[str, str]
) -> None:
    id_, other = await shop.subscribe(PLACED), await shop.subscribe(PLACED, frequency="weekly")
    path = (await link(shop, id_, "manage"))["path"]
    (own, *_) = await upcoming(shop, id_)
    (foreign, *_) = [one["id"] for one in await shop.occurrences(other) if one["status"] == "planned"]
    before = await everything(connection, store)
    answer = await press(client, path, **({"run": own} | fields))
    assert answer.status_code in (404, 422)
    assert "That didn" in answer.text
    answer = await press(client, path, do="skip", run=foreign)
    assert answer.status_code == 404
    assert await everything(connection, store) == before


@pytest.mark.parametrize("action", ["manage", "skip"])
@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://pictures.example/tea.jpg", "img-src https://pictures.example;"),
        ("http://pictures.example/tea.jpg", None),
        ("https://pictures.example;x/tea.jpg", None),
        (None, None),
    ],
)
async def test_a_page_shows_pictures_that_its_policy_can_name_and_no_others(
    *,
    shop: Shop,
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    action: str,
    url: str | None,
    source: str | None,
) -> None:
    await connection.execute("update skus set image_url = $2 where store_id = $1", store.id, url)
    path = (await link(shop, await shop.subscribe(PLACED), action))["path"]
    page = await client.get(path)
    policy = page.headers["content-security-policy"]
    assert ("<img" in page.text) is (source is not None)
    assert ("img-src" in policy) is (source is not None)
    assert source is None or (source in policy and f'src="{url}" alt=""' in page.text)
