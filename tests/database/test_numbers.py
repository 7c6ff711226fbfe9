"""Order numbers: taken in blocks by many at once, never one twice, and never waiting for a transaction."""

from __future__ import annotations

import asyncio

from service.operations.generic.numbers import Numbers
from service.principal import Store
from service.store.pool import Connection, Database


async def test_numbers_taken_at_once_by_several_processes_are_distinct(database: Database, store: Store) -> None:
    processes = [Numbers(database, block=7) for _ in range(5)]
    taken = await asyncio.gather(*(numbers.take(store.id) for numbers in processes for _ in range(100)))
    assert len(set(taken)) == 500
    assert min(taken) == 1
    assert max(taken) < 500 + 5 * 7, "no block is taken while there is another one to use up"


async def test_one_process_counts_up_without_a_gap(database: Database, store: Store) -> None:
    numbers = Numbers(database, block=3)
    assert [await numbers.take(store.id) for _ in range(10)] == list(range(1, 11))


async def test_kinds_and_stores_count_for_themselves(database: Database, store: Store) -> None:
    numbers = Numbers(database)
    assert await numbers.take(store.id) == 1
    assert await numbers.take(store.id, "order_subscriptions") == 1
    assert await numbers.take(store.id) == 2


async def test_the_next_number_to_hand_out_is_ahead_of_all_that_were(
    database: Database, connection: Connection, store: Store
) -> None:
    last = [await Numbers(database, block=20).take(store.id) for _ in range(3)][-1]
    kept = "select next_number from number_blocks where store_id = $1 and kind = 'orders'"
    assert await connection.fetchval(kept, store.id) == last + 20


async def test_an_open_transaction_holds_no_number_up(database: Database, store: Store) -> None:
    numbers = Numbers(database)
    number = await numbers.take(store.id)

    async def another() -> int:
        return await Numbers(database).take(store.id)

    async with database.transaction() as connection:
        await connection.execute("update stores set name = 'Busy' where store_id = $1", store.id)
        assert await asyncio.wait_for(asyncio.create_task(another()), 5) > number
