"""A worker's look at the whole: signs of life, and warnings of what nobody does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from service import clock
from service.operations.runtime import watching
from service.store import workers
from service.store.pool import Database, is_away
from service.store.workers import Worker

log = structlog.get_logger(part="watch")


@asynccontextmanager
async def on_duty(database: Database) -> AsyncIterator[Worker]:
    """A worker that is known from here on, until it stops or dies."""
    worker = Worker()
    await show(database, worker)
    try:
        yield worker
    finally:
        try:
            async with database.connection() as connection:
                await workers.leave(connection, worker)
        except Exception as error:
            # With the database away others see soon enough that this one shows no signs of life any more.
            if not is_away(error):
                raise


async def show(database: Database, worker: Worker) -> None:
    """Show a sign of life."""
    async with database.connection() as connection:
        await workers.seen(connection, worker, at=clock.now())


async def watch(database: Database) -> int:
    """Warn of runs that should have begun or ended long ago, whatever keeps them: no worker, too few, a dead one.

    Gives how many they are.
    """
    at = clock.now()
    async with database.connection() as connection:
        now = await watching.look(connection, at)
    if now.late_since is not None:
        log.warning("runs are late", number=now.late, longest_seconds=round((at - now.late_since).total_seconds()))
    return now.late
