"""Publishing events to a stream of NATS, for as long as a worker runs.

Every worker is connected, and one of them holds the stream. When its connection fails, or it stops, it lets go, so that
another goes on at once; when it dies, another goes on when its lease is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final

import structlog

from service import clock
from service.errors import StartupError
from service.gateways import jetstream
from service.gateways.jetstream import Destination, Stream, Unreachable
from service.jobs.metrics import PUBLISH_FAILURES, PUBLISHED
from service.jobs.pauses import pause
from service.operations.webhooks import publishing
from service.operations.webhooks.publishing import NATS
from service.rules import subjects
from service.settings import Settings
from service.store import deployment
from service.store.pool import Connection, Database, is_away

log = structlog.get_logger(part="stream")

PERIOD: Final = 0.3
"""Seconds between two looks at what is new, of who holds the stream."""
PATIENCE: Final = 2.0
"""Seconds between two looks of others at whether it is held."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 15.0
"""Seconds between two attempts to reach a server that is away."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What is published where: a template of subjects, and whether events from before the first start are, too."""

    destination: Destination
    template: str
    history: bool = False


def configured(settings: Settings) -> Feed | None:
    """What the settings have published; None for nothing. Raises StartupError for what can't be."""
    if not settings.nats_url:
        return None
    if not subjects.is_template(settings.nats_subject):
        raise StartupError(
            "REPRISE_NATS_SUBJECT takes words with dots between them, among them {{store}} and {{topic}}, and not "
            "{given}.",
            given=settings.nats_subject,
        )
    for name, path in (
        ("REPRISE_NATS_CREDENTIALS", settings.nats_credentials),
        ("REPRISE_NATS_CA", settings.nats_ca),
        ("REPRISE_NATS_CERTIFICATE", settings.nats_certificate),
        ("REPRISE_NATS_KEY", settings.nats_key),
    ):
        if path is not None and not path.is_file():
            raise StartupError("{name} names a file that doesn't exist: {path}.", name=name, path=path)
    destination = Destination(
        servers=[server.strip() for server in settings.nats_url.split(",") if server.strip()],
        stream=settings.nats_stream,
        subjects=subjects.all_of(settings.nats_subject),
        create=settings.nats_create_stream,
        credentials=settings.nats_credentials,
        authorities=settings.nats_ca,
        certificate=settings.nats_certificate,
        key=settings.nats_key,
    )
    return Feed(destination, settings.nats_subject, settings.nats_history)


class Publisher:
    """Publishes the events of one database; `base` is the absolute URL of the API."""

    def __init__(
        self, database: Database, feed: Feed, *, base: str, deployment_id: str, lease: timedelta = publishing.LEASE
    ) -> None:
        self._database = database
        self._feed = feed
        self._base = base
        self._deployment_id = deployment_id
        self._lease = lease
        self._holder = clock.new_id()
        self._held_until = 0.0
        self._works = False
        self._told: str | None = None
        self._pause = FIRST_PAUSE

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set; whatever goes wrong is noted, and tried again after a growing pause."""
        while not stop.is_set():
            try:
                if await self._begun():
                    async with jetstream.connected(self._feed.destination) as stream:
                        await self._publish(stream, stop)
            except Unreachable as error:
                await self._note(str(error))
            except Exception as error:
                log.warning("events could not be published", error=repr(error), exc_info=not is_away(error))
            await self._let_go()
            await pause(stop, self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _begun(self) -> bool:
        """Begin with what happens from now on; False where the database is another deployment's."""
        async with self._database.connection() as connection:
            if await deployment.owner(connection) != self._deployment_id:
                return False
            if not self._feed.history:
                await publishing.begin(connection, NATS)
        return True

    async def _publish(self, stream: Stream, stop: asyncio.Event) -> None:
        """Publish whatever is new, for as long as the connection holds. Raises Unreachable when it doesn't."""
        while not stop.is_set():
            if not stream.is_open:
                raise Unreachable(jetstream.LOST)
            if not await self._holds():
                await pause(stop, PATIENCE)
            elif not await self._round(stream, stop):
                await pause(stop, PERIOD)

    async def _holds(self) -> bool:
        """Whether this worker holds the stream, which it says anew when half of its lease is over."""
        half = self._lease.total_seconds() / 2
        if monotonic() < self._held_until - half:
            return True
        asked = monotonic()
        async with self._database.connection() as connection:
            held = await publishing.hold(
                connection, NATS, holder=self._holder, deployment=self._deployment_id, lease=self._lease
            )
        self._held_until = asked + 2 * half if held else 0.0
        return held

    async def _round(self, stream: Stream, stop: asyncio.Event) -> bool:
        """Publish a batch of each store that has news; whether any has."""
        async with self._database.connection() as connection:
            news = await publishing.stores_with_news(connection, NATS)
        for store_id in news:
            if stop.is_set() or not await self._holds():
                return False
            await self._batch(stream, store_id)
        return bool(news)

    async def _batch(self, stream: Stream, store_id: int) -> None:
        """Publish the next events of a store. Raises Unreachable when the stream doesn't take the first of them."""
        async with self._database.connection() as connection:
            batch = await publishing.upcoming(connection, NATS, store_id)
        if batch is None:
            return
        messages = [
            publishing.message(one, store_id, template=self._feed.template, base=self._base) for one in batch.events
        ]
        published = await stream.publish(messages)
        reached = batch.reached(published.kept)
        if reached is None:
            raise Unreachable(published.reason or "the stream keeps nothing")
        async with self._database.connection() as connection:
            await publishing.passed(connection, NATS, store_id, reached)
            if not self._works:
                await publishing.works(connection, NATS)
        PUBLISHED.inc(sum(published.kept))
        self._works, self._told, self._pause = True, None, FIRST_PAUSE

    async def _note(self, reason: str) -> None:
        """Note why nothing can be published: in the database, and once in the log."""
        PUBLISH_FAILURES.inc()
        self._works = False
        if reason != self._told:
            log.warning("events can't be published", reason=reason)
        self._told = reason
        await self._write(lambda connection: publishing.fails(connection, NATS, reason))

    async def _let_go(self) -> None:
        """Leave the stream to others, if this worker held it."""
        if self._held_until:
            self._held_until = 0.0
            await self._write(lambda connection: publishing.let_go(connection, NATS, holder=self._holder))

    async def _write(self, what: Callable[[Connection], Awaitable[None]]) -> None:
        """Write what is of no use where the database is away."""
        try:
            async with self._database.connection() as connection:
                await what(connection)
        except Exception as error:
            if not is_away(error):
                raise
