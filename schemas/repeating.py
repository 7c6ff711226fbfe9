"""Orders that come again: reorders into a cart, repeat links, and subscriptions with their occurrences."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, get_args

from marshmallow import validate

from schemas.base import PUBLIC, Through, ToMany, ToOne, Write
from schemas.kinds import (
    Boolean,
    Cents,
    CurrencyCode,
    Derived,
    Email,
    Enum,
    Integer,
    JsonList,
    JsonObject,
    Number,
    Rate,
    Standard,
    Text,
    TextList,
    Timestamp,
    TimeZone,
)
from schemas.tagging import Tagged


class Reorder(Standard):
    """A past order put into a cart again at the prices of today: what was asked, and how it went line by line."""

    strategy = Enum(
        "append",
        "replace",
        "new",
        write=Write.CREATE,
        nullable=False,
        doc="What becomes of the active cart: its lines are kept (the default) or replaced, or a new cart is made.",
    )
    stock_policy = Enum(
        "ignore",
        "partial",
        "skip",
        write=Write.CREATE,
        nullable=False,
        doc="What becomes of lines that stock can't cover: added all the same (the default), reduced, or skipped.",
    )
    lines = JsonList(
        write=Write.CREATE,
        doc="Which lines to repeat, each by `line_item_id` and, unless as many as then, `quantity`. Null: all lines.",
        example=[{"line_item_id": "LIaRtyUpBa", "quantity": 2}],
    )
    expected_digest = Text(
        write=Write.CREATE, doc="The digest of the preview that the customer has seen; another one is refused."
    )
    added_count = Integer(nullable=False, filter=True, sort=True, doc="How many lines were added as they were.")
    adjusted_count = Integer(nullable=False, filter=True, sort=True, doc="How many lines were added with a change.")
    skipped_count = Integer(nullable=False, filter=True, sort=True, doc="How many lines could not be added.")
    digest = Text(
        nullable=False,
        doc="Stands for what it came to: it changes when an outcome, a price, a discount or the rest of the cart does.",
    )

    source_order = ToOne("orders", write=Write.CREATE, required=True, doc="The order to repeat.")
    cart = ToOne(
        "carts",
        write=Write.CREATE,
        doc="Where the lines went; by default the customer's active cart. Null when all were skipped.",
    )
    customer = ToOne("customers", doc="Who repeats the order.")
    reorder_outcomes = ToMany("reorder_outcomes", via="reorder_id", doc="One for each line that was asked for.")
    events = ToMany("events", via="resource_id", where={"resource_type": "reorders"}, includable=False)

    class Meta:
        type_ = "reorders"
        owner = "customer"


class ReorderOutcome(Standard):
    """What became of one line of a repeated order: added, adjusted or skipped, and why."""

    position = Integer(nullable=False, doc="Its place among the outcomes of the reorder.")
    status = Enum("added", "adjusted", "skipped", nullable=False, filter=True, sort=True)
    code = Enum(
        "quantity_reduced_stock",
        "quantity_reduced_max",
        "quantity_raised_min",
        "quantity_rounded_step",
        "merged_into_existing_line",
        "product_deleted",
        "product_disabled",
        "not_published",
        "no_price",
        "currency_mismatch",
        "option_invalid",
        "option_required",
        "not_reorderable",
        "out_of_stock",
        "quantity_below_min",
        filter=True,
        sort=True,
        doc="Why the line was adjusted (the first five) or skipped (the others); null when it was added as it was.",
    )
    notices = TextList(
        nullable=False,
        doc="What else to know: `price_increased`, `price_decreased`, `name_changed`, `coupon_dropped`, `low_stock`.",
    )
    detail = Text(doc="The same in words, for people.")
    name = Text(nullable=False, doc="The name the line was bought under.")
    sku_code = Text()
    sku_number = Integer(doc="The sku's number, for clients that know products by it.")
    requested_quantity = Integer(nullable=False)
    resulting_quantity = Integer(nullable=False, doc="How many went into the cart.")
    currency_code = CurrencyCode(nullable=False, doc="The currency of its amounts.")
    previous_unit_amount_cents = Cents(nullable=False, doc="The price of one in the source order.")
    current_unit_amount_cents = Cents(doc="The price of one today; null when there is none.")

    reorder = ToOne("reorders")
    source_line_item = ToOne("line_items", doc="The line of the source order.")
    cart_item = ToOne("cart_items", doc="The line of the cart that it went into, while that is there.")

    class Meta:
        type_ = "reorder_outcomes"
        owner = "reorder.customer"


LinkState = Literal["live", "revoked", "expired", "used_up"]


def link_state(
    revoked_at: datetime | None, expires_at: datetime | None, max_uses: int | None, uses: int, at: datetime | None
) -> LinkState:
    """What a repeat link is good for at an instant: it works while it is `live`. Without an instant none is expired."""
    if revoked_at is not None:
        return "revoked"
    if expires_at is not None and at is not None and expires_at <= at:
        return "expired"
    return "used_up" if max_uses is not None and uses >= max_uses else "live"


def _link_url(*columns: Any) -> str | None:
    *values, links = columns
    return None if links is None else links.url(*values)


class RepeatLink(Standard):
    """A link with which a customer repeats an order. It has one default link at a time, and any number of others."""

    kind = Enum(
        "default",
        "custom",
        nullable=False,
        filter=True,
        sort=True,
        doc="`default` for the one that Ecwid's *Get repeat order URL* hands out.",
    )
    url = Derived(
        "id",
        "key_id",
        "token_version",
        "order_code",
        function=_link_url,
        json_type={"type": "string", "format": "uri"},
        given="links",
        secret=True,
        doc="What the customer gets: whoever has it can open the link. Null when its key is gone: `_rotate` helps.",
    )
    state = Derived(
        "revoked_at",
        "expires_at",
        "max_uses",
        "uses",
        function=link_state,
        json_type={"type": "string", "enum": [*get_args(LinkState), None]},
        given="at",
        doc="`live` while it works. Who opens it otherwise is not told why it doesn't.",
    )
    expires_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="Until when it works; null: without end.")
    max_uses = Integer(minimum=1, write=Write.BOTH, doc="How many orders it may lead to; null: any number.")
    uses = Integer(nullable=False, filter=True, sort=True, doc="How many orders it led to.")
    carts_count = Integer(nullable=False, doc="How many carts it made.")
    revoked_at = Timestamp(filter=True, sort=True)
    revoked_reason = Text(write=Write.UPDATE, doc="Why; sent together with `_revoke`.")
    _revoke = Boolean(write=Write.UPDATE, trigger=True, doc="Ends it for good.")
    _rotate = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Gives it another URL, signed with the newest key; the one so far is dead.",
    )

    order = ToOne(
        "orders", write=Write.CREATE, required=True, doc="The order that it repeats; it must have been placed."
    )
    carts = ToMany("carts", via="repeat_link_id", includable=False, doc="The carts that it made.")
    events = ToMany("events", via="resource_id", where={"resource_type": "repeat_links"}, includable=False)

    class Meta:
        type_ = "repeat_links"
        owner = "order.customer"
        # With these and a secret key the link's URL is made.
        internal = ("key_id", "token_version", "order_code")


class SubscriptionModel(Standard):
    """Which frequencies a store offers, and how the lines of an order become subscriptions."""

    name = Text(write=Write.BOTH, required=True, filter=True, sort=True)
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
        doc="hourly, daily, weekly, monthly, two-month, three-month, four-month, six-month, yearly, or crontabs.",
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


class OrderSubscription(Standard, Tagged):
    """A standing order: its items are ordered again, once for each occurrence."""

    number = Number(
        nullable=False, filter=True, sort=True, doc="Counts a store's subscriptions; numbers may be left out."
    )
    status = Enum("draft", "active", "inactive", "cancelled", nullable=False, filter=True, sort=True)
    frequency = Text(
        write=Write.BOTH,
        required=True,
        filter=True,
        sort=True,
        doc="hourly, daily, weekly, monthly, two-month, three-month, four-month, six-month, yearly, or a crontab.",
        example="monthly",
    )
    last_day = Boolean(
        write=Write.BOTH,
        nullable=False,
        doc="Whether runs fall on the last day of their month, for frequencies of whole months; not so by default.",
    )
    timezone = TimeZone(write=Write.BOTH, nullable=False, doc="Where its calendar is read; the store's by default.")
    customer_email = Email(filter=True, sort=True)
    activate_by_source_order = Boolean(
        write=Write.BOTH, doc="Whether it is activated when the source order is placed; so by default."
    )
    place_target_order = Boolean(write=Write.BOTH, doc="Whether new orders are placed at once; so by default.")
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
        doc="Whether new orders take the prices of their day, or the items' own (the default).",
    )
    max_increase_percent = Rate(
        write=Write.BOTH,
        minimum=0,
        maximum=9999.99,
        doc="A run that would cost more than this much more than the last waits for approval; null: none does.",
    )
    catchup_policy = Enum(
        "run_once",
        "run_all",
        "skip",
        write=Write.BOTH,
        nullable=False,
        doc="What happens after a standstill: one run for all that was missed (the default), all of them, or none.",
    )
    max_occurrences = Integer(minimum=1, write=Write.BOTH, doc="How often it runs at most; null: without end.")
    anchor_at = Timestamp(write=Write.UPDATE, doc="The instant that its occurrences are counted from.")
    starts_at = Timestamp(write=Write.CREATE, filter=True, sort=True)
    expires_at = Timestamp(
        write=Write.BOTH, filter=True, sort=True, doc="From when it no longer runs; null: without end."
    )
    next_run_at = Timestamp(write=Write.UPDATE, filter=True, sort=True, doc="Changing it moves the next run only.")
    last_run_at = Timestamp(filter=True, sort=True)
    paused_until = Timestamp(doc="Runs before this instant are left out.")
    parked_at = Timestamp(doc="When it was stopped because it ran far too often.")
    parked_reason = Text()
    cancelled_at = Timestamp()
    occurrencies = Integer(nullable=False, doc="How often it ran.")
    errors_count = Integer(nullable=False, doc="How many of its runs failed.")
    succeeded_on_last_run = Boolean(doc="True until a run fails.")
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
    _run_now = Boolean(
        write=Write.UPDATE, trigger=True, nullable=False, doc="Run once at once, outside of the schedule."
    )
    _unpark = Boolean(
        write=Write.UPDATE,
        trigger=True,
        guarded=True,
        nullable=False,
        doc="Take it into the schedule again after it was parked, from the next occurrence on.",
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
        # The calendar's own counters, and what was announced.
        internal = (
            "anchor_index",
            "next_index",
            "alerted_run_at",
            "alerted_amount_cents",
            "alert_again_at",
            "next_alert_at",
        )


class OrderSubscriptionItem(Standard):
    """What a subscription orders each time: a sku with options and quantity."""

    sku_code = Text(
        write=Write.BOTH,
        nullable=False,
        filter=True,
        sort=True,
        doc="A new item has this or the relationship `item`.",
    )
    name = Text(nullable=False, doc="The sku's name.")
    options = JsonObject(write=Write.BOTH, nullable=False, doc="What was chosen: option name to value.")
    quantity = Integer(minimum=1, write=Write.BOTH, required=True, filter=True, sort=True)
    price_mode = Enum(
        "current",
        "fixed",
        write=Write.BOTH,
        guarded=True,
        doc="As the subscription's, for this item only; null: as the subscription says.",
    )
    currency_code = CurrencyCode(nullable=False, doc="The currency of its amounts.")
    unit_amount_cents = Cents(
        write=Write.BOTH,
        guarded=True,
        minimum=0,
        nullable=False,
        filter=True,
        sort=True,
        doc="The price of one; when it is not sent, the source line item's. Only integrations may send it.",
    )
    total_amount_cents = Cents(nullable=False, filter=True, sort=True, doc="Quantity times the price of one.")

    order_subscription = ToOne("order_subscriptions", write=Write.CREATE, required=True)
    sku = ToOne("skus")
    item = ToOne("skus", column="sku_id", write=Write.CREATE, doc="The sku, as clients of Commerce Layer send it.")
    source_line_item = ToOne("line_items", doc="The line of the source order that it comes from.")

    class Meta:
        type_ = "order_subscription_items"
        owner = "order_subscription.customer"


class Occurrence(Standard):
    """One date of a subscription, past, due or planned, and what became of it."""

    occurrence_index = Integer(
        nullable=False, filter=True, sort=True, doc="Counts its subscription's; the source order is 0."
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
    completed_at = Timestamp()
    alerted_at = Timestamp(doc="When the event that announces it was written.")
    held_at = Timestamp(doc="When it was held.")
    held_amount_cents = Cents(doc="The total at which it was held.")
    approved_amount_cents = Cents(doc="The total that was agreed to; it doesn't run at a higher one.")
    currency_code = CurrencyCode(doc="The currency of its amounts.")
    reason = Text(
        doc="Why it is not where the anchor puts it (`clamped`, `clock_forward`, `clock_back`, `moved`), was skipped"
        " (`asked`, `paused`, `rejected`, `cancelled`) or missed (`catchup`, `approval`)."
    )

    _skip = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Leave it out.")
    _unskip = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Let it run after all.")
    _approve = Boolean(
        write=Write.UPDATE, trigger=True, nullable=False, doc="Let it run though it costs as much as it was held at."
    )
    _reject = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Leave it out, since it costs too much.")

    order_subscription = ToOne("order_subscriptions")
    recurring_order_copies = ToMany(
        "recurring_order_copies",
        via="occurrence_id",
        where={"kind": "recurring_order_copies"},
        doc="The copies it led to: those that failed, and at most one other.",
    )
    orders = ToMany("orders", via="occurrence_id", doc="What was ordered: one order at most.")

    class Meta:
        type_ = "occurrences"
        owner = "order_subscription.customer"
