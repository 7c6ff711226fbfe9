"""The triggers `_add_tags` and `_remove_tags` (Commerce Layer)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime

from service import clock
from service.jsonapi.body import Draft
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Values

_MAKE = Values("parties/tags.make", str)
_BY_NAME = Values("parties/tags.by_name", str)


def is_asked(draft: Draft) -> bool:
    """Whether a draft adds or removes tags by name."""
    return not {"_add_tags", "_remove_tags"}.isdisjoint(draft.triggers)


async def apply(
    connection: Connection, store: Store, draft: Draft, ids: AbstractSet[str], *, actor: str, at: datetime
) -> set[str]:
    """The ids of the tags that a resource carries once a draft's triggers have worked on those that it would carry.

    Tags to add that don't exist are made, with their events.
    """
    tags = set(ids)
    added = draft.triggers.get("_add_tags", ())
    if added:
        # In one order, so that two requests that make the same tags never wait for each other in a circle.
        names = sorted(set(added))
        made = await _MAKE(connection, store=store.id, ids=[clock.new_id() for _ in names], names=names, at=at)
        happened = [Event("tags.create", id_) for id_ in made]
        if happened:
            await outbox.record_all(connection, store, happened, actor=actor)
        tags.update(await _BY_NAME(connection, store=store.id, names=names))
    removed = draft.triggers.get("_remove_tags", ())
    if removed:
        tags.difference_update(await _BY_NAME(connection, store=store.id, names=removed))
    return tags
