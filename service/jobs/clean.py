"""What every worker sees to from time to time: copies and payments left behind, and rows whose time is over."""

from __future__ import annotations

import structlog

from service import clock
from service.operations import attempts, cleaning, copies
from service.store.pool import Database

log = structlog.get_logger("reprise.clean")

PAGE = 500
"""How many are looked after at a time. Those ahead of the rest get done, so everyone's turn comes."""


async def rescue(database: Database) -> None:
    """Put into the queue what nobody is at any more: copies whose job got lost, payments whose process died."""
    async with database.connection() as connection:
        for store_id, copy_id in await copies.abandoned(connection, clock.now(), limit=PAGE):
            await copies.enqueue(connection, store_id, copy_id)
        for store_id, order_id in await attempts.abandoned(connection, clock.now(), limit=PAGE):
            await attempts.enqueue_all(connection, store_id, [order_id])


async def clean(database: Database) -> None:
    """Delete what has expired."""
    async with database.connection() as connection:
        await cleaning.clean(connection, clock.now())
