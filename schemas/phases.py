"""Phases of a subscription's prices: so many runs cost so much less, then others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from marshmallow import ValidationError

from service.texts import Phrase

MOST: Final = 20
"""How many phases there are at most, and in a phase how many runs."""
MOST_RUNS: Final = 1_000

EXAMPLE: Final = [{"occurrences": 3, "percentage": 20}, {"occurrences": None, "percentage": 5}]

DOC: Final = (
    "What runs cost less, phase by phase: objects with `occurrences`, for so many runs (null in the last: for all that"
    " follow), and either `percentage`, off the items, or `amount_cents`, off each run. Runs after the last phase, or"
    " without phases, have no discount."
)


def check_phases(phases: list[Any]) -> None:
    """Raise ValidationError unless each is a phase, and none but the last goes on without end."""
    if len(phases) > MOST:
        raise ValidationError(Phrase("must be at most {most} phases", most=MOST))
    for number, phase in enumerate(phases, 1):
        if not (isinstance(phase, dict) and _is_phase(phase, last=number == len(phases))):
            raise ValidationError(
                Phrase(
                    "phase {number} must have occurrences (1 to {most}, or null in the last), and either percentage"
                    " (0 to 100, with two decimals) or amount_cents (0 or more)",
                    number=number,
                    most=MOST_RUNS,
                )
            )


def _is_phase(phase: dict[str, Any], *, last: bool) -> bool:
    runs = phase.get("occurrences", 0)
    counted = last if runs is None else _is_whole(runs) and 1 <= runs <= MOST_RUNS
    if not counted:
        return False
    match phase:
        case {"percentage": percentage} if len(phase) == 2:
            return _is_percentage(percentage)
        case {"amount_cents": amount} if len(phase) == 2:
            return _is_whole(amount) and amount >= 0
    return False


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_percentage(value: object) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 100:
        return False
    exact = Decimal(str(value))
    return exact == round(exact, 2)
