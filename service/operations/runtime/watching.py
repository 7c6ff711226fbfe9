"""How the work stands: what is due, what waits and for whom, and whether anybody works."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.store.pool import Connection
from service.store.statements import Only

LATE: Final = timedelta(minutes=5)
"""After what time a run that hasn't begun, or one whose worker has died, is late."""

SIGN_OF_LIFE: Final = timedelta(seconds=15)
"""How often a worker shows that it is there."""

ABSENT: Final = timedelta(minutes=1)
"""After how long without a sign of life a worker is taken to be gone."""


@dataclass(frozen=True, slots=True)
class Situation:
    """How the work of all stores on real time stands at one instant; each number but `workers` is 0 when all is done.

    `late` counts among `due`, `pending` and `claimed` those that should have begun, or ended, `LATE` ago.
    """

    due: int
    """Subscriptions whose next run has come, and no sweep has taken up."""
    pending: int
    """Copies that wait for a worker."""
    claimed: int
    """Copies that a worker has taken."""
    payments: int
    """Payments that wait for their gateway, or to be tried again once their time has come."""
    late: int
    late_since: datetime | None
    """Since when the first that is late waits."""
    workers: int
    """Workers that showed a sign of life lately."""


_SITUATION = Only("runtime/watching.situation", Situation)


async def look(connection: Connection, at: datetime) -> Situation:
    """How the work stands at this instant, real time."""
    return await _SITUATION(connection, at=at, late=at - LATE, absent=at - ABSENT)
