"""The store in memory is held to Postgres: what gives events to webhooks, and tells them, does the same on both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from unittest import mock

import orjson
import pytest

from service import clock
from service.gateways.receivers import Reply
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.webhooks import delivering
from service.operations.webhooks.delivering import Attempt, Outcome, Receiver
from service.principal import Store
from service.store import deployment, horizon
from service.store.pool import Connection, Database
from tests.simulation import doubles, memory, statements, webhook_statements
from tests.simulation.memory import Memory
from tests.simulation.telling import PlainVault
from tests.spec.writing import Api

LEASE = timedelta(seconds=30)
TOLD, REFUSED = Reply(204, ""), Reply(500, "no")


@dataclass
class Bench:
    """A store with a webhook that wants `orders.*` in order, on the one or the other."""

    database: Database
    store: Store
    webhook: str
    deployment: str
    memory: Memory | None
    written: int = 0

    async def happen(self, connection: Connection, *names: str, order: str = "one") -> list[str]:
        """Write events of an order in a transaction; gives their ids."""
        events = [Event(name, order, {}) for name in names]
        await outbox.record_all(connection, self.store, events, actor=outbox.WORKER)
        return [event.id for event in events]

    async def happened(self, *names: str, order: str = "one") -> list[str]:
        """Write events in a transaction of their own, which is over."""
        async with self.database.transaction() as connection:
            made = await self.happen(connection, *names, order=order)
        async with self.database.connection() as connection:
            written = await horizon.ahead(connection)
        self.written = max(self.written, written)
        return made

    async def known(self) -> None:
        """Wait until no transaction goes on that began before the last events, whoever's it is."""
        async with asyncio.timeout(60), self.database.connection() as connection:
            while await horizon.horizon(connection) < self.written:  # noqa: ASYNC110 -- others end theirs
                await asyncio.sleep(0.05)

    async def fan_out(self) -> None:
        """Give all that is new to webhooks."""
        async with self.database.transaction() as connection:
            assert not await delivering.fan_out(connection, self.store.id)

    async def take_up(self, *, most: int = 8, lease: timedelta = LEASE) -> tuple[Receiver, list[Attempt]] | None:
        async with self.database.transaction() as connection:
            return await delivering.take_up(connection, self.store.id, self.webhook, lease=lease, most=most)

    async def taken(self, **how: Any) -> tuple[Receiver, list[Attempt]]:
        found = await self.take_up(**how)
        assert found is not None
        return found

    async def settle(self, payloads: dict[str, str]) -> dict[str, object]:
        """Settle what is sent; gives what stands there then, read as JSON."""
        async with self.database.transaction() as connection:
            found = await delivering.settle_payloads(connection, self.store.id, payloads)
        return {id_: orjson.loads(text) for id_, text in found.items()}

    async def note(self, receiver: Receiver, reply: Reply, attempts: list[Attempt], left: int = 0) -> None:
        """Note the same answer to all attempts but so many, which are left."""
        sent = attempts[: len(attempts) - left]
        async with self.database.transaction() as connection:
            outcomes = [Outcome(attempt, reply) for attempt in sent]
            await delivering.note(connection, self.store, receiver, outcomes, attempts[len(sent) :])

    async def is_due(self) -> bool:
        async with self.database.connection() as connection:
            found = await delivering.due(connection, self.deployment, most=200)
        return self.webhook in [one.id for one in found]

    async def rows(self) -> list[tuple[str, int]]:
        """Deliveries as they are: status and attempts."""
        if self.memory is not None:
            found = list(self.memory.rows("event_callbacks").values())
        else:
            async with self.database.connection() as connection:
                text = "select status, attempts_count from event_callbacks where store_id = $1"
                found = [dict(row) for row in await connection.fetch(text, self.store.id)]
        return sorted((row["status"], row["attempts_count"]) for row in found)


@pytest.fixture(params=["memory", "postgres"])
async def bench(
    request: pytest.FixtureRequest, database: Database, connection: Connection, store: Store, api: Api
) -> AsyncIterator[Bench]:
    """Both stores, one after the other."""
    if request.param == "postgres":
        attributes = {"topic": "orders.*", "callback_url": "https://shop.example/", "ordered": True}
        made = await api.create("webhooks", attributes)
        await deployment.claim(connection, "here", at=clock.now())
        yield Bench(database, store, made["id"], await deployment.owner(connection) or "", None)
        return
    chance = random.Random(1)
    with doubles.instead(chance), mock.patch.object(delivering, "vault_of", return_value=PlainVault()):
        kept = Memory(chance)
        at = clock.now()
        row = {"id": "webhook", "topics": ["orders.*"], "shared_secret": "secret", "ordered": True, "health_since": at}
        row |= {"circuit_state": "closed", "circuit_failure_count": 0, "health": "healthy", "disabled_at": None}
        kept.rows("webhooks")["webhook"] = row | {"created_at": at, "leased_until": None, "next_delivery_at": None}
        opened = cast("Database", memory.Database(kept, webhook_statements.BY_TEXT))
        async with opened.connection() as on:
            await delivering.begin(on, 1)
        yield Bench(opened, Store(1, *statements.FACTS), "webhook", "here", kept)


async def test_events_are_given_in_the_order_in_which_they_can_be_known_and_once(bench: Bench) -> None:
    async with bench.database.transaction() as connection:
        await bench.happen(connection, "orders.place")
        await bench.happened("orders.approve", order="two")
        await bench.fan_out()
        # What began before it may still commit.
        assert (await bench.rows(), await bench.is_due()) == ([], False)
    await bench.known()
    await bench.fan_out()
    await bench.fan_out()
    assert (await bench.rows(), await bench.is_due()) == ([("pending", 0)] * 2, True)


async def test_what_nobody_wants_and_what_was_rolled_back_is_not_given(bench: Bench) -> None:
    async def stumble() -> None:
        async with bench.database.transaction() as connection:
            await bench.happen(connection, "orders.place")
            raise LookupError

    with pytest.raises(LookupError):
        await stumble()
    await bench.happened("tags.create")
    await bench.known()
    await bench.fan_out()
    assert await bench.rows() == []


async def test_a_webhook_is_held_by_one_until_its_lease_ends(bench: Bench) -> None:
    await bench.happened("orders.place")
    await bench.known()
    await bench.fan_out()
    _, (attempt,) = await bench.taken(lease=timedelta(seconds=1))
    assert (attempt.attempt, attempt.payload, await bench.is_due()) == (1, None, False)
    assert await bench.take_up() is None
    with mock.patch.object(clock, "now", _later(clock.now, seconds=2)):
        _, (again,) = await bench.taken()
    assert (again.id, again.attempt, again.event.id) == (attempt.id, 2, attempt.event.id)


def _later(now: Any, **by: float) -> Any:
    return lambda store=None: now(store) + timedelta(**by)


async def test_of_a_resource_the_earlier_event_comes_first(bench: Bench) -> None:
    first, second = await bench.happened("orders.place", "orders.approve")
    (other,) = await bench.happened("orders.place", order="two")
    await bench.known()
    await bench.fan_out()
    receiver, attempts = await bench.taken()
    assert {one.event.id for one in attempts} == {first, other}
    await bench.note(receiver, TOLD, attempts)
    receiver, attempts = await bench.taken()
    assert [one.event.id for one in attempts] == [second]
    await bench.note(receiver, TOLD, attempts)
    assert (await bench.rows(), await bench.is_due()) == ([("delivered", 1)] * 3, False)


async def test_what_has_settled_first_is_what_is_sent(bench: Bench) -> None:
    await bench.happened("orders.place")
    await bench.known()
    await bench.fan_out()
    _, (attempt,) = await bench.taken()
    assert await bench.settle({attempt.id: '{"a": 1}'}) == {attempt.id: {"a": 1}}
    assert await bench.settle({attempt.id: '{"a": 2}'}) == {attempt.id: {"a": 1}}


async def test_only_what_came_of_the_last_attempt_counts_and_what_was_left_is_taken_back(bench: Bench) -> None:
    await bench.happened("orders.place")
    await bench.happened("orders.place", order="two")
    await bench.known()
    await bench.fan_out()
    receiver, late = await bench.taken(lease=timedelta(seconds=1))
    with mock.patch.object(clock, "now", _later(clock.now, seconds=2)):
        other, attempts = await bench.taken()
        await bench.note(receiver, TOLD, late)
        assert await bench.rows() == [("pending", 2)] * 2
        # Who holds it now still does.
        assert await bench.take_up() is None
        await bench.note(other, REFUSED, attempts, left=1)
    assert await bench.rows() == [("pending", 1), ("pending", 2)]


async def test_a_webhook_that_failed_too_often_is_told_nothing(bench: Bench) -> None:
    for number in range(30):
        await bench.happened("orders.place", order=f"order-{number}")
    await bench.known()
    await bench.fan_out()
    receiver, attempts = await bench.taken(most=64)
    assert len(attempts) == 30
    await bench.note(receiver, REFUSED, attempts)
    await bench.happened("orders.place", order="another")
    await bench.known()
    await bench.fan_out()
    assert (await bench.is_due(), await bench.take_up()) == (False, None)
