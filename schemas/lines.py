"""What lines have in common that are ordered again: a subscription's items, and what is different in a single run."""

from __future__ import annotations

from schemas.fields import Personal, Write
from schemas.kinds import Cents, CurrencyCode, Enum, JsonObject, Text


class RepeatedLine:
    """A sku with its options, and what it costs each time. How many of which sku the types say themselves."""

    name = Text(nullable=False, harmless=True, doc="The sku's name.")
    options = JsonObject(
        write=Write.BOTH, nullable=False, personal=Personal.WORDS, doc="What was chosen: option name to value."
    )
    price_mode = Enum(
        "current",
        "fixed",
        write=Write.BOTH,
        guarded=True,
        doc="As the subscription's, for this line only; null: as the subscription says.",
    )
    currency_code = CurrencyCode(nullable=False, doc="The currency of its amounts.")
    unit_amount_cents = Cents(
        write=Write.BOTH,
        guarded=True,
        minimum=0,
        nullable=False,
        filter=True,
        sort=True,
        doc="The price of one. An integration may set it: then it stays, whatever the quantity is.",
    )
    total_amount_cents = Cents(nullable=False, filter=True, sort=True, doc="Quantity times the price of one.")
