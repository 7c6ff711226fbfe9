"""The dates of subscriptions: when each runs, what is different then, and what became of it."""

from __future__ import annotations

from typing import ClassVar

from schemas.failures import failure_type
from schemas.fields import HARMLESS, Write
from schemas.kinds import Boolean, Cents, CurrencyCode, Enum, Integer, Standard, Text, Timestamp
from schemas.lines import RepeatedLine
from schemas.previewed import Previewed
from schemas.relationships import ToMany, ToOne


class Occurrence(Standard, Previewed):
    """One date of a subscription, past, due or planned, and what became of it."""

    occurrence_index = Integer(
        write=Write.CREATE,
        required=True,
        minimum=0,
        nullable=False,
        filter=True,
        sort=True,
        doc="Counts its subscription's; the source order is 0. Any run to come can be named by it that has no row yet.",
    )
    status = Enum(
        "planned",
        "due",
        "held",
        "claimed",
        "completed",
        "skipped",
        "missed",
        "failed",
        nullable=False,
        filter=True,
        sort=True,
        doc="`held` is one that would cost more than its subscription allows, until `_approve`, `_reject` or the next.",
    )
    nominal_at = Timestamp(nullable=False, filter=True, sort=True, doc="Where the calendar puts it.")
    scheduled_at = Timestamp(
        write=Write.UPDATE,
        nullable=False,
        filter=True,
        sort=True,
        doc="When it runs. A planned one can be moved, between the one before it and the one after it.",
    )
    claimed_at = Timestamp(doc="When a worker took it up.")
    completed_at = Timestamp(doc="When its order was made; null until then.")
    alerted_at = Timestamp(doc="When the event that announces it was written.")
    held_at = Timestamp(doc="When it was held.")
    held_amount_cents = Cents(doc="The total at which it was held.")
    approved_amount_cents = Cents(doc="The total that was agreed to; it doesn't run at a higher one.")
    currency_code = CurrencyCode(doc="The currency of its amounts.")
    reason = Text(
        harmless=True,
        doc="Why it is not where the anchor puts it (`clamped`, `clock_forward`, `clock_back`, `moved`, `ordered`), was"
        " skipped (`asked`, `paused`, `ended`, `parked`, `passed_over`, `rejected`, `cancelled`)"
        " or missed (`catchup`, `approval`).",
    )
    failure_type = failure_type("Why it failed, or `payment` while its order is unpaid.")

    _skip = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Leave it out.")
    _unskip = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Let it run after all.")
    _approve = Boolean(
        write=Write.UPDATE, trigger=True, nullable=False, doc="Let it run though it costs as much as it was held at."
    )
    _reject = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Leave it out, since it costs too much.")
    _retry = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Run again at once what has failed.")
    _commit = Boolean(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="Put the drafts of its lines into force.",
    )

    order_subscription = ToOne("order_subscriptions", write=Write.CREATE, required=True)
    recurring_order_copies = ToMany(
        "recurring_order_copies",
        via="occurrence_id",
        where={"kind": "recurring_order_copies"},
        doc="The copies it led to: those that failed, and at most one other.",
    )
    orders = ToMany("orders", via="occurrence_id", doc="What was ordered: one order at most.")
    shipping_address = ToOne("addresses", write=Write.BOTH, doc="Where this one goes; null: as the others.")
    shipping_method = ToOne("shipping_methods", write=Write.BOTH, doc="How this one goes; null: as the others.")
    occurrence_items = ToMany("occurrence_items", via="occurrence_id", doc="The lines that are different this time.")

    class Meta:
        type_ = "occurrences"
        owner = "order_subscription.customer"


class OccurrenceItem(Standard, RepeatedLine):
    """A line of a single run: added to it, or what an item is this time."""

    occurrence_index = Integer(
        write=Write.CREATE,
        minimum=1,
        nullable=False,
        filter=True,
        doc="Which run it is for, any to come; by default the next that can still be changed.",
    )
    sku_code = Text(
        write=Write.BOTH,
        nullable=False,
        filter=True,
        harmless=True,
        doc="What is ordered; the item's own by default.",
    )
    quantity = Integer(
        minimum=0,
        write=Write.BOTH,
        required=True,
        doc="How many are ordered this time; 0 leaves an item of the subscription out.",
    )
    draft = Boolean(
        write=Write.CREATE,
        nullable=False,
        doc="Whether it waits for the occurrence's `_commit`.",
    )

    order_subscription = ToOne("order_subscriptions", write=Write.CREATE, required=True)
    occurrence = ToOne("occurrences", write=Write.CREATE, doc="The run that it is for.")
    order_subscription_item = ToOne(
        "order_subscription_items",
        write=Write.CREATE,
        doc="The item that is something else this time; null for a line that is added.",
    )

    class Meta:
        type_ = "occurrence_items"
        owner = "order_subscription.customer"
        internal: ClassVar = {"priced_by_hand": HARMLESS, "sku_id": HARMLESS}
