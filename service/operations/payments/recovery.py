"""How failed runs fare, counted for Prometheus by whichever process notes it. Labels never name a store."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from schemas.failures import FailureType
from service.store.commits import after_commit
from service.store.pool import Connection

FAILED = Counter("reprise_renewals_failed", "Runs that have failed for the first time, by the type of it.", ["type"])
RECOVERED = Counter(
    "reprise_renewals_recovered", "Unpaid runs that were paid after all, by the number of the try.", ["try"]
)
LOST = Counter(
    "reprise_renewals_lost", "Runs whose payment isn't asked for by itself any more, by what failed.", ["type"]
)

_MOST: Final = 10
"""Tries beyond so many count as one more."""


def failed(connection: Connection, failure_type: FailureType) -> None:
    """Count a run that has failed, once that is committed."""
    after_commit(connection, FAILED.labels(failure_type).inc)


def recovered(connection: Connection, tries: int) -> None:
    """Count a run that was paid at this try, once that is committed: 2 is the first one after a refusal."""
    after_commit(connection, RECOVERED.labels(str(tries) if tries <= _MOST else f"more than {_MOST}").inc)


def lost(connection: Connection, failure_type: FailureType) -> None:
    """Count a run that stays unpaid, once that is committed."""
    after_commit(connection, LOST.labels(failure_type).inc)
