"""What tells of the past goes once it was kept for as long as the settings say, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from service import clock
from service.jobs import clean
from service.operations.runtime import cleaning, retaining
from service.operations.runtime.retaining import Retention
from service.operations.webhooks import delivering
from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection, Database
from tests import counted, factories
from tests.spec.writing import Api

DAY = timedelta(days=1)
ALL = Retention(events=10 * DAY, imports=20 * DAY, deliveries=5 * DAY, answers=timedelta(hours=2))


async def ids(connection: Connection, store: Store, table: str) -> list[str]:
    return [row[0] for row in await connection.fetch(f"select id from {table} where store_id = $1", store.id)]


async def event(connection: Connection, store: Store, at: datetime, resource_id: str, sequence: int) -> str:
    told = {"name": "orders.update", "resource_type": "orders", "resource_id": resource_id, "sequence": sequence}
    return await factories.insert(connection, "events", store, created_at=at, updated_at=at, **told)


async def test_events_go_and_their_numbers_go_on(connection: Connection, store: Store, api: Api) -> None:
    at = clock.now()
    order = await factories.order(connection, store)
    old = [await event(connection, store, at - days * DAY, order, n) for n, days in enumerate((40, 30, 11, 9), 1)]
    lone = await event(connection, store, at - 50 * DAY, "another", 1)
    await counted.anew(connection, store)
    await retaining.clean(connection, at, Retention())
    assert {*old, lone} <= {*await ids(connection, store, "events")}, "by default they stay"
    await retaining.clean(connection, at, ALL)
    left = {*await ids(connection, store, "events")}
    assert not left & {*old[:3]}
    assert old[3] in left
    assert lone not in left
    await retaining.clean(connection, at + 20 * DAY, ALL)
    assert await ids(connection, store, "events") == [], "so that the next run has none to read again"
    told = "select sequence from events where store_id = $1 and resource_id = $2 order by sequence"
    for written in ([5], [5, 6]):
        assert (await api.update("orders", order, {"reference": f"{written}"})).status_code == 200
        assert [row[0] for row in await connection.fetch(told, store.id, order)] == written


@pytest.mark.parametrize("waits", ["delivery", "webhooks", "stream"])
async def test_what_is_still_to_be_told_stays(connection: Connection, store: Store, api: Api, waits: str) -> None:
    at = clock.now()
    past = await event(connection, store, at - 40 * DAY, "order", 1)
    await event(connection, store, at - 39 * DAY, "order", 2)
    hook = await api.create("webhooks", {"topic": "orders.*", "callback_url": "http://127.0.0.1:9/"})
    await connection.execute("update event_cursors set transaction_id = 9e15::bigint where store_id = $1", store.id)
    if waits == "delivery":
        sent = {
            "webhook_id": hook["id"],
            "event_id": past,
            "callback_url": "http://127.0.0.1:9/",
            "next_attempt_at": at,
        }
        await factories.insert(connection, "event_callbacks", store, **sent)
    elif waits == "webhooks":
        await connection.execute("update event_cursors set transaction_id = 0 where store_id = $1", store.id)
    else:
        await connection.execute(
            "insert into destinations (name, holder, leased_until) values ($1, '', $2)", f"stream {store.id}", at
        )
        await connection.execute(
            "insert into destination_cursors (store_id, destination, transaction_id, event_id) values ($1, $2, 0, '')",
            store.id, f"stream {store.id}",
        )  # fmt: skip
    await counted.anew(connection, store)
    await retaining.clean(connection, at, ALL)
    assert past in await ids(connection, store, "events")
    for table in ("event_callbacks", "event_cursors", "destination_cursors"):
        await connection.execute(f"delete from {table} where store_id = $1", store.id)
    await counted.anew(connection, store)
    await retaining.clean(connection, at, ALL)
    assert past not in await ids(connection, store, "events")


@pytest.mark.parametrize("table", ["imports", "exports"])
async def test_imports_and_exports_go_once_they_are_over(connection: Connection, store: Store, table: str) -> None:
    at = clock.now()

    async def brought(days: int, status: str, **columns: object) -> str:
        begun = at - days * DAY
        return await factories.insert(connection, table, store, created_at=begun, status=status, **columns)

    old = await brought(30, "completed", completed_at=at - 25 * DAY)
    broken = await brought(30, "interrupted", interrupted_at=at - 25 * DAY)
    late = await brought(30, "completed", completed_at=at - 2 * DAY)
    waiting = await brought(30, "pending")
    await counted.anew(connection, store)
    await retaining.clean(connection, at, ALL._replace(imports=None))
    assert {*await ids(connection, store, table)} == {old, broken, late, waiting}
    await retaining.clean(connection, at, ALL)
    assert {*await ids(connection, store, table)} == {late, waiting}
    told = "select sum(delta) from collection_changes where store_id = $1 and collection = $2"
    assert await connection.fetchval(told, store.id, table) == -2


async def test_answers_and_deliveries_go_when_the_settings_say_so(
    connection: Connection, store: Store, api: Api, client: object
) -> None:
    assert client
    made = await api.send(
        "POST", "tags", {"data": {"type": "tags", "attributes": {"name": "a"}}}, **{"Idempotency-Key": "k"}
    )
    assert made.status_code == 201
    kept = "select count(*) from idempotency_keys where store_id = $1"
    for hours, left in ((1, 1), (3, 0)):
        await cleaning.clean(connection, clock.now() + timedelta(hours=hours), answers=ALL.answers)
        assert await connection.fetchval(kept, store.id) == left
    hook = await api.create("webhooks", {"topic": "tags.*", "callback_url": "http://127.0.0.1:9/"})
    told = await event(connection, store, clock.now(), "tag", 1)
    # By its id, its event's month is over.
    sent = {"id": clock.first_id(clock.now() - 40 * DAY), "webhook_id": hook["id"], "event_id": told}
    sent |= {"callback_url": "http://127.0.0.1:9/"}
    over = {"status": "delivered", "delivered_at": clock.now(), "created_at": clock.now() - 6 * DAY}
    await factories.insert(connection, "event_callbacks", store, **sent, **over)
    await counted.anew(connection, store)
    for days, left in ((7, 1), (5, 0)):
        await delivering.clean(connection, clock.now(), kept=days * DAY)
        assert len(await ids(connection, store, "event_callbacks")) == left


async def test_the_worker_does_as_its_settings_say(database: Database, connection: Connection, store: Store) -> None:
    old = clock.now() - 100 * DAY
    await factories.insert(
        connection, "imports", store, created_at=old, status="completed", started_at=old, completed_at=old
    )
    await counted.anew(connection, store)
    settings = Settings(retain_imports=101)
    of = {
        "answers": settings.retain_answers,
        "deliveries": settings.retain_deliveries,
        "events": settings.retain_events,
    }
    await clean.clean(database, retention=Retention.of(**of, imports=settings.retain_imports))
    assert len(await ids(connection, store, "imports")) == 1
    assert Retention.of(**of, imports=90) == Retention()
    await clean.clean(database, retention=Retention.of(**of, imports=90))
    assert await ids(connection, store, "imports") == []


def test_nothing_is_kept_for_less_than_nothing() -> None:
    bad: Sequence[dict[str, int]] = ({"retain_answers": 25}, {"retain_events": -1}, {"retain_deliveries": 0})
    for one in bad:
        with pytest.raises(ValueError, match="Input should be"):
            Settings(**one)  # type: ignore[arg-type]  # numbers all of them
