"""Deliveries of webhooks: when a failed one is tried again, when it is given up, and when a receiver is left alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

LADDER: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""How long after each failed attempt comes the next (Standard Webhooks, "Deliverability and reliability")."""

JITTER: Final = 0.1
"""By what part a wait is drawn out at most, so that what failed together doesn't come back together."""

OPENS_AFTER: Final = 30
"""After how many failed attempts in a row a webhook's circuit opens, as Commerce Layer's does."""

OLD_SECRET: Final = timedelta(hours=24)
"""For how long the secret before the current one signs as well."""

Health = Literal["healthy", "failing", "stopped", "disabled"]
"""How a webhook stands; `stopped` while its circuit is open."""


def next_wait(attempt: int, asked: timedelta | None, draw: float) -> timedelta | None:
    """Return how long after its failed `attempt`, counted from 1, a delivery is tried again; None: it is given up.

    The receiver's own wish, `asked`, makes it longer. `draw` is a number from 0 to 1.
    """
    if attempt > len(LADDER):
        return None
    wait = LADDER[attempt - 1] * (1 + JITTER * draw)
    return wait if asked is None else max(wait, asked)


def in_a_row(failures: int, accepted: Iterable[bool]) -> int:
    """Return how many attempts in a row have failed, after these that followed `failures` of them."""
    for one in accepted:
        failures = 0 if one else failures + 1
    return failures


@dataclass(frozen=True, slots=True)
class Circuit:
    """How a webhook stands: failures in a row, whether its circuit is open, and whether it is disabled."""

    failures: int
    is_open: bool
    is_disabled: bool

    @property
    def health(self) -> Health:
        """The word for it."""
        if self.is_disabled:
            return "disabled"
        if self.is_open:
            return "stopped"
        return "failing" if self.failures else "healthy"
