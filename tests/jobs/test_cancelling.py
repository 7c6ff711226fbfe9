"""When a subscription can be cancelled, by whom, how it ends, and what is said to that."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests.api.pressing import link, press
from tests.faults.playing import Shop, short
from tests.spec.writing import Api, offenders, pointers
from tests.support import Grant

PLACED = "2026-01-05 09:00"
REASONS = ["Too expensive", "I have enough for now"]


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Thursday 8 January 2026 that asks why people cancel."""
    shop = await Shop.open(api, database, connection, store, "2026-01-08 12:00")
    answer = await api.update("stores", str(store.id), {"cancellation_reasons": REASONS})
    assert answer.status_code == 200, answer.text
    return shop


@pytest.fixture
async def customer(client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant) -> Any:
    """Gives the API as the customer of a subscription uses it."""

    async def of(subscription: str) -> Api:
        found = await connection.fetchval(
            "select customer_id from order_subscriptions where store_id = $1 and id = $2", store.id, subscription
        )
        return Api(client, await grant(customer_id=found))

    return of


async def tell(api: Api, id_: str, **attributes: Any) -> httpx2.Response:
    return await api.update("order_subscriptions", id_, attributes)


async def test_a_customer_cancels_once_it_has_run_as_often_as_agreed(shop: Shop, customer: Any) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly", min_occurrences=2)
    api = await customer(id_)
    refused = await tell(api, id_, _cancel=True)
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/_cancel"])
    problem = refused.json()["errors"][0]
    assert problem["meta"] == {"run": 2, "allowed_at": "2026-01-19T09:00:00.000Z"}
    assert "after run 2, from 2026-01-19T09:00:00.000Z on" in problem["detail"]
    await tell(api, id_, _skip_next=True)
    later = await tell(api, id_, _cancel=True)
    assert later.json()["errors"][0]["meta"]["allowed_at"] == "2026-01-26T09:00:00.000Z"
    await shop.wait_until("2026-01-26 08:00")
    assert (await tell(api, id_, _cancel=True)).status_code == 422
    await shop.wait_until("2026-01-26 09:00")
    assert (await tell(api, id_, _cancel=True)).status_code == 200


async def test_the_shop_cancels_whenever_it_wants(shop: Shop) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly", min_occurrences=9)
    assert (await shop.tell(id_, _cancel=True))["status"] == "cancelled"


async def test_without_a_date_the_run_is_named(shop: Shop, customer: Any) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly", min_occurrences=3, expires_at="2026-01-13 00:00")
    api = await customer(id_)
    refused = await tell(api, id_, _cancel=True)
    assert refused.json()["errors"][0]["meta"] == {"run": 3, "allowed_at": None}
    assert "after run 3." in refused.json()["errors"][0]["detail"]
    await shop.wait_until("2026-01-13 00:00")
    assert (await shop.look(id_))["ended_at"] is not None
    assert (await tell(api, id_, _cancel=True)).status_code == 200, "nothing is to come that could be waited for"


async def test_customers_do_not_set_how_long_they_subscribe(shop: Shop, customer: Any) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly", min_occurrences=3)
    refused = await tell(await customer(id_), id_, min_occurrences=None)
    assert (refused.status_code, pointers(refused)) == (403, ["/data/attributes/min_occurrences"])
    odd = await shop.edit(id_, max_occurrences=2)
    assert odd.status_code == 422, odd.text


async def test_it_ends_with_the_run_that_comes_next(
    shop: Shop, customer: Any, connection: Connection, store: Store
) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly")
    api = await customer(id_)
    second = (await shop.occurrences(id_))[1]["id"]
    moved = await shop.api.update("occurrences", second, {"scheduled_at": "2026-01-20T09:00:00.000Z"})
    assert moved.status_code == 200, moved.text
    said = await tell(api, id_, cancel_at_period_end=True, cancellation_reason=REASONS[0])
    assert said.status_code == 200, said.text
    assert said.json()["data"]["attributes"]["next_run_at"] == "2026-01-12T09:00:00.000Z"
    assert await shop.dates(id_, 9) == ["2026-01-12 09:00"]
    assert [row[:2] for row in await shop.ledger(id_)] == [("2026-01-12 09:00", "planned")]
    await shop.wait_until("2026-02-20 00:00")
    ended = await shop.look(id_)
    assert await shop.ordered(id_) == ["2026-01-12 09:00"]
    assert (ended["status"], short(ended["ended_at"])) == ("active", "2026-01-12 09:00")
    assert ended["cancellation_reason"] == REASONS[0]
    refused = await tell(api, id_, cancel_at_period_end=False)
    assert (refused.status_code, pointers(refused)) == (409, ["/data/attributes/cancel_at_period_end"])
    assert (await shop.tell(id_, cancel_at_period_end=False))["next_run_at"] == "2026-02-23T09:00:00.000Z"
    assert not await offenders(connection, store)


async def test_it_is_taken_back_as_long_as_a_run_is_to_come(shop: Shop, customer: Any) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly")
    api = await customer(id_)
    await tell(api, id_, cancel_at_period_end=True, cancellation_reason=REASONS[1], cancellation_comment="Too much")
    await tell(api, id_, _skip_next=True)
    assert await shop.dates(id_, 9) == ["2026-01-12 09:00", "2026-01-19 09:00"], "what is skipped is no run"
    back = (await tell(api, id_, cancel_at_period_end=False)).json()["data"]["attributes"]
    assert (back["cancellation_reason"], back["cancellation_comment"]) == (None, None)
    await shop.wait_until("2026-02-03 00:00")
    assert await shop.ordered(id_) == ["2026-01-19 09:00", "2026-01-26 09:00", "2026-02-02 09:00"]


async def test_an_overdue_run_that_wont_come_keeps_nobody_from_edits(shop: Shop) -> None:
    """Nothing is paid for, so it ends at once; the run that was moved, and never came, is in nobody's way later."""
    id_ = await shop.subscribe(PLACED, frequency="weekly", prepaid_occurrences=2)
    await shop.tell(id_, next_run_at="2026-01-14 12:00")
    await shop.tell(id_, _deactivate=True)
    await shop.wait_until("2026-01-15 12:00")
    await shop.tell(id_, _activate=True)
    assert (await shop.tell(id_, cancel_at_period_end=True))["ended_at"] is not None
    assert (await shop.edit(id_, frequency="monthly")).status_code == 200
    assert (await shop.tell(id_, cancel_at_period_end=False))["ended_at"] is None
    assert await offenders(shop.connection, shop.store) == []


async def test_it_ends_at_once_with_a_run_that_is_ordered_now(shop: Shop) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly")
    await shop.tell(id_, cancel_at_period_end=True)
    told = await shop.tell(id_, _order_next_now=True)
    assert (told["next_run_at"], short(told["ended_at"])) == (None, "2026-01-08 12:00")
    await shop.wait_until("2026-02-03 00:00")
    assert await shop.ordered(id_) == ["2026-01-08 12:00"]


async def test_the_last_run_counts_to_those_that_were_agreed_on(shop: Shop, customer: Any) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly", min_occurrences=3)
    api = await customer(id_)
    refused = await tell(api, id_, cancel_at_period_end=True)
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/cancel_at_period_end"])
    assert refused.json()["errors"][0]["meta"] == {"run": 2, "allowed_at": "2026-01-19T09:00:00.000Z"}
    await shop.wait_until("2026-01-19 09:00")
    assert (await tell(api, id_, cancel_at_period_end=True)).status_code == 200
    await shop.wait_until("2026-03-01 00:00")
    assert await shop.ordered(id_) == ["2026-01-12 09:00", "2026-01-19 09:00", "2026-01-26 09:00"]


async def test_a_reason_is_one_of_the_stores_and_said_with_a_cancellation(shop: Shop, customer: Any) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly")
    api = await customer(id_)
    alone = await tell(api, id_, cancellation_reason=REASONS[0], cancellation_comment="Bye")
    assert (alone.status_code, sorted(map(str, pointers(alone)))) == (
        422,
        ["/data/attributes/cancellation_comment", "/data/attributes/cancellation_reason"],
    )
    unknown = await tell(api, id_, _cancel=True, cancellation_reason="too expensive")
    problem = unknown.json()["errors"][0]
    assert (unknown.status_code, problem["meta"]) == (
        422,
        {"cancellation_reasons": REASONS, "suggestion": "Too expensive"},
    )
    told = await tell(api, id_, _cancel=True, cancellation_reason=REASONS[0], cancellation_comment="Bye")
    assert told.status_code == 200, told.text
    attributes = told.json()["data"]["attributes"]
    assert (attributes["status"], attributes["cancellation_comment"]) == ("cancelled", "Bye")
    events = (await shop.api.get("events?filter[name]=order_subscriptions.cancel"))["data"]
    assert [one["attributes"]["changes"]["cancellation_reason"] for one in events] == [{"from": None, "to": REASONS[0]}]
    assert "Bye" not in str(events)


async def test_a_store_without_reasons_takes_none(shop: Shop, store: Store) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly")
    for wrong in (["a"] * 2, [""], ["x" * 201], [str(n) for n in range(51)]):
        refused = await shop.api.update("stores", str(store.id), {"cancellation_reasons": wrong})
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/cancellation_reasons"])
    assert (await shop.api.update("stores", str(store.id), {"cancellation_reasons": []})).status_code == 200
    refused = await shop.edit(id_, _cancel=True, cancellation_reason="Whatever")
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/cancellation_reason"])


async def test_a_link_says_from_when_on_and_asks_why(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly", min_occurrences=1)
    made = await link(shop, id_, "cancel")
    early = await client.get(made["path"])
    assert "You can end it from" in early.text
    assert "12 January 2026" in early.text or "January 12, 2026" in early.text
    assert "<button" not in early.text
    dutch = await client.get(made["path"], headers={"Accept-Language": "nl"})
    assert "na bezorging 1, zoals afgesproken" in dutch.text
    await shop.wait_until("2026-01-12 09:00")
    page = await client.get(made["path"])
    assert REASONS[0] in page.text
    odd = await press(client, made["path"], reason="Something else")
    assert (odd.status_code, "must be one of" in odd.text) == (422, True)
    long = await press(client, made["path"], comment="x" * 2001)
    assert (long.status_code, "is too long" in long.text) == (422, True)
    assert (await press(client, made["path"], reason=REASONS[1], comment="Thanks")).status_code == 303
    kept = await shop.look(id_)
    assert (kept["status"], kept["cancellation_reason"], kept["cancellation_comment"]) == (
        "cancelled",
        REASONS[1],
        "Thanks",
    )


async def test_the_portal_ends_it_after_the_next_delivery(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly")
    path = (await link(shop, id_, "manage"))["path"]
    page = await client.get(f"{path}?end")
    assert all(reason in page.text for reason in REASONS)
    assert (await press(client, path, do="end_later", reason=REASONS[0], comment="")).status_code == 303
    shown = await client.get(path)
    assert "is the last one" in shown.text
    kept = await shop.look(id_)
    assert (kept["cancel_at_period_end"], kept["cancellation_reason"]) == (True, REASONS[0])
    assert (await press(client, path, do="keep")).status_code == 303
    kept = await shop.look(id_)
    assert (kept["cancel_at_period_end"], kept["cancellation_reason"]) == (False, None)
    assert "is the last one" not in (await client.get(path)).text
    assert (await press(client, path, do="cancel", reason="", comment="Bye")).status_code == 303
    assert (await shop.look(id_))["cancellation_comment"] == "Bye"


async def test_the_portal_says_from_when_on_it_can_be_ended(shop: Shop, client: httpx2.AsyncClient) -> None:
    id_ = await shop.subscribe(PLACED, frequency="weekly", min_occurrences=2)
    path = (await link(shop, id_, "manage"))["path"]
    page = await client.get(f"{path}?end")
    assert "You can end it from" in page.text
    assert "End it for good" not in page.text
    assert "Keep it" in page.text
    refused = await press(client, path, do="cancel")
    assert (refused.status_code, (await shop.look(id_))["status"]) == (422, "active")
