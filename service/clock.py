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


EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""The first instant that there is."""

LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
"""The last instant that there is."""


def later(at: datetime, by: timedelta) -> datetime:
    """An instant so much later, but not after the last one."""
    return at + min(by, LATEST - at)


class _Ulids:
    """Monotonic ULIDs: 48 bits of milliseconds, then 80 random bits that are counted up within one millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._begun = (-1, "")

    def next(self) -> str:
        with self._lock:
            millis = time.time_ns() // 1_000_000
            if millis > self._last >> 80:
                self._last = millis << 80 | int.from_bytes(os.urandom(10), "big")
            else:
                self._last += 1  # into the next millisecond, should the random bits run over
            value = self._last
            high, begun = self._begun
            if high != value >> 20:
                begun = "".join([_PAIRS[value >> shift & 1023] for shift in range(120, 19, -10)])
                self._begun = (value >> 20, begun)
        return begun + _PAIRS[value >> 10 & 1023] + _PAIRS[value & 1023]


_ulids = _Ulids()


def instant(seconds: float) -> datetime:
    """The instant so many seconds after 1970 began, within what there is."""
    try:
        return min(datetime.fromtimestamp(seconds, UTC), LATEST)
    except (ValueError, OverflowError, OSError):
        return LATEST


def first_id(at: datetime) -> str:
    """The id before all that are made at an instant, real time, or later."""
    value = int(at.timestamp() * 1000) << 80
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def new_id() -> str:
    """A new id.

    A ULID of 26 characters in real time, greater than every id this process made before (https://github.com/ulid/spec).
    """
    return _ulids.next()


def made_at(id_: str) -> datetime | None:
    """When `new_id` made an id, in real time; None for an id that a client chose."""
    letters = id_[:10]
    if len(id_) != len("01KB9XR4ZQ") + 16 or letters[0] > "7" or not all(letter in _ALPHABET for letter in id_):
        return None
    millis = 0
    for letter in letters:
        millis = millis << 5 | _ALPHABET.index(letter)
    try:
        return datetime.fromtimestamp(millis // 1000, UTC) + timedelta(milliseconds=millis % 1000)
    except (OverflowError, ValueError):
        return None
