"""The token of a subscription's calendar: who has it can subscribe to the calendar, and do nothing else.

It reads `<store>.<subscription>.<signature>`, as those of repeat links do, so that the look-up is pinned to one store
before anything is believed. The newest key signs, every key of the service verifies: a calendar lives as long as the
key that it was handed out with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from itsdangerous import Signer

from service.rules.repeat_links import Named, read


class CalendarKeys:
    """The service's signing keys. Takes the secrets, at least one, the newest first."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._signer = Signer(
            list(reversed(secrets)), salt="calendar", key_derivation="hmac", digest_method=hashlib.sha256
        )

    def token(self, store_id: int, subscription_id: str) -> str:
        """The token of a subscription's calendar, always the same one as long as the newest key is."""
        return self._signer.sign(f"{store_id}.{subscription_id}").decode()

    def verify(self, token: str) -> Named | None:
        """The store and subscription that a genuine token names, compared in constant time; None for any other."""
        named = read(token)
        return named if named is not None and self._signer.validate(token) else None
