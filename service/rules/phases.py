"""Which phase of its prices a run of a subscription is in, and what that takes off.

Runs are counted as they make their orders: one that is skipped, missed or failed takes no place. A phase takes off as
an automatic promotion does: a percentage of all items together, or an amount, once, that is never more than they cost,
shared out over the lines to the cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import orjson

from service.rules.discounts import Promotion


class PricePhase(NamedTuple):
    """So many runs (None: all that follow) at a percentage less, or at an amount in minor units less."""

    occurrences: int | None
    percentage: Decimal | None = None
    amount_cents: int | None = None

    @property
    def promotion(self) -> Promotion:
        """What it takes off, as the rules of discounts know it."""
        return Promotion("phase", percentage=self.percentage, amount_cents=self.amount_cents)


def phases_of(text: str | bytes | None) -> list[PricePhase]:
    """The phases that a subscription has, from the JSON that it keeps them in."""
    found = []
    for phase in orjson.loads(text or "[]"):
        percentage = phase.get("percentage")
        off = None if percentage is None else Decimal(str(percentage))
        found.append(PricePhase(phase["occurrences"], off, phase.get("amount_cents")))
    return found


def phase_of(phases: Sequence[PricePhase], run: int) -> PricePhase | None:
    """The phase that a run is in, the first being 1; None after the last."""
    for phase in phases:
        if phase.occurrences is None or run <= phase.occurrences:
            return phase
        run -= phase.occurrences
    return None
