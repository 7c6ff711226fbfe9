"""What every worker sees to from time to time: copies and payments left behind, and rows whose time is over."""

from __future__ import annotations

import structlog

from service import clock
from service.operations.copies import recurring_order_copies
from service.operations.payments import attempts
from service.operations.runtime import cleaning
from service.operations.tenant import test_clocks
from service.store.pool import Database

log = structlog.get_logger(part="clean")

PAGE = 500
"""How many are looked after at a time, over all stores: those first that have waited longest.

Whoever takes one up gives it a new lease, and with that a place behind the others: a store whose gateway is down keeps
no other waiting.
"""


async def rescue(database: Database) -> None:
    """Put into the queue what nobody is at any more: copies and clocks whose job got lost, payments left behind."""
    async with database.connection() as connection:
        for store_id, copy_id in await recurring_order_copies.abandoned(connection, clock.now(), limit=PAGE):
            await recurring_order_copies.enqueue(connection, store_id, copy_id)
        for store_id, order_id in await attempts.abandoned(connection, clock.now(), limit=PAGE):
            await attempts.enqueue_all(connection, store_id, [order_id])
        for store_id, clock_id, goal in await test_clocks.stranded(connection, limit=PAGE):
            await test_clocks.enqueue(connection, store_id, clock_id, goal)


async def clean(database: Database) -> None:
    """Delete what has expired."""
    async with database.connection() as connection:
        await cleaning.clean(connection, clock.now())
