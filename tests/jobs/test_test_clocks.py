"""Test clocks: a year of subscriptions in moments, by the code that runs on real time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any

import pytest

from service import clock
from service.jobs import clean
from service.jobs.advance import AdvanceJob
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.principal import Store
from service.rules.recurrence import Calendar
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.gateways import nearby
from tests.jobs.playing import advance, arrival, freeze, said
from tests.jobs.steps import jobs, names_of, offences
from tests.jobs.test_worker import working
from tests.spec.writing import Api, pointers, to

START = datetime(2026, 1, 31, 9, tzinfo=UTC)


@pytest.fixture
async def frozen(api: Api, store: Store) -> Any:
    """A clock that stands still at the start, and the store on it."""
    return await freeze(api, store, START)


async def test_what_falls_due_on_the_way_runs_at_its_own_instant(
    api: Api, frozen: Any, database_url: str, connection: Connection, store: Store
) -> None:
    sku = await factories.sku(connection, store, price=1900, stock=1000)
    order_id = await factories.full_order(connection, store, [Line(sku, 2)], placed_at=START)
    frequencies = ["weekly", "monthly", "six-month", "0 7 * * MON"]
    made = {
        frequency: await api.create(
            "order_subscriptions",
            {"frequency": frequency, "timezone": "Europe/Amsterdam"},
            {"source_order": to("orders", order_id)},
        )
        for frequency in frequencies
    }
    end = datetime(2026, 8, 1, tzinfo=UTC)
    async with working(database_url):
        await advance(api, frozen, end)
    assert (await api.get(f"test_clocks/{frozen['id']}"))["data"]["attributes"]["frozen_at"] == said(end)
    for frequency, subscription in made.items():
        calendar = Calendar(START, "Europe/Amsterdam", frequency)
        dates = [date.at for date in takewhile(lambda date: date.at <= end, islice(calendar.dates(1), 400))]
        rows = await connection.fetch(
            """
            select occurrences.occurrence_index, occurrences.scheduled_at, occurrences.status, orders.placed_at
            from occurrences
            left join orders on orders.store_id = occurrences.store_id and orders.occurrence_id = occurrences.id
            where occurrences.store_id = $1 and occurrences.order_subscription_id = $2
                and occurrences.status <> 'planned'
            order by occurrences.occurrence_index
            """,
            store.id,
            subscription["id"],
        )
        assert [tuple(row) for row in rows] == [
            (index, date, "completed", date) for index, date in enumerate(dates, 1)
        ], frequency
        shown = (await api.get(f"order_subscriptions/{subscription['id']}"))["data"]["attributes"]
        assert shown["occurrencies"] == len(dates)
        assert shown["next_run_at"] == said(calendar.date(len(dates) + 1).at)
    assert await names_of(connection, store, frozen["id"]) == [
        "test_clocks.create",
        "test_clocks.update",
        "test_clocks.advance",
        "test_clocks.ready",
    ]
    assert await offences(connection, store) == []


async def test_a_clock_only_goes_forward_and_not_too_far(api: Api, frozen: Any) -> None:
    for wrong in (START, START - timedelta(days=1), START + timedelta(days=800)):
        refused = await api.update("test_clocks", frozen["id"], {"_advance_to": said(wrong)})
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/_advance_to"])
    on_its_way = await api.update("test_clocks", frozen["id"], {"_advance_to": said(START + timedelta(days=1))})
    assert on_its_way.status_code == 200
    again = await api.update("test_clocks", frozen["id"], {"_advance_to": said(START + timedelta(days=2))})
    assert (again.status_code, pointers(again)) == (409, ["/data/attributes/_advance_to"])


async def test_a_clock_goes_on_while_the_job_of_its_last_way_is_still_in_the_queue(
    api: Api, frozen: Any, database: Database, connection: Connection, store: Store
) -> None:
    """Workers delete a job some time after it has brought its clock to its goal, when others may be asking for more."""
    for days in (1, 2):
        asked = await api.update("test_clocks", frozen["id"], {"_advance_to": said(START + timedelta(days=days))})
        assert asked.status_code == 200
        assert await jobs(connection, store, frozen["id"]) == days
        await AdvanceJob(database, CopyJob(database), PaymentJob(database, nearby())).go_on(store.id, frozen["id"])
        shown = (await api.get(f"test_clocks/{frozen['id']}"))["data"]["attributes"]
        assert (shown["status"], shown["frozen_at"]) == ("ready", said(START + timedelta(days=days)))


async def test_a_clock_whose_job_got_lost_is_put_back_into_the_queue(
    *, api: Api, frozen: Any, database: Database, database_url: str, connection: Connection, store: Store
) -> None:
    await api.update("test_clocks", frozen["id"], {"_advance_to": said(START + timedelta(days=1))})
    await connection.execute("delete from pgqueuer.pgqueuer where entrypoint = 'test_clocks'")
    await clean.rescue(database)
    await clean.rescue(database)
    assert await jobs(connection, store, frozen["id"]) == 1
    async with working(database_url):
        await arrival(api, frozen)


async def test_live_stores_keep_real_time(api: Api, frozen: Any, connection: Connection, store: Store) -> None:
    answer = await api.update("stores", str(store.id), None, {"test_clock": to("test_clocks", None)})
    assert answer.status_code == 200
    await connection.execute("update stores set mode = 'live' where store_id = $1", store.id)
    other = await api.send(
        "PATCH",
        f"stores/{store.id}",
        {
            "data": {
                "type": "stores",
                "id": str(store.id),
                "relationships": {"test_clock": to("test_clocks", frozen["id"])},
            }
        },
    )
    assert (other.status_code, pointers(other)) == (422, ["/data/relationships/test_clock/data"])
    assert (await api.get(f"stores/{store.id}"))["data"]["relationships"]["test_clock"]["data"] is None
    assert clock.now() > START
