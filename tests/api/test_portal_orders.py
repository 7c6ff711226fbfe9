"""Ordering the next delivery now in the portal: offered where an order comes of it, else it says why not."""

from __future__ import annotations

import html

import httpx2
import pytest

from service.http.pages import deliveries
from service.operations.subscriptions import previews
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.pressing import NOW, PLACED, everything, link, nonce, press, upcoming
from tests.faults.playing import Shop, on
from tests.spec.writing import to

SOLD_OUT = "update stock_items set quantity = 1 where store_id = $1"
DISABLED = "update skus set disabled_at = '2026-01-01' where store_id = $1"
UNPAYABLE = "update payment_methods set disabled_at = '2026-01-01' where store_id = $1"


WHY_NOT = pytest.mark.parametrize(
    ("breaks", "mends", "english", "dutch"),
    [
        (SOLD_OUT, "update stock_items set quantity = 2 where store_id = $1", "is not available", "niet leverbaar"),
        (DISABLED, "update skus set disabled_at = null where store_id = $1", "is not available", "niet leverbaar"),
        (
            UNPAYABLE,
            "update payment_methods set disabled_at = null where store_id = $1",
            "There is no way to pay for it",
            "kan op dit moment niet betaald worden",
        ),
    ],
    ids=["too few", "disabled", "no way to pay"],
)


@WHY_NOT
async def test_what_cannot_be_ordered_is_not_offered_and_the_page_says_why(
    *,
    shop: Shop,
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    breaks: str,
    mends: str,
    english: str,
    dutch: str,
) -> None:
    path = (await link(shop, await shop.subscribe(PLACED), "manage"))["path"]
    assert 'value="order_now"' in (await client.get(path)).text
    await connection.execute(breaks, store.id)
    page = (await client.get(path)).text
    assert 'value="order_now"' not in page
    assert english in page
    assert dutch in (await client.get(path, headers={"Accept-Language": "nl"})).text
    before = await everything(connection, store)
    refused = await press(client, path, do="order_now")
    assert refused.status_code == 409
    assert english in refused.text.partition('role="alert"')[2].partition("</div>")[0]
    assert await everything(connection, store) == before
    await connection.execute(mends, store.id)
    assert (await press(client, path, do="order_now")).status_code == 303


@WHY_NOT
async def test_the_page_of_a_link_says_the_same_in_the_place_of_its_button(
    *,
    shop: Shop,
    client: httpx2.AsyncClient,
    connection: Connection,
    store: Store,
    breaks: str,
    mends: str,
    english: str,
    dutch: str,
) -> None:
    path = (await link(shop, await shop.subscribe(PLACED), "order_now"))["path"]
    shown = {"nonce": nonce(await client.get(path))}
    await connection.execute(breaks, store.id)
    page = (await client.get(path)).text
    assert english in page
    assert "<button" not in page
    assert dutch in (await client.get(path, headers={"Accept-Language": "nl"})).text
    before = await everything(connection, store)
    refused = await client.post(path, data=shown)
    assert refused.status_code == 409
    assert english in refused.text
    assert "<button" not in refused.text
    assert await everything(connection, store) == before
    await connection.execute(mends, store.id)
    assert (await client.post(path, data=shown)).status_code == 303


async def test_a_link_that_comes_too_early_says_from_when_on_it_works(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED)
    first, second = await link(shop, id_, "order_now"), await link(shop, id_, "order_now", occurrence_index=2)
    assert (await press(client, first["path"])).status_code == 303
    page = (await client.get(second["path"])).text
    assert "can be ordered ahead of its day from 1 April 2026 on" in page
    assert "<button" not in page


async def expiring(shop: Shop, connection: Connection, store: Store, at: str) -> tuple[str, str]:
    """A subscription that is paid with a card that expires then, and the path of its portal."""
    id_ = await shop.subscribe(PLACED)
    customer = await connection.fetchval("select customer_id from orders where store_id = $1", store.id)
    card = await factories.payment_source(connection, store, customer, name="Visa ending in 4242")
    await connection.execute(
        "update customer_payment_sources set expires_at = $2 where store_id = $1", store.id, on(at)
    )
    paid = {"customer_payment_source": to("customer_payment_sources", card)}
    assert (await shop.api.update("order_subscriptions", id_, {}, paid)).status_code == 200
    return id_, (await link(shop, id_, "manage"))["path"]


async def test_a_card_that_expires_before_the_next_delivery_pays_for_it_now(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    id_, path = await expiring(shop, connection, store, "2026-03-26 09:00")
    alone = (await link(shop, id_, "order_now"))["path"]
    page = (await client.get(path)).text
    assert 'value="order_now"' in page
    assert "There is no way to pay" not in page
    shown = html.unescape((await client.get(alone)).text)
    assert "It costs €42.95. It is paid with ***4242." in shown
    dutch = await client.get(alone, headers={"Accept-Language": "nl"})
    assert "Het kost €\N{NO-BREAK SPACE}42,95. Het wordt betaald met ***4242." in html.unescape(dutch.text)
    assert (await press(client, path, do="order_now")).status_code == 303
    assert (await shop.ledger(id_))[0] == (NOW, "due", "ordered")


async def test_deliveries_after_a_card_expires_say_so(
    shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    _, path = await expiring(shop, connection, store, "2026-04-15 09:00")
    page = (await client.get(path)).text
    assert page.count("expires before this delivery") == deliveries.RUNS - 1
    looked = (await press(client, path, do="look", amend="interval", count="3", unit="month")).text
    assert looked.count("expires before this delivery") == previews.RUNS
    dutch = (await client.get(path, headers={"Accept-Language": "nl"})).text
    assert "verloopt voor deze bezorging" in dutch


async def test_what_would_come_too_soon_is_not_offered_and_the_pages_say_from_when_on_it_is(
    shop: Shop, client: httpx2.AsyncClient
) -> None:
    id_ = await shop.subscribe(PLACED)
    path = (await link(shop, id_, "manage"))["path"]
    later = (await link(shop, id_, "order_now", occurrence_index=3))["path"]
    assert "comes before it" in (await client.get(later)).text
    assert (await press(client, path, do="order_now")).status_code == 303
    following = (await upcoming(shop, id_))[0]
    assert (await press(client, path, do="skip", run=following)).status_code == 303
    fresh = (await link(shop, id_, "order_now"))["path"]
    for where in (path, fresh, later):
        page = (await client.get(where)).text
        assert "too soon after another delivery" in page
        assert "can be ordered ahead of its day from 1 April 2026 on" in page
        assert 'value="order_now"' not in page
        assert "nothing to do here any more" not in page
    assert "te snel na een andere bezorging" in (await client.get(fresh, headers={"Accept-Language": "nl"})).text
