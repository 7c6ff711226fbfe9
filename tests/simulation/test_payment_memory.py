"""The store in memory is held to Postgres: payments of runs are claimed, refused and asked for anew alike on both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from unittest import mock

import pytest

from service import clock
from service.gateways.port import Answer
from service.operations.generic.phases import Interlude
from service.operations.orders import paying
from service.operations.payments import dunning
from service.operations.payments.dunning import Retry
from service.principal import Store
from service.store.pool import Connection, Database
from tests.jobs.paying import prepare
from tests.simulation import doubles, memory, owing, payment_statements, statements
from tests.simulation.memory import Memory

YES, NO, NEVER = (
    Answer("authorized", reference="r"),
    Answer("declined", decline_code="no"),
    Answer("declined", hard=True),
)


@dataclass
class Bench:
    """A store whose ladder has two steps of an hour, and an order of a run that waits for its payment."""

    database: Database
    store: Store
    order: str
    card: str
    memory: Memory | None

    async def resume(self) -> Interlude[None] | None:
        """Take over the payment that waits, in a transaction."""
        async with self.database.transaction() as connection:
            return await paying.resume(connection, self.store, self.order, actor="workers")

    async def answer(self, asked: Interlude[None], said: Answer) -> None:
        """Note what the gateway said."""
        async with self.database.transaction() as connection:
            await asked.then(connection, said)

    async def resumed(self, said: Answer) -> None:
        """Take over the payment, and note an answer."""
        asked = await self.resume()
        assert asked is not None
        await self.answer(asked, said)

    async def claim(self, *, hours: float) -> Retry | None:
        """Take hold of the order so many hours later, to ask anew; nothing of that stays."""
        with _later(hours=hours):
            async with self.database.transaction() as connection:
                self.due = self.order in await dunning.due(connection, self.store)
                return await dunning.claim(connection, self.store, self.order)

    async def put_off(self, *, hours: float) -> None:
        """Note, so many hours later, that the order could not be placed."""
        with _later(hours=hours):
            async with self.database.transaction() as connection:
                await dunning.not_payable(
                    connection, self.store, self.order, None, {"base": ["no"]},
                    failure_type="inventory", at=clock.now(self.store),
                )  # fmt: skip

    async def bar(self, connection: Connection) -> None:
        """Have the card refused for good, in a transaction that goes on."""
        if self.memory is not None:
            transaction = cast("memory.Connection", connection).transaction
            assert transaction is not None
            await transaction.update("sources", self.card, refused_at=clock.now())
            return
        text = "update customer_payment_sources set refused_at = $3 where store_id = $1 and id = $2"
        await connection.execute(text, self.store.id, self.card, clock.now())

    async def standing(self) -> tuple[str, list[tuple[str, bool]]]:
        """The order's status, and of its attempts the status and whether each is followed by another."""
        if self.memory is not None:
            status = self.memory.rows("orders")[self.order]["status"]
            rows = sorted(self.memory.rows("attempts").values(), key=lambda row: row["id"])
            return status, [(row["status"], row["retry_at"] is not None) for row in rows]
        async with self.database.connection() as on:
            status = await on.fetchval(
                "select status from orders where store_id = $1 and id = $2", self.store.id, self.order
            )
            text = "select status, retry_at from payment_attempts where store_id = $1 order by id"
            return status, [(row[0], row[1] is not None) for row in await on.fetch(text, self.store.id)]


@contextmanager
def _later(**by: float) -> Iterator[None]:
    now: Any = clock.now
    with mock.patch.object(clock, "now", lambda store=None: now(store) + timedelta(**by)):
        yield


@pytest.fixture(params=["memory", "postgres"])
async def bench(
    request: pytest.FixtureRequest, database: Database, connection: Connection, store: Store
) -> AsyncIterator[Bench]:
    """Both stores, one after the other."""
    if request.param == "postgres":
        run = await prepare(database, connection, store)
        await run.policy([1, 1])
        await run.begin()
        yield Bench(database, store, (await run.order())["id"], run.source_id, None)
        return
    chance = random.Random(1)
    with doubles.instead(chance), ExitStack() as stack:
        for double in owing.DOUBLES:
            stack.enter_context(mock.patch.object(*double))
        kept = Memory(chance)
        kept.rows("sources")["card"] = {"id": "card", "refused_at": None}
        owing.put_order(kept, 0, "card", clock.now())
        opened = cast("Database", memory.Database(kept, payment_statements.BY_TEXT))
        yield Bench(opened, Store(1, *statements.FACTS), "order-0", "card", kept)


async def test_a_payment_is_taken_over_by_one_until_its_lease_ends(bench: Bench) -> None:
    assert await bench.standing() == ("placing", [("pending", False)])
    first = await bench.resume()
    assert first is not None
    assert await bench.resume() is None
    with _later(seconds=61):
        second = await bench.resume()
    assert second is not None
    await bench.answer(second, YES)
    # Whoever comes second finds that done.
    await bench.answer(first, NO)
    assert await bench.standing() == ("placed", [("authorized", False)])


async def test_a_refused_payment_is_asked_for_anew_once_its_time_has_come(bench: Bench) -> None:
    await bench.resumed(NO)
    assert await bench.standing() == ("pending", [("declined", True)])
    assert (await bench.claim(hours=0.9), bench.due) == (None, False)
    assert (await bench.claim(hours=1.1), bench.due) == (Retry(bench.card, again=True, barred=False), True)


async def test_what_is_refused_for_good_is_not_asked_for_anew(bench: Bench) -> None:
    await bench.resumed(NEVER)
    assert await bench.standing() == ("pending", [("declined", False)])
    assert (await bench.claim(hours=100), bench.due) == (None, False)


async def test_a_card_that_is_refused_for_good_meanwhile_is_known_to_be(bench: Bench) -> None:
    await bench.resumed(NO)
    async with bench.database.transaction() as connection:
        await bench.bar(connection)
        late = asyncio.create_task(bench.claim(hours=2))
        await asyncio.sleep(0.5)
        assert not late.done()
    assert await late == Retry(bench.card, again=True, barred=True)


async def test_the_ladder_ends_with_its_last_refusal(bench: Bench) -> None:
    await bench.resumed(NO)
    await bench.put_off(hours=1.1)
    assert await bench.standing() == ("pending", [("declined", False), ("failed", True)])
    assert await bench.claim(hours=1.5) is None
    await bench.put_off(hours=2.2)
    assert await bench.standing() == ("pending", [("declined", False), ("failed", False), ("failed", False)])
    assert await bench.claim(hours=100) is None


async def test_a_claim_waits_for_who_holds_the_order(bench: Bench) -> None:
    await bench.resumed(NO)
    async with bench.database.transaction() as connection:
        await dunning.hold(connection, bench.store, bench.order)
        late = asyncio.create_task(bench.claim(hours=2))
        await asyncio.sleep(0.2)
        assert not late.done()
        await dunning.stop(connection, bench.store, order_id=bench.order)
    assert await late is None
