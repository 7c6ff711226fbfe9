"""Streams of events: one look at the outbox of a store for all that read it, each of whom goes on at its own pace.

A reader is given no queue. It keeps its place, and takes what comes after it: of what is at hand, else of the database.
So a slow one costs no memory, and a place says all that is needed to go on after a connection is lost.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import structlog
from prometheus_client import Gauge

from service.errors import TooManyRequests, Unavailable
from service.operations.events import reading
from service.operations.events.reading import Happened, Place
from service.operations.webhooks import documents
from service.operations.webhooks.documents import Shape
from service.principal import Principal, Store
from service.rules import topics
from service.store.pool import Database, passes

PERIOD: Final = 0.3
"""Seconds between two looks at the outbox of a store that has readers.

Writers wake nobody up, for the reason that `service.jobs.deliver` gives.
"""
KEPT: Final = 1_000
"""How many events of a store are at hand; who is further behind reads them from the database."""
AT_A_TIME: Final = 25
"""How many events a reader is given at once: each may be a megabyte."""
MOST_AT_HAND: Final = 4_000_000
"""Bytes of what was written for readers of one shape that are at hand."""
PER_TOKEN: Final = 8
"""How many streams of one token a process serves."""
BEHIND: Final = 2
"""How many readers of a process ask the database at a time for what is no longer at hand."""

OPEN = Gauge("reprise_event_streams", "Streams of events that are being read.", multiprocess_mode="livesum")

log = structlog.get_logger(part="streams")


class Wanted(NamedTuple):
    """What a reader wants to be told: which topics, in which shape, with links that begin with which URL.

    `place` is where it begins, `now` the place of the events to come when it was asked for.
    """

    topics: frozenset[str]
    shape: Shape
    base: str
    place: Place
    now: Place


class Feed:
    """The latest events of a store, for all its readers in this process: those after `since`, up to `until`."""

    def __init__(self, store_id: int, place: Place) -> None:
        self.store_id = store_id
        self.since = self.until = place
        self.readers = 0
        self._places: list[Place] = []
        self._recent: list[Happened] = []
        self._news = asyncio.Event()
        self._written: dict[tuple[Shape, str], _Written] = {}

    def add(self, found: Sequence[Happened]) -> None:
        """Take in events that come next, and wake who waits for them."""
        if not found:
            return
        self._recent += found
        self._places += [one.place for one in found]
        self.until = self._places[-1]
        if len(self._recent) >= 2 * KEPT:
            self.since = self._places[-KEPT - 1]
            del self._recent[:-KEPT], self._places[:-KEPT]
        self._news.set()
        self._news = asyncio.Event()

    def after(self, place: Place) -> list[Happened] | None:
        """The next events after a place; None where they are no longer at hand."""
        if place < self.since:
            return None
        begin = bisect_right(self._places, place)
        return self._recent[begin : begin + AT_A_TIME]

    async def wait(self, seconds: float) -> None:
        """Wait for news, and no longer than so many seconds."""
        news = self._news
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            pass

    def written(self, shape: Shape, base: str) -> _Written:
        """What was written for readers of a shape."""
        return self._written.setdefault((shape, base), _Written(shape, base))

    def forget(self) -> None:
        """Forget what was written in shapes that nobody reads any more."""
        self._written = {key: one for key, one in self._written.items() if one.readers}


class _Written:
    """Events as they are sent in one shape: written once for all who want it, and the last of them at hand."""

    def __init__(self, shape: Shape, base: str) -> None:
        self._shape, self._base = shape, base
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._turn = asyncio.Lock()
        self.readers = 0

    async def of(self, database: Database, store: Store, events: Sequence[Happened]) -> bytes:
        """These events, as they are sent."""
        async with self._turn:
            new = [event for event in events if event.id not in self._known]
            if new:
                async with database.connection() as connection:
                    texts = await documents.written(connection, store, self._shape, new, base=self._base)
                for event, text in zip(new, texts, strict=True):
                    self._known[event.id] = _block(event, text)
                    self._size += len(self._known[event.id])
            sent = b"".join([self._known[event.id] for event in events])
            while self._size > MOST_AT_HAND:
                self._size -= len(self._known.popitem(last=False)[1])
            return sent


def _block(event: Happened, text: str) -> bytes:
    """An event as the standard writes it (WHATWG HTML, 9.2.5); JSON of ours has no line breaks."""
    return f"id: {event.id}\nevent: {event.topic}\ndata: {text}\n\n".encode()


class Streams:
    """All streams that a process serves, `most` of them at a time."""

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most
        self._feeds: dict[int, Feed] = {}
        self._looks: dict[int, asyncio.Task[None]] = {}
        self._of_tokens: Counter[str] = Counter()
        self._behind = asyncio.Semaphore(BEHIND)

    @property
    def number(self) -> int:
        """How many there are."""
        return self._of_tokens.total()

    @asynccontextmanager
    async def open(self, principal: Principal, wanted: Wanted) -> AsyncIterator[Reader]:
        """A stream, as long as it is read. Raises what `check` raises."""
        self.check(principal)
        store_id, token = principal.store.id, principal.token_id
        self._of_tokens[token] += 1
        OPEN.inc()
        feed = self._feeds.get(store_id)
        if feed is None:
            feed = self._feeds[store_id] = Feed(store_id, wanted.now)
            self._looks[store_id] = asyncio.create_task(self._look(feed))
        written = feed.written(wanted.shape, wanted.base)
        feed.readers += 1
        written.readers += 1
        try:
            yield Reader(self._database, self._behind, feed, written, wanted)
        finally:
            OPEN.dec()
            self._of_tokens -= Counter([token])
            feed.readers -= 1
            written.readers -= 1
            feed.forget()
            if not feed.readers:
                del self._feeds[store_id]
                self._looks.pop(store_id).cancel()

    def check(self, principal: Principal) -> None:
        """Raise TooManyRequests when a token has too many streams, Unavailable when all have."""
        if self._of_tokens[principal.token_id] >= PER_TOKEN:
            raise TooManyRequests(
                "The token reads {most} streams already; end one of them.",
                most=PER_TOKEN,
                headers={"Retry-After": "5"},
            )
        if self.number >= self._most:
            raise Unavailable("There are too many streams; retry in a moment.", headers={"Retry-After": "5"})

    async def _look(self, feed: Feed) -> None:
        """Look for events of a store until cancelled, whatever becomes of the database meanwhile."""
        while True:
            try:
                async with self._database.connection() as connection:
                    found = await reading.after(connection, feed.store_id, feed.until, most=KEPT)
            except Exception as error:
                if not passes(error):
                    log.exception("events can't be read", store_id=feed.store_id)
                found = []
            feed.add(found)
            if len(found) < KEPT:
                await asyncio.sleep(PERIOD)


class Reader:
    """Somebody who reads a store's events: `place` is that of the last event that was looked at."""

    def __init__(
        self,
        database: Database,
        behind: asyncio.Semaphore,
        feed: Feed,
        written: _Written,
        wanted: Wanted,
    ) -> None:
        self._database, self._behind, self._feed, self._written = database, behind, feed, written
        self._topics = wanted.topics
        self.place = wanted.place

    async def next(self, store: Store, seconds: float) -> bytes:
        """What is sent next; empty where there was nothing within so many seconds that is wanted."""
        try:
            found = self._feed.after(self.place)
            if found is None:
                found = await self._from_the_database()
            if not found:
                await self._feed.wait(seconds)
                return b""
            wanted = [one for one in found if topics.telling_of(one.topic) & self._topics]
            sent = await self._written.of(self._database, store, wanted) if wanted else b""
        except Exception as error:
            if not passes(error):
                raise
            await asyncio.sleep(seconds)
            return b""
        self.place = found[-1].place
        return sent

    async def _from_the_database(self) -> list[Happened]:
        """The next events, of those that are no longer at hand. Where there are none, the place is the feed's."""
        since = self._feed.since
        async with self._behind, self._database.connection() as connection:
            found = await reading.after(connection, self._feed.store_id, self.place, most=AT_A_TIME)
        if not found:
            self.place = max(self.place, since)
        return found
