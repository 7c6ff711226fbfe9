"""How failed runs fare, counted for Prometheus by whichever process notes it. Labels never name a store."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from schemas.failures import FailureType

FAILED = Counter("reprise_renewals_failed", "Runs that have failed for the first time, by the type of it.", ["type"])
RECOVERED = Counter(
    "reprise_renewals_recovered", "Unpaid runs that were paid after all, by the number of the try.", ["try"]
)
LOST = Counter(
    "reprise_renewals_lost", "Runs whose payment isn't asked for by itself any more, by what failed.", ["type"]
)

_MOST: Final = 10
"""Tries beyond so many count as one more."""


def failed(failure_type: FailureType) -> None:
    """Count a run that has failed."""
    FAILED.labels(failure_type).inc()


def recovered(tries: int) -> None:
    """Count a run that was paid at this try: 2 is the first one after a refusal."""
    RECOVERED.labels(str(tries) if tries <= _MOST else f"more than {_MOST}").inc()


def lost(failure_type: FailureType) -> None:
    """Count a run that stays unpaid."""
    LOST.labels(failure_type).inc()
