"""Which valid name somebody most likely meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 64
_NEAR = 0.7
"""How alike two names must be, from 0 to 1."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody most likely meant by another one; None where none is near."""
    if len(name) > _LONGEST:  # comparing takes time, and no name of ours is as long
        return None
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=_NEAR)), None)
