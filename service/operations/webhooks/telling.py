"""An event as others are told of it, wherever they listen: what happened, in the document of its resource."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import orjson

from schemas.kinds import render_timestamp
from service.jsonapi.document import document, identifier


class Happened(NamedTuple):
    """What happened to a resource; `said` and `changed` are the event's payload and changes, as JSON."""

    event_id: str
    topic: str
    resource_type: str
    resource_id: str
    sequence: int
    said: str
    changed: str
    actor_type: str | None
    actor_id: str | None
    created_at: datetime


def links(event: Happened, base: str) -> Mapping[str, str]:
    """The links of the document that tells of an event; `base` is the absolute URL of the API."""
    return {"self": f"{base}/{event.resource_type}/{event.resource_id}"}


def meta(event: Happened) -> dict[str, object]:
    """What happened, as the meta of the document that tells of it."""
    return {
        "event": {
            "id": event.event_id,
            "name": event.topic,
            "sequence": event.sequence,
            "payload": orjson.Fragment(event.said),
            "changes": orjson.Fragment(event.changed),
            "actor_type": event.actor_type,
            "actor_id": event.actor_id,
            "created_at": render_timestamp(event.created_at),
        }
    }


def thin(event: Happened, base: str) -> bytes:
    """The document that tells of an event and names its resource alone."""
    alone = identifier(event.resource_type, event.resource_id)
    return orjson.dumps(document(alone, links(event, base), meta=meta(event)))
