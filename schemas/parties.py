"""Who buys: customers, their addresses and wallet, and the tags that mark things."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from schemas.fields import HARMLESS, Mark, Personal, Write
from schemas.kinds import Boolean, CountryCode, Derived, Email, Enum, Float, Standard, Text, Timestamp
from schemas.quotas import Quota
from schemas.relationships import Through, ToMany, ToOne
from schemas.tagging import Tagged, TagName
from service.texts import Phrase


class Customer(Standard, Tagged):
    """Somebody who orders."""

    email = Email(
        write=Write.BOTH,
        guarded=True,
        required=True,
        filter=True,
        sort=True,
        doc="Kept as given; one customer per e-mail. The shop changes it, once mail is known to reach the customer.",
    )
    status = Enum(
        "prospect",
        "acquired",
        "repeat",
        nullable=False,
        filter=True,
        sort=True,
        doc="No order yet, one order, or more.",
    )
    shopper_reference = Text(
        write=Write.BOTH,
        guarded=True,
        filter=True,
        sort=True,
        personal=Personal.IDENTIFIER,
        doc="The customer's id at a payment gateway.",
    )
    profile_id = Text(
        write=Write.BOTH,
        guarded=True,
        personal=Personal.IDENTIFIER,
        doc="The customer's id at an analytics or marketing service.",
    )
    tax_exemption_code = Text(
        write=Write.BOTH, guarded=True, personal=Personal.IDENTIFIER, doc="What exempts the customer from tax."
    )

    _erase = Boolean(
        write=Write.UPDATE,
        guarded=True,
        trigger=True,
        doc="Takes the person out of the customer and all that is theirs, and ends what they can do, for good.",
    )

    customer_group = ToOne(
        "customer_groups",
        write=Write.BOTH,
        guarded=True,
        personal=Personal.PROFILE,
        doc="Decides on prices and promotions.",
    )
    addresses = ToMany(
        "addresses",
        via="customer_id",
        where={"snapshot": "false"},
        doc="The address book, without the copies on orders.",
    )
    customer_payment_sources = ToMany("customer_payment_sources", via="customer_id", doc="The wallet.")
    orders = ToMany("orders", via="customer_id", includable=False)
    order_subscriptions = ToMany("order_subscriptions", via="customer_id")
    carts = ToMany("carts", via="customer_id", includable=False)
    reorders = ToMany("reorders", via="customer_id", includable=False)
    tags = ToMany("tags", through=Through("customer_tags", "customer_id", "tag_id"), write=Write.BOTH, guarded=True)
    events = ToMany("events", via="resource_id", where={"resource_type": "customers"}, includable=False)

    class Meta:
        type_ = "customers"
        owner = "id"


_NAME = ("business", "company", "first_name", "last_name")
_PLACE = ("line_1", "line_2", "zip_code", "city", "state_code", "country_code", "phone")


def full_name(*columns: Any) -> str:
    """Of the columns business to last_name: the company of a business address, else first and last name."""
    business, company, *names = columns
    return company or "" if business else _joined(" ", names)


def full_address(*columns: str | None) -> str:
    """Of the columns line_1 to phone: one line such as `2883 Geraldine Lane Apt.23, 10013 New York NY (US) 555-0100`.

    The form is Commerce Layer's.
    """
    line_1, line_2, zip_code, city, state_code, country_code, phone = columns
    place = _joined(" ", (zip_code, city, state_code, f"({country_code})", phone))
    return _joined(", ", (_joined(" ", (line_1, line_2)), place))


def name_and_address(*columns: Any) -> str:
    """Of the columns of both: the full name and the full address in one line."""
    return _joined(", ", (full_name(*columns[: len(_NAME)]), full_address(*columns[len(_NAME) :])))


def _joined(separator: str, parts: Iterable[str | None]) -> str:
    return separator.join(part for part in parts if part)


class Address(Standard):
    """An address in a customer's book, or the copy that a cart, an order or a subscription keeps for itself."""

    business = Boolean(
        write=Write.BOTH, doc="Whether the company is addressed: then it is required, else the names are."
    )
    first_name = Text(
        write=Write.BOTH, personal=Personal.NAME, doc="The first name of who lives there; a company needs none."
    )
    last_name = Text(
        write=Write.BOTH,
        filter=True,
        sort=True,
        personal=Personal.NAME,
        doc="The last name of who lives there; a company needs none.",
    )
    company = Text(write=Write.BOTH, personal=Personal.NAME, doc="The name of a company.")
    full_name = Derived(
        *_NAME, function=full_name, json_type={"type": "string"}, doc="The company, or first and last name."
    )
    line_1 = Text(write=Write.BOTH, required=True, personal=Personal.ADDRESS, doc="Street and number, or a PO box.")
    line_2 = Text(write=Write.BOTH, personal=Personal.ADDRESS, doc="Apartment, suite, building.")
    city = Text(write=Write.BOTH, required=True, filter=True, sort=True, personal=Personal.ADDRESS, doc="The town.")
    zip_code = Text(write=Write.BOTH, filter=True, sort=True, personal=Personal.ADDRESS, doc="The postal code.")
    state_code = Text(
        write=Write.BOTH,
        filter=True,
        sort=True,
        personal=Personal.ADDRESS,
        doc="The code of the state, province or region.",
    )
    country_code = CountryCode(
        write=Write.BOTH, required=True, filter=True, sort=True, doc="The ISO 3166-1 alpha-2 code, such as NL."
    )
    phone = Text(write=Write.BOTH, personal=Personal.PHONE, doc="A telephone number, for whoever delivers.")
    full_address = Derived(
        *_PLACE, function=full_address, json_type={"type": "string"}, doc="The place and the phone in one line."
    )
    name = Derived(
        *_NAME,
        *_PLACE,
        function=name_and_address,
        json_type={"type": "string"},
        doc="The full name and the full address in one line.",
    )
    email = Email(write=Write.BOTH, doc="An e-mail address, for whoever delivers.")
    notes = Text(write=Write.BOTH, personal=Personal.WORDS, doc="What a courier should know.")
    lat = Float(write=Write.BOTH, minimum=-90, maximum=90, personal=Personal.ADDRESS, doc="Latitude in degrees.")
    lng = Float(write=Write.BOTH, minimum=-180, maximum=180, personal=Personal.ADDRESS, doc="Longitude in degrees.")
    billing_info = Text(
        write=Write.BOTH, personal=Personal.WORDS, doc="What must be on an invoice, such as a VAT number."
    )

    customer = ToOne("customers", write=Write.CREATE, guarded=True)
    cart = ToOne("carts", doc="The cart that a guest made it for.")
    events = ToMany("events", via="resource_id", where={"resource_type": "addresses"}, includable=False)

    class Meta:
        type_ = "addresses"
        owner = "customer"
        guest = "cart"
        # Guests read the addresses that they made themselves.
        unmasked = ()
        internal: ClassVar = {"snapshot": HARMLESS}
        quota = Quota(
            200,
            "addresses, without the copies on orders",
            Phrase("delete addresses that are not used any more"),
            {"snapshot": ("false",)},
        )


class CustomerPaymentSource(Standard):
    """Something in a customer's wallet to pay with: a payment gateway's tokens, never a card number."""

    name = Text(
        write=Write.BOTH,
        filter=True,
        sort=True,
        personal=Personal.PAYMENT,
        doc="What people call it, such as Visa ending in 4242.",
    )
    gateway = Enum(
        "manual",
        "test",
        "external",
        write=Write.CREATE,
        guarded=True,
        nullable=False,
        doc="The gateway that charges it. By default that of the payment method; without one the store's own gateway,"
        " else the test gateway of a store in test mode.",
    )
    expires_at = Timestamp(
        write=Write.BOTH,
        guarded=True,
        filter=True,
        sort=True,
        personal=Personal.PAYMENT,
        doc="From when on it can't be charged any more.",
    )
    refused_at = Timestamp(doc="Since when its gateway refuses it for good; null once it has another token.")

    payment_source_token = Text(
        write=Write.BOTH,
        guarded=True,
        trigger=True,
        max_length=255,
        personal=Personal.PAYMENT,
        secret=True,
        doc="What the gateway calls it, such as a saved card: runs of subscriptions are charged with it. It is in the"
        " wallet of one customer, kept, and never shown; null takes it out.",
        example="card_8f2c41",
    )
    customer_token = Text(
        write=Write.BOTH,
        guarded=True,
        trigger=True,
        max_length=255,
        personal=Personal.PAYMENT,
        secret=True,
        doc="What the gateway calls the customer, for those that ask for it together with the source. It is kept and"
        " never shown.",
        example="cus_19d0a7",
    )

    customer = ToOne("customers", write=Write.CREATE, guarded=True, required=True)
    payment_method = ToOne("payment_methods", write=Write.BOTH, guarded=True)

    class Meta:
        type_ = "customer_payment_sources"
        owner = "customer"
        quota = Quota(
            100, "sources in the wallet", Phrase("delete sources that have ended or are not paid with any more"), {}
        )
        internal: ClassVar = {
            **dict.fromkeys(
                ("customer_token", "payment_source_token", "payment_source_digest"),
                Mark(Personal.PAYMENT, secret=True),
            ),
            # With which end of it the worker is done, and when it looks at it.
            "expiry_done_at": Mark(Personal.PAYMENT),
            **dict.fromkeys(("expiry_again_at", "expiry_due_at"), HARMLESS),
        }


class Tag(Standard):
    """A mark that customers, skus, orders and order subscriptions carry."""

    name = TagName(
        write=Write.BOTH,
        required=True,
        filter=True,
        sort=True,
        harmless=True,
        doc="What the tag says: letters, digits, hyphens and underscores.",
    )

    customers = ToMany("customers", through=Through("customer_tags", "tag_id", "customer_id"), includable=False)
    skus = ToMany("skus", through=Through("sku_tags", "tag_id", "sku_id"), includable=False)
    orders = ToMany("orders", through=Through("order_tags", "tag_id", "order_id"), includable=False)
    order_subscriptions = ToMany(
        "order_subscriptions",
        through=Through("order_subscription_tags", "tag_id", "order_subscription_id"),
        includable=False,
    )

    class Meta:
        type_ = "tags"
