"""What is told of each topic, as it was recorded; `make examples` records it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import orjson

FILE = "told.json"
"""Beside this module: topic -> what a webhook with `payload` `thin` is sent."""


@cache
def told() -> dict[str, dict[str, Any]]:
    """What was recorded, by topic."""
    found: dict[str, dict[str, Any]] = orjson.loads((files(__package__) / FILE).read_bytes())
    return found
