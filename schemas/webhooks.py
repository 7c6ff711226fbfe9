"""Webhooks: who is told of what happened, and what came of telling them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from schemas.fields import HARMLESS, SECRET, Mark, Personal, Write
from schemas.kinds import Boolean, Derived, Enum, Integer, JsonObject, Standard, Text, TextList, Timestamp, Url
from schemas.relationships import ToMany, ToOne


def _opened(id_: str, kept: str, open_: Callable[[str, str], str | None] | None) -> str | None:
    return None if open_ is None else open_(id_, kept)


class Webhook(Standard):
    """Somebody who is told of events: each is sent to its URL, signed, until it is answered with a status of 2xx."""

    name = Text(write=Write.BOTH, filter=True, sort=True, harmless=True, doc="`Webhook` and its id unless sent.")
    topic = Text(
        write=Write.BOTH,
        nullable=False,
        filter=True,
        harmless=True,
        doc="The name of the events that it is told of: `orders.place`, `orders.*` for all of a type, `*` for all. The"
        " first of `topics`; one of the two has to be sent.",
        example="order_subscriptions.last_run_failed",
    )
    topics = TextList(
        write=Write.BOTH,
        nullable=False,
        harmless=True,
        doc="All that it is told of, when that is more than one topic.",
        example=["order_subscriptions.last_run_failed", "recurring_order_copies.*"],
    )
    callback_url = Url(
        write=Write.BOTH,
        required=True,
        harmless=True,
        doc="Where events are sent by POST; over https.",
        example="https://shop.example.com/hooks/reprise",
    )
    include_resources = TextList(
        write=Write.BOTH,
        nullable=False,
        harmless=True,
        doc="Relationships whose resources are sent along, as in `include`. Where topics are of several types, each"
        " type follows those that it has.",
        example=["source_order", "customer"],
    )
    payload = Enum(
        "full",
        "thin",
        write=Write.BOTH,
        nullable=False,
        doc="What is sent of the resource: all that a request for it returns (`full`, the default), or its type and id"
        " alone (`thin`).",
    )
    ordered = Boolean(
        write=Write.BOTH,
        nullable=False,
        doc="Whether the events of a resource are sent one after the other, in their order: the next one waits until"
        " the one before is delivered or given up.",
    )
    shared_secret = Derived(
        "id",
        "shared_secret",
        function=_opened,
        json_type={"type": "string"},
        given="webhook_secret",
        nullable=False,
        secret=True,
        doc="What deliveries are signed with: `whsec_` and base64. `X-CommerceLayer-Signature` takes it as it stands,"
        " Standard Webhooks the bytes that the base64 stands for.",
    )
    previous_secret_expires_at = Timestamp(
        doc="Until when the secret before `_rotate_secret` signs as well; null when there is none."
    )
    circuit_state = Enum(
        "closed",
        "open",
        nullable=False,
        filter=True,
        sort=True,
        doc="`open` after 30 failed attempts in a row: nothing is sent until `_reset_circuit`, and nothing is lost.",
    )
    circuit_failure_count = Integer(
        nullable=False, filter=True, sort=True, doc="How many attempts in a row have failed."
    )
    health = Enum(
        "healthy",
        "failing",
        "stopped",
        "disabled",
        nullable=False,
        filter=True,
        doc="How it stands: `failing` when the last attempt failed, `stopped` while its circuit is open, `disabled` by"
        " `_disable` or by an answer of 410.",
    )
    health_reason = Text(personal=Personal.WORDS, doc="Why it isn't healthy.")
    health_since = Timestamp(nullable=False, doc="Since when it stands so; real time.")
    disabled_at = Timestamp(filter=True, sort=True, doc="Since when nothing is sent and nothing kept for it.")

    _enable = Boolean(write=Write.BOTH, trigger=True, doc="Tell it of events again, from now on.")
    _disable = Boolean(
        write=Write.BOTH, trigger=True, doc="Tell it of no more events. What waits is sent once it is enabled again."
    )
    _reset_circuit = Boolean(
        write=Write.UPDATE, trigger=True, doc="Close its circuit and count failures from 0: what waits is sent now."
    )
    _rotate_secret = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Give it another secret. For 24 hours the one so far signs as well, as a second signature in"
        " `webhook-signature`; `X-CommerceLayer-Signature` has room for the new one only.",
    )
    _test = Boolean(write=Write.UPDATE, trigger=True, doc="Send it an event `webhooks.test`, whatever its topics.")
    _replay_since = Timestamp(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="Send it all events of its topics since this instant again, 10 000 at most, under the ids that they had.",
    )
    _replay_until = Timestamp(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="With `_replay_since`: only events before this instant.",
    )

    last_event_callbacks = ToMany(
        "event_callbacks", via="webhook_id", includable=False, doc="What it was told; kept for 30 days."
    )
    events = ToMany("events", via="resource_id", where={"resource_type": "webhooks"}, includable=False)
    event_stores = ToMany(
        "event_stores",
        via="resource_id",
        where={"resource_type": "webhooks"},
        includable=False,
        doc="Who did what to it.",
    )

    class Meta:
        type_ = "webhooks"
        internal: ClassVar = {
            "shared_secret": SECRET,
            "previous_secret": SECRET,
            "next_delivery_at": HARMLESS,
            "leased_until": HARMLESS,
        }


class EventCallback(Standard):
    """One delivery of an event to a webhook: what is sent, how often that was tried, and what came back last."""

    callback_url = Url(nullable=False, filter=True, harmless=True, doc="Where it is sent.")
    payload = JsonObject(
        personal=Personal.WORDS,
        repeats=True,
        doc="What is sent: settled at the first attempt, the same at every other. Null before, and for tokens that may"
        " not read all types, since it shows whole resources.",
    )
    status = Enum(
        "pending",
        "delivered",
        "failed",
        nullable=False,
        filter=True,
        sort=True,
        doc="`failed` once it is given up, after ten attempts.",
    )
    attempts_count = Integer(nullable=False, filter=True, sort=True, doc="How often it was sent.")
    last_attempt_at = Timestamp(doc="When it was sent last; real time, as all instants of it.")
    next_attempt_at = Timestamp(doc="When it is sent next, at the earliest; null when it isn't.")
    delivered_at = Timestamp(doc="When it was answered with a status of 2xx.")
    response_code = Text(
        filter=True, sort=True, harmless=True, doc="The status of the last answer; null when there was none."
    )
    response_message = Text(
        filter=True, sort=True, personal=Personal.WORDS, doc="What the last answer said, or why there was none."
    )

    webhook = ToOne("webhooks", doc="Who is told.")
    event = ToOne("events", doc="Of what.")
    event_stores = ToMany(
        "event_stores",
        via="resource_id",
        where={"resource_type": "event_callbacks"},
        includable=False,
        doc="Who did what to it: nobody can, so there are none.",
    )

    class Meta:
        type_ = "event_callbacks"
        internal: ClassVar = {"people": Mark(Personal.IDENTIFIER)}
