"""Copies of orders: both kinds are rows of order_factories, told apart by its column kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from schemas.failures import failure_type
from schemas.fields import HARMLESS, Personal, Write
from schemas.kinds import Boolean, Enum, Integer, JsonList, JsonObject, Standard, Timestamp
from schemas.relationships import ToMany, ToOne

_OF_WORKERS = ("occurrence_id", "attempt", "lease_expires_at")
_OF_RECURRING_COPIES = ("outcomes", "failure_type", "given_up_at")
"""Columns that only runs of subscriptions show."""
_OF_ORDER_COPIES = ("cancel_source_order", "apply_promotions", "skip_errors", "ignore_invalid_coupon")
"""Columns that only copies asked for once show."""


class _Copied:
    """What both kinds of copies show of themselves."""

    status = Enum(
        "pending",
        "in_progress",
        "aborted",
        "failed",
        "completed",
        nullable=False,
        filter=True,
        sort=True,
        doc="A new copy is `pending` until a worker takes it up.",
    )
    started_at = Timestamp(filter=True, sort=True, doc="When a worker took it up; null until then.")
    completed_at = Timestamp(filter=True, sort=True, doc="When it was done; null until then.")
    failed_at = Timestamp(filter=True, sort=True, doc="When it failed; null unless it did.")
    errors_log = JsonObject(
        personal=Personal.WORDS,
        doc="Why it failed: attribute to messages. Null until then.",
        example={"status": ["cannot transition from draft to placed"]},
    )
    errors_count = Integer(nullable=False, filter=True, sort=True, doc="How many errors it met.")
    place_target_order = Boolean(
        write=Write.CREATE,
        guarded=True,
        doc="Whether the new order is placed at once; otherwise, and by default, it stays `pending`.",
    )
    reuse_wallet = Boolean(
        write=Write.CREATE,
        doc="Whether the new order is paid from the customer's wallet as the source order is; so by default.",
    )


class _Lenient:
    """What runs of subscriptions show beyond Commerce Layer's."""

    outcomes = JsonList(
        harmless=True,
        doc="Which items were left out, reduced or replaced, by the subscription's `unavailable_policy`; null when none"
        " was.",
    )
    failure_type = failure_type("What its last failure was about, a refused payment too.")
    given_up_at = Timestamp(doc="Since when its payment isn't asked for by itself any more.")


class OrderFactory(Standard, _Copied):
    """A copy of an order, of either kind. Read-only: each is also found under the type that its `kind` names."""

    kind = Enum(
        "order_copies",
        "recurring_order_copies",
        nullable=False,
        filter=True,
        sort=True,
        doc="The type that the copy is also found under.",
    )

    source_order = ToOne("orders", doc="The order that is copied.")
    target_order = ToOne("orders", doc="The new order, once the copy is completed.")
    events = ToMany(
        "events",
        via="resource_id",
        where={"resource_type": ("order_copies", "recurring_order_copies")},
        includable=False,
        doc="Those of the copy of its kind.",
    )
    order_subscription = ToOne("order_subscriptions")

    class Meta:
        type_ = "order_factories"
        owner = "source_order.customer"
        internal = dict.fromkeys((*_OF_WORKERS, *_OF_ORDER_COPIES, *_OF_RECURRING_COPIES), HARMLESS)


class OrderCopy(Standard, _Copied):
    """A copy of an order that was asked for once: prices and discounts of the source order are kept."""

    cancel_source_order = Boolean(write=Write.CREATE, doc="Whether the source order is cancelled once it is copied.")
    apply_promotions = Boolean(write=Write.CREATE, doc="Whether the promotions of today apply instead.")
    skip_errors = Boolean(
        write=Write.CREATE, doc="Whether lines that can't be copied are left out, instead of failing."
    )
    ignore_invalid_coupon = Boolean(write=Write.CREATE, doc="Whether a coupon that no longer works is left out.")

    source_order = ToOne("orders", write=Write.CREATE, required=True, doc="The order to copy.")
    target_order = ToOne("orders", doc="The new order, once the copy is completed.")
    events = ToMany("events", via="resource_id", where={"resource_type": "order_copies"}, includable=False)
    order_subscription = ToOne("order_subscriptions")

    class Meta:
        type_ = "order_copies"
        table = "order_factories"
        where: ClassVar[Mapping[str, str]] = {"kind": "order_copies"}
        owner = "source_order.customer"
        internal = dict.fromkeys((*_OF_WORKERS, *_OF_RECURRING_COPIES), HARMLESS)


class RecurringOrderCopy(Standard, _Lenient, _Copied):
    """One run of an order subscription: a new order made of its source order, in the background."""

    source_order = ToOne("orders", write=Write.CREATE, required=True, doc="The source order of the subscription.")
    target_order = ToOne("orders", doc="The new order, once the copy is completed.")
    events = ToMany("events", via="resource_id", where={"resource_type": "recurring_order_copies"}, includable=False)
    order_subscription = ToOne(
        "order_subscriptions",
        write=Write.CREATE,
        required=True,
        doc="The subscription to run; its items are what is ordered.",
    )

    class Meta:
        type_ = "recurring_order_copies"
        table = "order_factories"
        where: ClassVar[Mapping[str, str]] = {"kind": "recurring_order_copies"}
        owner = "source_order.customer"
        internal = dict.fromkeys((*_OF_WORKERS, *_OF_ORDER_COPIES), HARMLESS)
