"""The types of failures of a run: what has to be seen to before it can succeed."""

from __future__ import annotations

from typing import Final, Literal, get_args

from schemas.kinds import Enum

FailureType = Literal["payment", "inventory", "price", "address", "unexpected"]

FAILURE_TYPES: Final[tuple[FailureType, ...]] = get_args(FailureType)
"""All of them. Where several apply, the first is what a run failed by."""


def failure_type(doc: str) -> Enum:
    """The field of a resource that says of which type its failure is."""
    return Enum(*FAILURE_TYPES, filter=True, doc=doc)
