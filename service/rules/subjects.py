"""Subjects of NATS: what a message is published under, and what a stream has to take for it."""

from __future__ import annotations

import re
from typing import Final

_PLACES: Final = {"{store}": "*", "{topic}": "*.*"}
"""What a template may hold, with what matches it: the number of a store, a topic (`orders.place`)."""


def is_template(template: str) -> bool:
    """Whether subjects can be made of a template: words with dots between them, some of which stand for others."""
    return all(word in _PLACES or re.fullmatch(r"[A-Za-z0-9_-]+", word) for word in template.split("."))


def subject(template: str, *, store_id: int, topic: str) -> str:
    """Return the subject of an event."""
    return template.replace("{store}", str(store_id)).replace("{topic}", topic)


def all_of(template: str) -> str:
    """Return what matches all subjects of a template, and little else."""
    for place, wildcard in _PLACES.items():
        template = template.replace(place, wildcard)
    return template
