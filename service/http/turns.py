"""How many requests of one sender are answered at a time, so that they leave connections for those of others."""

from __future__ import annotations

import asyncio
from collections import deque

from service.errors import Unavailable

MOST_WAITING = 1_000
"""How many requests of a sender wait for their turn."""
WAIT_SECONDS = 10.0
"""How long a request waits for its turn."""


class Turns:
    """Turns of senders, each known by a key: at most so many of one at a time, in the order in which they came."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def take_if_free(self, key: str) -> bool:
        """Take a turn of a sender, which `end` ends; False where none is free."""
        taken = self._taken.get(key, 0)
        if taken >= self._most:
            return False
        self._taken[key] = taken + 1
        return True

    async def take(self, key: str) -> None:
        """Wait for a turn of a sender, which `end` ends. Raises Unavailable when that takes too long."""
        if self.take_if_free(key):
            return
        waiting = self._waiting.setdefault(key, deque())
        if len(waiting) >= MOST_WAITING:
            raise _busy()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.end(key)  # it came in the moment that nobody waited any more
            elif turn in waiting:
                waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise _busy() from None
            raise

    def end(self, key: str) -> None:
        """Hand a turn to who waits next, or give it back."""
        waiting = self._waiting.get(key)
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(key, None)
        if self._taken[key] > 1:
            self._taken[key] -= 1
        else:
            del self._taken[key]


def _busy() -> Unavailable:
    return Unavailable(
        "Too many requests of yours are being answered at the moment; retry in a moment.", headers={"Retry-After": "1"}
    )
