"""Where the time of a request goes: the steps of its pipeline, told in `Server-Timing`.

Each step ends with a mark: `auth`, `parse`, `database`, `render`. What comes after the last mark is `render` too.
"""

from __future__ import annotations

import time


class Timing:
    """The clock of one request, in milliseconds since it began."""

    __slots__ = ("began", "ended", "last", "steps")

    def __init__(self) -> None:
        self.began = self.last = time.perf_counter()
        self.steps: dict[str, float] = {}
        self.ended: float | None = None

    def mark(self, step: str) -> None:
        """End a step: all time since the last mark was its."""
        now = time.perf_counter()
        self.steps[step] = self.steps.get(step, 0.0) + (now - self.last) * 1000
        self.last = now

    def end(self) -> None:
        """End it for a request whose answer goes on for as long as its client likes."""
        self.ended = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds since the request began, until it ended."""
        return (self.ended or time.perf_counter()) - self.began

    @property
    def header(self) -> str:
        """The value of `Server-Timing` (https://www.w3.org/TR/server-timing/)."""
        steps = [f"{step};dur={spent:.2f}" for step, spent in self.steps.items()]
        return ", ".join([*steps, f"total;dur={self.total * 1000:.2f}"])
