"""The retry ladder of a store: when a payment that was refused is asked for again, and what follows the last refusal.

Card networks allow so many retries of one card within a time, whichever orders they are for. A ladder that would go
beyond that rests until it is allowed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from service.clock import later

POLICY: Final = "payment_retry_hours"
"""The name of the ladder among a store's policies."""

DEFAULT: Final = (24, 72, 120, 168)
"""The hours between one refusal and the next attempt, of stores that don't say."""

UNPAID: Final = "unpaid_policy"
"""The name of what becomes of them among a store's policies; `keep` unless it says otherwise."""

MOST_RETRIES: Final = 20
WINDOW: Final = timedelta(days=30)
"""So many retries of one payment source there may be within this time."""

_STEPS = 10
_LONGEST = 720


def is_ladder(value: object) -> bool:
    """Whether a store can have this as its ladder: at most 10 steps of 1 to 720 hours; none for no retries."""
    return (
        isinstance(value, list)
        and len(value) <= _STEPS
        and all(type(hours) is int and 1 <= hours <= _LONGEST for hours in value)
    )


def retry_at(ladder: Sequence[int] | None, refusals: int, at: datetime) -> datetime | None:
    """When to ask again after so many refusals, the last of them at this instant; None when that was the last one.

    `ladder` is the store's own, in hours, None for the default.
    """
    steps = DEFAULT if ladder is None else ladder
    return later(at, timedelta(hours=steps[refusals - 1])) if refusals <= len(steps) else None


def rested_at(last: Sequence[datetime], at: datetime) -> datetime:
    """When a payment source may be asked again at the earliest, `at` or later.

    `last` are the instants of its latest retries, `MOST_RETRIES` of them if there were so many, in any order.
    """
    return max(at, later(min(last), WINDOW)) if len(last) >= MOST_RETRIES else at
