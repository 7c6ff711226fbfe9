"""Advisory locks: Postgres knows them by numbers, we know what they are for."""

from __future__ import annotations

import hashlib


def number_of(*purpose: object) -> int:
    """The number of the lock for a purpose. Two purposes that share a number only wait for each other."""
    text = "\x00".join(map(str, purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
