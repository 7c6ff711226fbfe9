"""Tokens in URLs that name a row of a store: who has one may do what its purpose says, and nothing else.

A token reads `<store>.<id>.<signature>`, as those of repeat links do, so that the look-up is pinned to one store before
anything is believed. The newest key signs, every key of the service verifies: a URL lives as long as the key that it
was handed out with. The purpose is part of the signature, so that no URL opens what another kind of URL is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from itsdangerous import Signer

from service.rules.repeat_links import Named, read

Purpose = Literal["calendar", "action link"]
"""What URLs are for: the iCalendar feed of a subscription, or one thing that a customer does to it."""


class TokenKeys:
    """The service's signing keys for one purpose. Takes the secrets, at least one, the newest first."""

    def __init__(self, secrets: Sequence[str], purpose: Purpose) -> None:
        self._signer = Signer(
            list(reversed(secrets)), salt=purpose, key_derivation="hmac", digest_method=hashlib.sha256
        )

    def token(self, store_id: int, id_: str) -> str:
        """The token that names a row, always the same one as long as the newest key is."""
        return self._signer.sign(f"{store_id}.{id_}").decode()

    def verify(self, token: str) -> Named | None:
        """The store and id that a genuine token names, compared in constant time; None for any other."""
        named = read(token)
        return named if named is not None and self._signer.validate(token) else None
