"""Circuits: who didn't answer several times in a row is left alone for a while, instead of being waited for each time.

The state is this process's own: another one finds out by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

FAILURES = 5
"""After how many failures in a row a circuit opens."""

PAUSE = 30.0
"""Seconds until it lets one request through again, to see."""


@dataclass(slots=True)
class _Failures:
    """How often somebody has failed in a row, and when to try next, once that was too often."""

    number: int = 0
    try_at: float = 0.0


@dataclass(slots=True)
class Circuits:
    """A circuit for each of those that are asked; only those that fail take up room."""

    failures: int = FAILURES
    pause: float = PAUSE
    clock: Callable[[], float] = time.monotonic
    _failing: dict[Hashable, _Failures] = field(default_factory=dict)

    def lets_through(self, whom: Hashable) -> bool:
        """Whether to ask. Of an open circuit that is one request every `pause`, until one is answered."""
        failing = self._failing.get(whom)
        if failing is None or failing.number < self.failures:
            return True
        if self.clock() < failing.try_at:
            return False
        failing.try_at = self.clock() + self.pause
        return True

    def answered(self, whom: Hashable) -> None:
        """Note that somebody answered: the circuit closes."""
        self._failing.pop(whom, None)

    def failed(self, whom: Hashable) -> None:
        """Note that somebody didn't answer."""
        failing = self._failing.setdefault(whom, _Failures())
        failing.number += 1
        failing.try_at = self.clock() + self.pause
