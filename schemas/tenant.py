"""The tenant: stores, where they sell, and the time they keep in tests."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import ValidationError

from schemas.fields import SECRET, Write
from schemas.graph import PUBLIC
from schemas.kinds import (
    Boolean,
    CurrencyCode,
    Enum,
    JsonObject,
    LocaleCode,
    Standard,
    Text,
    TextList,
    Timestamp,
    TimeZone,
    Url,
)
from schemas.relationships import ToMany, ToOne
from service.texts import Phrase

_REASONS, _REASON = 50, 200


def reasons(words: list[str]) -> None:
    """Raise ValidationError unless these are a few short texts, each once."""
    if len(words) > _REASONS or len(set(words)) < len(words):
        raise ValidationError(Phrase("must be at most {most} texts, each once", most=_REASONS))
    if not all(0 < len(word) <= _REASON for word in words):
        raise ValidationError(Phrase("must be texts of 1 to {most} characters", most=_REASON))


class Store(Standard):
    """A shop, the tenant: everything else belongs to exactly one store. Its id is a whole number."""

    name = Text(
        write=Write.UPDATE,
        nullable=False,
        filter=True,
        sort=True,
        harmless=True,
        doc="What the shop is called, on pages too.",
    )
    slug = Text(nullable=False, harmless=True, doc="The store's name in URLs; no other store has it.")
    url = Url(write=Write.UPDATE, harmless=True, doc="Where the shop itself is.")
    timezone = TimeZone(write=Write.UPDATE, nullable=False, doc="The IANA time zone in which new subscriptions recur.")
    currency_code = CurrencyCode(
        write=Write.UPDATE,
        nullable=False,
        doc="The ISO 4217 code of the currency of new carts and orders that name none.",
    )
    locale = LocaleCode(write=Write.UPDATE, nullable=False, doc="How formatted amounts are written, such as nl_NL.")
    mode = Enum("test", "live", nullable=False, doc="Only a store in test mode may be on a test clock.")
    order_prefix = Text(
        write=Write.UPDATE,
        nullable=False,
        max_length=30,
        harmless=True,
        doc="What the code of every new order begins with.",
    )
    order_suffix = Text(
        write=Write.UPDATE,
        nullable=False,
        max_length=30,
        harmless=True,
        doc="What the code of every new order ends with.",
    )
    checkout_url = Url(
        write=Write.UPDATE,
        harmless=True,
        doc="Where a repeated order is checked out: a template in which {session} stands for the cart's session.",
    )
    repeat_order_url = Url(
        write=Write.UPDATE,
        harmless=True,
        doc="The shop's own page for repeat links, which are then made with id and token for it.",
    )
    repeat_link_factor = Enum(
        "customer",
        "zip_code",
        "email",
        write=Write.UPDATE,
        nullable=False,
        doc="How somebody who repeats an order by its link shows to be its customer: signed in (`customer`, always good"
        " enough), or with the postal code or the e-mail address of that order.",
    )
    prices_include_tax = Boolean(write=Write.UPDATE, doc="Whether prices are meant with tax.")
    policies = JsonObject(
        write=Write.UPDATE,
        nullable=False,
        harmless=True,
        doc="What the shop decides: after how many hours a refused payment of a subscription is asked for anew"
        " (`payment_retry_hours`, a list), what becomes of a run when an item can't be had (`unavailable_policy`), and"
        " of a subscription that stays unpaid (`unpaid_policy`), catch-up limits, demand for If-Match"
        " (`require_if_match`), whether to offer reorders (`reorder_enabled`, true unless it says false), and which"
        " `metadata` of an order and its lines a reorder takes along (`carried_metadata`, a list of names).",
    )
    cancellation_reasons = TextList(
        write=Write.UPDATE,
        nullable=False,
        harmless=True,
        validators=[reasons],
        doc="Why customers may say that they cancel a subscription: at most 50 reasons, in the words that they read.",
        example=["Too expensive", "I have enough for now"],
    )
    gateway_url = Url(
        write=Write.UPDATE,
        harmless=True,
        doc="Where the store's own payment gateway (`external`) is asked; over https.",
    )

    _gateway_secret = Text(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        secret=True,
        doc="The secret that requests to the store's own payment gateway are signed with: `whsec_` and 24 to 64 bytes"
        " in base64. It is kept and never shown.",
        example="whsec_c2VjcmV0LW9mLWF0LWxlYXN0LTI0LWJ5dGVz",
    )

    test_clock = ToOne(
        "test_clocks", write=Write.UPDATE, doc="The clock whose time the store keeps; null for real time."
    )
    events = ToMany("events", via="resource_id", where={"resource_type": "stores"}, includable=False)

    class Meta:
        type_ = "stores"
        internal: ClassVar = {"gateway_secret": SECRET}


class Market(Standard):
    """Where a store sells; each store has one, for clients of Commerce Layer."""

    name = Text(nullable=False, filter=True, sort=True, harmless=True, doc="What the market is called.")
    code = Text(filter=True, sort=True, harmless=True, doc="The market's code, as it is known outside.")
    checkout_url = Url(harmless=True, doc="The checkout of this market; the store's when null.")

    class Meta:
        type_ = "markets"
        owner = PUBLIC


class TestClock(Standard):
    """A frozen time that stores in test mode can keep: advancing it runs all that falls due on the way."""

    name = Text(write=Write.BOTH, filter=True, sort=True, harmless=True, doc="What the clock is for.")
    status = Enum("ready", "advancing", nullable=False, doc="Whether the clock stands still or is on its way.")
    frozen_at = Timestamp(write=Write.CREATE, required=True, doc="The instant that it is.")
    advancing_to = Timestamp(doc="The instant that it will be, while the status is advancing.")

    _advance_to = Timestamp(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        doc="Go on to this instant, running all that falls due on the way; the status is `ready` when it is there.",
    )

    stores = ToMany("stores", via="test_clock_id")

    class Meta:
        type_ = "test_clocks"
