"""Events: what happened."""

from __future__ import annotations

from schemas.fields import Personal
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
    position = Integer(
        column="transaction_id",
        nullable=False,
        filter=True,
        sort=True,
        doc="Where it stands among all events: those that were written together share it, and the id tells them apart."
        " Pages by cursor follow it, and leave out what others may still come before: whoever goes on from the last"
        " cursor misses no event.",
    )
    payload = JsonObject(nullable=False, personal=Personal.WORDS, doc="Reasons, and the ids of what else is concerned.")
    changes = JsonObject(
        nullable=False,
        harmless=True,
        doc="The attributes that changed, each with what it was (`from`) and is (`to`). Of what tells of a person, of"
        " credentials and of long values only the name is there.",
        example={"status": {"from": "active", "to": "inactive"}},
    )
    actor_type = Text(
        harmless=True, doc="What kind of actor caused it: `tokens`, `customers`, `carts`, `workers` or `operators`."
    )
    actor_id = Text(personal=Personal.IDENTIFIER, doc="Which one.")
    request_id = Text(personal=Personal.WORDS, doc="The `X-Request-Id` of the request that caused it.")

    last_event_callbacks = ToMany(
        "event_callbacks", via="event_id", includable=False, doc="Which webhooks were told of it."
    )

    class Meta:
        type_ = "events"
        log = "position"
