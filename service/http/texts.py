"""What our own pages say, in each language."""

from __future__ import annotations

from collections.abc import Mapping

from service.translations import language_of

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "order_again": "Order again",
        "intro": "Your order {code}, at today's prices.",
        "products": "Products",
        "each": "each",
        "before": "Before:",
        "now": "Now:",
        "not_available": "Not available now",
        "total": "Total for the products",
        "shipping": "Shipping",
        "shipping_later": "calculated at the checkout",
        "delivery": "Delivered to",
        "payment": "Payment",
        "payment_later": "chosen at the checkout",
        "continue": "Continue to the checkout",
        "reassurance": "Nothing is ordered or paid yet. You see everything again at the checkout.",
        "nothing": "None of these products can be ordered at the moment.",
        "no_checkout": "This shop can't take orders here yet. Please ask the shop.",
        "gone_title": "This link doesn't work any more",
        "gone_text": "Ask the shop for a new one, or order in the shop as usual.",
        "stale_title": "Please open the page again",
        "stale_text": "This page was open for too long. Nothing was ordered.",
        "open_again": "Show the order again",
        "missing_title": "There is nothing here",
        "missing_text": "The address may have been copied incompletely.",
        "problem_title": "That didn't work",
        "problem_text": "Nothing was ordered. Please try again in a moment.",
        "checkout": "Checkout",
        "test_mode": "Test mode",
        "stand_in": "This page stands in for the shop's own checkout. No order is placed here.",
        "subtotal": "Subtotal",
        "payment_costs": "Payment costs",
        "discount": "Discount",
        "tax_included": "Tax, included",
        "tax_on_top": "Tax, added when the order is placed",
        "cart_total": "Total",
    },
    "nl": {
        "order_again": "Opnieuw bestellen",
        "intro": "Uw bestelling {code}, tegen de prijzen van vandaag.",
        "products": "Producten",
        "each": "per stuk",
        "before": "Eerst:",
        "now": "Nu:",
        "not_available": "Nu niet leverbaar",
        "total": "Totaal producten",
        "shipping": "Verzending",
        "shipping_later": "berekend bij het afrekenen",
        "delivery": "Bezorgen bij",
        "payment": "Betaling",
        "payment_later": "gekozen bij het afrekenen",
        "continue": "Verder naar afrekenen",
        "reassurance": "Er is nog niets besteld of betaald. Bij het afrekenen ziet u alles nog eens.",
        "nothing": "Geen van deze producten kan op dit moment besteld worden.",
        "no_checkout": "Deze winkel kan hier nog geen bestellingen aannemen. Vraag het de winkel.",
        "gone_title": "Deze link werkt niet meer",
        "gone_text": "Vraag de winkel om een nieuwe, of bestel gewoon in de winkel.",
        "stale_title": "Open de pagina opnieuw",
        "stale_text": "Deze pagina stond te lang open. Er is niets besteld.",
        "open_again": "Toon de bestelling opnieuw",
        "missing_title": "Hier is niets",
        "missing_text": "Misschien is het adres niet helemaal gekopieerd.",
        "problem_title": "Dat lukte niet",
        "problem_text": "Er is niets besteld. Probeer het zo meteen opnieuw.",
        "checkout": "Afrekenen",
        "test_mode": "Testmodus",
        "stand_in": "Deze pagina vervangt het afrekenen van de winkel. Hier wordt geen bestelling geplaatst.",
        "subtotal": "Subtotaal",
        "payment_costs": "Betaalkosten",
        "discount": "Korting",
        "tax_included": "Btw, inbegrepen",
        "tax_on_top": "Btw, komt er bij het bestellen bij",
        "cart_total": "Totaal",
    },
}


def texts(locale: str) -> Mapping[str, str]:
    """The texts for a locale such as `nl_NL`; English where there are none in its language."""
    return TEXTS.get(language_of(locale), TEXTS["en"])
