"""The only source of time and ids.

SQL never reads a clock: instants are binds made here, so that a store on a test clock lives in its own time and a
timestamp that a client reads back equals the stored one (columns keep milliseconds).
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
"""Ten bits as two letters: an id is made with every request."""


class HasClock(Protocol):
    """Anything that may live on a test clock: `frozen_at` is the instant its clock stands at, None for real time."""

    @property
    def frozen_at(self) -> datetime | None:
        """The instant of the test clock, aware UTC, or None."""


def now(store: HasClock | None = None) -> datetime:
    """The current instant of a store (or the real one without a store), aware UTC, cut to milliseconds."""
    if store is not None and store.frozen_at is not None:
        return store.frozen_at
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
"""The last instant that there is."""


def later(at: datetime, by: timedelta) -> datetime:
    """An instant so much later, but not after the last one."""
    return at + min(by, LATEST - at)


class _Ulids:
    """Monotonic ULIDs: 48 bits of milliseconds, then 80 random bits that are counted up within one millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = (0, 0)
        self._moment = (0, "")
        self._drawn, self._used = b"", 0
        os.register_at_fork(after_in_child=self._draw)

    def next(self) -> str:
        with self._lock:
            millis, entropy = time.time_ns() // 1_000_000, int.from_bytes(self._random(), "big")
            if millis <= self._last[0]:
                millis, entropy = self._last[0], self._last[1] + 1
                if entropy >> 80:
                    millis, entropy = millis + 1, 0
            self._last = (millis, entropy)
        if millis != self._moment[0]:
            self._moment = (millis, "".join([_PAIRS[millis >> shift & 1023] for shift in range(40, -1, -10)]))
        # Half of it at a time: shifting numbers of more than 60 bits takes several times as long.
        high, low = entropy >> 40, entropy & 0xFF_FFFF_FFFF
        pairs = [_PAIRS[half >> shift & 1023] for half in (high, low) for shift in (30, 20, 10, 0)]
        return self._moment[1] + "".join(pairs)

    def _random(self) -> bytes:
        """Ten bytes that nobody can guess, of many that are drawn from the system at once."""
        if self._used + 10 > len(self._drawn):
            self._draw()
        self._used += 10
        return self._drawn[self._used - 10 : self._used]

    def _draw(self) -> None:
        self._drawn, self._used = os.urandom(4_000), 0


_ulids = _Ulids()


def new_id() -> str:
    """A new id.

    A ULID of 26 characters in real time, greater than every id this process made before (https://github.com/ulid/spec).
    """
    return _ulids.next()
