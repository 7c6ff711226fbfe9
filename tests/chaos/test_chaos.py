"""Nothing is lost and nothing doubled, whatever is killed: the short form of `make chaos`, and its judge judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.store.pool import Connection, open_database
from tests.chaos import fleet, raced, racing, world, year
from tests.factories import Line, order, sku
from tests.jobs.test_worker import until, working
from tests.support import KEYS


@pytest.mark.rule("FM-51", "FM-53", "FM-57", "FM-59", "FM-60")
@pytest.mark.timeout(150)
async def test_killed_workers_and_a_killed_server_lose_and_double_nothing(run_folder: Path, worker_id: str) -> None:
    plan = fleet.Plan(
        stores=3,
        subscriptions=300,
        worker_kills=5,
        postgres_kills=1,
        pauses=(0.1, 0.8),
        command=fleet.HASTY,
        seconds=120,
    )
    report = await fleet.play(plan, run_folder / f"chaos-{worker_id}")
    assert report.wrong == []
    assert report.orders == report.due == 450
    assert (report.worker_kills >= 3, report.postgres_kills) == (True, 1)


@pytest.mark.timeout(240)
async def test_customers_who_change_what_comes_up_get_what_they_were_told(run_folder: Path, worker_id: str) -> None:
    plan = racing.Plan(
        subscriptions=32,
        within=20,
        workers=2,
        worker_kills=3,
        server_kills=4,
        postgres_kills=1,
        pauses=(0.5, 2.5),
        seconds=200,
    )
    report = await racing.play(plan, run_folder / f"races-{worker_id}")
    assert report.wrong == []
    assert report.orders > 10
    assert report.edits.total() > 50
    assert report.edits["pay done"]
    assert report.edits["renew card done"]
    assert (report.server_kills > 0, report.postgres_kills) == (True, 1)


def test_the_judge_of_races_tells_a_swap_by_a_run_from_one_by_its_customer() -> None:
    item = raced.Item("A")
    item.change("A", ("B", 2))
    assert (item.order(1), item.owes) == ("A", False)
    assert (item.order(2), item.owes) == ("B", True)
    item.change("B", None)
    assert (item.order(3), item.owes, item.became) == ("B", False, ["B from run 2"])
    item.change("C", None)
    assert (item.order(4), item.became) == ("C", ["B from run 2", "C"])


@pytest.mark.timeout(240)
async def test_a_quarter_of_all_kinds_of_subscriptions_is_as_a_second_count_has_it(own_url: str) -> None:
    report = await year.play(
        own_url, year.Plan(subscriptions=40, edited=12, mixed=0, instants=2, stores=2, stretches=3)
    )
    assert report.wrong == []
    assert set(report.rows) == {"completed", "missed", "skipped"}
    assert report.edits > 10


@pytest.mark.parametrize("seed", [1, 4])
@pytest.mark.timeout(240)
async def test_forecasts_are_what_happens_to_subscriptions_with_everything(own_url: str, seed: int) -> None:
    plan = year.Plan(subscriptions=0, edited=0, mixed=8, instants=3, stores=1, stretches=3, seed=seed)
    report = await year.play(own_url, plan)
    assert report.wrong == []
    assert report.features["refused at first"]
    assert report.features["asked again"]
    assert report.orders > 10
    assert report.edits > 30


async def test_the_judge_notices_what_is_lost_and_what_is_doubled(own_url: str) -> None:
    async with open_database(own_url, keys=KEYS) as database, database.connection() as connection:
        made = await world.build(connection, store_count=1, subscriptions=8)

        async def drained() -> bool:
            return not await world.left(connection)

        async with working(own_url):
            await until(drained)
        assert await world.verdict(connection, made) == []
        await _double(connection, made)
        doubled = await world.verdict(connection, made)
        assert [problem.partition(":")[0] for problem in doubled] == ["doubled", "store 1"]
        await connection.execute(
            "update orders set order_subscription_id = null, occurrence_id = null where order_subscription_id = 'sub-0'"
        )
        lost = await world.verdict(connection, made)
        assert "lost: (1, 'sub-0', 1)" in lost


async def _double(connection: Connection, made: world.World) -> None:
    """An order of a subscription for which no occurrence fell due."""
    (store,) = made.stores
    await order(connection, store, [Line(await sku(connection, store))], order_subscription_id="sub-2")
