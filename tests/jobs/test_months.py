"""Deliveries are deleted by the month: at once where nothing of it stays, else row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service import clock
from service.operations.tenant import tenants
from service.operations.webhooks import delivering
from service.principal import Store
from service.store import partitions
from service.store.checks import violations
from service.store.pool import Connection, connect
from tests import factories
from tests.support import KEYS

DAY = timedelta(days=1)


@pytest.mark.parametrize("stays", ["nothing", "waits", "late"])
async def test_a_month_of_deliveries_is_emptied_at_once(own_url: str, stays: str) -> None:
    """Where nothing of it stays; else what is past goes row by row. Both are counted."""
    async with connect(own_url, KEYS) as connection:
        at = clock.now()
        then = at - 100 * DAY
        month = partitions.month("event_callbacks", then)
        await partitions.make_ahead(connection, then)
        store, other = [await _told(connection, number, then) for number in (71, 72)]
        young = await _delivered(connection, store, at)
        if stays != "nothing":
            over = {"status": "pending", "delivered_at": None, "next_attempt_at": at} if stays == "waits" else {}
            await _delivered(connection, other, then, **{"created_at": at, **over})
        before = await connection.fetchval("select pg_relation_filenode($1::text)", month.name)
        await delivering.clean(connection, at)
        left = await connection.fetch("select store_id, id from event_callbacks order by 1")
        assert [row[0] for row in left] == ([71] if stays == "nothing" else [71, 72])
        assert left[0][1] == young
        emptied = await connection.fetchval("select pg_relation_filenode($1::text)", month.name) != before
        assert emptied is (stays == "nothing")
        assert await violations(connection) == []
        counted_ = "select coalesce(sum(delta), 0) from collection_changes where collection = 'event_callbacks'"
        assert await connection.fetchval(counted_) == len(left)
        # Later the owner drops what is empty.
        dropped = await partitions.make_ahead(connection, at)
        assert (month.name in dropped) is (stays == "nothing")


async def test_a_delivery_whose_month_is_not_over_stays(own_url: str) -> None:
    async with connect(own_url, KEYS) as connection:
        at = datetime(2026, 3, 30, tzinfo=UTC)
        store = await _told(connection, 73, at - 29 * DAY)
        for now, left in ((at + 20 * DAY, 2), (at + 31 * DAY, 2), (at + 33 * DAY, 0)):
            await delivering.clean(connection, now)
            assert await connection.fetchval("select count(*) from event_callbacks") == left
        assert store.id == 73


async def _told(connection: Connection, number: int, at: datetime) -> Store:
    """A store with two deliveries of events of an instant."""
    made = await tenants.create(connection, store_id=number, name=f"Store {number}", at=at)
    await factories.insert(connection, "webhooks", made, id="w", topic="tags.*", topics=["tags.*"],
        callback_url="http://127.0.0.1:9/", shared_secret="sealed", health_since=at)  # fmt: skip
    await connection.execute(
        "insert into event_cursors (store_id, transaction_id, event_id) values ($1, 0, '')", number
    )
    for _ in range(2):
        await _delivered(connection, made, at)
    return made


async def _delivered(connection: Connection, store: Store, at: datetime, **columns: object) -> str:
    """A delivery of an event of an instant, under the id that it has by that; counted."""
    number = await connection.fetchval("select count(*) from events where store_id = $1", store.id)
    id_ = f"{clock.first_id(at)[:-2]}{number + 10}"
    told = await factories.insert(connection, "events", store, id=id_, name="tags.create", resource_type="tags",
        resource_id=id_, sequence=1, created_at=at)  # fmt: skip
    usual = {"status": "delivered", "delivered_at": at, "created_at": at, "callback_url": "http://127.0.0.1:9/"}
    return await factories.insert(
        connection,
        "event_callbacks",
        store,
        id=f"{told}-0123456789ab",
        webhook_id="w",
        event_id=told,
        **usual | columns,
    )
