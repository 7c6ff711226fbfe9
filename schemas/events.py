"""What happened, who did it, and who was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from schemas.fields import HARMLESS, Mark, Personal, Write
from schemas.kinds import Boolean, Derived, Enum, Integer, JsonObject, Standard, Text, Timestamp
from schemas.relationships import Through, ToMany

REFUSALS: Final = (
    "missing", "malformed", "unknown", "expired", "revoked", "session", "client", "grant", "issuer",
)  # fmt: skip
"""Why a credential is refused: there is none, it has no form of one, and so on."""


class Recorded(Standard):
    """What there is to know of something that happened, by either of its types: nothing of it can be set."""

    reference = Text(filter=True, sort=True, personal=Personal.WORDS, doc="Always null.")
    reference_origin = Text(filter=True, personal=Personal.WORDS, doc="Always null.")
    metadata = JsonObject(nullable=False, filter=True, personal=Personal.WORDS, doc="Always empty.")
    name = Text(
        nullable=False,
        filter=True,
        sort=True,
        harmless=True,
        doc="The type and what happened to it, as webhooks call it.",
        example="orders.place",
    )
    resource_type = Text(nullable=False, filter=True, harmless=True, doc="The type of the resource.")
    resource_id = Text(
        nullable=False, filter=True, personal=Personal.IDENTIFIER, doc="The id of the resource, which may be gone."
    )
    position = Integer(
        column="transaction_id",
        nullable=False,
        filter=True,
        sort=True,
        doc="Where it stands among all events: those that were written together share it, and the id tells them apart."
        " Pages by cursor follow it, and leave out what others may still come before: whoever goes on from the last"
        " cursor misses no event.",
    )
    actor_type = Text(
        filter=True,
        harmless=True,
        doc="What kind of actor caused it: `tokens`, `api_clients`, `customers`, `carts`, `repeat_links`,"
        " `action_links`, `workers` or `operators`.",
    )
    actor_id = Text(filter=True, personal=Personal.IDENTIFIER, doc="Which one.")
    request_id = Text(
        filter=True, personal=Personal.WORDS, doc="The `X-Request-Id` of the request that caused it, also by a worker."
    )


_WHENCE: Final = {"token_id": HARMLESS, "api_client_id": HARMLESS, "address": Mark(Personal.NETWORK)}


class Event(Recorded):
    """Something that happened to a resource, written together with its cause and never changed."""

    sequence = Integer(nullable=False, doc="Counts the events of one resource from 1.")
    payload = JsonObject(nullable=False, personal=Personal.WORDS, doc="Reasons, and the ids of what else is concerned.")
    changes = JsonObject(
        nullable=False,
        harmless=True,
        doc="The attributes that changed, each with what it was (`from`) and is (`to`). Of what tells of a person, of"
        " credentials and of long values only the name is there.",
        example={"status": {"from": "active", "to": "inactive"}},
    )

    _trigger = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Give it to the webhooks that have its topic, whether they were told of it before or not, under the id that"
        " it has; not to those that are disabled.",
    )

    webhooks = ToMany(
        "webhooks",
        through=Through("event_callbacks", "event_id", "webhook_id"),
        includable=False,
        doc="The webhooks that were told of it, or are about to be; for 30 days.",
    )
    last_event_callbacks = ToMany(
        "event_callbacks", via="event_id", includable=False, doc="Which webhooks were told of it."
    )
    event_stores = ToMany(
        "event_stores",
        via="resource_id",
        where={"resource_type": "events"},
        includable=False,
        doc="Who has triggered it.",
    )

    class Meta:
        type_ = "events"
        log = "position"
        internal: ClassVar = _WHENCE


def what(name: str) -> str:
    """What happened, by the name of an event: `place` of `orders.place`."""
    return name.partition(".")[2]


def who(
    actor_type: str | None, actor_id: str | None, token_id: str | None, api_client_id: str | None
) -> Mapping[str, Mapping[str, object]]:
    """Who did it, in the members of Commerce Layer's `who`: an application, its token, and for whom."""
    found: dict[str, Mapping[str, object]] = {}
    if api_client_id is not None:
        found["application"] = {"id": api_client_id}
    if token_id is not None:
        found["token"] = {"id": token_id}
    if actor_type in _OWNERS:
        found["owner"] = {"type": _OWNERS[actor_type], "id": actor_id}
    elif actor_type is not None and actor_type not in ("tokens", "api_clients"):
        found[actor_type.removesuffix("s")] = {"id": actor_id}
    return found


_OWNERS: Final = {"customers": "Customer", "carts": "Cart", "repeat_links": "RepeatLink", "action_links": "ActionLink"}


class EventStore(Recorded):
    """Who did what: the audit trail, an entry for each event, written together with its cause and never changed."""

    event = Derived(
        "name",
        function=what,
        json_type={"type": "string"},
        doc="What happened: `create`, `update`, `destroy`, or a verb such as `place`.",
    )
    payload = JsonObject(
        column="changes",
        nullable=False,
        harmless=True,
        doc="The attributes that changed, each with what it was (`from`) and is (`to`). Of what tells of a person, of"
        " credentials and of long values only the name is there.",
        example={"status": {"from": "draft", "to": "placed"}},
    )
    who = Derived(
        "actor_type",
        "actor_id",
        "token_id",
        "api_client_id",
        function=who,
        json_type={"type": "object"},
        doc="Who did it, as Commerce Layer tells it: the `application` (a client of the API), its `token`, and the"
        " `owner` for whom that was; or the `worker`, or the `operator` at the command line.",
    )
    token_id = Text(
        filter=True,
        harmless=True,
        doc="The token that the request came with, or the issuer of an outside one; it may be gone.",
    )
    api_client_id = Text(filter=True, harmless=True, doc="The client that had fetched it, which may be gone.")
    address = Text(
        filter=True,
        personal=Personal.NETWORK,
        doc="The address that the request came from; null for workers and commands, and once its time is over.",
    )

    class Meta:
        type_ = "event_stores"
        table = "events"
        log = "position"
        internal: ClassVar = {"sequence": HARMLESS, "payload": Mark(Personal.WORDS)}


class RefusedAuthentication(Standard):
    """How often somebody was refused for what they showed, or didn't, within a minute."""

    kind = Enum(
        *REFUSALS,
        nullable=False,
        filter=True,
        sort=True,
        doc="Why: no token was sent (`missing`), what was sent is none (`malformed`), is known to nobody (`unknown`),"
        " has `expired` or was `revoked`; a cart's `session`, a `client` with its secret, a `grant`, or what an outside"
        " `issuer` is said to have signed is wrong.",
    )
    address = Text(
        filter=True,
        sort=True,
        personal=Personal.NETWORK,
        doc="The address that they came from, or of IPv6 its /64; null for many addresses together, which are no"
        " longer told apart when there are too many.",
    )
    started_at = Timestamp(nullable=False, filter=True, sort=True, doc="When the minute began.")
    refusals_count = Integer(nullable=False, filter=True, sort=True, doc="How often.")

    class Meta:
        type_ = "refused_authentications"
