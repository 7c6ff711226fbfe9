"""Tokens that were good a moment ago, kept in memory."""

from __future__ import annotations

import time
from collections import OrderedDict

from service import clock
from service.principal import Principal

_MOST = 10_000


class TokenCache:
    """Tokens that were good a moment ago, so that not every request asks the database; at most 10 000 of them.

    A token is believed for `seconds` at most after it was checked, none beyond its own end; 0 believes nothing. Where a
    token was ended, or its store was changed, the processes tell each other, so that it is forgotten at once. `changes`
    counts how often that was.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self.changes = 0

    def get(self, token: str) -> Principal | None:
        """The principal of a token checked within the last seconds."""
        entry = self._known.get(token)
        if entry is None:
            return None
        if entry[0] <= time.monotonic():
            del self._known[token]
            return None
        return entry[1]

    def put(self, token: str, principal: Principal, changes: int | None = None) -> None:
        """Remember a good token. Stores on a test clock are not remembered: their time moves by itself.

        Nor is what was asked for when there had been fewer `changes` of stores: it may be out of date.
        """
        if changes not in (None, self.changes):
            return
        seconds = self._seconds
        if principal.expires_at is not None:
            seconds = min(seconds, (principal.expires_at - clock.now()).total_seconds())
        if seconds > 0 and principal.store.frozen_at is None:
            self._known[token] = (time.monotonic() + seconds, principal)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)

    def forget(self, store_id: int | None) -> None:
        """Forget the tokens of a store, or with None all, and what they know of it: it has changed, or they have."""
        self.changes += 1
        if store_id is None:
            self._known.clear()
            return
        for token in [token for token, (_, principal) in self._known.items() if principal.store.id == store_id]:
            del self._known[token]
