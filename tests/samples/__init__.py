"""What the tests create of each type and change in it: a file per type, read wherever every type is tried.

`make new TYPE=gift_messages` writes the file of a type from its Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from service.resources import RESOURCES

FOLDER = Path(__file__).parent
_MADE = "made "


@dataclass(frozen=True, slots=True)
class Target:
    """What a relationship of a new resource leads to: some resource of a type, or the one that was created before."""

    type_: str
    made: bool = False

    @classmethod
    def parse(cls, words: str) -> Target:
        """From `orders`, or `made orders`."""
        return cls(words.removeprefix(_MADE), words.startswith(_MADE))


@dataclass(frozen=True, slots=True)
class Sample:
    """What a resource is created with, and the attributes that a change of it sends.

    What clients don't create has neither attributes nor targets; what they don't change has no change.
    """

    created: bool
    attributes: Mapping[str, Any] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    change: Mapping[str, Any] = field(default_factory=dict)


def path(type_: str) -> Path:
    """Where the sample of a type is kept."""
    return FOLDER / f"{type_}.yaml"


def read(type_: str) -> Sample:
    """The sample of a type. Raises FileNotFoundError when it has none."""
    kept = yaml.safe_load(path(type_).read_text())
    create = kept.get("create") or {}
    targets = {name: Target.parse(words) for name, words in (create.get("relationships") or {}).items()}
    return Sample("create" in kept, create.get("attributes") or {}, targets, kept.get("change") or {})


SAMPLES = {type_: read(type_) for type_ in RESOURCES if path(type_).exists()}
"""Type -> its sample, in the order of the registry: what a sample leads to comes before it."""
