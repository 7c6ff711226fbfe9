"""The types of failures of a run: what has to be seen to before it can succeed; and what follows one that can't."""

from __future__ import annotations

from typing import Final, Literal, get_args

from schemas.kinds import Enum

FailureType = Literal["payment", "inventory", "price", "address", "unexpected"]

FAILURE_TYPES: Final[tuple[FailureType, ...]] = get_args(FailureType)
"""All of them. Where several apply, the first is what a run failed by."""

UnpaidPolicy = Literal["keep", "pause", "cancel"]

UNPAID_POLICIES: Final[tuple[UnpaidPolicy, ...]] = get_args(UnpaidPolicy)
"""What may become of a subscription once the payment of a run isn't asked for by itself any more."""


def failure_type(doc: str) -> Enum:
    """The field of a resource that says of which type its failure is."""
    return Enum(*FAILURE_TYPES, filter=True, doc=doc)
