"""The next run ordered now or put off, and how far runs stay apart."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from schemas.graph import graph
from service import clock
from service.operations.subscriptions.order_subscriptions import OrderSubscriptions
from service.principal import Principal, Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.faults.playing import Shop
from tests.jobs.steps import make
from tests.jobs.test_sweep import swept
from tests.spec.writing import Api, pointers, to


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Thursday 8 January 2026."""
    return await Shop.open(api, database, connection, store, "2026-01-08 12:00")


async def test_the_next_run_is_ordered_now_and_does_not_come_again(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly")
    told = await shop.tell(id_, _order_next_now=True)
    assert told["next_run_at"] == "2026-01-19T09:00:00.000Z"
    assert await shop.dates(id_, 2) == ["2026-01-19 09:00", "2026-01-26 09:00"]
    await shop.wait_until("2026-01-20 00:00")
    assert await shop.ordered(id_) == ["2026-01-08 12:00", "2026-01-19 09:00"]
    first, second, *_ = await shop.occurrences(id_)
    assert (first["nominal_at"], first["status"], first["reason"]) == (
        "2026-01-12T09:00:00.000Z",
        "completed",
        "ordered",
    )
    assert second["status"] == "completed"


async def test_it_is_ordered_ahead_once_until_it_would_have_come(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly")
    await shop.tell(id_, _order_next_now=True)
    refused = await shop.edit(id_, _order_next_now=True)
    assert (refused.status_code, pointers(refused)) == (409, ["/data/attributes/_order_next_now"])
    assert refused.json()["errors"][0]["meta"]["allowed_at"] == "2026-01-12T09:00:00.000Z"
    await shop.wait_until("2026-01-12 09:00")
    assert (await shop.edit(id_, _order_next_now=True)).status_code == 200


@pytest.mark.parametrize(
    ("policy", "ordered", "statuses"),
    [
        ("run_once", 3, ["missed", "missed", "completed"]),
        ("run_all", 1, ["completed", "completed", "completed"]),
        ("skip", 4, ["missed", "missed", "missed", "completed"]),
    ],
)
async def test_what_is_ordered_after_a_standstill_is_what_was_foretold(
    shop: Shop, policy: str, ordered: int, statuses: list[str]
) -> None:
    """What nothing makes up for is missed, and one run comes where one was told of."""
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", catchup_policy=policy)
    await shop.tell(id_, _deactivate=True)
    await shop.wait_until("2026-01-28 12:00")
    await shop.tell(id_, _activate=True)
    told = (await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=1"))["data"][0]["attributes"]
    await shop.tell(id_, _order_next_now=True)
    by_now = [one["occurrence_index"] for one in await shop.occurrences(id_) if one["reason"] == "ordered"]
    assert by_now == [told["occurrence_index"]] == [ordered]
    await shop.wait_until("2026-01-28 12:01")
    assert [one["status"] for one in await shop.occurrences(id_) if one["status"] != "planned"] == statuses


async def test_the_shop_keeps_runs_apart(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", min_days_between_runs=5)
    early = await shop.edit(id_, _order_next_now=True)
    assert early.json()["errors"][0]["meta"]["allowed_at"] == "2026-01-10T09:00:00.000Z"
    await shop.wait_until("2026-01-10 09:00")
    assert (await shop.edit(id_, _order_next_now=True)).status_code == 200
    again = await shop.edit(id_, _order_next_now=True)
    assert again.json()["errors"][0]["meta"]["allowed_at"] == "2026-01-15T09:00:00.000Z"
    near = await shop.edit(id_, _delay=4)
    assert (near.status_code, pointers(near)) == (409, ["/data/attributes/_delay"])
    assert near.json()["errors"][0]["meta"]["allowed_at"] == "2026-01-26T09:00:00.000Z"
    assert (await shop.tell(id_, _delay=2))["next_run_at"] == "2026-01-21T09:00:00.000Z"


async def test_a_run_is_put_off_and_the_others_stay(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", timezone="Europe/Amsterdam")
    await shop.tell(id_, _delay=3)
    assert await shop.dates(id_, 2) == ["2026-01-15 09:00", "2026-01-19 09:00"]
    await shop.tell(id_, _delay=10)
    assert await shop.dates(id_, 3) == ["2026-01-15 09:00", "2026-01-25 09:00", "2026-01-26 09:00"]
    kept = await shop.ledger(id_)
    assert ("2026-01-25 09:00", "planned", "moved") in kept


async def test_a_run_is_put_off_by_others(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly")
    assert (await shop.tell(id_, _delay=2, _delay_unit="interval"))["next_run_at"] == "2026-01-26T09:00:00.000Z"
    assert (await shop.ledger(id_))[:3] == [
        ("2026-01-12 09:00", "skipped", "passed_over"),
        ("2026-01-19 09:00", "skipped", "passed_over"),
        ("2026-01-26 09:00", "planned", None),
    ]
    few = await shop.subscribe("2026-01-05 09:00", frequency="weekly", max_occurrences=1)
    assert (await shop.edit(few, _delay=1, _delay_unit="interval")).status_code == 422


async def test_what_was_skipped_before_the_run_stays_so_and_the_last_run_ends_it(shop: Shop) -> None:
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly", max_occurrences=1)
    await shop.tell(id_, _skip_next=True)
    told = await shop.tell(id_, _order_next_now=True)
    assert (told["next_run_at"], told["ended_at"]) == (None, "2026-01-08T12:00:00.000Z")
    assert await shop.ledger(id_) == [("2026-01-12 09:00", "skipped", "asked"), ("2026-01-08 12:00", "due", "ordered")]
    refused = await shop.edit(id_, _order_next_now=True)
    assert refused.status_code in {409, 422}
    await shop.wait_until("2026-02-20 00:00")
    assert await shop.ordered(id_) == ["2026-01-08 12:00"]


async def test_twenty_presses_beside_the_sweep_make_one_order(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    line = Line(await factories.sku(connection, store))
    order_id = await factories.full_order(connection, store, [line], placed_at=clock.now() - timedelta(days=6))
    made = await api.create("order_subscriptions", {"frequency": "weekly"}, {"source_order": to("orders", order_id)})
    presses = [api.update("order_subscriptions", made["id"], {"_order_next_now": True}) for _ in range(20)]
    sweeps = [swept(database, store) for _ in range(4)]
    answers, _ = await asyncio.gather(asyncio.gather(*presses), asyncio.gather(*sweeps))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    copies = (await api.get(f"order_subscriptions/{made['id']}/recurring_order_copies"))["data"]
    assert [copy["attributes"]["status"] for copy in copies] == ["pending"]
    await make(database, store, copies[0]["id"])
    rows = [
        one
        for name in ("orders", "occurrences")
        for one in (await api.get(f"order_subscriptions/{made['id']}/{name}"))["data"]
    ]
    kinds = Counter((one["type"], one["attributes"]["status"]) for one in rows)
    assert kinds["orders", "placed"] == 1
    assert kinds["occurrences", "completed"] == 1
    told = await connection.fetch(
        "select payload from events where store_id = $1 and name = 'order_subscriptions.order_next_now'", store.id
    )
    assert len(told) == 1


async def test_a_press_that_is_cut_off_leaves_the_run_where_it_was(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    """What a killed process leaves is what its transaction had committed: all of the press, or nothing."""
    line = Line(await factories.sku(connection, store))
    order_id = await factories.full_order(connection, store, [line], placed_at=clock.now() - timedelta(days=6))
    made = await api.create("order_subscriptions", {"frequency": "weekly"}, {"source_order": to("orders", order_id)})
    writer, principal, kind = OrderSubscriptions(), Principal.of_service(store, "test"), graph["order_subscriptions"]

    async def press() -> None:
        async with database.transaction() as cut_off:
            locked = await writer.lock(cut_off, principal, kind, made["id"])
            await writer.change(cut_off, principal, locked, {}, verbs=("order_next_now",))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await press()
    shown = await api.get(f"order_subscriptions/{made['id']}")
    assert shown["data"]["attributes"]["next_run_at"] == made["attributes"]["next_run_at"]
    assert (await api.get(f"order_subscriptions/{made['id']}/recurring_order_copies"))["data"] == []
    assert (await api.update("order_subscriptions", made["id"], {"_order_next_now": True})).status_code == 200
