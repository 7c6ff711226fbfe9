"""The retry ladder of a store: when a payment that was refused is asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from service.clock import later

POLICY: Final = "payment_retry_hours"
"""The name of the ladder among a store's policies."""

DEFAULT: Final = (24, 72, 120, 168)
"""The hours between one refusal and the next attempt, of stores that don't say."""

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
