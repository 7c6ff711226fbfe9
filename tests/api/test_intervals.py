"""How often a subscription runs: as an interval, on several weekdays, and cut off some hours before each run."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.faults.playing import Shop
from tests.spec.writing import Api, pointers, resource, to
from tests.support import Grant


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Monday 5 January 2026, 12:00 in UTC."""
    return await Shop.open(api, database, connection, store, "2026-01-05 12:00")


def said(attributes: dict[str, Any]) -> tuple[Any, ...]:
    """How often it runs."""
    return tuple(attributes[name] for name in ("frequency", "interval_unit", "interval_count", "weekdays"))


SAME = [
    ({"interval_unit": "week"}, ("weekly", "week", 1, None)),
    ({"interval_unit": "month", "interval_count": 2}, ("two-month", "month", 2, None)),
    ({"interval_unit": "month", "interval_count": 12}, ("12-month", "month", 12, None)),
    ({"interval_unit": "day", "interval_count": 10}, ("10-day", "day", 10, None)),
    ({"interval_unit": "year", "interval_count": 2}, ("2-year", "year", 2, None)),
    (
        {"interval_unit": "week", "interval_count": 2, "weekdays": ["friday", "monday", "friday"]},
        ("2-week:monday,friday", "week", 2, ["monday", "friday"]),
    ),
    ({"interval_unit": "week", "weekdays": []}, ("weekly", "week", 1, None)),
    ({"frequency": "2-week:monday,friday"}, ("2-week:monday,friday", "week", 2, ["monday", "friday"])),
    ({"frequency": "yearly"}, ("yearly", "year", 1, None)),
    ({"frequency": "hourly"}, ("hourly", None, None, None)),
    ({"frequency": "30 7 * * 1,4"}, ("30 7 * * 1,4", "week", 1, ["monday", "thursday"])),
    ({"frequency": "30 7 1,15 * *"}, ("30 7 1,15 * *", None, None, None)),
    ({"frequency": "weekly", "interval_unit": "week", "interval_count": 1}, ("weekly", "week", 1, None)),
    ({"frequency": "0 9 * * *", "interval_unit": "day"}, ("0 9 * * *", "day", 1, None)),
]


@pytest.mark.parametrize(("sent", "shown"), SAME)
async def test_a_frequency_and_an_interval_say_the_same(
    shop: Shop, sent: dict[str, Any], shown: tuple[Any, ...]
) -> None:
    id_ = await shop.subscribe("2026-01-01 09:00", **sent)
    assert said(await shop.look(id_)) == shown


WRONG = [
    ({"frequency": "monthly", "interval_unit": "week"}, "interval_unit", "says something else than frequency"),
    ({"frequency": "weekly", "interval_unit": "week", "interval_count": 2}, "interval_unit", "something else"),
    ({"frequency": "hourly", "interval_unit": "day"}, "interval_unit", "something else"),
    ({"frequency": "weekly", "interval_unit": "week", "weekdays": ["monday"]}, "interval_unit", "something else"),
    ({"interval_unit": "month", "weekdays": ["monday"]}, "interval_unit", "only weeks"),
    ({"interval_unit": "day", "interval_count": 3650, "last_day": True}, "interval_unit", "no last day"),
    ({"interval_unit": "year", "interval_count": 11}, "interval_unit", "ten years"),
    ({"interval_unit": "fortnight"}, "interval_unit", "must be day, week, month, or year"),
    ({"interval_unit": "week", "weekdays": ["funday"]}, "weekdays", "must be some of monday"),
    ({"interval_unit": "week", "interval_count": 0}, "interval_count", "must be greater than or equal to 1"),
    ({"interval_count": 2}, "interval_count", "can't be blank"),
    ({"frequency": "1-week"}, "frequency", "is written weekly"),
]


@pytest.mark.parametrize(("sent", "field", "why"), WRONG)
async def test_what_says_nothing_or_two_things_is_refused(
    shop: Shop, sent: dict[str, Any], field: str, why: str
) -> None:
    order_id = await factories.full_order(shop.connection, shop.store, [factories.Line(shop.sku)])
    document = resource("order_subscriptions", sent, {"source_order": to("orders", order_id)})
    answer = await shop.api.send("POST", "order_subscriptions", document)
    assert (answer.status_code, pointers(answer)) == (422, [f"/data/attributes/{field}"])
    assert why in answer.json()["errors"][0]["detail"]


async def test_a_subscription_has_a_frequency_or_an_interval(shop: Shop) -> None:
    order_id = await factories.full_order(shop.connection, shop.store, [factories.Line(shop.sku)])
    document = resource("order_subscriptions", {}, {"source_order": to("orders", order_id)})
    answer = await shop.api.send("POST", "order_subscriptions", document)
    assert (answer.status_code, pointers(answer)) == (422, ["/data"])


async def test_what_is_not_sent_stays_and_whole_resources_can_be_sent_back(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-01 09:00", frequency="2-week:monday,friday")
    assert said(await shop.tell(id_, interval_count=3)) == ("3-week:monday,friday", "week", 3, ["monday", "friday"])
    assert said(await shop.tell(id_, weekdays=["sunday"])) == ("3-week:sunday", "week", 3, ["sunday"])
    assert said(await shop.tell(id_, interval_unit="month")) == ("three-month", "month", 3, None)
    back = {"interval_unit": "month", "interval_count": 3, "weekdays": None}
    assert said(await shop.tell(id_, frequency="weekly", **back)) == ("weekly", "week", 1, None)
    assert said(await shop.tell(id_, frequency="weekly", interval_unit="day")) == ("daily", "day", 1, None)
    assert said(await shop.tell(id_, frequency="hourly")) == ("hourly", None, None, None)
    refused = await shop.edit(id_, interval_count=2)
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/interval_count"])


async def test_it_runs_on_each_of_its_days_at_the_time_of_the_anchor(shop: Shop) -> None:
    id_ = await shop.subscribe(
        "2026-01-01 08:00", interval_unit="week", interval_count=2, weekdays=["thursday", "monday"],
        timezone="Europe/Amsterdam",
    )  # fmt: skip
    told = ["2026-01-12 08:00", "2026-01-15 08:00", "2026-01-26 08:00", "2026-01-29 08:00", "2026-02-09 08:00"]
    assert await shop.dates(id_, 5) == told
    await shop.wait_until("2026-01-30 00:00")
    assert await shop.ordered(id_) == told[:4]
    assert await shop.dates(id_, 1) == told[4:]


async def test_a_settled_date_stays_and_edits_go_to_the_run_after_it(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", cutoff_hours=48)
    await shop.wait_until("2026-01-10 08:59")
    assert (await shop.tell(id_, _skip_next=True))["next_run_at"] == "2026-01-19T09:00:00.000Z"
    await shop.wait_until("2026-01-17 09:00")
    assert (await shop.tell(id_, _skip_next=True))["next_run_at"] == "2026-01-19T09:00:00.000Z"
    await shop.wait_until("2026-01-27 00:00")
    assert await shop.ordered(id_) == ["2026-01-19 09:00"]


async def test_the_run_after_a_settled_one_is_moved(shop: Shop) -> None:
    """Though the next run, which is all that the subscription shows, stays where it is."""
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", cutoff_hours=48)
    await shop.wait_until("2026-01-11 12:00")
    told = await shop.tell(id_, next_run_at="2026-01-20 09:00")
    assert told["next_run_at"] == "2026-01-12T09:00:00.000Z"
    assert await shop.dates(id_, 3) == ["2026-01-12 09:00", "2026-01-20 09:00", "2026-01-26 09:00"]
    await shop.wait_until("2026-01-21 00:00")
    assert await shop.ordered(id_) == ["2026-01-12 09:00", "2026-01-20 09:00"]


async def test_another_frequency_goes_on_from_the_last_settled_date(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", cutoff_hours=48)
    await shop.wait_until("2026-01-17 09:00")
    moved = await shop.tell(id_, frequency="10-day")
    assert moved["next_run_at"] == "2026-01-19T09:00:00.000Z"
    told = ["2026-01-19 09:00", "2026-01-29 09:00", "2026-02-08 09:00"]
    assert await shop.dates(id_, 3) == told
    await shop.wait_until("2026-02-05 00:00")
    assert await shop.ordered(id_) == ["2026-01-12 09:00", *told[:2]]


async def test_an_occurrence_that_is_settled_says_until_when_it_could_be_changed(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", cutoff_hours=48)
    first, second, *_ = await shop.occurrences(id_)
    await shop.wait_until("2026-01-10 09:00")
    for sent in ({"_skip": True}, {"scheduled_at": "2026-01-13T09:00:00Z"}):
        answer = await shop.api.update("occurrences", first["id"], sent)
        assert answer.status_code == 409, answer.text
        (problem,) = answer.json()["errors"]
        assert (problem["meta"]["closed_at"], problem["source"]["pointer"]) == (
            "2026-01-10T09:00:00.000Z",
            f"/data/attributes/{next(iter(sent))}",
        )
    assert (await shop.api.update("occurrences", second["id"], {"_skip": True})).status_code == 200
    assert (await shop.edit(id_, _cancel=True)).status_code == 200
    await shop.wait_until("2026-01-13 00:00")
    assert await shop.ordered(id_) == []


async def test_nothing_is_moved_to_where_dates_are_settled(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", cutoff_hours=48)
    near = await shop.edit(id_, next_run_at="2026-01-07 11:00")
    assert (near.status_code, pointers(near)) == (422, ["/data/attributes/next_run_at"])
    assert "2026-01-07T12:00:00.000Z" in near.json()["errors"][0]["detail"]
    assert (await shop.edit(id_, next_run_at="2026-01-07 13:00")).status_code == 200


async def test_customers_choose_how_often_and_the_shop_when_that_is_settled(
    shop: Shop, client: httpx2.AsyncClient, grant: Grant
) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", cutoff_hours=24)
    found = await shop.connection.fetchval(
        "select customer_id from order_subscriptions where store_id = $1 and id = $2", shop.store.id, id_
    )
    customer = Api(client, await grant(customer_id=found))
    chosen = await customer.update("order_subscriptions", id_, {"interval_unit": "day", "interval_count": 10})
    assert chosen.status_code == 200, chosen.text
    refused = await customer.update("order_subscriptions", id_, {"cutoff_hours": 0})
    assert (refused.status_code, pointers(refused)) == (403, ["/data/attributes/cutoff_hours"])
