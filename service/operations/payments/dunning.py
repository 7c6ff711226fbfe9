"""Runs of subscriptions whose payment was refused: who is told, and when it is asked for anew.

The order of such a run is pending, its stock given back; it is never made a second time. By the ladder of its store
(`service.rules.ladders`) the same order is placed again, unless the gateway said that this won't help. What is new in
the subscription's wallet is tried at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import orjson

from service import clock
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.principal import Store
from service.rules.ladders import retry_at
from service.store.pool import Connection
from service.store.rows import Row
from service.store.statements import Value
from sql import queries

_LOCK = Value("ordering/placing.lock", str)

DUNNING = queries("payments/dunning")

BATCH: Final = 200
"""How many retries are looked up at a time."""


async def refused(
    connection: Connection,
    store: Store,
    order_id: str,
    attempt_id: str,
    *,
    error: str,
    reason: str,
    hard: bool,
    actor: str,
    at: datetime,
) -> None:
    """Note that the payment of an order was refused, if a run made the order and was to place it.

    `error` is a code, `reason` for people; `hard` says that asking again won't help. The first refusal makes the run
    one that failed; each is told of, with the time of the next attempt.
    """
    run = await connection.fetchrow(DUNNING["run"], store.id, order_id, attempt_id)
    if run is None:
        return
    again_at = _again_at(run, hard=hard, at=at)
    first = run["first"]
    errors_log = orjson.dumps({"payment_status": [str(reason)]}).decode()
    await connection.execute(
        DUNNING["refuse"], store.id, attempt_id, again_at, run["copy_id"], errors_log, int(first), at
    )
    payload = {
        "order_id": order_id,
        "error": error,
        "retry_at": None if again_at is None else again_at.isoformat(),
    }
    happened = [Event("orders.payment_failed", order_id, payload)]
    if first:
        happened.append(Event("order_subscriptions.last_run_failed", run["order_subscription_id"], payload))
    await outbox.record_all(connection, store, happened, actor=actor)


def _again_at(run: Row, *, hard: bool, at: datetime) -> datetime | None:
    """When a payment that was refused now is asked for anew; None when it isn't."""
    if run["status"] == "cancelled":
        return None
    if run["replaced"]:
        # It was on its way when the subscription got something else to be paid from.
        return at
    if hard:
        return None
    ladder = None if run["ladder"] is None else orjson.loads(run["ladder"])
    return retry_at(ladder, run["refusals"], at)


async def succeeded(connection: Connection, store: Store, order_id: str, *, actor: str, at: datetime) -> None:
    """Note that an order is paid, if a run made it and was to place it."""
    subscription_id = await connection.fetchval(DUNNING["succeed"], store.id, order_id, at)
    if subscription_id is not None:
        await outbox.record(connection, store, "order_subscriptions.last_run_succeeded", subscription_id, actor=actor)


async def hurry(connection: Connection, store: Store, subscription_id: str) -> None:
    """Have what is owed for a subscription's runs asked for at once: there is something new to pay with."""
    await connection.execute(DUNNING["hurry"], store.id, subscription_id, clock.now(store))


async def stop(
    connection: Connection, store: Store, *, order_id: str | None = None, subscription_id: str | None = None
) -> None:
    """Ask no more for the payment of an order, or for those of a subscription's runs."""
    if order_id is not None:
        await connection.execute(DUNNING["stop_of_order"], store.id, order_id)
    if subscription_id is not None:
        await connection.execute(DUNNING["stop_of_subscription"], store.id, subscription_id)


async def due(connection: Connection, store: Store, *, but: Collection[str] = ()) -> Sequence[str]:
    """At most `BATCH` orders of a store whose payment is to be asked for anew by now, by its clock, `but` for these."""
    rows = await connection.fetch(DUNNING["due"], store.id, clock.now(store), BATCH, list(but))
    return [row["order_id"] for row in rows]


async def hold(connection: Connection, store: Store, order_id: str) -> None:
    """Lock an order until the caller's transaction ends."""
    await _LOCK(connection, store=store.id, order=order_id)


async def claim(connection: Connection, store: Store, order_id: str) -> bool:
    """Take hold of an order whose payment is to be asked for anew by now, from what is in the wallet now."""
    # A statement that waits for the lock would go by what was due before it waited.
    await hold(connection, store, order_id)
    claimed = await connection.fetchval(DUNNING["claim"], store.id, order_id, clock.now(store))
    return claimed is not None
