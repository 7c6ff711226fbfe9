"""Reading the outbox in the order in which events can be known: whoever goes on from a place passes none.

An event's place is the number of the transaction that wrote it, and its id. What a transaction that goes on may still
come before is left out, and found later.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from service.store.horizon import horizon
from service.store.pool import Connection
from service.store.statements import Many, Value


class Place(NamedTuple):
    """A place among all events of a store: whatever comes after it has a greater one."""

    transaction_id: int
    event_id: str


class Happened(NamedTuple):
    """An event as others are told of it; `said` and `changed` are the JSON of its payload and changes."""

    id: str
    topic: str
    resource_type: str
    resource_id: str
    sequence: int
    said: str
    changed: str
    actor_type: str | None
    actor_id: str | None
    created_at: datetime
    transaction_id: int

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.transaction_id, self.id)


START: Final = Place(-(2**63), "")
"""The place before all events."""

_AFTER = Many("events/events.after", Happened)
_TRANSACTION_OF = Value("events/events.transaction_of", int)


async def after(connection: Connection, store_id: int, place: Place, *, most: int) -> list[Happened]:
    """Return the next events of a store after a place, at most so many."""
    transaction, event = place
    before = await horizon(connection)
    return await _AFTER(connection, store=store_id, transaction=transaction, event=event, horizon=before, most=most)


async def place_of(connection: Connection, store_id: int, event_id: str) -> Place | None:
    """Return the place of an event; None where there is no such event."""
    transaction_id = await _TRANSACTION_OF(connection, store=store_id, event=event_id)
    return None if transaction_id is None else Place(transaction_id, event_id)


async def now(connection: Connection) -> Place:
    """Return the place before all events that are still to come, and those of transactions that go on."""
    return Place(await horizon(connection), "")
