"""Pauses of what runs for as long as a worker does."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Final

SPREAD: Final = 0.5
"""By what part a pause is longer or shorter, so that workers don't do the same at the same time."""


async def pause(stop: asyncio.Event, seconds: float, *, spread: float = SPREAD) -> None:
    """Wait about so many seconds, and no longer than until `stop` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds * random.uniform(1 - spread, 1 + spread)):  # noqa: S311 -- no secret
            await stop.wait()
