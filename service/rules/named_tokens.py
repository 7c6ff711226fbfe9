"""The token of a resource that stands in a URL: who has it can do one thing, such as read a calendar, and nothing else.

It reads `<store>.<resource>.<signature>`, as those of repeat links do, so that the look-up is pinned to one store
before anything is believed. The newest key signs, every key of the service verifies: a URL lives as long as the key
that it was handed out with. Each purpose has a signature of its own, so that no token opens anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from itsdangerous import Signer

from service.rules.repeat_links import Named, read


class NamedKeys:
    """The service's signing keys for a purpose. Takes the secrets, at least one, the newest first."""

    def __init__(self, secrets: Sequence[str], purpose: Literal["calendar", "export", "action link"]) -> None:
        self._signer = Signer(
            list(reversed(secrets)), salt=purpose, key_derivation="hmac", digest_method=hashlib.sha256
        )

    def token(self, store_id: int, id_: str) -> str:
        """The token of a resource, always the same one as long as the newest key is."""
        return self._signer.sign(f"{store_id}.{id_}").decode()

    def verify(self, token: str) -> Named | None:
        """The store and resource that a genuine token names, compared in constant time; None for any other."""
        named = read(token)
        return named if named is not None and self._signer.validate(token) else None
