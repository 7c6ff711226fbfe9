"""The sentence for each outcome, for a shop to show its customers; codes and notices have no language."""

from __future__ import annotations

from service.rules.outcomes import Outcome
from service.texts import Phrase, say

TEXTS = {
    "product_deleted": Phrase("This product is no longer sold."),
    "product_disabled": Phrase("This product is not available at the moment."),
    "not_published": Phrase("This product is not on sale yet."),
    "no_price": Phrase("This product has no price at the moment."),
    "currency_mismatch": Phrase("This product is not sold in this currency."),
    "option_invalid": Phrase("A chosen option is no longer offered."),
    "option_required": Phrase("An option has to be chosen first."),
    "not_reorderable": Phrase("This line can't be ordered again."),
    "out_of_stock": Phrase("This product is out of stock."),
    "quantity_below_min": Phrase("This quantity can't be ordered."),
    "quantity_reduced_stock": Phrase(
        "Only {count} of {requested} is in stock.",
        plural="Only {count} of {requested} are in stock.",
    ),
    "quantity_reduced_max": Phrase(
        "Only {count} of {requested} fits the largest quantity per order.",
        plural="Only {count} of {requested} fit the largest quantity per order.",
    ),
    "quantity_raised_min": Phrase("The quantity was raised from {requested} to {count}, the smallest one per order."),
    "quantity_rounded_step": Phrase("The quantity was raised from {requested} to {count}, to fill whole packs."),
    "merged_into_existing_line": Phrase("Added to the same product in the cart."),
    "substituted": Phrase("{name} comes in its place."),
}
"""The sentence for each code; `count` is the resulting quantity, `requested` the requested one, `name` what is had."""


def phrase(outcome: Outcome) -> Phrase | None:
    """The sentence for an outcome; None for a line that was added as it was."""
    if outcome.code is None:
        return None
    count, requested = outcome.resulting_quantity, outcome.requested_quantity
    return TEXTS[outcome.code].filled(count=count, requested=requested, name=outcome.name)


def detail(outcome: Outcome, locale: str) -> str | None:
    """The sentence for an outcome in the language of a locale such as `nl_NL`; None as `phrase`."""
    meaning = phrase(outcome)
    return None if meaning is None else say(meaning, locale)
