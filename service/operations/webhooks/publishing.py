"""From events to a stream: one worker at a time publishes the events of each store, in their order.

How far that has come is noted once the stream has said that it keeps what it was sent. So whoever dies on the way loses
nothing, and what is published again has the same id, by which the stream drops it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

from service import clock
from service.gateways.jetstream import Message
from service.operations.events import reading
from service.operations.events.reading import START, Happened, Place
from service.operations.webhooks import documents
from service.rules import cloudevents, subjects
from service.settings import Settings
from service.store.horizon import horizon
from service.store.pool import Connection
from service.store.statements import Command, Many, One, Only, OnlyValue, Value, Values

NATS: Final = "nats"
"""The name under which the database keeps how far events were published to NATS."""
LEASE: Final = timedelta(seconds=30)
"""How long a stream is held: longer than a batch has for being acknowledged."""
BATCH: Final = 500
"""How many events are published before any of them has to be acknowledged."""
MOST_COUNTED: Final = 100_000
"""How many events of a store that wait are counted at most."""


class _Counted(NamedTuple):
    waiting: int
    first_id: str | None
    error: str | None
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How publishing stands, of all stores: how many events wait and since when, and why none can be published."""

    waiting: int
    since: datetime | None
    error: str | None
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in the order in which they are published; those behind `last` are published ahead of their place."""

    events: Sequence[Happened]
    last: Place

    def reached(self, kept: Sequence[bool]) -> Happened | None:
        """Return the event up to which all that were to come were kept; None where the first wasn't."""
        own = [pair for pair in zip(self.events, kept, strict=True) if pair[0].place <= self.last]
        in_front = takewhile(itemgetter(1), sorted(own, key=lambda pair: pair[0].place))
        return max((one for one, _ in in_front), key=attrgetter("place"), default=None)


_KNOWN = OnlyValue("webhooks/publishing.known", bool)
_STORES = Values("webhooks/publishing.stores", int)
_BEGIN = Command("webhooks/publishing.begin")
_HOLD = Value("webhooks/publishing.hold", str)
_LET_GO = Command("webhooks/publishing.let_go")
_FAILS = Command("webhooks/publishing.fails")
_WORKS = Command("webhooks/publishing.works")
_STORES_WITH_NEWS = Values("webhooks/publishing.stores_with_news", int)
_PLACE = One("webhooks/publishing.place", Place)
_OVERTAKEN = Many("webhooks/publishing.overtaken", Happened)
_PASS = Command("webhooks/publishing.pass")
_STANDING = Only("webhooks/publishing.standing", _Counted)


def published_to(settings: Settings) -> str | None:
    """The name of what a process publishes to, by its settings; None for nothing."""
    return NATS if settings.nats_url else None


async def begin(connection: Connection, destination: str) -> None:
    """Begin to publish what happens from now on, unless anything was published before."""
    if await _KNOWN(connection, destination=destination):
        return
    before = await horizon(connection)
    for store_id in await _STORES(connection):
        await _BEGIN(connection, store=store_id, destination=destination, horizon=before)


async def hold(
    connection: Connection, destination: str, *, holder: str, deployment: str, lease: timedelta = LEASE
) -> bool:
    """Hold a stream for the time of a lease; whether nobody else does, and the database is this deployment's."""
    at = clock.now()
    held = await _HOLD(
        connection, destination=destination, holder=holder, deployment=deployment, at=at, until=at + lease
    )
    return held is not None


async def let_go(connection: Connection, destination: str, *, holder: str) -> None:
    """Let go of a stream, so that another may hold it at once."""
    await _LET_GO(connection, destination=destination, holder=holder, at=clock.now())


async def fails(connection: Connection, destination: str, reason: str) -> None:
    """Note why nothing can be published."""
    await _FAILS(connection, destination=destination, error=reason, at=clock.now())


async def works(connection: Connection, destination: str) -> None:
    """Note that what is published is kept."""
    await _WORKS(connection, destination=destination)


async def stores_with_news(connection: Connection, destination: str) -> list[int]:
    """Return the stores with events that are to be published."""
    return await _STORES_WITH_NEWS(connection, destination=destination, horizon=await horizon(connection))


async def upcoming(connection: Connection, destination: str, store_id: int) -> Batch | None:
    """Return the next events of a store, the events of each resource by their sequence; None when there are none.

    Transactions that overlap commit in another order than their numbers have. So an event may have its place before
    one of the same resource that came earlier: that one is published with it, and again when its place has come.
    """
    place = await _PLACE(connection, store=store_id, destination=destination)
    news = await reading.after(connection, store_id, place or START, most=BATCH)
    if not news:
        return None
    last = news[-1].place
    earlier = new = await _overtaken(connection, store_id, news, last)
    while new:
        new = await _overtaken(connection, store_id, new, last)
        earlier = [*earlier, *new]
    return Batch(list(_in_sequence(news, earlier)), last)


async def passed(connection: Connection, destination: str, store_id: int, up_to: Happened) -> None:
    """Note that a store's events are kept by the stream up to this one."""
    await _PASS(
        connection,
        store=store_id,
        destination=destination,
        transaction=up_to.transaction_id,
        event=up_to.id,
    )


async def standing(connection: Connection, destination: str) -> Standing:
    """Return how publishing stands."""
    found = await _STANDING(connection, destination=destination, most=MOST_COUNTED)
    since = None if found.first_id is None else clock.made_at(found.first_id)
    return Standing(found.waiting, since, found.error, found.failing_since)


def message(event: Happened, store_id: int, *, template: str, base: str) -> Message:
    """Return what is published of an event; `base` is the absolute URL of the API, `template` that of subjects."""
    body = cloudevents.cloud_event(
        id_=event.id,
        source=f"{base}/stores/{store_id}",
        topic=event.topic,
        resource_type=event.resource_type,
        resource_id=event.resource_id,
        at=event.created_at,
        document=documents.thin(event, base=base),
    )
    subject = subjects.subject(template, store_id=store_id, topic=event.topic)
    return Message(event.id, subject, body, cloudevents.STRUCTURED)


async def _overtaken(connection: Connection, store_id: int, events: Sequence[Happened], last: Place) -> list[Happened]:
    """The events right before these of their resources that stand behind `last`."""
    known = {(_resource(one), one.sequence) for one in events}
    wanted = {(_resource(one), one.sequence - 1) for one in events if one.sequence > 1} - known
    if not wanted:
        return []
    return await _OVERTAKEN(
        connection,
        store=store_id,
        types=[type_ for (type_, _), _ in wanted],
        resources=[id_ for (_, id_), _ in wanted],
        sequences=[sequence for _, sequence in wanted],
        transaction=last[0],
        event=last[1],
    )


def _resource(one: Happened) -> tuple[str, str]:
    """Whose event it is."""
    return one.resource_type, one.resource_id


def _in_sequence(news: Sequence[Happened], earlier: Sequence[Happened]) -> Iterator[Happened]:
    """Events in their order, but for those of each resource, which are by sequence in the places that they have."""
    of_resource: dict[tuple[str, str], list[Happened]] = defaultdict(list)
    for one in (*news, *earlier):
        of_resource[_resource(one)].append(one)
    places = Counter(_resource(one) for one in news)
    rest = {resource: iter(sorted(of, key=lambda one: one.sequence)) for resource, of in of_resource.items()}
    for one in news:
        places[_resource(one)] -= 1
        yield from rest[_resource(one)] if not places[_resource(one)] else islice(rest[_resource(one)], 1)
