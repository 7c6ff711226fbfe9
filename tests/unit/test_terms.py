"""The terms of a subscription, as pages and assistants say them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from service.http.pages import terms
from service.rules.phases import PricePhase
from service.texts import say


@pytest.mark.parametrize(
    ("frequency", "english", "dutch"),
    [
        ("daily", "Every day", "Elke dag"),
        ("2-week", "Every 2 weeks", "Elke 2 weken"),
        ("three-month", "Every 3 months", "Elke 3 maanden"),
        ("yearly", "Every year", "Elk jaar"),
        ("1-week:monday,thursday", "Every week on Monday and Thursday", "Elke week op maandag en donderdag"),
        ("3-week:sunday", "Every 3 weeks on Sunday", "Elke 3 weken op zondag"),
        ("30 13 * * 1,2", "Every week on Monday and Tuesday", "Elke week op maandag en dinsdag"),
        ("hourly", "Every hour", "Elk uur"),
        ("0 9 1,15 * *", "0 9 1,15 * *", "0 9 1,15 * *"),
    ],
)
def test_how_often_something_comes_is_said(frequency: str, english: str, dutch: str) -> None:
    assert [say(terms.rhythm(frequency, locale), locale) for locale in ("en", "nl")] == [english, dutch]


def test_what_deliveries_cost_less_is_said_phase_by_phase() -> None:
    phases = [PricePhase(1, Decimal("12.5")), PricePhase(2, Decimal(0)), PricePhase(None, amount_cents=250)]
    english = ["First delivery: 12.5% off", "Next 2 deliveries: the usual price", "After that: €2.50 off"]
    assert [say(one, "en") for one in terms.prices(phases, "EUR", "en")] == english
    assert [say(one, "nl") for one in terms.prices(phases[2:], "EUR", "nl")] == [
        "Elke bezorging: €\N{NO-BREAK SPACE}2,50 korting"
    ]
