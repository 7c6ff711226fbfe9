"""How much somebody may keep: so many rows of a type for each customer, or for each cart of a guest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.texts import Phrase


@dataclass(frozen=True, slots=True)
class Quota:
    """How many rows of a type an owner has at most, and what to do when there are as many.

    `among` says which rows count: those whose columns hold one of these values, as text; no value stands for null.
    `what` names them to people, `advice` is what makes room for more.
    """

    most: int
    what: str
    advice: Phrase
    among: Mapping[str, tuple[str, ...]]
