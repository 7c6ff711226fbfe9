"""Orders that come again by themselves: subscriptions, what they order, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from marshmallow import validate

from schemas.conditions import Instead, OneOf, Some
from schemas.fields import HARMLESS, Personal, Write
from schemas.graph import PUBLIC
from schemas.intervals import FREQUENCIES, Recurring
from schemas.kinds import (
    Boolean,
    Cents,
    Derived,
    Email,
    Enum,
    Integer,
    Number,
    Rate,
    Standard,
    Text,
    TextList,
    Timestamp,
)
from schemas.lines import RepeatedLine
from schemas.previewed import Previewed
from schemas.quotas import Quota
from schemas.relationships import Through, ToMany, ToOne
from schemas.tagging import Tagged
from schemas.terms import Terms
from service.texts import Phrase


class SubscriptionModel(Standard, Terms):
    """Which frequencies a store offers, and how the lines of an order become subscriptions."""

    name = Text(write=Write.BOTH, required=True, filter=True, sort=True, harmless=True, doc="What the model is called.")
    strategy = Enum(
        "by_frequency",
        "by_line_items",
        write=Write.BOTH,
        nullable=False,
        filter=True,
        sort=True,
        doc="Whether an order gets a subscription for each frequency (the default) or for each line.",
    )
    frequencies = TextList(
        write=Write.BOTH,
        required=True,
        validators=[validate.Length(min=1, error="must have at least one frequency")],
        harmless=True,
        doc=f"{FREQUENCIES}, or crontabs.",
        example=["weekly", "monthly"],
    )
    auto_activate = Boolean(
        write=Write.BOTH, doc="Whether a subscription is activated when its source order is placed."
    )
    auto_cancel = Boolean(write=Write.BOTH, doc="Whether a subscription is cancelled when its source order is.")

    markets = ToMany("markets", everywhere=True, doc="Where it is offered: in every market of the store.")
    order_subscriptions = ToMany("order_subscriptions", via="subscription_model_id", includable=False)

    class Meta:
        type_ = "subscription_models"
        owner = PUBLIC


def _calendar_url(id_: str, url_of: Callable[[str], str] | None) -> str | None:
    return None if url_of is None else url_of(id_)


_RUNNING = (
    OneOf("status", ("active",)),
    Some("recurring_order_copies", (OneOf("status", ("pending", "in_progress")),)),
)


class OrderSubscription(Standard, Recurring, Terms, Tagged, Previewed):
    """A standing order: its items are ordered again, once for each occurrence."""

    number = Number(
        nullable=False, filter=True, sort=True, doc="Counts a store's subscriptions; numbers may be left out."
    )
    status = Enum(
        "draft",
        "active",
        "running",
        "inactive",
        "cancelled",
        nullable=False,
        filter=True,
        sort=True,
        shown=Instead("running", _RUNNING),
        doc="`running` is an active one while a copy of it is being made; it is sorted among the active ones.",
    )
    customer_email = Email(filter=True, sort=True, doc="The e-mail address of the customer.")
    activate_by_source_order = Boolean(
        write=Write.BOTH, doc="Whether it is activated when the source order is placed; so by default."
    )
    place_target_order = Boolean(
        write=Write.BOTH, guarded=True, doc="Whether new orders are placed at once; so by default."
    )
    renewal_alert_period = Integer(
        minimum=1,
        maximum=720,
        write=Write.BOTH,
        nullable=False,
        doc="How many hours before a run its event comes: 1 by default.",
    )
    price_mode = Enum(
        "current",
        "fixed",
        write=Write.BOTH,
        guarded=True,
        nullable=False,
        doc="Whether new orders take the prices of their day, or the items' own; `current` where a customer makes the"
        " subscription, else `fixed`.",
    )
    max_increase_percent = Rate(
        write=Write.BOTH,
        guarded=True,
        minimum=0,
        maximum=9999.99,
        doc="A run that would cost more than this much more than the last waits for approval; null: none does.",
    )
    catchup_policy = Enum(
        "run_once",
        "run_all",
        "skip",
        write=Write.BOTH,
        guarded=True,
        nullable=False,
        doc="What happens after a standstill: one run for all that was missed (the default), all of them, or none.",
    )
    unavailable_policy = Enum(
        "fail",
        "skip_line",
        "partial",
        "substitute",
        write=Write.BOTH,
        guarded=True,
        doc="What becomes of a run when an item can't be had: it fails, leaves the item out, orders as many as there"
        " are, or a substitute of its sku. Null: as the store's policies say, which is `fail` when they say nothing.",
    )
    min_days_between_runs = Integer(
        minimum=1,
        maximum=366,
        write=Write.BOTH,
        guarded=True,
        doc="How many days at least lie between runs that are ordered ahead or delayed and their neighbours.",
    )
    max_occurrences = Integer(
        minimum=1,
        write=Write.BOTH,
        guarded=True,
        doc="How often it runs at most, without those that fail; null: without end.",
    )
    anchor_at = Timestamp(
        write=Write.UPDATE,
        guarded=True,
        doc="The instant that its occurrences are counted from. Other edits keep its day and time on the wall clock.",
    )
    starts_at = Timestamp(
        write=Write.CREATE,
        filter=True,
        sort=True,
        doc="When it starts. Its runs count from then, unless `anchor_at` is sent.",
    )
    expires_at = Timestamp(
        write=Write.BOTH,
        guarded=True,
        filter=True,
        sort=True,
        doc="From when it no longer runs; null: without end.",
    )
    next_run_at = Timestamp(write=Write.UPDATE, filter=True, sort=True, doc="Changing it moves the next run only.")
    last_run_at = Timestamp(filter=True, sort=True, doc="When it last ran; null until it has.")
    paused_until = Timestamp(doc="Runs before this instant are left out.")
    parked_at = Timestamp(doc="When it was stopped because it ran far too often.")
    parked_reason = Text(harmless=True, doc="Why it was parked; null unless it is.")
    ended_at = Timestamp(doc="Since when it has no run to come: it expired, or ran `max_occurrences` times.")
    cancelled_at = Timestamp(doc="When it was cancelled; null unless it was.")
    occurrencies = Integer(nullable=False, doc="How often it ran.")
    errors_count = Integer(nullable=False, filter=True, doc="How many of its runs failed.")
    succeeded_on_last_run = Boolean(filter=True, doc="True until a run fails.")
    cancel_at_period_end = Boolean(
        write=Write.UPDATE,
        nullable=False,
        doc="Whether it ends with the run that comes next. A customer can take it back until that has come up.",
    )
    cancellation_reason = Text(
        write=Write.UPDATE,
        filter=True,
        harmless=True,
        doc="Why it is cancelled: one of the store's `cancellation_reasons`, sent with `_cancel` or"
        " `cancel_at_period_end`.",
    )
    cancellation_comment = Text(
        write=Write.UPDATE,
        max_length=2000,
        personal=Personal.WORDS,
        doc="What the customer says to that in own words. Events leave it out.",
    )
    prepaid_occurrences_left = Integer(nullable=False, doc="How many deliveries are paid for and still to come.")
    calendar_url = Derived(
        "id",
        function=_calendar_url,
        json_type={"type": "string", "format": "uri"},
        given="calendar_url",
        secret=True,
        doc="Its runs as an iCalendar feed, for calendar programs: whoever has it can see them.",
    )

    _activate = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Begin, or go on after a deactivation.")
    _deactivate = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Stop until it is activated again.")
    _cancel = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Stop for good.")
    _skip_next = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Leave the next run out.")
    _pause_until = Timestamp(
        write=Write.UPDATE, trigger=True, nullable=False, doc="Leave out all runs before this instant."
    )
    _resume = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="End the pause now.")
    _delay = Integer(
        minimum=1,
        maximum=366,
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="Put the next run off by so many days, or runs where `_delay_unit` says so; what comes before is left out.",
    )
    _delay_unit = Enum(
        "day",
        "interval",
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="What `_delay` counts: days by default.",
    )
    _order_next_now = Boolean(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="Order the next run now, in place of its date; once until it would have come, or until"
        " `min_days_between_runs` are over.",
    )
    _run_now = Boolean(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="Run once at once, outside of the schedule; customers once a day.",
    )
    _unpark = Boolean(
        write=Write.UPDATE,
        trigger=True,
        guarded=True,
        nullable=False,
        doc="Take it into the schedule again after it was parked, from the next occurrence on.",
    )
    allow_duplicate = Boolean(
        write=Write.CREATE,
        trigger=True,
        nullable=False,
        doc="Whether there may be another one that repeats the same items of the same order equally often.",
    )

    market = ToOne("markets", write=Write.CREATE)
    subscription_model = ToOne("subscription_models")
    customer = ToOne("customers", sort=("email",), doc="The customer of the source order.")
    source_order = ToOne("orders", write=Write.CREATE, required=True, doc="The order that it repeats.")
    customer_payment_source = ToOne(
        "customer_payment_sources", write=Write.UPDATE, doc="What new orders are paid with, from the customer's wallet."
    )
    billing_address = ToOne("addresses", write=Write.BOTH, doc="The source order's by default.")
    shipping_address = ToOne("addresses", write=Write.BOTH, doc="The source order's by default.")
    shipping_method = ToOne("shipping_methods", write=Write.BOTH, doc="The source order's by default.")
    payment_method = ToOne(
        "payment_methods",
        write=Write.BOTH,
        guarded=True,
        doc="How new orders are paid, unless what they are paid with from the wallet says so; the source order's by"
        " default.",
    )
    order_subscription_items = ToMany(
        "order_subscription_items", via="order_subscription_id", doc="What is ordered, at most 1 000."
    )
    order_factories = ToMany(
        "order_factories", via="order_subscription_id", includable=False, doc="Copies of both kinds."
    )
    recurring_order_copies = ToMany(
        "recurring_order_copies", via="order_subscription_id", includable=False, doc="Its runs."
    )
    orders = ToMany("orders", via="order_subscription_id", includable=False, doc="The orders that it led to.")
    prepaid_order = ToOne("orders", doc="The order that paid for several deliveries last.")
    action_links = ToMany(
        "action_links", via="order_subscription_id", includable=False, doc="Links with which its customer acts on it."
    )
    occurrences = ToMany(
        "occurrences", via="order_subscription_id", includable=False, doc="Past, due and planned ones."
    )
    tags = ToMany(
        "tags",
        through=Through("order_subscription_tags", "order_subscription_id", "tag_id"),
        write=Write.BOTH,
        guarded=True,
    )
    events = ToMany("events", via="resource_id", where={"resource_type": "order_subscriptions"}, includable=False)

    class Meta:
        type_ = "order_subscriptions"
        owner = "customer"
        quota = Quota(
            500,
            "subscriptions that are not cancelled",
            Phrase("cancel subscriptions that are not wanted any more, or delete drafts"),
            {"status": ("draft", "active", "inactive")},
        )
        # The calendar's own counters, since when copies count anew, and what was announced.
        internal: ClassVar = dict.fromkeys(
            (
                "anchor_index",
                "anchor_wall",
                "phase_on",
                "phase_at",
                "next_index",
                "unparked_at",
                "alerted_run_at",
                "alerted_amount_cents",
                "alert_again_at",
                "next_alert_at",
                "prepaid_period",
            ),
            HARMLESS,
        )


class OrderSubscriptionItem(Standard, RepeatedLine, Previewed):
    """What a subscription orders each time: a sku with options and quantity."""

    sku_code = Text(
        write=Write.BOTH,
        nullable=False,
        filter=True,
        sort=True,
        harmless=True,
        doc="A new item has this or the relationship `item`.",
    )
    quantity = Integer(
        minimum=1, write=Write.BOTH, required=True, filter=True, sort=True, doc="How many are ordered each time."
    )
    swap_occurrence_index = Integer(
        doc="From which run on another sku is ordered in its place, by the index of the occurrence; null: from none."
    )
    swap_sku_code = Text(harmless=True, doc="The code of the sku that is ordered from that run on.")
    swap_name = Text(harmless=True, doc="The name of that sku.")
    swap_unit_amount_cents = Cents(doc="The price of one of that sku.")

    _reprice = Boolean(
        write=Write.UPDATE,
        guarded=True,
        trigger=True,
        nullable=False,
        doc="Take the price of today for this quantity, in the place of one that was agreed on or set.",
    )
    _swap = Text(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        max_length=255,
        validators=[validate.Length(min=1, error="can't be blank")],
        harmless=True,
        doc="Order the sku of this code in its place, as many, at today's price: at once, or from `_swap_from` on.",
        example="MUG-BLUE",
    )
    _swap_from = Integer(
        minimum=1,
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="The index of the run to come from which on `_swap` counts. The item shows it until that has been made.",
    )
    _unswap = Boolean(
        write=Write.UPDATE, trigger=True, nullable=False, doc="Take back a swap whose run is still to come."
    )

    order_subscription = ToOne("order_subscriptions", write=Write.CREATE, required=True)
    sku = ToOne("skus")
    swap_sku = ToOne("skus", doc="The sku that it is swapped to from a run to come on.")
    item = ToOne("skus", column="sku_id", write=Write.CREATE, doc="The sku, as clients of Commerce Layer send it.")
    source_line_item = ToOne("line_items", doc="The line of the source order that it comes from.")

    class Meta:
        type_ = "order_subscription_items"
        owner = "order_subscription.customer"
        internal: ClassVar = {"priced_by_hand": HARMLESS}
