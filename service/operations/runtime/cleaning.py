"""What is thrown away once its time is over. Everything here may run at any time, any number of times at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.store import workers
from service.store.pool import Connection
from sql import queries

CLEANING = queries("runtime/cleaning")

BATCH = 1000
"""How many rows one statement deletes where there may be very many."""

KEEP_JOBS = timedelta(days=2)
"""For how long the queue's notes on finished jobs are of use."""

KEEP_WORKERS = timedelta(days=1)
"""For how long a worker that died is remembered."""

KEEP_STATISTICS = timedelta(days=30)
"""For how long the queue's counts are of use."""


async def clean(connection: Connection, at: datetime) -> None:
    """Delete expired answers to requests, past windows of rate limits and old notes of the queue; `at` is real time."""
    for row in await connection.fetch(CLEANING["stores_with_expired_answers"], at):
        status = f"DELETE {BATCH}"
        while status == f"DELETE {BATCH}":
            status = await connection.execute(CLEANING["delete_expired_answers"], row["store_id"], at, BATCH)
    await connection.execute(CLEANING["delete_past_limits"], at)
    await workers.forget(connection, before=at - KEEP_WORKERS)
    await connection.execute(CLEANING["delete_finished_jobs"], at - KEEP_JOBS)
    await connection.execute(CLEANING["delete_past_statistics"], at - KEEP_STATISTICS)
