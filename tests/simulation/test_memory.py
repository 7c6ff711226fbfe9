"""The store in memory is held to Postgres: what sweeps, claims and finishes on the one does the same on the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest

from service import clock
from service.operations.copies import recurring_order_copies
from service.operations.copies.priced import CopyFailed
from service.operations.copies.recurring_order_copies import Claim
from service.operations.subscriptions import sweep
from service.operations.subscriptions.ledgers import Terms
from service.operations.subscriptions.sweep import Swept
from service.principal import Store
from service.store.pool import Connection, Database
from service.store.queue import queue_settings
from tests import factories
from tests.factories import Line
from tests.simulation import doubles, memory, statements
from tests.simulation.memory import Memory

LEASE = timedelta(seconds=60)


@dataclass
class Bench:
    """A store with three weekly subscriptions, each due once, on the one or the other."""

    database: Database
    store: Store
    memory: Memory | None

    async def copies(self) -> list[tuple[str, int, bool, bool]]:
        """Copies as they are: status, attempt, whether somebody has a lease, whether there is an order."""
        names = ("status", "attempt", "lease_expires_at", "target_order_id")
        rows = [(row[0], row[1], row[2] is not None, row[3] is not None) for row in await self._rows("copies", names)]
        return sorted(rows)

    async def ledger(self) -> list[tuple[int, str]]:
        """Occurrences as they are: index and status."""
        return sorted((row[0], row[1]) for row in await self._rows("occurrences", ("occurrence_index", "status")))

    async def standing(self) -> list[tuple[int, int]]:
        """Subscriptions as they are: the next index, and how often they ran."""
        return sorted((row[0], row[1]) for row in await self._rows("subscriptions", ("next_index", "occurrencies")))

    async def orders(self) -> int:
        """How many orders were made."""
        if self.memory is not None:
            return len(self.memory.rows("orders"))
        async with self.database.connection() as connection:
            return int(
                await connection.fetchval(
                    "select count(*) from orders where store_id = $1 and order_subscription_id is not null",
                    self.store.id,
                )
            )

    async def _rows(self, table: str, names: tuple[str, ...]) -> list[tuple[Any, ...]]:
        if self.memory is not None:
            return [tuple(row[name] for name in names) for row in self.memory.rows(table).values()]
        real = {"copies": "order_factories", "subscriptions": "order_subscriptions"}.get(table, table)
        async with self.database.connection() as connection:
            rows = await connection.fetch(f"select {', '.join(names)} from {real} where store_id = $1", self.store.id)
        return [tuple(row) for row in rows]

    async def sweep(self, numbers: list[int] | None = None) -> Swept:
        """Take up what is due."""
        async with self.database.by_keys() as connection:
            return await sweep.sweep(connection, self.store, numbers=numbers)

    async def claim(self, copies: list[str], *, later: timedelta = timedelta()) -> list[Claim]:
        """Claim copies, so much later than now."""
        async with self.database.by_keys() as connection:
            return await recurring_order_copies.claim(
                connection, self.store.id, copies, clock.now() + later, lease=LEASE
            )

    async def finish(self, claims: list[Claim]) -> int:
        """Make what was claimed; how many copies had their claim."""
        async with self.database.by_keys() as connection:
            done = await recurring_order_copies.finish(connection, claims, list(range(900, 900 + len(claims))))
        return len(done.made)

    async def pending(self) -> list[str]:
        """Copies that the sweep has left to the queue."""
        return list((await self.sweep()).copies)


@pytest.fixture(params=["memory", "postgres"])
async def bench(
    request: pytest.FixtureRequest, database: Database, connection: Connection, store: Store
) -> AsyncIterator[Bench]:
    """Both stores, one after the other."""
    if request.param == "postgres":
        order_id = await factories.full_order(connection, store, [Line(await factories.sku(connection, store))])
        for _ in range(3):
            await factories.subscription(connection, store, order_id, **_terms())
        yield Bench(database, store, None)
        return
    chance = random.Random(1)
    with doubles.instead(chance):
        kept = Memory(chance)
        for number in range(3):
            terms = dict.fromkeys(Terms._fields) | _terms() | {"id": f"sub-{number}", "status": "active"}
            defaults = {"anchor_index": 0, "next_index": 1, "last_day": False, "cutoff_hours": 0, "occurrencies": 0}
            defaults |= {"prepaid_occurrences_left": 0}
            kept.rows("subscriptions")[f"sub-{number}"] = terms | defaults
        yield Bench(cast("Database", memory.Database(kept, statements.BY_TEXT)), Store(1, *statements.FACTS), kept)


def _terms() -> dict[str, Any]:
    """Weekly, due a minute ago."""
    due = clock.now() - timedelta(minutes=1)
    anchor = due - timedelta(weeks=1)
    terms = {"anchor_at": anchor, "starts_at": anchor, "next_run_at": due, "catchup_policy": "run_all"}
    return terms | {"frequency": "weekly", "timezone": "UTC"}


PLANNED = [(2, "planned"), (3, "planned"), (4, "planned")]


async def test_a_sweep_settles_what_is_due_once(bench: Bench) -> None:
    swept = await bench.sweep()
    assert (swept.subscriptions, len(swept.copies), swept.parked) == (3, 3, [])
    assert await bench.copies() == [("pending", 0, False, False)] * 3
    assert await bench.ledger() == sorted([(1, "due"), *PLANNED] * 3)
    assert await bench.standing() == [(2, 0)] * 3
    assert (await bench.sweep()).subscriptions == 0


async def test_what_a_sweep_holds_another_leaves_alone(bench: Bench) -> None:
    async with bench.database.by_keys() as connection:
        assert (await sweep.sweep(connection, bench.store)).subscriptions == 3
        assert (await asyncio.create_task(bench.sweep())).subscriptions == 0
    assert len(await bench.copies()) == 3


async def test_a_sweep_that_is_rolled_back_leaves_all_as_it_was(bench: Bench) -> None:
    async def stumble() -> None:
        async with bench.database.by_keys() as connection:
            await sweep.sweep(connection, bench.store)
            raise LookupError

    with pytest.raises(LookupError):
        await stumble()
    assert (await bench.copies(), await bench.ledger(), await bench.standing()) == ([], [], [(1, 0)] * 3)
    assert (await bench.sweep()).subscriptions == 3


async def test_orders_are_made_at_once_where_there_are_numbers_for_them(bench: Bench) -> None:
    swept = await bench.sweep(numbers=[901, 902, 903])
    assert len(swept.lateness) == 3
    assert await bench.copies() == [("completed", 1, False, True)] * 3
    assert await bench.ledger() == sorted([(1, "completed"), *PLANNED] * 3)
    assert (await bench.standing(), await bench.orders()) == ([(2, 1)] * 3, 3)


async def test_a_copy_is_claimed_by_one_until_its_lease_ends(bench: Bench) -> None:
    copies = await bench.pending()
    first = await bench.claim(copies)
    assert [claim.attempt for claim in first] == [1] * 3
    assert await bench.claim(copies, later=LEASE / 2) == []
    async with bench.database.connection() as connection:
        ends = await recurring_order_copies.lease_end(connection, bench.store.id, copies)
    assert ends is not None
    assert LEASE / 2 < ends - clock.now() <= LEASE
    second = await bench.claim(copies, later=LEASE + timedelta(seconds=1))
    assert [claim.attempt for claim in second] == [2] * 3
    assert await bench.copies() == [("in_progress", 2, True, False)] * 3
    assert (await bench.ledger()).count((1, "claimed")) == 3


async def test_only_the_last_claim_finishes(bench: Bench) -> None:
    copies = await bench.pending()
    first = await bench.claim(copies)
    second = await bench.claim(copies, later=LEASE + timedelta(seconds=1))
    assert (await bench.finish(first), await bench.orders()) == (0, 0)
    assert (await bench.finish(second), await bench.orders()) == (3, 3)
    assert (await bench.finish(second), await bench.orders()) == (0, 3)
    assert await bench.copies() == [("completed", 2, False, True)] * 3
    assert (await bench.ledger()).count((1, "completed")) == 3
    assert await bench.standing() == [(2, 1)] * 3
    assert await bench.claim(copies, later=LEASE * 3) == []


async def test_only_the_last_claim_gives_back_and_fails(bench: Bench) -> None:
    copies = await bench.pending()
    first = await bench.claim(copies)
    second = await bench.claim(copies, later=LEASE + timedelta(seconds=1))
    async with bench.database.by_keys() as connection:
        await recurring_order_copies.release(connection, first)
        assert await recurring_order_copies.fail(connection, first[0], CopyFailed({"base": ["late"]})) is None
    assert await bench.copies() == [("in_progress", 2, True, False)] * 3
    async with bench.database.by_keys() as connection:
        await recurring_order_copies.release(connection, second[1:])
        assert await recurring_order_copies.fail(connection, second[0], CopyFailed({"base": ["broken"]})) is not None
    assert await bench.copies() == [("failed", 2, False, False), *[("pending", 2, False, False)] * 2]
    assert (await bench.ledger()).count((1, "failed")) == 1


async def test_a_claim_waits_for_who_finishes_and_goes_by_what_has_become_of_it(bench: Bench) -> None:
    copies = await bench.pending()
    first = await bench.claim(copies)
    async with bench.database.by_keys() as connection:
        assert len((await recurring_order_copies.finish(connection, first, [901, 902, 903])).made) == 3
        late = asyncio.create_task(bench.claim(copies, later=LEASE + timedelta(seconds=1)))
        await asyncio.sleep(0.2)
        assert not late.done()
    assert await late == []
    assert (await bench.orders(), await bench.copies()) == (3, [("completed", 1, False, True)] * 3)


async def test_what_has_no_job_is_looked_for(bench: Bench) -> None:
    copies = await bench.pending()

    async def lost() -> set[str]:
        async with bench.database.connection() as connection:
            found = await recurring_order_copies.abandoned(connection, clock.now(), limit=1_000)
        return {id_ for store_id, id_ in found if store_id == bench.store.id}

    assert await lost() == set()
    if bench.memory is not None:
        bench.memory.rows("jobs").clear()
    else:
        async with bench.database.connection() as connection:
            await connection.execute(
                f"delete from {queue_settings().qualified.queue_table} where convert_from(payload, 'UTF8') like $1",
                f"[{bench.store.id},%",
            )
    assert await lost() == set(copies)
