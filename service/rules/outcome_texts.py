"""Outcomes in words that a shop can show its customers; codes and notices stay the same in every language."""

from __future__ import annotations

from service.rules.outcomes import Outcome
from service.texts import Phrase, say

TEXTS: dict[str, str | tuple[str, str]] = {
    "product_deleted": "This product is no longer sold.",
    "product_disabled": "This product is not available at the moment.",
    "not_published": "This product is not on sale yet.",
    "no_price": "This product has no price at the moment.",
    "currency_mismatch": "This product is not sold in this currency.",
    "option_invalid": "A chosen option is no longer offered.",
    "option_required": "An option has to be chosen first.",
    "not_reorderable": "This line can't be ordered again.",
    "out_of_stock": "This product is out of stock.",
    "quantity_below_min": "This quantity can't be ordered.",
    "quantity_reduced_stock": (
        "Only {count} of {requested} is in stock.",
        "Only {count} of {requested} are in stock.",
    ),
    "quantity_reduced_max": (
        "Only {count} of {requested} fits the largest quantity per order.",
        "Only {count} of {requested} fit the largest quantity per order.",
    ),
    "quantity_raised_min": "The quantity was raised from {requested} to {count}, the smallest one per order.",
    "quantity_rounded_step": "The quantity was raised from {requested} to {count}, to fill whole packs.",
    "merged_into_existing_line": "Added to the same product in the cart.",
}
"""What each code means; a pair is said of one piece and of any other number."""


def phrase(outcome: Outcome) -> Phrase | None:
    """What an outcome means; None for a line that was added as it was."""
    if outcome.code is None:
        return None
    text = TEXTS[outcome.code]
    one, more = (text, "") if isinstance(text, str) else text
    return Phrase(one, plural=more, count=outcome.resulting_quantity, requested=outcome.requested_quantity)


def detail(outcome: Outcome, locale: str) -> str | None:
    """What an outcome means, in the language of a locale such as `nl_NL`."""
    meaning = phrase(outcome)
    return None if meaning is None else say(meaning, locale)
