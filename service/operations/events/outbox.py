"""Events: rows that tell what happened, written in the transaction of their cause and never changed (an outbox).

Names are Commerce Layer's topics (`orders.place`): the type of the resource, a dot, what happened to it. The events of
one resource are numbered 1, 2, 3 and so on, in the order in which they were written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from service import clock, correlation
from service.correlation import Cause
from service.principal import Principal, Store
from service.rules import topics
from service.store.pool import Connection
from service.store.statements import Along, Command, Part, Values

_RECORD = Values("events/events.record", str)
_RECORD_FIRST = Command("events/events.record_first")
WRITE = Part("events/events.write", returns=True)

WORKER = "workers"
"""The actor of what the service does on its own."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource: a topic (`orders.place`), its id, and what a reader may want to know.

    `payload` holds reasons, and the ids of what else is concerned; `changes` the attributes that changed, each with
    what it was (`from`) and is (`to`). Without changes the status is told that the topic leads to. Raises ValueError
    for a name that is no topic.
    """

    name: str
    resource_id: str
    payload: Mapping[str, object] = field(default_factory=dict)
    id: str = field(default_factory=clock.new_id)
    changes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the name: webhooks know no other."""
        if not topics.is_event(self.name):
            raise ValueError(f"{self.name} is no topic: service/rules/topics.py doesn't list it.")


def actor(principal: Principal) -> str:
    """The actor of what somebody does: `customers:<id>`, `carts:<id>` for a guest, `tokens:<id>` for an integration."""
    if principal.acting is not None:
        return principal.acting
    if principal.customer_id:
        return f"customers:{principal.customer_id}"
    return f"carts:{principal.cart_id}" if principal.cart_id is not None else f"tokens:{principal.token_id}"


async def record(
    connection: Connection,
    store: Store,
    name: str,
    resource_id: str,
    *,
    actor: str,
    payload: Mapping[str, object] | None = None,
) -> str:
    """Write one event in the caller's transaction. Returns its id.

    `actor` is a type with an id (`customers:<id>`), or a type alone (`workers`).
    """
    event = Event(name, resource_id, payload or {})
    await record_all(connection, store, [event], actor=actor)
    return event.id


async def record_all(connection: Connection, store: Store, events: Sequence[Event], *, actor: str) -> None:
    """Write several events in the caller's transaction, with the id of the request that caused them.

    Runs one statement, and more only while other transactions write events of the same resources.
    """
    await complete(connection, store, events, (), actor=actor)


async def complete(
    connection: Connection, store: Store, events: Sequence[Event], written: Collection[str], *, actor: str
) -> None:
    """Write those events that a statement was to write, and has not: somebody else took their numbers meanwhile.

    Runs no statement where all were written.
    """
    at = clock.now(store)
    pending = [event for event in events if event.id not in written]
    while pending:
        ids = set(await _RECORD(connection, store=store.id, at=at, **along(pending, actor=actor)))
        pending = [event for event in pending if event.id not in ids]


async def record_first(connection: Connection, store: Store, events: Sequence[Event], *, actor: str) -> None:
    """Write the first events of resources that the caller's transaction has made: cheaper than `record_all`."""
    if not events:
        return
    numbers: Counter[str] = Counter()
    rows = []
    for event in events:
        numbers[event.resource_id] += 1
        rows.append(
            _row(event) | {"resource_type": event.name.partition(".")[0], "sequence": numbers[event.resource_id]}
        )
    await _RECORD_FIRST(
        connection, store=store.id, at=clock.now(store), events=orjson.dumps(rows).decode(), **_by(actor)
    )


def along(events: Sequence[Event], *, actor: str) -> dict[str, object]:
    """The arguments by which a statement writes events along with their cause, and counts them.

    It includes `events/events.write`. Hand what it has written to `complete`. The first event of a resource that the
    statement makes is written for sure: nobody else has one to take its number.
    """
    return {
        "events": orjson.dumps(
            [_row(event) | {"position": position} for position, event in enumerate(events)]
        ).decode(),
        **_by(actor),
    }


def recording(store: Store, events: Sequence[Event], *, actor: str) -> Along:
    """What writes events along with a resource; hand `complete` what `WRITE` has returned."""
    return WRITE.along(store=store.id, at=clock.now(store), **along(events, actor=actor)).more("events")


def _row(event: Event) -> dict[str, object]:
    """An event as statements read it, but for its place."""
    return {
        "id": event.id,
        "name": event.name,
        "resource_id": event.resource_id,
        "payload": dict(event.payload),
        "changes": _changes(event),
    }


def _by(actor: str) -> dict[str, str | None]:
    """Who causes events, and by which request."""
    actor_type, _, actor_id = actor.partition(":")
    cause = correlation.cause.get() or _NOBODY
    return {
        "actor_type": actor_type,
        "actor_id": actor_id or None,
        "request_id": cause.request_id or None,
        "token_id": cause.token_id,
        "api_client_id": cause.api_client_id,
        "address": cause.address,
    }


_NOBODY = Cause("")
"""The cause of what no request asked for."""


def _changes(event: Event) -> Mapping[str, object]:
    """What an event says of changes: what was noted, else the status that its topic leads to."""
    status = topics.LEADS_TO.get(event.name)
    return dict(event.changes) or ({} if status is None else {"status": status})
