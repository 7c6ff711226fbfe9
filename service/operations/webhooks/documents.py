"""What is sent to a webhook: the JSON:API document of a resource, as a request for it returns it, and the event.

A token with all scopes sees the same, but for attributes that are credentials: those are null, since whoever reads a
receiver's logs needs none. What is gone by the time of the first attempt, or too large, is sent by type and id alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import orjson

from schemas.graph import graph
from schemas.kinds import render_timestamp
from schemas.rendering import Rendering
from schemas.resource import Resource
from service.errors import ApiError
from service.jsonapi.document import Listed, collect, document, identifier, in_json
from service.jsonapi.layout import Row
from service.jsonapi.query import Selection, parse
from service.operations.webhooks.delivering import Attempt, Receiver
from service.principal import Store, Viewer
from service.store import read
from service.store.pool import Connection

LARGEST: Final = 1_000_000
"""Bytes of a document that is sent in full."""


async def payloads(
    connection: Connection, store: Store, receiver: Receiver, attempts: Sequence[Attempt], *, base: str
) -> dict[str, str]:
    """Return what is sent of each attempt, by its id; `base` is the absolute URL of the API.

    One statement for each type of resource.
    """
    rendering = Rendering(base, store.mode, store.locale, secrets=False)
    of_type: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        of_type[attempt.resource_type].append(attempt)
    found: dict[str, str] = {}
    for type_, several in of_type.items():
        selection, included = _selection(graph[type_], receiver)
        rows: dict[str, Row] = {}
        if receiver.payload == "full":
            ids = sorted({attempt.resource_id for attempt in several})
            rows = await read.several(connection, Viewer(store.id), selection, ids)
        for attempt in several:
            row = rows.get(attempt.resource_id)
            found[attempt.id] = _written(attempt, rendering, selection, row, included=included)
    return found


def _selection(resource: type[Resource], receiver: Receiver) -> tuple[Selection, bool]:
    """What is read of a type, with those relationships that it has; whether any was asked for."""
    paths = [path for path in receiver.include_resources if leads_somewhere(resource, path)]
    if not paths:
        return Selection(resource), False
    return parse(resource, [("include", ",".join(paths))], shape="single").selection, True


def leads_somewhere(resource: type[Resource], path: str) -> bool:
    """Whether a path of relationships can be included, from a type on."""
    try:
        parse(resource, [("include", path)], shape="single")
    except ApiError:
        return False
    return bool(path)


def _written(attempt: Attempt, rendering: Rendering, selection: Selection, row: Row | None, *, included: bool) -> str:
    """The document of a resource, or of its id alone where there is no row or too much of it."""
    url = f"{rendering.base}/{attempt.resource_type}/{attempt.resource_id}"
    around, meta = {"self": url}, {"event": _event(attempt)}
    if row is not None:
        resources, along = collect([row], selection, rendering)
        fragment, others = orjson.Fragment(resources[0]), Listed(along) if included else None
        text = in_json(document(fragment, around, included=others, meta=meta))
        if len(text) <= LARGEST:
            return text.decode()
    alone = identifier(attempt.resource_type, attempt.resource_id)
    return orjson.dumps(document(alone, around, meta=meta)).decode()


def _event(attempt: Attempt) -> dict[str, object]:
    """What happened, as the event tells it."""
    return {
        "id": attempt.event_id,
        "name": attempt.topic,
        "sequence": attempt.sequence,
        "payload": orjson.Fragment(attempt.said),
        "changes": orjson.Fragment(attempt.changed),
        "actor_type": attempt.actor_type,
        "actor_id": attempt.actor_id,
        "created_at": render_timestamp(attempt.created_at),
    }
