"""An event loop with a clock of its own: nobody waits, time goes on to whatever is due next."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class StandstillError(Exception):
    """Nothing will ever happen again, and what was run hasn't ended."""


class _Nothing(selectors.SelectSelector):
    """A selector that hears of nothing, and passes the time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Be so much later."""
        if timeout is None:
            raise StandstillError
        # A hair more than asked for: time is a sum of fractions, and what is due is to be due.
        self.now += timeout + 1e-9 if timeout > 0 else 0
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Runs tasks as any loop does, in a time that goes on when all of them wait."""

    def __init__(self) -> None:
        self._passing = _Nothing()
        super().__init__(self._passing)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._passing.now


def run(main: Coroutine[None, None, T]) -> T:
    """Run something to its end in simulated time, which begins at 0. Raises StandstillError."""
    loop = SimulatedLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()
