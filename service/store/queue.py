"""The queue's tables and how a job gets into them: the names that installing, enqueueing and working must share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import cast

import asyncpg
import structlog
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.db import AsyncpgDriver, Driver
from pgqueuer.domain.errors import SchemaDriftError
from pgqueuer.domain.settings import DBSettings
from pgqueuer.ports.driver import NotifyCallback
from pgqueuer.queries import Queries
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from service import correlation
from service.correlation import Cause
from service.errors import StartupError
from service.store.pool import Connection, is_pooled
from service.store.schema import QUEUE
from service.store.statements import Values

log = structlog.get_logger(part="queue")

_PAYLOADS = Values("runtime/queue.payloads", bytes)


class _Settings(DBSettings):
    """PgQueuer's names from here alone: a `CHANNEL` in one process's environment must not part it from the others."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the parameters are pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values given to the constructor, and no other source."""
        return (init_settings,)


@cache
def queue_settings() -> DBSettings:
    """The names of the queue's tables, types and channel, the same in every process."""
    return _Settings(db_schema=QUEUE)


def queue_queries(driver: Driver) -> Queries:
    """PgQueuer's statements on our names.

    A worker is `PgQueuer(driver, channel=queue_settings().channel, queries=queue_queries(driver))`.
    """
    names = queue_settings()
    return Queries(
        driver, qbe=QueryBuilderEnvironment(names), qbq=QueryQueueBuilder(names), qbs=QuerySchedulerBuilder(names)
    )


class _Unheard(AsyncpgDriver):
    """A driver for a connection through a pooler: its session would go on listening, whoever has it next."""

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Listen to nothing: the queue is asked from time to time."""


async def queue_driver(connection: asyncpg.Connection[asyncpg.Record]) -> Driver:
    """PgQueuer's driver of a worker's own connection, which listens where that is the server's."""
    if not await is_pooled(connection):
        return AsyncpgDriver(connection)
    log.warning("jobs begin when they are looked for, through a pooler: name the server itself in REPRISE_DIRECT_URL")
    return _Unheard(connection)


async def enqueue(
    connection: Connection,
    entrypoint: str,
    payload: bytes,
    *,
    execute_after: timedelta | None = None,
    dedupe_key: str | None = None,
) -> None:
    """Put a job into the queue, in the caller's transaction: it exists when that commits, and never when it doesn't.

    It runs at once or `execute_after` from the start of the transaction. While a job with the same `dedupe_key` waits
    or runs, nothing is added, and no error is raised.
    """
    await _queries(connection).enqueue(
        entrypoint,
        payload,
        execute_after=execute_after,
        dedupe_key=dedupe_key,
        headers=_headers(),
        on_conflict="skip",
    )


async def enqueue_all(connection: Connection, entrypoint: str, payloads: Mapping[str, bytes]) -> None:
    """Put several jobs into the queue, by their dedupe keys, as `enqueue` does: one statement for all."""
    if payloads:
        await _queries(connection).enqueue(
            [entrypoint] * len(payloads),
            list(payloads.values()),
            [0] * len(payloads),
            dedupe_key=list(payloads),
            headers=[_headers()] * len(payloads),
            on_conflict="skip",
        )


def _headers() -> dict[str, str] | None:
    """What a job is to know of the request that it works for, as `cause_of` reads it; None where there is none."""
    cause = correlation.cause.get()
    if cause is None:
        return None
    told = {"request_id": cause.request_id, "token_id": cause.token_id, "api_client_id": cause.api_client_id}
    return {name: value for name, value in told.items() if value is not None}


def cause_of(headers: Mapping[str, object] | None) -> Cause | None:
    """The request that a job works for, by its headers; None where there is none."""
    told = {name: str(value) for name, value in (headers or {}).items() if name in _TOLD}
    return Cause(**told) if "request_id" in told else None


_TOLD = ("request_id", "token_id", "api_client_id")


async def payloads(connection: Connection, entrypoint: str, *, most: int) -> list[bytes] | None:
    """Return the payloads of an entrypoint's jobs that wait or run; None when there are more than `most`."""
    found = await _PAYLOADS(connection, entrypoint=entrypoint, most=most + 1)
    return None if len(found) > most else found


async def install(connection: Connection) -> list[str]:
    """Make the queue's objects, or bring older ones up to this PgQueuer; return the statements that were run.

    Not in a transaction: new labels of an enum must be committed before they are used. Raises StartupError when the
    tables there are none that PgQueuer knows to upgrade.
    """
    try:
        plan = await _queries(connection).apply_upgrade()
    except SchemaDriftError as error:
        raise StartupError(
            "The queue's tables in schema {schema} can't be upgraded: {error}.", schema=QUEUE, error=error
        ) from None
    return list(plan.statements)


def _queries(connection: Connection) -> Queries:
    # A connection out of a pool does all that PgQueuer's driver asks of one.
    return queue_queries(AsyncpgDriver(cast("asyncpg.Connection[asyncpg.Record]", connection)))
