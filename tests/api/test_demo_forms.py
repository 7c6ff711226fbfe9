"""The demo shop over HTTP: where there is none, and what its forms refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from urllib.parse import urlencode

import httpx2
import pytest
import pytest_asyncio

from service import clock
from service.app import create_app
from service.demo import load
from service.demo.load import Plan
from service.settings import Settings
from service.store.pool import Connection, connect
from tests import roles
from tests.pages import FORM, Page
from tests.support import KEYS

ORDER, SUBSCRIPTION = "/demo/orders/ABCRtyUpBa", "/demo/subscriptions/BCDRtyUpBa"


@pytest_asyncio.fixture
async def own(own_url: str) -> AsyncIterator[Connection]:
    """A connection to a database of its own."""
    async with connect(own_url, KEYS) as connection:
        yield connection


@pytest_asyncio.fixture
async def visitor(own_url: str, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a service on that database."""
    app = create_app(settings.model_copy(update=dict(roles.reached("api", own_url))))
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client


async def seed(connection: Connection) -> None:
    await load.seed(connection, Plan(customers=2, skus=2, orders=0, subscriptions=0), clock.now())


async def test_the_docs_lead_to_the_shop_where_there_is_one(visitor: httpx2.AsyncClient, own: Connection) -> None:
    links = {"/docs": "demo", "/docs/errors": "../demo", "/docs/how-to/buy-again": "../../demo", "/docs/api": "../demo"}

    async def found() -> dict[str, str]:
        pages = {path: (await visitor.get(path)).text for path in links}
        assert all("API reference" in text for text in pages.values())
        return {path: link for path, link in links.items() if f'<a href="{link}">Demo shop</a>' in pages[path]}

    assert await found() == {}
    await seed(own)
    assert await found() == links
    await own.execute("update stores set mode = 'live' where store_id = $1", load.STORE)
    assert await found() == {}


async def submit(client: httpx2.AsyncClient, path: str, fields: dict[str, str]) -> httpx2.Response:
    return await client.post(path, content=urlencode(fields), headers=FORM)


async def fields_of(client: httpx2.AsyncClient, path: str) -> dict[str, str]:
    return Page((await client.get(path)).text).fields


async def test_without_a_demo_store_the_root_is_calm_and_there_is_no_shop(visitor: httpx2.AsyncClient) -> None:
    root = await visitor.get("/")
    assert root.status_code == 200
    assert "This is a service that repeats orders." in root.text
    assert 'href="demo"' not in root.text
    for path in ("/demo", "/demo/cart", ORDER, SUBSCRIPTION, "/demo/"):
        assert (await visitor.get(path)).status_code == 404
    assert (await visitor.get("/demo/checkout")).status_code == 404


async def test_a_live_store_is_no_demo_shop(visitor: httpx2.AsyncClient, own: Connection) -> None:
    await seed(own)
    assert (await visitor.get("/demo")).status_code == 200
    assert 'href="demo"' in (await visitor.get("/")).text
    await own.execute("update stores set mode = 'live' where store_id = 1003")
    assert (await visitor.get("/demo")).status_code == 404
    assert 'href="demo"' not in (await visitor.get("/")).text


async def test_a_form_of_no_page_of_ours_does_nothing(visitor: httpx2.AsyncClient, own: Connection) -> None:
    await seed(own)
    before = await own.fetchval("select count(*) from reorders")
    fields = await fields_of(visitor, ORDER)
    refused = await submit(visitor, ORDER, fields | {"nonce": "forged"})
    assert refused.status_code == 422
    assert "This page was open for too long." in refused.text
    refused = await submit(visitor, SUBSCRIPTION, {"do": "travel", "to": "2040-01-01T00:00:00Z", "nonce": "forged"})
    assert refused.status_code == 422
    assert await own.fetchval("select count(*) from reorders") == before
    assert await own.fetchval("select count(*) from test_clocks") == 0


async def test_a_price_that_changed_meanwhile_is_shown_first(visitor: httpx2.AsyncClient, own: Connection) -> None:
    await seed(own)
    fields = await fields_of(visitor, ORDER)
    await own.execute("update prices set amount_cents = amount_cents + 100 where store_id = 1003")
    stale = await submit(visitor, ORDER, fields)
    assert stale.status_code == 409
    assert "The prices or the stock have changed meanwhile." in stale.text
    again = await submit(visitor, ORDER, Page(stale.text).fields)
    assert (again.status_code, again.headers["location"]) == (303, "http://127.0.0.1/demo/cart")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"do": "skip", "run": "none"}, 404),
        ({"do": "skip", "run": "\0"}, 404),
        ({"do": "move", "run": "none", "day": "2030-01-01"}, 404),
        ({"do": "travel", "to": "yesterday"}, 422),
        ({"do": "travel", "to": "2000-01-01T00:00:00Z"}, 422),
        ({"do": "nothing"}, 422),
    ],
)
async def test_what_makes_no_sense_is_told_on_the_page(
    visitor: httpx2.AsyncClient, own: Connection, *, fields: dict[str, str], status: int
) -> None:
    await seed(own)
    nonce = (await fields_of(visitor, SUBSCRIPTION))["nonce"]
    answer = await submit(visitor, SUBSCRIPTION, fields | {"nonce": nonce})
    assert answer.status_code == status
    assert 'role="alert"' in answer.text


async def test_an_id_that_can_be_none_is_not_found(visitor: httpx2.AsyncClient, own: Connection) -> None:
    await seed(own)
    for path in ("/demo/orders/%00", "/demo/subscriptions/%00", "/demo/orders/nope", "/demo/subscriptions/nope"):
        assert (await visitor.get(path)).status_code == 404


async def test_an_order_says_what_was_paid_ahead(visitor: httpx2.AsyncClient, own: Connection) -> None:
    await seed(own)
    paid = await own.fetchval(
        "select prepaid_amount_cents from orders where store_id = 1003 and prepaid_amount_cents > 0"
    )
    assert (
        f"\N{EURO SIGN}{paid // 100}.{paid % 100:02} of it for deliveries to come" in (await visitor.get("/demo")).text
    )


async def test_a_day_that_is_none_is_told_on_the_page(visitor: httpx2.AsyncClient, own: Connection) -> None:
    await seed(own)
    fields = await fields_of(visitor, SUBSCRIPTION)
    answer = await submit(visitor, SUBSCRIPTION, fields | {"do": "move", "day": "soon"})
    assert answer.status_code == 422
    assert "The delivery can&#39;t be on that day." in answer.text


async def test_time_goes_on_and_back_and_on_again(visitor: httpx2.AsyncClient, own: Connection) -> None:
    await seed(own)
    fields = await fields_of(visitor, SUBSCRIPTION)
    assert "Back to real time" not in (await visitor.get(SUBSCRIPTION)).text
    assert (await submit(visitor, SUBSCRIPTION, fields | {"do": "travel"})).status_code == 303
    # Meanwhile there is no way back; nobody works here, so the clock is brought there by hand.
    passing = await submit(visitor, SUBSCRIPTION, fields | {"do": "back"})
    assert (passing.status_code, "Time is passing" in passing.text) == (409, True)
    await own.execute(
        "update test_clocks set status = 'ready', frozen_at = advancing_to, advancing_to = null where store_id = 1003"
    )
    seen = await own.fetchval("select max(frozen_at) from test_clocks")
    await own.execute("update order_subscriptions set last_run_at = $1 where store_id = 1003", seen)
    assert "Back to real time" in (await visitor.get(SUBSCRIPTION)).text
    assert (await submit(visitor, SUBSCRIPTION, fields | {"do": "back"})).status_code == 303
    assert await own.fetchval("select test_clock_id from stores where store_id = 1003") is None
    again = await fields_of(visitor, SUBSCRIPTION)
    assert (await submit(visitor, SUBSCRIPTION, again | {"do": "travel"})).status_code == 303
    gone = await own.fetchrow("select frozen_at, advancing_to from test_clocks where advancing_to is not null")
    assert gone is not None
    assert gone["frozen_at"] == seen < gone["advancing_to"]


async def test_a_run_is_skipped_and_moved(visitor: httpx2.AsyncClient, own: Connection) -> None:
    await seed(own)
    fields = await fields_of(visitor, SUBSCRIPTION)
    run = (SUBSCRIPTION.rpartition("/")[2], int(fields["run"]))
    kept = "select status, reason from occurrences where order_subscription_id = $1 and occurrence_index = $2"
    assert (await submit(visitor, SUBSCRIPTION, fields | {"do": "skip", "day": ""})).status_code == 303
    assert tuple(await own.fetchrow(kept, *run) or ()) == ("skipped", "asked")
    assert (await submit(visitor, SUBSCRIPTION, fields | {"do": "unskip", "day": ""})).status_code == 303
    day = datetime.fromisoformat(fields["day"]) + timedelta(days=2)
    moved = await submit(visitor, SUBSCRIPTION, fields | {"do": "move", "day": f"{day:%Y-%m-%d}"})
    assert moved.status_code == 303
    assert tuple(await own.fetchrow(kept, *run) or ()) == ("planned", "moved")
    names = await own.fetch(
        "select events.name from events inner join occurrences"
        " on events.store_id = occurrences.store_id and events.resource_id = occurrences.id"
        " where occurrences.order_subscription_id = $1 and occurrences.occurrence_index = $2",
        *run,
    )
    assert {name for (name,) in names} >= {"occurrences.reschedule", "occurrences.update"}
