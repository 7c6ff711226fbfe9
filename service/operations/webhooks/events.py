"""Events, which nobody changes: all that can be done to one is to give it to its webhooks again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from service.errors import InvalidState
from service.operations.generic import recording
from service.operations.generic.change import Change
from service.operations.generic.writing import Effect, Writer
from service.operations.webhooks import webhooks
from service.store.statements import Values
from service.store.write import Columns

_HOLD_WANTING = Values("webhooks/webhooks.hold_wanting", str)


async def _triggered(change: Change) -> Columns | None:
    """Take note of the webhooks that want the event, locked until it is given to them."""
    pointer, topic = change.draft.pointer("_trigger"), change.before["name"]
    if change.before["version"] > 1:
        change.problems.append(
            InvalidState("_trigger - what the event said is gone: it told of somebody who was erased", pointer=pointer)
        )
        return None
    wanting = await _HOLD_WANTING(change.connection, store=change.store.id, event=change.id)
    if not wanting:
        change.problems.append(
            InvalidState("_trigger - no webhook that is enabled has the topic {topic}", topic=topic, pointer=pointer)
        )
        return None
    change.kept["wanting"] = wanting
    change.said["webhooks_count"] = len(wanting)
    return {}


class Events(Writer):
    """Events. `scope_of` tells which scope it takes to read a type: the answer to a trigger shows the event."""

    effects: ClassVar[Mapping[str, Effect]] = {"trigger": _triggered}

    def __init__(self, scope_of: Callable[[str], str]) -> None:
        self._scope_of = scope_of

    async def validate(self, change: Change) -> None:
        """Raise Forbidden unless the sender may read events."""
        change.principal.require(self._scope_of(change.resource.type_))

    async def keep(self, change: Change) -> None:
        """Tell that it was triggered: the event itself stays as it was written."""
        await recording.record(change)

    async def after_write(self, change: Change) -> None:
        """Give it to the webhooks that want it."""
        await webhooks.give(change.connection, change.store.id, [change.id], change.kept["wanting"])
