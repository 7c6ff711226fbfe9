"""Outcomes in words that a shop can show its customers; codes and notices stay the same in every language."""

from __future__ import annotations

from service.rules.outcomes import Outcome

_TEXTS = {
    "en": {
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
        "quantity_reduced_stock": "Only {resulting} of {requested} are in stock.",
        "quantity_reduced_max": "Only {resulting} of {requested} fit the largest quantity per order.",
        "quantity_raised_min": "The quantity was raised from {requested} to {resulting}, the smallest one per order.",
        "quantity_rounded_step": "The quantity was raised from {requested} to {resulting}, to fill whole packs.",
        "merged_into_existing_line": "Added to the same product in the cart.",
    },
    "nl": {
        "product_deleted": "Dit product wordt niet meer verkocht.",
        "product_disabled": "Dit product is op dit moment niet beschikbaar.",
        "not_published": "Dit product is nog niet te koop.",
        "no_price": "Dit product heeft op dit moment geen prijs.",
        "currency_mismatch": "Dit product wordt niet in deze valuta verkocht.",
        "option_invalid": "Een gekozen optie wordt niet meer aangeboden.",
        "option_required": "Er moet eerst een optie gekozen worden.",
        "not_reorderable": "Deze regel kan niet opnieuw besteld worden.",
        "out_of_stock": "Dit product is niet op voorraad.",
        "quantity_below_min": "Dit aantal kan niet besteld worden.",
        "quantity_reduced_stock": "Er zijn er maar {resulting} van de {requested} op voorraad.",
        "quantity_reduced_max": "Er passen er maar {resulting} van de {requested} in één bestelling.",
        "quantity_raised_min": "Het aantal is verhoogd van {requested} naar {resulting}, het kleinste per bestelling.",
        "quantity_rounded_step": "Het aantal is verhoogd van {requested} naar {resulting}, om hele pakken te vullen.",
        "merged_into_existing_line": "Toegevoegd aan hetzelfde product in de winkelwagen.",
    },
}

LANGUAGES = tuple(_TEXTS)
"""The languages that outcomes are told in; English is told where another one is asked for."""


def detail(outcome: Outcome, locale: str) -> str | None:
    """What an outcome means, in the language of a locale such as `nl_NL`; None for a line that was added as it was."""
    if outcome.code is None:
        return None
    texts = _TEXTS.get(locale.replace("-", "_").partition("_")[0].lower(), _TEXTS["en"])
    return texts[outcome.code].format(requested=outcome.requested_quantity, resulting=outcome.resulting_quantity)
