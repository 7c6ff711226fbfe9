"""Orders: what was bought, and drafts of it."""

from __future__ import annotations

from typing import ClassVar

from schemas.conditions import Empty
from schemas.fields import HARMLESS, Personal, Write
from schemas.kinds import (
    Boolean,
    Cents,
    CurrencyCode,
    Email,
    Enum,
    Integer,
    JsonObject,
    LocaleCode,
    Number,
    Picture,
    Rate,
    Standard,
    Text,
    Timestamp,
    TotalWithTaxes,
    Url,
)
from schemas.relationships import Through, ToMany, ToOne
from schemas.tagging import Tagged


class Order(Standard, Tagged):
    """An order from draft to delivery. A copy knows its source order, its subscription and its occurrence."""

    number = Number(nullable=False, filter=True, sort=True, doc="Counts a store's orders; numbers may be left out.")
    code = Text(
        nullable=False, filter=True, sort=True, harmless=True, doc="The number as customers see it on their papers."
    )
    status = Enum(
        "draft",
        "pending",
        "placing",
        "placed",
        "approved",
        "cancelled",
        nullable=False,
        filter=True,
        sort=True,
        doc="Where the order stands, from draft to its end.",
    )
    payment_status = Enum(
        "unpaid",
        "authorized",
        "partially_authorized",
        "paid",
        "partially_paid",
        "voided",
        "partially_voided",
        "refunded",
        "partially_refunded",
        "free",
        nullable=False,
        filter=True,
        sort=True,
        doc="What has become of the payment.",
    )
    fulfillment_status = Enum(
        "unfulfilled",
        "in_progress",
        "fulfilled",
        "not_required",
        nullable=False,
        filter=True,
        sort=True,
        doc="`not_required` when nothing of it is shipped.",
    )
    customer_email = Email(write=Write.BOTH, filter=True, sort=True, doc="The e-mail address of who ordered.")
    guest = Boolean(write=Write.BOTH, doc="Whether it was ordered without an account.")
    language_code = LocaleCode(write=Write.BOTH, nullable=False, doc="The language to speak with the customer.")
    currency_code = CurrencyCode(
        write=Write.CREATE, nullable=False, filter=True, sort=True, doc="The currency of all amounts."
    )
    coupon_code = Text(write=Write.BOTH, harmless=True, doc="A promotion that applies only to orders that name it.")
    tax_included = Boolean(doc="Whether the prices include tax; if not, taxes come on top of the total.")
    subtotal_amount_cents = Cents(nullable=False, doc="The sum of the totals of its skus.")
    shipping_amount_cents = Cents(nullable=False, doc="What the shipping method costs.")
    payment_method_amount_cents = Cents(nullable=False, doc="What the payment method costs.")
    discount_amount_cents = Cents(nullable=False, doc="All discounts together: zero or negative.")
    adjustment_amount_cents = Cents(nullable=False, doc="What was added or taken off by hand.")
    gift_card_amount_cents = Cents(nullable=False, doc="What gift cards pay: zero or negative.")
    prepaid_amount_cents = Cents(
        nullable=False,
        doc="What is asked for deliveries of the subscription to come, or was paid for this one before: then negative.",
    )
    subtotal_tax_amount_cents = Cents(nullable=False, doc="The tax on the subtotal.")
    shipping_tax_amount_cents = Cents(nullable=False, doc="The tax on shipping.")
    prepaid_tax_amount_cents = Cents(nullable=False, doc="The tax on what is paid ahead, or was paid before.")
    total_tax_amount_cents = Cents(nullable=False, doc="All taxes together.")
    total_amount_cents = Cents(
        nullable=False,
        filter=True,
        sort=True,
        doc="All amounts but the taxes added up, which come on top unless included.",
    )
    total_amount_with_taxes_cents = TotalWithTaxes(
        doc="What has to be paid: the total, and the taxes unless they are included."
    )
    cart_url = Url(write=Write.BOTH, personal=Personal.WORDS, doc="Where the customer goes back to the cart.")
    return_url = Url(write=Write.BOTH, personal=Personal.WORDS, doc="Where the customer goes once it is placed.")
    terms_url = Url(write=Write.BOTH, harmless=True, doc="Where the terms of the sale are.")
    privacy_url = Url(write=Write.BOTH, harmless=True, doc="Where the privacy policy is.")
    expires_at = Timestamp(write=Write.BOTH, doc="Until when it can be placed.")
    placed_at = Timestamp(filter=True, sort=True, doc="When it was placed; null until then.")
    approved_at = Timestamp(doc="When it was approved; null until then.")
    cancelled_at = Timestamp(doc="When it was cancelled; null unless it was.")
    payment_updated_at = Timestamp(doc="When the payment status last changed.")
    fulfillment_updated_at = Timestamp(doc="When the fulfillment status last changed.")
    refreshed_at = Timestamp(doc="When prices and totals were last worked out.")
    archived_at = Timestamp(filter=True, sort=True, doc="When it was put away; archived orders stay what they are.")
    subscription_created_at = Timestamp(doc="When subscriptions were made of it.")

    _place = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Places a pending order: checks everything, takes the stock and has the payment authorized. What is being"
        " placed or was placed already is not placed twice.",
    )
    _payment_source_token = Text(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        max_length=255,
        personal=Personal.PAYMENT,
        secret=True,
        doc="Together with `_place`: what to pay with once, in the gateway's own words; by default the source from the"
        " wallet.",
        example="tok_approve",
    )
    _save_payment_source_to_customer_wallet = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Keeps what the order is paid with in its customer's wallet, once the gateway has approved it: together"
        " with `_place`, or later on an order that was paid. What is in the wallet already stays there once.",
    )
    _save_payment_source_to_order_subscription = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Has the order's subscription paid with what the order is paid with, from now on: together with `_place`,"
        " or later on an order that was paid. It is kept in the customer's wallet, and what is still owed for other"
        " runs is asked for at once.",
    )
    _refresh_prices = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Brings a pending order to what it comes to today: prices, promotions, shipping, payment costs and taxes.",
    )
    _due_amount_cents = Integer(
        minimum=0,
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="Together with `_refresh_prices`: what is to be due after it, as the refusal of `_place` named it. When it"
        " is another amount by then, nothing changes. Required where the same request places the order.",
    )
    _cancel = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Cancels it: what was taken from the stock goes back, the payment is voided. Approved orders are cancelled"
        " by integrations only.",
    )
    _approve = Boolean(write=Write.UPDATE, guarded=True, trigger=True, doc="Approves a placed order.")
    _create_subscriptions = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Makes subscriptions of a placed order: of its lines with a frequency, by the store's subscription models."
        " It does so once.",
    )
    _repeat_link_factor = Text(
        write=Write.CREATE,
        trigger=True,
        nullable=False,
        personal=Personal.WORDS,
        doc="Together with a cart that a repeat link made: what the store's `repeat_link_factor` asks of somebody who"
        " isn't signed in.",
        example="3511 AA",
    )

    market = ToOne("markets", write=Write.CREATE)
    customer = ToOne("customers", write=Write.BOTH, guarded=True, sort=("email",))
    line_items = ToMany("line_items", via="order_id", doc="Its lines, at most 1 000.")
    billing_address = ToOne(
        "addresses", write=Write.BOTH, doc="A snapshot: later changes of the address don't reach it."
    )
    shipping_address = ToOne(
        "addresses", write=Write.BOTH, doc="A snapshot: later changes of the address don't reach it."
    )
    shipping_method = ToOne("shipping_methods", write=Write.BOTH)
    payment_method = ToOne("payment_methods", write=Write.BOTH)
    customer_payment_source = ToOne(
        "customer_payment_sources", write=Write.BOTH, doc="What the customer pays with, from the wallet."
    )
    cart = ToOne(
        "carts",
        write=Write.CREATE,
        doc="The cart it is made of, with all that is in it, at the prices of that moment; the cart is `converted`"
        " then.",
    )
    repeat_link = ToOne("repeat_links", doc="The link that made its cart.")
    source_order = ToOne("orders", doc="The order that this one is a copy of.")
    root_order = ToOne("orders", doc="The first order of a line of copies.")
    order_subscription = ToOne("order_subscriptions", doc="The subscription that ordered it.")
    occurrence = ToOne("occurrences", doc="The occurrence of the subscription that it is for.")
    order_subscriptions = ToMany("order_subscriptions", via="source_order_id", doc="The subscriptions that repeat it.")
    order_factories = ToMany("order_factories", via="source_order_id", includable=False, doc="Copies of both kinds.")
    order_copies = ToMany("order_copies", via="source_order_id", includable=False)
    recurring_order_copies = ToMany("recurring_order_copies", via="source_order_id", includable=False)
    reorders = ToMany("reorders", via="source_order_id", includable=False, doc="When it was put into a cart again.")
    repeat_links = ToMany("repeat_links", via="order_id", includable=False, doc="Links to repeat it with.")
    tags = ToMany("tags", through=Through("order_tags", "order_id", "tag_id"), write=Write.BOTH, guarded=True)
    events = ToMany("events", via="resource_id", where={"resource_type": "orders"}, includable=False)

    class Meta:
        type_ = "orders"
        owner = "customer"
        guest = "cart"
        internal: ClassVar = {"coupon_counted": HARMLESS}
        # As of its cart.
        unmasked = (Empty("customer"), Empty("repeat_link"))


class LineItem(Standard):
    """A line of an order as it was bought: a sku or, as in Commerce Layer, costs and discounts."""

    item_type = Enum(
        "skus",
        "bundles",
        "gift_cards",
        "shipments",
        "payment_methods",
        "adjustments",
        "discount_engine_items",
        "percentage_discount_promotions",
        "free_shipping_promotions",
        "buy_x_pay_y_promotions",
        "free_gift_promotions",
        "fixed_price_promotions",
        "external_promotions",
        "fixed_amount_promotions",
        "flex_promotions",
        write=Write.CREATE,
        guarded=True,
        nullable=False,
        filter=True,
        sort=True,
        doc="What the line stands for; `skus` when nothing else is said.",
    )
    sku_code = Text(write=Write.BOTH, filter=True, sort=True, harmless=True, doc="Lines of skus have one.")
    name = Text(
        write=Write.BOTH,
        guarded=True,
        nullable=False,
        filter=True,
        sort=True,
        harmless=True,
        doc="The name it was bought under.",
    )
    image_url = Picture(write=Write.BOTH, guarded=True, harmless=True, doc="The sku's picture when it was ordered.")
    position = Integer(nullable=False, doc="Its place among the lines of the order.")
    options = JsonObject(
        write=Write.BOTH, nullable=False, personal=Personal.WORDS, doc="What was chosen: option name to value."
    )
    quantity = Integer(minimum=1, write=Write.BOTH, required=True, filter=True, sort=True, doc="How many were ordered.")
    currency_code = CurrencyCode(nullable=False, doc="The currency of its amounts: the order's.")
    unit_amount_cents = Cents(
        write=Write.BOTH,
        guarded=True,
        nullable=False,
        filter=True,
        sort=True,
        doc="The price of one; when it is not sent, the sku's. Only integrations may send it.",
    )
    compare_at_amount_cents = Cents(
        write=Write.BOTH, guarded=True, doc="The price of one that is shown as the regular price."
    )
    options_amount_cents = Cents(
        write=Write.UPDATE,
        guarded=True,
        nullable=False,
        doc="What the chosen options cost. Only integrations may send it.",
    )
    discount_cents = Cents(nullable=False, doc="Its part of the discounts: zero or negative.")
    total_amount_cents = Cents(
        nullable=False,
        filter=True,
        sort=True,
        doc="Quantity times the price of one plus the options, before the discount.",
    )
    tax_rate = Rate(nullable=False, doc="A fraction: 0.21 is 21 percent.")
    tax_amount_cents = Cents(nullable=False, doc="The tax in or on top of its discounted total.")
    frequency = Text(
        write=Write.BOTH, harmless=True, doc="How often to order it again, one of a subscription model's frequencies."
    )

    order = ToOne("orders", write=Write.CREATE, required=True, sort=("number", "placed_at"))
    sku = ToOne("skus")

    class Meta:
        type_ = "line_items"
        owner = "order.customer"
        guest = "order.cart"
        internal: ClassVar = {"price_mode": HARMLESS, "stock_taken": HARMLESS}
