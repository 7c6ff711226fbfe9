"""A change and its events are written together, with what goes along."""

from __future__ import annotations

from collections.abc import Sequence

from service.operations.events import outbox
from service.operations.generic import changes
from service.operations.generic.change import Change
from service.store import write as rows


async def write(change: Change, happened: str) -> None:
    """Write a change with its events, and what goes along: one statement, unless others write events meanwhile."""
    connection, store, actor = change.connection, change.store, outbox.actor(change.principal)
    recorded = _events(change, happened)
    events = outbox.recording(store, recorded, actor=actor)
    along = (*change.along, events)
    given = (connection, store.id, change.draft, change.columns, change.joins)
    if change.new:
        change.returned = await rows.insert(*given, at=change.at, along=along, owners=change.owners)
    else:
        change.returned = await rows.update(*given, at=change.at, along=along)
    await outbox.complete(connection, store, recorded, change.returned[outbox.WRITE], actor=actor)


async def write_all(changes: Sequence[Change]) -> bool:
    """Write new resources of the same columns with their events; False where the database refuses one of them."""
    first = changes[0]
    connection, store, actor = first.connection, first.store, outbox.actor(first.principal)
    recorded = [event for change in changes for event in _events(change, "create")]
    events = outbox.recording(store, recorded, actor=actor)
    columns = [change.columns for change in changes]
    returned = await rows.insert_all(connection, store.id, first.resource, columns, at=first.at, along=[events])
    if returned is None:
        return False
    await outbox.complete(connection, store, recorded, returned[outbox.WRITE], actor=actor)
    return True


async def record(change: Change, *happened: str) -> None:
    """Write the events of a change that was written without them, or that changes no row."""
    recorded = _events(change, *happened)
    await outbox.record_all(change.connection, change.store, recorded, actor=outbox.actor(change.principal))


def _events(change: Change, *happened: str) -> list[outbox.Event]:
    """The event of a write, and those beside it."""
    names = [f"{change.resource.type_}.{verb}" for verb in (*happened, *change.happened)]
    said = ({"verbs": [f"_{name}" for name in change.done]} if change.done else {}) | change.said
    changed = changes.told(change)
    return [*(outbox.Event(name, change.id, said, changes=changed) for name in names), *change.others]
