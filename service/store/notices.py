"""What processes tell each other at once: that what they remember of a store's tokens is out of date.

A notice is heard once its transaction has committed. It may get lost, with the connection or behind a pooler, and
nothing relies on it: what is remembered has an end of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncpg
import structlog

from service.settings import Settings
from service.store.pool import CONNECT_SECONDS, Connection, is_pooled
from service.store.statements import Command

log = structlog.get_logger(part="notices")

CHANNEL = "reprise_access"
LONGEST_PAUSE = 15.0
"""Seconds between two attempts to listen again."""

_FORGET = Command("runtime/notices.forget")
_FORGET_KEYS = Command("runtime/notices.forget_keys")


async def forget(connection: Connection, store_id: int) -> None:
    """Have every process learn anew of a store and its tokens, once the caller's transaction has committed."""
    await _FORGET(connection, store=store_id)


async def forget_keys(connection: Connection) -> None:
    """Have every process look at the keys that sign tokens, once the caller's transaction has committed."""
    await _FORGET_KEYS(connection)


_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""How a connection says that it is gone; the last one where that happens just as it is used."""


async def listen(settings: Settings, *, forgets: Callable[[int | None], None]) -> None:
    """Hear notices until cancelled, by a connection of its own, which is taken up again when it is lost.

    Through a pooler none would come, and nobody listens.
    `forgets` is told the number of a store; None when all must be learnt anew: there are other keys, or notices may
    have been missed.
    """
    pause = 1.0
    while True:
        try:
            connection = await asyncpg.connect(settings.session_url, timeout=CONNECT_SECONDS, statement_cache_size=0)
        except _LOST as error:
            log.debug("nobody to listen to", error=str(error))
        else:
            pause = 1.0
            if not await _hear(connection, forgets):
                return
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _hear(connection: asyncpg.Connection[asyncpg.Record], forgets: Callable[[int | None], None]) -> bool:
    """Pass notices on until the connection is lost; False where none would come, since a pooler hands its session on.

    Listening there would leave the session listening, whoever has it next.
    """
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    try:
        if await is_pooled(connection):
            log.warning("notices don't come through a pooler: name the server itself in REPRISE_DIRECT_URL")
            return False
        await connection.add_listener(CHANNEL, lambda *told: forgets(_store_of(told[-1])))
        forgets(None)
        await lost.wait()
    except _LOST as error:
        log.debug("notices can't be heard", error=str(error))
    finally:
        with suppress(*_LOST):
            connection.terminate()
    return True


def _store_of(payload: object) -> int | None:
    text = str(payload)
    return int(text) if text.isdecimal() and len(text) < 19 else None
