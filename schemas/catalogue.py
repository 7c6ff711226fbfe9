"""What can be bought, at which price, and how it is shipped and paid."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validate

from schemas.conditions import Empty, SeenWith, Since, Until
from schemas.fields import Write
from schemas.graph import PUBLIC
from schemas.kinds import (
    Boolean,
    Cents,
    CurrencyCode,
    Enum,
    Float,
    Integer,
    JsonList,
    Picture,
    Rate,
    Standard,
    Text,
    TextList,
    Timestamp,
)
from schemas.relationships import Through, ToMany, ToOne
from schemas.tagging import Tagged


def check_options(options: list[Any]) -> None:
    """Raise ValidationError unless each option has its own `name`, maybe `required`, and maybe a list of `values`."""
    names = [option.get("name") if isinstance(option, dict) and _is_option(option) else None for option in options]
    if None in names or len(set(names)) < len(names):
        raise ValidationError(
            "must be a list of objects with a name of their own (text), "
            "and optionally required (true or false) and values (a list of texts)"
        )


def _is_option(option: dict[str, Any]) -> bool:
    values = option.get("values", [])
    return (
        option.keys() <= {"name", "required", "values"}
        and isinstance(option.get("name"), str)
        and isinstance(option.get("required", False), bool)
        and isinstance(values, list)
        and all(isinstance(value, str) for value in values)
    )


class Sku(Standard, Tagged):
    """A product that can be bought."""

    number = Integer(
        write=Write.CREATE,
        minimum=1,
        maximum=10**12,
        nullable=False,
        filter=True,
        sort=True,
        doc="A running number; the next one by default.",
    )
    code = Text(
        write=Write.BOTH,
        required=True,
        filter=True,
        sort=True,
        harmless=True,
        doc="What the shop calls it; no other sku has it.",
    )
    name = Text(
        write=Write.BOTH, required=True, filter=True, sort=True, harmless=True, doc="What the product is called."
    )
    description = Text(write=Write.BOTH, harmless=True, doc="What the product is, in the shop's words.")
    image_url = Picture(write=Write.BOTH, harmless=True, doc="A picture of the product.")
    options = JsonList(
        write=Write.BOTH,
        nullable=False,
        validators=[check_options],
        harmless=True,
        doc="What a buyer chooses: a list of objects with name, required and values.",
        example=[{"name": "size", "required": True, "values": ["S", "M", "L"]}],
    )
    min_quantity = Integer(write=Write.BOTH, minimum=1, nullable=False, doc="The smallest quantity that can be bought.")
    max_quantity = Integer(write=Write.BOTH, minimum=1, doc="The largest quantity that can be bought; null for any.")
    step_quantity = Integer(write=Write.BOTH, minimum=1, nullable=False, doc="Quantities are multiples of it.")
    tax_rate = Rate(write=Write.BOTH, minimum=0, maximum=1, nullable=False, doc="A fraction, such as 0.21.")
    pieces_per_pack = Integer(write=Write.BOTH, minimum=1, doc="How many pieces are in one.")
    weight = Float(write=Write.BOTH, minimum=0, harmless=True, doc="In the unit of weight.")
    unit_of_weight = Enum("gr", "oz", "lb", write=Write.BOTH, doc="What `weight` is in: grams, ounces or pounds.")
    hs_tariff_number = Text(write=Write.BOTH, harmless=True, doc="The code of the Harmonized System, for customs.")
    do_not_ship = Boolean(
        write=Write.BOTH, filter=True, sort=True, doc="Whether there is nothing to ship, as with a download."
    )
    do_not_track = Boolean(write=Write.BOTH, filter=True, sort=True, doc="Whether it is always in stock.")
    reorderable = Boolean(write=Write.BOTH, doc="Whether it may come along when an order is repeated.")
    published_at = Timestamp(
        write=Write.BOTH, filter=True, sort=True, doc="From when on it is on sale; null for always."
    )
    disabled_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="Until when it is on sale.")
    substitute_sku_codes = TextList(
        write=Write.BOTH,
        nullable=False,
        validators=[validate.Length(max=10, error="must have at most 10 codes")],
        harmless=True,
        doc="What may come in its place where it can't be had, the best first: codes of other skus.",
        example=["MUG-BLUE"],
    )
    deleted_at = Timestamp(filter=True, sort=True, doc="Since when it is there only for the orders that hold it.")

    prices = ToMany("prices", via="sku_id")
    stock_items = ToMany("stock_items", via="sku_id")
    tags = ToMany("tags", through=Through("sku_tags", "sku_id", "tag_id"), write=Write.BOTH)
    events = ToMany("events", via="resource_id", where={"resource_type": "skus"}, includable=False)

    class Meta:
        type_ = "skus"
        owner = PUBLIC
        visible = (Since("published_at"),)


class Price(Standard):
    """What a sku costs. Of those that apply by currency, customer group, time and quantity, the lowest is charged."""

    currency_code = CurrencyCode(
        write=Write.BOTH, required=True, filter=True, sort=True, doc="The currency of the amounts (ISO 4217)."
    )
    amount_cents = Cents(
        write=Write.BOTH, minimum=0, required=True, filter=True, sort=True, doc="Per piece, in minor units."
    )
    compare_at_amount_cents = Cents(write=Write.BOTH, minimum=0, doc="The price to compare with, in minor units.")
    min_quantity = Integer(write=Write.BOTH, minimum=1, nullable=False, doc="From which quantity on it applies.")
    starts_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="From when on it applies; null for always.")
    expires_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="From when on it no longer applies.")

    sku = ToOne("skus", write=Write.CREATE, required=True, sort=("code",))
    customer_group = ToOne("customer_groups", write=Write.BOTH, doc="Whom it applies to; null for everybody.")

    class Meta:
        type_ = "prices"
        owner = PUBLIC
        # What a group pays is not for everybody.
        visible = (Empty("customer_group"), Since("starts_at"), Until("expires_at"), SeenWith("sku"))


class CustomerGroup(Standard):
    """Customers who have prices and promotions of their own."""

    name = Text(write=Write.BOTH, required=True, filter=True, sort=True, harmless=True, doc="What the group is called.")
    code = Text(write=Write.BOTH, filter=True, sort=True, harmless=True, doc="No other customer group has it.")

    customers = ToMany("customers", via="customer_group_id", includable=False)
    prices = ToMany("prices", via="customer_group_id", includable=False)
    promotions = ToMany("promotions", via="customer_group_id")

    class Meta:
        type_ = "customer_groups"


class Promotion(Standard):
    """A discount on the lines of a cart: by itself, or once its coupon code is given.

    Those that apply add up: percentages first, then amounts, the cart's coupon last, each of what is left by then.
    """

    name = Text(
        write=Write.BOTH, required=True, filter=True, sort=True, harmless=True, doc="What the promotion is called."
    )
    kind = Enum(
        "percent",
        "fixed",
        write=Write.CREATE,
        required=True,
        filter=True,
        sort=True,
        doc="By percentage or by amount_cents.",
    )
    coupon_code = Text(
        write=Write.BOTH, filter=True, sort=True, harmless=True, doc="Without one, the promotion applies by itself."
    )
    percentage = Rate(write=Write.BOTH, minimum=0.01, maximum=100, doc="How many percent are taken off, such as 12.5.")
    amount_cents = Cents(write=Write.BOTH, minimum=1, doc="What is taken off once, in minor units.")
    currency_code = CurrencyCode(write=Write.BOTH, doc="The currency of the amounts; needed where there is one.")
    minimum_subtotal_cents = Cents(
        write=Write.BOTH, minimum=1, doc="The cart's subtotal from which on it applies, in minor units."
    )
    sku_codes = TextList(
        write=Write.BOTH, nullable=False, harmless=True, doc="The skus whose lines it applies to; all when empty."
    )
    max_uses = Integer(write=Write.BOTH, minimum=1, doc="How many orders may use the coupon; null for any number.")
    uses = Integer(nullable=False, doc="How many orders have used the coupon.")
    starts_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="From when on it applies; null for always.")
    expires_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="From when on it no longer applies.")
    disabled_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="Until when it applies.")

    customer_group = ToOne("customer_groups", write=Write.BOTH, doc="Whom it applies to; null for everybody.")

    class Meta:
        type_ = "promotions"


class StockItem(Standard):
    """How many of a sku there are. A sku without a stock item is always in stock."""

    quantity = Integer(write=Write.BOTH, minimum=0, required=True, filter=True, sort=True, doc="How many there are.")

    sku = ToOne("skus", write=Write.CREATE, required=True, sort=("code",))

    class Meta:
        type_ = "stock_items"


class ShippingMethod(Standard):
    """A way to ship an order, at a flat price."""

    name = Text(
        write=Write.BOTH,
        required=True,
        filter=True,
        sort=True,
        harmless=True,
        doc="What the method is called, as customers see it.",
    )
    currency_code = CurrencyCode(write=Write.BOTH, required=True, doc="The currency of the price (ISO 4217).")
    price_amount_cents = Cents(
        write=Write.BOTH, minimum=0, nullable=False, filter=True, sort=True, doc="In minor units."
    )
    disabled_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="Until when it can be chosen.")

    class Meta:
        type_ = "shipping_methods"
        owner = PUBLIC
        guest = PUBLIC


class PaymentMethod(Standard):
    """A way to pay for an order."""

    name = Text(
        write=Write.BOTH,
        required=True,
        filter=True,
        sort=True,
        harmless=True,
        doc="What the method is called, as customers see it.",
    )
    payment_source_type = Enum(
        "adyen_payments",
        "axerve_payments",
        "braintree_payments",
        "checkout_com_payments",
        "external_payments",
        "klarna_payments",
        "paypal_payments",
        "satispay_payments",
        "stripe_payments",
        "wire_transfers",
        write=Write.BOTH,
        required=True,
        filter=True,
        sort=True,
        doc="What kind of payment source a client deals with.",
    )
    gateway = Enum("manual", "test", "external", write=Write.BOTH, required=True, doc="What takes the money.")
    currency_code = CurrencyCode(write=Write.BOTH, required=True, doc="The currency of the price (ISO 4217).")
    price_amount_cents = Cents(
        write=Write.BOTH, minimum=0, nullable=False, filter=True, sort=True, doc="What paying so costs, in minor units."
    )
    moto = Boolean(write=Write.BOTH, doc="Whether payments are taken by mail or telephone.")
    require_capture = Boolean(write=Write.BOTH, doc="Whether an order is paid only once the payment is captured.")
    auto_place = Boolean(write=Write.BOTH, doc="Whether an authorized payment places the order.")
    auto_capture = Boolean(write=Write.BOTH, doc="Whether payments are captured as soon as the order is approved.")
    disabled_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="Until when it can be chosen.")

    class Meta:
        type_ = "payment_methods"
        owner = PUBLIC
        guest = PUBLIC
