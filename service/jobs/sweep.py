"""The look at the clock: what has come due since the last one gets its copies, what comes next is announced."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from service import clock
from service.jobs.batches import Batches, step
from service.jobs.metrics import COPIES, LATENESS, PARKED, SWEEP_FAILURES, SWEEPS
from service.operations.generic.numbers import Numbers
from service.operations.payments import attempts, dunning
from service.operations.subscriptions import alerts, expiring, sweep
from service.operations.subscriptions.sweep import Swept
from service.operations.tenant import tenants
from service.store.pool import Database

log = structlog.get_logger(part="sweep")

_SWEEPING = Batches("sweep", sweep.due_ids, sweep.sweep, sweep.set_aside)
_ANNOUNCING = Batches("alerts", alerts.due_ids, alerts.alert, alerts.put_off)
_WARNING = Batches("cards", expiring.due_ids, expiring.look, expiring.put_off)

PERIOD = timedelta(seconds=2)
"""How often each worker looks: one read of a small index while nothing is due."""

LANES: Final = 2
"""How many batches a worker has in hand: it works out one while Postgres writes and commits the other."""


async def run(database: Database, deployment: str, numbers: Numbers | None = None) -> int:
    """Sweep every store that has something due, each batch in a transaction of its own; gives how many copies came.

    With `numbers` for them, orders are made at once. Each worker begins with another store.

    A database that belongs to another deployment than this worker's is left alone. What goes wrong in one store is
    logged and doesn't keep the others waiting.
    """
    SWEEPS.inc()
    with SWEEP_FAILURES.count_exceptions():
        async with database.connection() as connection:
            due = await sweep.due_stores(connection, deployment, clock.now())
    random.shuffle(due)
    waiting, begun = iter(due), set[int]()
    async with asyncio.TaskGroup() as tasks:
        lanes = [tasks.create_task(_lane(database, waiting, begun, numbers)) for _ in due[:1] * LANES]
    return sum(lane.result() for lane in lanes)


async def _lane(database: Database, waiting: Iterator[int], begun: set[int], numbers: Numbers | None) -> int:
    """Sweep stores that are waiting, then help with those that others have begun; gives how many copies came."""
    copies = 0
    for store_id in waiting:
        begun.add(store_id)
        copies += await _surely(database, store_id, numbers)
        begun.discard(store_id)
    for store_id in list(begun):
        copies += await _surely(database, store_id, numbers)
    return copies


async def _surely(database: Database, store_id: int, numbers: Numbers | None) -> int:
    """Sweep a store. Whatever goes wrong is logged; gives how many copies came."""
    try:
        with SWEEP_FAILURES.count_exceptions():
            return await sweep_store(database, store_id, numbers)
    except Exception:
        log.exception("a store could not be swept", store_id=store_id)
        return 0


async def sweep_store(database: Database, store_id: int, numbers: Numbers | None = None) -> int:
    """Sweep a store until nothing is due by its clock; then send alerts, ask for payments anew, tell of expiring cards.

    Returns how many copies came of it; with `numbers` for them, their orders are made at once where that is possible.
    Whatever keeps one of them from being done, the others are.
    """
    async with AsyncExitStack() as then:
        # The last one that is pushed comes first.
        then.push_async_callback(_WARNING.run, database, store_id)
        then.push_async_callback(_retry, database, store_id)
        then.push_async_callback(_ANNOUNCING.run, database, store_id)
        first = None if numbers is None else partial(_at_once, database, store_id, numbers)
        swept = await _SWEEPING.run(database, store_id, first)
    for done in swept:
        for late in done.lateness:
            LATENESS.observe(late.total_seconds())
            COPIES.labels("recurring_order_copies", "completed").inc()
        for id_ in done.parked:
            PARKED.inc()
            log.warning("subscription parked", store_id=store_id, order_subscription_id=id_)
    return sum(len(done.copies) for done in swept)


async def _at_once(database: Database, store_id: int, numbers: Numbers) -> Swept | None:
    """Sweep a batch, and make its orders."""
    async with numbers.some(store_id, sweep.NUMBERS) as given:
        return await step(database, store_id, lambda on, store: sweep.sweep(on, store, numbers=given))


async def _retry(database: Database, store_id: int) -> None:
    """Put all payments of a store that are to be asked for anew into the queue, however many can't be settled."""
    seen: set[str] = set()
    found = dunning.BATCH
    while found == dunning.BATCH:
        async with database.transaction() as connection:
            store = await tenants.find(connection, store_id)
            # On a test clock time waits for them: the job that advances it sees to them itself.
            if store is None or store.frozen_at is not None:
                return
            due = await dunning.due(connection, store, but=seen)
            await attempts.enqueue_all(connection, store_id, due)
        seen.update(due)
        found = len(due)
