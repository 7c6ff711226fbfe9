"""Nothing is lost and nothing doubled, whatever is killed: the short form of `make chaos`, and its judge judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.store.pool import Connection, open_database
from tests.chaos import fleet, world, year
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
async def test_a_quarter_of_all_kinds_of_subscriptions_is_as_a_second_count_has_it(own_url: str) -> None:
    report = await year.play(own_url, year.Plan(subscriptions=40, edited=12, instants=2, stores=2, stretches=3))
    assert report.wrong == []
    assert set(report.rows) == {"completed", "missed", "skipped"}
    assert report.edits > 10


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
