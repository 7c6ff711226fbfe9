"""How long somebody who guessed wrong waits before the next guess is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Ladder:
    """Delays that grow: `free` guesses in a row may be wrong, then a delay follows each, and the last one all others.

    After `memory` without a wrong guess all of them are forgotten.
    """

    free: int
    delays: tuple[timedelta, ...]
    memory: timedelta = timedelta(days=1)

    @property
    def waits(self) -> tuple[timedelta, ...]:
        """How long to wait after the first wrong guess, the second and so on; the last one is that of all others."""
        return (*[timedelta()] * (self.free - 1), *self.delays)

    def wait(self, wrong: int) -> timedelta:
        """How long to wait after so many wrong guesses."""
        return self.waits[min(max(wrong, 1), len(self.waits)) - 1]
