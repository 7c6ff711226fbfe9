"""What is deleted once it has expired. All of it may run at any time, and several times at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.store import workers
from service.store.idempotency import KEEP
from service.store.pool import Connection
from service.store.statements import Command, Values

_STORES_WITH_EXPIRED_ANSWERS = Values("runtime/cleaning.stores_with_expired_answers", int)
_DELETE_EXPIRED_ANSWERS = Command("runtime/cleaning.delete_expired_answers")
_STORES_WITH_PAST_TOKENS = Values("runtime/cleaning.stores_with_past_tokens", int)
_DELETE_PAST_TOKENS = Command("runtime/cleaning.delete_past_tokens")
_DELETE_PAST_REFRESHING = Command("runtime/cleaning.delete_past_refreshing")
_DELETE_PAST_KEYS = Command("runtime/cleaning.delete_past_keys")
_DELETE_PAST_LIMITS = Command("runtime/cleaning.delete_past_limits")
_DELETE_FINISHED_JOBS = Command("runtime/cleaning.delete_finished_jobs")
_DELETE_PAST_STATISTICS = Command("runtime/cleaning.delete_past_statistics")

BATCH = 1000
"""How many rows one statement deletes at most, where there may be very many."""

KEEP_TOKENS = timedelta(days=30)
"""How long tokens that clients fetched are listed after they ended."""

KEEP_JOBS = timedelta(days=2)
"""How long the queue's log of finished jobs is kept."""

KEEP_WORKERS = timedelta(days=1)
"""How long a worker that died is remembered."""

KEEP_STATISTICS = timedelta(days=30)
"""How long the queue's counts are kept."""


async def clean(connection: Connection, at: datetime, *, answers: timedelta = KEEP) -> None:
    """Delete expired answers, tokens and keys, past windows of limits and old logs of the queue; `at` is real time.

    Answers go once they were kept for so long, which is less than until they expire where the settings say so.
    """
    until = at + KEEP - answers
    for store_id in await _STORES_WITH_EXPIRED_ANSWERS(connection, at=until):
        deleted = BATCH
        while deleted == BATCH:
            deleted = await _DELETE_EXPIRED_ANSWERS(connection, store=store_id, at=until, most=BATCH)
    before = at - KEEP_TOKENS
    for store_id in await _STORES_WITH_PAST_TOKENS(connection, before=before):
        deleted = BATCH
        while deleted == BATCH:
            deleted = await _DELETE_PAST_TOKENS(connection, store=store_id, before=before, most=BATCH)
        await _DELETE_PAST_REFRESHING(connection, store=store_id, before=before)
    await _DELETE_PAST_KEYS(connection, at=at)
    await _DELETE_PAST_LIMITS(connection, at=at)
    await workers.forget(connection, before=at - KEEP_WORKERS)
    await _DELETE_FINISHED_JOBS(connection, before=at - KEEP_JOBS)
    await _DELETE_PAST_STATISTICS(connection, before=at - KEEP_STATISTICS)
