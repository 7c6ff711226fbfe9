"""Wrong guesses at secrets, counted in the unlogged table rate_limits, exactly across processes.

A guess is counted as a wrong one before it is looked at, so that many at once are no more than one after the other, and
taken back when it was right.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from service.rules.guesses import Ladder
from service.store.pool import Connection
from service.store.statements import Command, One, Value


class Wrong(NamedTuple):
    """How often somebody was wrong, and when last (aware UTC)."""

    hits: int
    started_at: datetime


_GUESS = Value("runtime/guesses.guess", int)
_WRONG = One("runtime/guesses.wrong", Wrong)
_TAKE_BACK = Command("runtime/guesses.take_back")


async def guess(connection: Connection, store_id: int, key: str, ladder: Ladder, *, at: datetime) -> timedelta | None:
    """Count a guess as a wrong one, and return None; or return how long to wait, when it comes too early.

    `connection` must be outside of a transaction, as for `limits.hit`.
    """
    counted = await _GUESS(
        connection,
        store=store_id,
        key=key,
        at=at,
        forgotten_at=at + ladder.memory,
        # Where there is no need to wait, neither is there for one that looked at the clock a little later.
        latest=[at - wait if wait else at + ladder.memory for wait in ladder.waits],
    )
    if counted is not None:
        return None
    wrong = await _WRONG(connection, store=store_id, key=key, at=at)
    return None if wrong is None else max(wrong.started_at + ladder.wait(wrong.hits) - at, timedelta(seconds=1))


async def take_back(connection: Connection, store_id: int, key: str, ladder: Ladder, *, at: datetime) -> None:
    """Take back one that was counted, since it wasn't wrong: the next one needn't wait."""
    await _TAKE_BACK(connection, store=store_id, key=key, at=at, long_ago=at - ladder.memory)
