"""What several deliveries were paid at together, as a subscription keeps it."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import ValidationError

from schemas.kinds import JsonObject
from service.texts import Phrase

FEWEST: Final = 2
MOST: Final = 366
"""How many deliveries are paid for together."""


class Period(JsonObject):
    """The prices of up to a thousand items, that of shipping, and what was paid for each of the deliveries left."""

    most_kilobytes = 128


def check_period(period: dict[str, Any]) -> None:
    """Raise ValidationError unless it says of one delivery at least what was paid for it, and at which prices."""
    match period:
        case {"prices": dict(prices), "shipping": [str() | None, int()], "parts": [_, *_] as parts}:
            priced = all(isinstance(price, list) and _is(price, str, int) for price in prices.values())
            if priced and all(isinstance(part, list) and _is(part, int, int, int) and part[0] > 0 for part in parts):
                return
    raise ValidationError(Phrase("must have prices, shipping and parts, as an export writes them"))


def _is(values: list[Any], *types: type) -> bool:
    return list(map(type, values)) == list(types)
