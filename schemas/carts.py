"""Carts: what a customer or a guest is about to order."""

from __future__ import annotations

from typing import ClassVar

from schemas.conditions import Empty
from schemas.fields import HARMLESS, SECRET, Mark, Personal, Write
from schemas.kinds import (
    Boolean,
    Cents,
    CurrencyCode,
    Email,
    Enum,
    Integer,
    JsonObject,
    Picture,
    Rate,
    Standard,
    Text,
    Timestamp,
    TotalWithTaxes,
)
from schemas.quotas import Quota
from schemas.relationships import ToMany, ToOne
from service.texts import Phrase


class Cart(Standard):
    """What a customer or a guest is about to order, at the prices of today. A customer has at most one active cart."""

    status = Enum(
        "active",
        "converted",
        "abandoned",
        nullable=False,
        filter=True,
        sort=True,
        doc="`converted` once it became an order, `abandoned` once nobody came back for it.",
    )
    customer_email = Email(write=Write.BOTH, filter=True, sort=True, doc="Where a guest can be reached.")
    currency_code = CurrencyCode(write=Write.CREATE, nullable=False, doc="The currency of all amounts.")
    coupon_code = Text(
        write=Write.BOTH,
        harmless=True,
        doc="A promotion that applies only to carts that name it. One that doesn't apply is refused.",
    )
    coupon_status = Enum(
        "applied",
        "unknown",
        "disabled",
        "not_started",
        "expired",
        "used_up",
        "not_for_customer",
        "not_for_currency",
        "minimum_not_reached",
        "no_matching_items",
        doc="Whether the coupon is taken off, or why it no longer is; null without a coupon.",
    )
    tax_included = Boolean(doc="Whether the prices include tax; if not, taxes come on top of the total.")
    subtotal_amount_cents = Cents(nullable=False, doc="The sum of the items' totals.")
    shipping_amount_cents = Cents(nullable=False, doc="What the shipping method costs; 0 while nothing is shipped.")
    payment_method_amount_cents = Cents(nullable=False, doc="What the payment method costs.")
    discount_amount_cents = Cents(nullable=False, doc="All discounts together: zero or negative.")
    total_tax_amount_cents = Cents(nullable=False, doc="All taxes together.")
    total_amount_cents = Cents(
        nullable=False, filter=True, sort=True, doc="Subtotal, shipping, payment method and discount added up."
    )
    total_amount_with_taxes_cents = TotalWithTaxes(
        doc="What has to be paid: the total, and the taxes unless they are included."
    )
    converted_at = Timestamp(filter=True, sort=True, doc="When it became an order.")
    session = Text(
        disclosed=Write.CREATE,
        nullable=False,
        secret=True,
        doc="What a guest sends as `X-Cart-Session` to shop with it, shown only in the answer that makes it.",
    )

    customer = ToOne("customers", write=Write.CREATE, guarded=True, doc="Whose cart it is; none for a guest's.")
    cart_items = ToMany("cart_items", via="cart_id", doc="Its lines, at most 1 000.")
    billing_address = ToOne("addresses", write=Write.BOTH)
    shipping_address = ToOne("addresses", write=Write.BOTH)
    shipping_method = ToOne("shipping_methods", write=Write.BOTH)
    payment_method = ToOne("payment_methods", write=Write.BOTH)
    customer_payment_source = ToOne(
        "customer_payment_sources", write=Write.BOTH, doc="What the customer will pay with, from the wallet."
    )
    repeat_link = ToOne("repeat_links", doc="The link that made this cart.")
    orders = ToMany("orders", via="cart_id", doc="What it became: one order at most.")
    reorders = ToMany("reorders", via="cart_id", includable=False, doc="Past orders that were put into it again.")
    events = ToMany("events", via="resource_id", where={"resource_type": "carts"}, includable=False)

    class Meta:
        type_ = "carts"
        owner = "customer"
        quota = Quota(
            500,
            "carts that became no order",
            Phrase("delete carts that were set aside"),
            {"status": ("active", "abandoned")},
        )
        guest = "id"
        # Guests may say who they are. Who a customer is, or whose order a link repeats, they aren't told.
        unmasked = (Empty("customer"), Empty("repeat_link"))
        # The session is a credential, the browser tells carts of one repeat link apart.
        internal: ClassVar = {
            "session": SECRET,
            "session_digest": SECRET,
            "browser": Mark(Personal.DEVICE, secret=True),
            "filled_version": HARMLESS,
        }


class CartItem(Standard):
    """A line of a cart: a sku with the options that were chosen. Lines merge only when sku and options are the same."""

    sku_code = Text(
        write=Write.CREATE, required=True, filter=True, sort=True, harmless=True, doc="The code of the sku."
    )
    name = Text(nullable=False, filter=True, sort=True, harmless=True, doc="The sku's name.")
    image_url = Picture(harmless=True, doc="The sku's picture.")
    options = JsonObject(
        write=Write.CREATE, nullable=False, personal=Personal.WORDS, doc="What was chosen: option name to value."
    )
    quantity = Integer(minimum=1, write=Write.BOTH, required=True, filter=True, sort=True, doc="How many are wanted.")
    currency_code = CurrencyCode(nullable=False, doc="The currency of its amounts: the cart's.")
    unit_amount_cents = Cents(nullable=False, filter=True, sort=True, doc="The price of one.")
    compare_at_amount_cents = Cents(doc="The price of one that is shown as the regular price.")
    discount_cents = Cents(nullable=False, doc="Its part of the discounts: zero or negative.")
    total_amount_cents = Cents(
        nullable=False, filter=True, sort=True, doc="Quantity times the price of one, before the discount."
    )
    tax_rate = Rate(nullable=False, doc="A fraction: 0.21 is 21 percent.")
    tax_amount_cents = Cents(nullable=False, doc="The tax in or on top of its discounted total.")

    cart = ToOne("carts", write=Write.CREATE, required=True)
    sku = ToOne("skus")
    source_line_item = ToOne("line_items", doc="The line of a past order that it repeats.")

    class Meta:
        type_ = "cart_items"
        owner = "cart.customer"
        guest = "cart"
        # The digest stands for the options where lines merge.
        internal: ClassVar = {"options_digest": Mark(Personal.WORDS)}
