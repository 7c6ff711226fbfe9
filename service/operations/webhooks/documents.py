"""What webhooks and readers of the stream are sent: the document of a resource, as a request returns it, and the event.

A token with all scopes sees the same, but for attributes that are credentials: those are null, since whoever reads a
receiver's logs needs none. What is gone by the time that it is first sent, or too large, is sent by type and id alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal, NamedTuple

import orjson

from schemas.graph import graph
from schemas.kinds import render_timestamp
from schemas.rendering import Rendering
from schemas.resource import Resource
from service.errors import ApiError
from service.jsonapi.document import Listed, collect, document, identifier, in_json
from service.jsonapi.layout import Row
from service.jsonapi.query import Selection, parse
from service.operations.events.reading import Happened
from service.principal import Store, Viewer
from service.rules import topics
from service.store import read
from service.store.pool import Connection

LARGEST: Final = 1_000_000
"""Bytes of a document that is sent in full."""


class Shape(NamedTuple):
    """What somebody is told of an event's resource: all that a request returns, with what is included, or its id."""

    payload: Literal["full", "thin"] = "full"
    include_resources: tuple[str, ...] = ()


async def written(
    connection: Connection, store: Store, shape: Shape, events: Sequence[Happened], *, base: str
) -> list[str]:
    """Return what is sent of each event; `base` is the absolute URL of the API.

    One statement for each type of resource, and none for what is thin.
    """
    rendering = Rendering(base, store.mode, store.locale, secrets=False)
    of_type: dict[str, list[Happened]] = defaultdict(list)
    for event in events:
        of_type[event.resource_type].append(event)
    found: dict[str, str] = {}
    for type_, several in of_type.items():
        selection, included = _selection(graph[type_], shape)
        rows: dict[str, Row] = {}
        if shape.payload == "full":
            ids = sorted({event.resource_id for event in several})
            rows = await read.several(connection, Viewer(store.id), selection, ids)
        for event in several:
            found[event.id] = _written(event, rendering, selection, rows.get(event.resource_id), included=included)
    return [found[event.id] for event in events]


def _selection(resource: type[Resource], shape: Shape) -> tuple[Selection, bool]:
    """What is read of a type, with those relationships that it has; whether any was asked for."""
    paths = [path for path in shape.include_resources if leads_somewhere(resource, path)]
    if not paths:
        return Selection(resource), False
    return parse(resource, [("include", ",".join(paths))], shape="single").selection, True


def types_told(wanted: Iterable[str], paths: Collection[str]) -> set[str]:
    """Return the types whose resources are told of by topics, with what these paths of relationships lead through."""
    found = {type_ for topic in wanted for type_ in topics.types(topic)}
    for type_ in sorted(found):
        for path in (path for path in paths if leads_somewhere(graph[type_], path)):
            current = graph[type_]
            for name in path.split("."):
                current = graph[current.relationships[name].type_]
                found.add(current.type_)
    return found


def leads_somewhere(resource: type[Resource], path: str) -> bool:
    """Whether a path of relationships can be included, from a type on."""
    try:
        parse(resource, [("include", path)], shape="single")
    except ApiError:
        return False
    return bool(path)


def _written(event: Happened, rendering: Rendering, selection: Selection, row: Row | None, *, included: bool) -> str:
    """The document of a resource, or of its id alone where there is no row or too much of it."""
    if row is not None:
        resources, along = collect([row], selection, rendering)
        fragment, others = orjson.Fragment(resources[0]), Listed(along) if included else None
        text = _document(event, rendering.base, fragment, included=others)
        if len(text) <= LARGEST:
            return text.decode()
    return thin(event, base=rendering.base).decode()


def thin(event: Happened, *, base: str) -> bytes:
    """Return what tells of an event and names its resource alone; `base` is the absolute URL of the API."""
    return _document(event, base, identifier(event.resource_type, event.resource_id))


def _document(event: Happened, base: str, data: object, *, included: object = None) -> bytes:
    around = {"self": f"{base}/{event.resource_type}/{event.resource_id}"}
    return in_json(document(data, around, included=included, meta={"event": _event(event)}))


def _event(event: Happened) -> dict[str, object]:
    """What happened, as the event tells it."""
    return {
        "id": event.id,
        "name": event.topic,
        "sequence": event.sequence,
        "payload": orjson.Fragment(event.said),
        "changes": orjson.Fragment(event.changed),
        "actor_type": event.actor_type,
        "actor_id": event.actor_id,
        "created_at": render_timestamp(event.created_at),
    }
