"""What every worker sees to from time to time: what was left behind, rows whose time is over, counts, statistics."""

from __future__ import annotations

from datetime import timedelta

import structlog

from service import clock
from service.operations.access import refusals
from service.operations.copies import recurring_order_copies
from service.operations.data import exports, imports
from service.operations.events import trail
from service.operations.payments import attempts
from service.operations.runtime import cleaning, retaining
from service.operations.runtime.retaining import USUAL, Retention
from service.operations.tenant import test_clocks
from service.operations.webhooks import delivering
from service.store import counts, partitions, statistics
from service.store.pool import Database

log = structlog.get_logger(part="clean")

GROWTH = timedelta(seconds=1)
"""How often each worker looks for tables that have outgrown their statistics: it reads their sizes, and no row."""

SUMS = timedelta(seconds=3)
"""How often each worker sums up changes of collections; counted pages add what is left."""

PAGE = 500
"""How many are looked after at a time, over all stores: those first that have waited longest.

Whoever takes one up gives it a new lease, and with that a place behind the others: a store whose gateway is down keeps
no other waiting.
"""


async def rescue(database: Database) -> None:
    """Put into the queue what nobody is at any more: copies and clocks whose job got lost, payments left behind.

    Events that came from another server are put where they belong.
    """
    async with database.connection() as connection:
        for store_id, copy_id in await recurring_order_copies.abandoned(connection, clock.now(), limit=PAGE):
            await recurring_order_copies.enqueue(connection, store_id, copy_id)
        for store_id, order_id in await attempts.abandoned(connection, clock.now(), limit=PAGE):
            await attempts.enqueue_all(connection, store_id, [order_id])
        if ahead := await delivering.put_back(connection):
            log.info("events of another server were put before this one's", stores=ahead)
        for store_id, clock_id, goal in await test_clocks.stranded(connection, limit=PAGE):
            await test_clocks.enqueue(connection, store_id, clock_id, goal)
        for store_id, import_id in await imports.abandoned(connection, limit=PAGE):
            await imports.enqueue(connection, store_id, import_id)
        for store_id, export_id in await exports.abandoned(connection, limit=PAGE):
            await exports.enqueue(connection, store_id, export_id)


async def clean(
    database: Database, keep_addresses: timedelta = trail.KEEP_ADDRESSES, retention: Retention = USUAL
) -> None:
    """Delete what has expired and what was kept as long as the settings say, and let go of addresses likewise.

    Partitions of the months to come are made, where we may.
    """
    async with database.connection() as connection:
        at = clock.now()
        await cleaning.clean(connection, at, answers=retention.answers)
        await trail.forget_addresses(connection, before=at - keep_addresses)
        await refusals.clean(connection, before=at - keep_addresses)
        await delivering.clean(connection, at, kept=retention.deliveries)
        await retaining.clean(connection, at, retention)
        await exports.let_go(connection, at)
        await partitions.make_ahead(connection, at)


async def sum_up(database: Database) -> None:
    """Take what came into collections, and left them, into the counts that are kept of them."""
    async with database.connection() as connection:
        for store_id in await counts.changed(connection):
            await counts.sum_up(connection, store_id)


async def gather_statistics(database: Database) -> None:
    """Have Postgres look at tables that have grown a lot."""
    async with database.connection() as connection:
        tables = await statistics.gather(connection)
    if tables:
        log.debug("statistics gathered", tables=tables)
