"""Copies of orders: asked for by clients (or the schedule), claimed and finished by workers.

Those of both kinds are claimed, given back and failed here, and recurring ones made; those that are asked for once are
made in `order_copies`.

A copy is two transactions. `claim` gives it to one worker for the time of a lease; `finish` makes the target order and
all that goes with it, if the claim still holds: status and attempt are what they were, so that a worker that was slow,
paused or cut off can't make a second order. Whatever keeps the order from being made as asked raises `CopyFailed`
before anything is kept: a failed copy has no target order, and `fail` notes why in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from service import clock
from service.errors import ApiError, Conflict, Invalid, NotFound, raise_all
from service.jsonapi.body import Draft
from service.operations import events, targets
from service.operations.events import Event
from service.operations.targets import CopyFailed, Row, Target
from service.principal import Principal, Store
from service.rules.increases import needs_approval
from service.rules.states import SUBSCRIPTIONS_THAT_RUN, Messages
from service.store import queue
from service.store.pool import Connection
from sql import queries

COPIES = queries("copies")

ENTRYPOINT = "order_factories"
"""The name under which the queue knows the job that makes a copy of either kind."""

LEASE = timedelta(seconds=60)
"""How long a worker may take: longer than its statements may, and than the queue waits for a sign of life."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one worker to finish a copy, as long as nobody has claimed it after its lease ended."""

    store: Store
    kind: str
    copy_id: str
    attempt: int


async def create(connection: Connection, principal: Principal, draft: Draft) -> str:
    """POST /api/recurring_order_copies: a pending copy and the job that makes it, an extra run outside of the schedule.

    Gives the id. Raises NotFound for an order or subscription that the token can't see, Invalid where the subscription
    doesn't run or repeats another order, Conflict when the id is taken.
    """
    store, at = principal.store, clock.now(principal.store)
    subscription_id, order_id = draft.related("order_subscription"), draft.related("source_order")
    found = await connection.fetchrow(COPIES["sources"], store.id, subscription_id, order_id, principal.customer_id)
    raise_all(_problems(found, subscription_id, order_id))
    copy_id = await connection.fetchval(
        COPIES["create"],
        store.id,
        draft.id or clock.new_id(),
        order_id,
        subscription_id,
        draft.attributes.get("place_target_order", False),
        draft.attributes.get("reuse_wallet", True),
        draft.attributes.get("reference"),
        draft.attributes.get("reference_origin"),
        orjson.dumps(draft.attributes.get("metadata", {})).decode(),
        at,
    )
    if copy_id is None:
        raise Conflict("There is a copy with the id {id} already.", id=draft.id, pointer="/data/id")
    await events.record(connection, store, "recurring_order_copies.create", copy_id, actor=events.actor(principal))
    await enqueue(connection, store.id, copy_id)
    return str(copy_id)


def _problems(found: Row | None, subscription_id: str | None, order_id: str | None) -> list[ApiError]:
    """What is wrong with the two ends that a new copy names."""
    if found is None or found["order_subscription_id"] is None or found["source_order_id"] is None:
        named = (
            ("order_subscription", "order_subscription_id", subscription_id),
            ("source_order", "source_order_id", order_id),
        )
        return [
            NotFound(
                "There is no {name} with the id {id}.", name=name, id=id_, pointer=f"/data/relationships/{name}/data"
            )
            for name, column, id_ in named
            if found is None or found[column] is None
        ]
    problems: list[ApiError] = []
    if found["repeated_order_id"] != order_id:
        problems.append(
            Invalid(
                "source_order - is not the order that the subscription repeats",
                pointer="/data/relationships/source_order",
            )
        )
    if found["status"] not in SUBSCRIPTIONS_THAT_RUN:
        problems.append(
            Invalid(
                "order_subscription - is {status}",
                status=found["status"],
                pointer="/data/relationships/order_subscription",
            )
        )
    return problems


async def enqueue(connection: Connection, store_id: int, copy_id: str) -> None:
    """Put the job that makes a copy into the queue, in the caller's transaction, unless it is there already."""
    await enqueue_all(connection, store_id, [copy_id])


async def enqueue_all(connection: Connection, store_id: int, copy_ids: Sequence[str]) -> None:
    """Put the jobs that make these copies into the queue, as `enqueue` does: one statement for all."""
    await queue.enqueue_all(
        connection,
        ENTRYPOINT,
        {f"{ENTRYPOINT}/{store_id}/{copy_id}": orjson.dumps([store_id, copy_id]) for copy_id in copy_ids},
    )


async def claim(
    connection: Connection, store_id: int, copy_id: str, at: datetime, *, lease: timedelta = LEASE
) -> Claim | None:
    """Claim a copy for one worker: pending, or in progress with a lease that has ended. None when it isn't to be had.

    `at` is real time, as leases are, also in a store on a test clock.
    """
    row = await connection.fetchrow(COPIES["claim"], store_id, copy_id, at, at + lease)
    if row is None:
        return None
    store = Store(
        id=store_id,
        name=row["name"],
        slug=row["slug"],
        mode=row["mode"],
        currency_code=row["currency_code"],
        locale=row["locale"],
        timezone=row["timezone"],
        frozen_at=row["frozen_at"],
    )
    if row["attempt"] == 1:
        await events.record(connection, store, f"{row['kind']}.start", copy_id, actor=events.WORKER)
    return Claim(store, row["kind"], copy_id, row["attempt"])


async def lease_end(connection: Connection, store_id: int, copy_id: str) -> datetime | None:
    """When the lease of whoever works on a copy ends, real time; None when nobody does."""
    ends: datetime | None = await connection.fetchval(COPIES["lease"], store_id, copy_id)
    return ends


async def release(connection: Connection, claimed: Claim) -> None:
    """Give a copy back that couldn't be finished for reasons that may pass. Does nothing once the claim is lost."""
    at = clock.now(claimed.store)
    await connection.execute(COPIES["release"], claimed.store.id, claimed.copy_id, claimed.attempt, at)


async def finish(connection: Connection, claimed: Claim, number: int) -> str | None:
    """Make the target order of a claimed recurring copy under this number, and place it where the copy asks for that.

    Gives the order's id, or None when the claim holds no longer, or when the order would cost more than its
    subscription allows: then the occurrence is held. Raises CopyFailed, after which the transaction must be rolled
    back. The number of statements doesn't depend on the number of lines.
    """
    store, at = claimed.store, clock.now(claimed.store)
    copy = await connection.fetchrow(COPIES["claimed"], store.id, claimed.copy_id, claimed.attempt)
    if copy is None:
        return None
    terms = await targets.terms(connection, store, copy["order_subscription_id"], reuse_wallet=copy["reuse_wallet"])
    if terms["status"] not in SUBSCRIPTIONS_THAT_RUN:
        raise CopyFailed({"order_subscription": [f"is {terms['status']}"]})
    target = await targets.plan(connection, store, {**terms, **copy}, number, at)
    if copy["occurrence_id"] is not None and needs_approval(
        target.totals.total, terms["last_amount_cents"], terms["max_increase_percent"], copy["approved_amount_cents"]
    ):
        await _hold(connection, claimed, target, at)
        return None
    order_id = await targets.make(connection, store, target, at)
    await connection.execute(COPIES["complete"], store.id, claimed.copy_id, at, order_id, None, 0)
    happened = [Event(name, order_id) for name in target.events]
    happened.append(Event("recurring_order_copies.complete", claimed.copy_id))
    happened.append(Event("order_subscriptions.last_run_succeeded", copy["order_subscription_id"]))
    await events.record_all(connection, store, happened, actor=events.WORKER)
    return order_id


async def _hold(connection: Connection, claimed: Claim, target: Target, at: datetime) -> None:
    """End a copy that costs too much without an order, and tell of it; its occurrence waits for `_approve`."""
    store, copy = claimed.store, target.copy
    messages = {"total_amount_cents": [_TOO_MUCH]}
    await connection.execute(
        COPIES["hold"],
        store.id,
        claimed.copy_id,
        at,
        target.totals.total,
        copy["currency_code"],
        orjson.dumps(messages).decode(),
    )
    payload = {
        "occurrence_id": copy["occurrence_id"],
        "currency_code": copy["currency_code"],
        "total_amount_cents": target.totals.total,
        "last_amount_cents": copy["last_amount_cents"],
    }
    happened = [
        Event("recurring_order_copies.abort", claimed.copy_id),
        Event("order_subscriptions.approval_required", copy["order_subscription_id"], payload),
    ]
    await events.record_all(connection, store, happened, actor=events.WORKER)


_TOO_MUCH = "exceeds the last run's by more than the subscription allows"


async def fail(connection: Connection, claimed: Claim, messages: Messages) -> None:
    """End a claimed copy without an order; its subscription goes on. A claim that holds no longer does nothing."""
    store = claimed.store
    failed = await connection.fetchrow(
        COPIES["fail"],
        store.id,
        claimed.copy_id,
        claimed.attempt,
        clock.now(store),
        orjson.dumps(messages).decode(),
        sum(len(texts) for texts in messages.values()),
    )
    if failed is None:
        return
    happened = [Event(f"{claimed.kind}.fail", claimed.copy_id)]
    if failed["order_subscription_id"] is not None:
        happened.append(Event("order_subscriptions.last_run_failed", failed["order_subscription_id"]))
    await events.record_all(connection, store, happened, actor=events.WORKER)


async def abandoned(connection: Connection, at: datetime, *, limit: int) -> list[tuple[int, str]]:
    """Store and id of copies of all stores that nobody works on at this instant of real time, at most `limit`."""
    return [(row["store_id"], row["id"]) for row in await connection.fetch(COPIES["abandoned"], at, limit)]
