"""How often customers have a subscription run outside of its schedule."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from service import clock
from service.errors import TooManyRequests
from service.principal import Principal
from service.store.pool import Connection
from service.store.statements import Only, OnlyValue

EVERY: Final = timedelta(hours=24)
ATTEMPTS: Final = 5
"""How often a customer has an extra run of a subscription, and how many that fail may be asked for meanwhile."""


class _Runs(NamedTuple):
    asked: int
    asked_at: datetime | None
    made_at: datetime | None


_LOCK = OnlyValue("copies/copies.lock_subscription", str)
_RUNS = Only("copies/copies.extra_runs", _Runs)


async def too_soon(connection: Connection, principal: Principal, subscription_id: str) -> TooManyRequests | None:
    """Why a customer can't have an extra run of a subscription now; None when they can. Locks the subscription.

    A customer has one in a day, and five attempts at it. Integrations have as many as they ask for.
    """
    if principal.owner is None:
        return None
    store, at = principal.store, clock.now(principal.store)
    await _LOCK(connection, store=store.id, subscription=subscription_id)
    runs = await _RUNS(connection, store=store.id, subscription=subscription_id, since=at - EVERY)
    last = runs.made_at or (runs.asked_at if runs.asked >= ATTEMPTS else None)
    if last is None:
        return None
    seconds = math.ceil((last + EVERY - at).total_seconds())
    return TooManyRequests(
        "Customers can ask for one extra run of a subscription in 24 hours. The next is possible in {seconds} seconds.",
        seconds=seconds,
        fields=("_run_now", "order_subscription"),
        meta={"error": "extra_runs"},
        headers={"Retry-After": str(seconds)},
    )
