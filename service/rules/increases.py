"""How much more a run may cost than the one before it, and how its subscriber is told of that."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

SHORTEST: Final = timedelta(hours=1)
"""Nearer to its run than this an alert isn't looked at again."""


def needs_approval(total: int, last: int, most_percent: Decimal | None, *, discount: int) -> bool:
    """Whether a run at this total has to wait until somebody agrees; amounts are in minor units.

    It may cost at most so many percent more than what it is held against, any amount without a percentage. What is in
    both of them as the `discount` (zero or less) of this run counts in neither.
    """
    if most_percent is None:
        return False
    return 100 * (total - discount) > (last - discount) * (100 + most_percent)


def look_again(at: datetime, run_at: datetime) -> datetime | None:
    """When a run's total is looked at again after an alert: halfway to the run, as long as an hour is left then."""
    half = (run_at - at) / 2
    return at + half if half >= SHORTEST else None
