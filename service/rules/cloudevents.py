"""Events as CloudEvents 1.0, in the JSON format: what a stream of many producers knows an event by.

NATS takes the structured mode: the whole event is the message's payload (CloudEvents, NATS protocol binding).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson

from schemas.kinds import render_timestamp

STRUCTURED: Final = "application/cloudevents+json"
"""The media type of an event in structured mode."""


def cloud_event(
    *, id_: str, source: str, topic: str, resource_type: str, resource_id: str, at: datetime, document: bytes
) -> bytes:
    """Return an event whose data is a document of JSON:API; with `source`, its id names it among all events."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": id_,
            "source": source,
            "type": topic,
            "subject": f"{resource_type}/{resource_id}",
            "time": render_timestamp(at),
            "datacontenttype": "application/vnd.api+json",
            "data": orjson.Fragment(document),
        }
    )
