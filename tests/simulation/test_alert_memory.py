"""The store in memory is held to Postgres: what announces runs and cards on the one does the same on the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast
from unittest import mock

import pytest

from service import clock
from service.operations.subscriptions import alerts, expiring
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.simulation import announcing, doubles, memory, statements
from tests.simulation.alert_statements import BY_TEXT
from tests.simulation.memory import Memory

HOUR = timedelta(hours=1)
RUNS = (4, 6, 60)
"""In how many hours the subscriptions run; each is announced eight hours ahead."""


@dataclass
class Bench:
    """A store whose time can be chosen, with three subscriptions, all paid by one card that expires in 30 hours."""

    database: Database
    store: Store
    began: datetime
    memory: Memory | None

    def at(self, hours: float) -> Store:
        """The store so many hours later."""
        return replace(self.store, frozen_at=self.began + hours * HOUR)

    async def alert(self, hours: float) -> int:
        """Announce what is to be announced by then; how many subscriptions were looked at."""
        async with self.database.by_keys() as connection:
            return (await alerts.alert(connection, self.at(hours))).subscriptions

    async def look(self, hours: float) -> int:
        """Look at the card, if it is to be looked at by then; how many were."""
        async with self.database.by_keys() as connection:
            return (await expiring.look(connection, self.at(hours))).sources

    async def due(self, hours: float) -> tuple[int, int]:
        """How many subscriptions and cards are to be looked at."""
        async with self.database.connection() as connection:
            store = self.at(hours)
            return len(await alerts.due_ids(connection, store)), len(await expiring.due_ids(connection, store))

    async def noted(self) -> list[tuple[float | None, float | None, bool]]:
        """By subscription: which run was told of, when to look again, in hours, and whether there was a total."""
        names = ("alerted_run_at", "alert_again_at", "alerted_amount_cents")
        rows = await self._rows("subscriptions", names)
        return [(self._hours(row[0]), self._hours(row[1]), row[2] is not None) for row in rows]

    async def card(self) -> tuple[float | None, float | None]:
        """With which end the card is done, and when to look again, in hours."""
        ((done, again),) = await self._rows("sources", ("expiry_done_at", "expiry_again_at"))
        return self._hours(done), self._hours(again)

    async def told(self, name: str) -> int:
        """How many events of this name there are."""
        if self.memory is not None:
            return sum(row["name"] == name for row in self.memory.rows("events").values())
        async with self.database.connection() as connection:
            count = "select count(*) from events where store_id = $1 and name = $2"
            return int(await connection.fetchval(count, self.store.id, name))

    async def move(self, hours: float) -> None:
        """Move the next run of the first subscription."""
        run_at = self.began + hours * HOUR
        if self.memory is not None:
            self.memory.rows("subscriptions")["sub-0"]["next_run_at"] = run_at
            return
        async with self.database.connection() as connection:
            await connection.execute(
                "update order_subscriptions set next_run_at = $2 where store_id = $1 and id = 'sub-0'",
                self.store.id,
                run_at,
            )

    def _hours(self, at: datetime | None) -> float | None:
        return None if at is None else (at - self.began) / HOUR

    async def _rows(self, table: str, names: tuple[str, ...]) -> list[tuple[Any, ...]]:
        if self.memory is not None:
            return [tuple(row[name] for name in names) for _, row in sorted(self.memory.rows(table).items())]
        real = {"sources": "customer_payment_sources", "subscriptions": "order_subscriptions"}[table]
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                f"select {', '.join(names)} from {real} where store_id = $1 order by id", self.store.id
            )
        return [tuple(row) for row in rows]


@pytest.fixture(params=["memory", "postgres"])
async def bench(
    request: pytest.FixtureRequest, database: Database, connection: Connection, store: Store
) -> AsyncIterator[Bench]:
    """Both stores, one after the other."""
    began = clock.now()
    runs = [began + hours * HOUR for hours in RUNS]
    if request.param == "postgres":
        customer_id = await factories.customer(connection, store)
        sku = await factories.sku(connection, store)
        order_id = await factories.full_order(connection, store, [Line(sku)], customer_id=customer_id)
        expires_at = began + 30 * HOUR
        source_id = await factories.payment_source(connection, store, customer_id, expires_at=expires_at)
        for number, run_at in enumerate(runs):
            columns: dict[str, Any] = {
                "id": f"sub-{number}",
                "next_run_at": run_at,
                "customer_payment_source_id": source_id,
            }
            await factories.subscription(connection, store, order_id, renewal_alert_period=8, **columns)
        yield Bench(database, store, began, None)
        return
    chance = random.Random(1)
    with doubles.instead(chance), mock.patch.object(alerts, "outlook", announcing.outlook):
        kept = Memory(chance)
        kept.rows("sources")["card"] = announcing.card("card", began + 30 * HOUR)
        for number, run_at in enumerate(runs):
            id_ = f"sub-{number}"
            kept.rows("subscriptions")[id_], _ = announcing.subscription(id_, run_at, 8, "card")
            kept.rows("prices")[id_] = {"id": id_, "cents": 100}
        database_ = cast("Database", memory.Database(kept, BY_TEXT))
        yield Bench(database_, Store(1, *statements.FACTS), began, kept)


async def test_a_run_is_announced_once_and_looked_at_again_halfway(bench: Bench) -> None:
    assert await bench.due(0) == (2, 1)
    assert (await bench.alert(0), await bench.told(alerts.RENEWAL)) == (2, 2)
    assert await bench.noted() == [(4, 2, True), (6, 3, True), (None, None, False)]
    assert (await bench.alert(0), (await bench.due(1.9))[0]) == (0, 0)
    assert (await bench.alert(2), await bench.told(alerts.RENEWAL)) == (1, 2)
    assert (await bench.noted())[0] == (4, 3, True)
    assert await bench.alert(4.5) == 1
    assert (await bench.noted())[:2] == [(4, 3, True), (6, None, True)]


async def test_a_run_that_moved_is_announced_again(bench: Bench) -> None:
    assert await bench.alert(0) == 2
    await bench.move(7)
    assert (await bench.alert(0), await bench.told(alerts.RENEWAL)) == (1, 3)
    assert (await bench.noted())[0] == (7, 3.5, True)
    await bench.move(60)
    assert (await bench.alert(50), await bench.alert(53)) == (0, 2)


async def test_what_one_holds_another_leaves_alone(bench: Bench) -> None:
    async with bench.database.by_keys() as connection:
        assert (await alerts.alert(connection, bench.at(0))).subscriptions == 2
        assert await asyncio.create_task(bench.alert(0)) == 0
    assert await bench.told(alerts.RENEWAL) == 2


async def test_one_that_is_put_off_is_looked_at_an_hour_later(bench: Bench) -> None:
    async with bench.database.by_keys() as connection:
        assert (await alerts.put_off(connection, bench.at(0), "sub-0")).subscriptions == 1
    assert await bench.told(alerts.RENEWAL) == 0
    assert (await bench.noted())[0] == (4, 1, False)
    assert ((await bench.due(0.9))[0], (await bench.due(1))[0]) == (1, 2)


async def test_a_card_is_told_of_once(bench: Bench) -> None:
    assert (await bench.look(0), await bench.told(expiring.EXPIRING)) == (1, 1)
    assert await bench.card() == (30, None)
    assert ((await bench.due(20))[1], await bench.look(20), await bench.told(expiring.EXPIRING)) == (0, 0, 1)


async def test_a_card_that_is_put_off_is_looked_at_an_hour_later(bench: Bench) -> None:
    ids = await _card_ids(bench)
    async with bench.database.by_keys() as connection:
        assert (await expiring.put_off(connection, bench.at(0), ids[0])).sources == 1
    assert (await bench.card(), await bench.told(expiring.EXPIRING)) == ((None, 1), 0)
    assert ((await bench.due(0.9))[1], (await bench.due(1))[1]) == (0, 1)


async def _card_ids(bench: Bench) -> list[str]:
    async with bench.database.connection() as connection:
        return list(await expiring.due_ids(connection, bench.at(0)))
