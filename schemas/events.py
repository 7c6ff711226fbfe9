"""Events: what happened."""

from __future__ import annotations

from typing import ClassVar

from schemas.fields import HARMLESS, Personal
from schemas.kinds import Integer, JsonObject, Standard, Text
from schemas.relationships import ToMany


class Event(Standard):
    """Something that happened to a resource, written together with its cause and never changed."""

    name = Text(
        nullable=False,
        filter=True,
        sort=True,
        harmless=True,
        doc="The type and what happened to it, as webhooks call it.",
        example="orders.place",
    )
    resource_type = Text(nullable=False, filter=True, harmless=True, doc="The type of the resource.")
    resource_id = Text(nullable=False, personal=Personal.IDENTIFIER, doc="The id of the resource, which may be gone.")
    sequence = Integer(nullable=False, doc="Counts the events of one resource from 1.")
    payload = JsonObject(nullable=False, personal=Personal.WORDS, doc="What else there is to know of it.")
    actor_type = Text(harmless=True, doc="What kind of actor caused it.")
    actor_id = Text(personal=Personal.IDENTIFIER, doc="Which one.")
    request_id = Text(personal=Personal.WORDS, doc="The `X-Request-Id` of the request that caused it.")

    last_event_callbacks = ToMany(
        "event_callbacks", via="event_id", includable=False, doc="Which webhooks were told of it."
    )

    class Meta:
        type_ = "events"
        internal: ClassVar = {"transaction_id": HARMLESS}
