"""Whether the next run of a subscription can be ordered as things are now: what whoever wrote it is told beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from service.jsonapi.body import Draft
from service.operations.subscriptions import forecasts
from service.principal import Principal
from service.store.pool import Connection
from service.texts import Phrase

_LABELS: Final = frozenset({"metadata", "reference", "reference_origin"})
"""What can be written of a subscription without changing what is ordered, or when."""

_AHEAD: Final = 2
"""Of how many runs the first that isn't left out is looked at: the next one may have been skipped."""


async def warnings(connection: Connection, principal: Principal, id_: str, draft: Draft) -> Sequence[Phrase]:
    """Return why the next run would fail, or its order wait, if nothing changed until then; nothing for mere labels.

    It is what the subscription's forecast says. Whatever it lacks can still come, so that none of it is a refusal.
    """
    if not (draft.triggers or draft.relationships or draft.attributes.keys() - _LABELS):
        return []
    coming = await forecasts.look(connection, principal.store, id_, principal.customer_id, size=_AHEAD)
    estimate = next((run.estimate for run in coming.runs if run.estimate is not None), None)
    if estimate is None or not estimate.messages:
        return []
    fails = estimate.total is None
    return [
        Phrase("As things are, the next run would fail: {name} - {message}", name=name, message=message)
        if fails
        else Phrase(
            "As things are, the order of the next run would wait: {name} - {message}", name=name, message=message
        )
        for name, messages in estimate.messages.items()
        for message in messages
    ]
