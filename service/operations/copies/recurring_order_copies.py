"""Copies of orders: asked for by clients (or the schedule), claimed and finished by workers.

Those of both kinds are claimed, given back and failed here, and recurring ones made; those that are asked for once are
made in `order_copies`.

A copy is two transactions, which it may share with other copies of its store. `claim` gives it to one worker for the
time of a lease; `finish` makes the target order and all that goes with it, if the claim still holds: status and attempt
are what they were, so that a worker that was slow, paused or cut off can't make a second order. Whatever keeps the
order from being made as asked is a `CopyFailed`, before anything is kept: a failed copy has no target order, and `fail`
notes why in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from service import clock
from service.errors import ApiError, Conflict, Forbidden, Invalid, InvalidState, NotFound, raise_all
from service.jsonapi.body import Draft, read_only
from service.operations.copies import comparing, extra_runs, lenience, targets
from service.operations.copies.targets import CopyFailed, Target
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.generic.created import Created
from service.operations.generic.writing import Writer
from service.operations.payments import attempts
from service.operations.payments.attempts import Due
from service.principal import Principal, Store
from service.rules.increases import needs_approval
from service.rules.states import SUBSCRIPTIONS_THAT_RUN, Messages
from service.store import queue
from service.store.pool import Connection
from service.store.rows import Row
from sql import queries

COPIES = queries("copies/copies")

ENTRYPOINT = "order_factories"
"""The name under which the queue knows the job that makes a copy of either kind."""

LEASE = timedelta(seconds=60)
"""How long a worker may take: longer than its statements may, and than the queue waits for a sign of life."""

LONG_QUEUE = 1_000
"""How many jobs may wait or run for lost ones to be looked for among them."""

BATCH = 25
"""How many copies of a store one job makes together."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one worker to finish a copy, as long as nobody has claimed it after its lease ended.

    `lateness` is from the instant of its occurrence to this claim; None for a copy outside of the schedule.
    """

    store: Store
    kind: str
    copy_id: str
    attempt: int
    lateness: timedelta | None = None


async def create(connection: Connection, principal: Principal, draft: Draft) -> Created:
    """POST /api/recurring_order_copies: a pending copy and the job that makes it, an extra run outside of the schedule.

    Raises NotFound for an order or subscription that the token can't see, Invalid where the subscription
    doesn't run or repeats another order, Conflict when the id is taken, ReadOnly for what the sender can't set, and
    TooManyRequests for a customer who had an extra run today.
    """
    raise_all([read_only(echo.name, echo.pointer) for echo in draft.echoes])
    store, at = principal.store, clock.now(principal.store)
    subscription_id, order_id = draft.related("order_subscription"), draft.related("source_order")
    found = await connection.fetchrow(COPIES["sources"], store.id, subscription_id, order_id, principal.customer_id)
    raise_all(_problems(found, subscription_id, order_id))
    refusal = await extra_runs.too_soon(
        connection, principal, str(subscription_id), draft.pointer("order_subscription")
    )
    raise_all([refusal] if refusal else [])
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
        raise Conflict("A copy with the id {id} already exists.", id=draft.id, pointer="/data/id")
    await outbox.record(connection, store, "recurring_order_copies.create", copy_id, actor=outbox.actor(principal))
    await enqueue(connection, store.id, copy_id)
    return Created(copy_id)


class Copies(Writer):
    """Copies of either kind once they are asked for: what is the client's own changes, and those that are done go."""

    async def before_delete(self, change: Change) -> None:
        """Integrations delete copies that are done, and those that nobody has begun and no occurrence waits for.

        The orders that copies led to stay, with what they know of subscription and occurrence. While the payment of one
        is on its way, or to be asked for anew, its copy stays: it says that the run is to be paid.
        """
        if change.principal.owner is not None:
            raise Forbidden("{type} are deleted by integrations only.", type=change.resource.type_)
        status = change.before["status"]
        waited_for = status == "pending" and change.before["occurrence_id"] is not None
        if status == "in_progress" or waited_for:
            change.problems.append(InvalidState("The copy is {status}: it can't be deleted.", status=status))
        elif await change.connection.fetchval(COPIES["unpaid_order"], change.store.id, change.id) is not None:
            change.problems.append(
                InvalidState(
                    "The copy's order is waiting for its payment: the copy can't be deleted until that is settled."
                )
            )


def _problems(found: Row | None, subscription_id: str | None, order_id: str | None) -> list[ApiError]:
    """What is wrong with the two ends that a new copy names."""
    if found is None or found["order_subscription_id"] is None or found["source_order_id"] is None:
        named = (
            ("order_subscription", "order_subscription_id", subscription_id),
            ("source_order", "source_order_id", order_id),
        )
        return [
            NotFound("No {name} has the id {id}.", name=name, id=id_, pointer=f"/data/relationships/{name}/data")
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
    """Put the jobs that make these copies, `BATCH` by each, into the queue, as `enqueue` does: one statement."""
    batches = (copy_ids[first : first + BATCH] for first in range(0, len(copy_ids), BATCH))
    jobs = {f"{ENTRYPOINT}/{store_id}/{batch[0]}": orjson.dumps([store_id, *batch]) for batch in batches}
    await queue.enqueue_all(connection, ENTRYPOINT, jobs)


async def claim(
    connection: Connection, store_id: int, copy_ids: Sequence[str], at: datetime, *, lease: timedelta = LEASE
) -> list[Claim]:
    """Claim copies for one worker: those that are pending, or in progress with a lease that has ended.

    `at` is real time, as leases are, also in a store on a test clock. Two statements at most.
    """
    rows = await connection.fetch(COPIES["claim"], store_id, copy_ids, at, at + lease)
    if not rows:
        return []
    store = Store(
        id=store_id,
        **{column: rows[0][column] for column in _OF_THE_STORE},
    )
    begun = [Event(f"{row['kind']}.start", row["id"]) for row in rows if row["attempt"] == 1]
    await outbox.record_all(connection, store, begun, actor=outbox.WORKER)
    return [Claim(store, row["kind"], row["id"], row["attempt"], row["lateness"]) for row in rows]


_OF_THE_STORE = ("name", "slug", "mode", "currency_code", "locale", "timezone", "frozen_at")


async def lease_end(connection: Connection, store_id: int, copy_ids: Sequence[str]) -> datetime | None:
    """When the last lease of whoever works on these copies ends, real time; None when nobody does."""
    ends: datetime | None = await connection.fetchval(COPIES["lease"], store_id, copy_ids)
    return ends


async def release(connection: Connection, claims: Sequence[Claim]) -> None:
    """Give copies of a store back that couldn't be finished for reasons that may pass; lost claims are left alone."""
    store = claims[0].store
    await connection.execute(COPIES["release"], store.id, *_fences(claims), clock.now(store))


def _fences(claims: Sequence[Claim]) -> tuple[list[str], list[int]]:
    """By what a statement knows whether claims still hold: the copies and their attempts."""
    return [claimed.copy_id for claimed in claims], [claimed.attempt for claimed in claims]


async def finish(
    connection: Connection, claims: Sequence[Claim], numbers: Sequence[int]
) -> dict[str, str | CopyFailed | None]:
    """Make the target orders of claimed recurring copies of a store, under these numbers, placed where they ask for it.

    Gives by copy the id of its order, or why there is none: None for an order that would cost more than its
    subscription allows, whose occurrence is held. Claims that hold no longer are not in it. Raises CopyFailed when the
    stock isn't enough for all: then the transaction must be rolled back. The number of statements depends neither on
    the number of copies nor on that of their lines.
    """
    store, at = claims[0].store, clock.now(claims[0].store)
    claimed = await connection.fetch(COPIES["claimed"], store.id, *_fences(claims))
    runs = [(row["order_subscription_id"], row["reuse_wallet"]) for row in claimed]
    terms = await targets.terms_of(connection, store, runs, at)
    made: dict[str, str | CopyFailed | None] = {}
    running: list[Row] = []
    for row, of_run in zip(claimed, terms, strict=True):
        if of_run["status"] in SUBSCRIPTIONS_THAT_RUN:
            running.append({**of_run, **row})
        else:
            made[row["copy_id"]] = CopyFailed({"order_subscription": [f"is {of_run['status']}"]})
    outcomes = await targets.plan(connection, store, list(zip(running, numbers, strict=False)), at)
    made |= {
        copy["copy_id"]: outcome
        for copy, outcome in zip(running, outcomes, strict=True)
        if isinstance(outcome, CopyFailed)
    }
    planned, dear = _sorted_out([outcome for outcome in outcomes if not isinstance(outcome, CopyFailed)])
    if dear:
        await _hold(connection, store, dear, at)
        made |= {target.copy["copy_id"]: None for target in dear}
    if planned:
        order_ids = await targets.make(connection, store, planned, at)
        await _complete(connection, store, planned, order_ids, at)
        made |= {target.copy["copy_id"]: id_ for target, id_ in zip(planned, order_ids, strict=True)}
    return made


def _sorted_out(planned: Sequence[Target]) -> tuple[list[Target], list[Target]]:
    """Which target orders are to be made, and which cost more than their subscription allows without being asked."""
    last: dict[str, int] = {}
    fine: list[Target] = []
    dear: list[Target] = []
    for target in planned:
        subscription_id = target.copy["order_subscription_id"]
        if _is_dear(target, last.get(subscription_id)):
            dear.append(target)
        else:
            fine.append(target)
            last[subscription_id] = target.totals.total
    return fine, dear


def _is_dear(target: Target, last: int | None) -> bool:
    """Whether a run has to wait for approval; `last` is the total of one just before it in the same batch."""
    copy = target.copy
    # What it is held against is worked out only where there is a limit: few subscriptions have one.
    if copy["occurrence_id"] is None or copy["max_increase_percent"] is None:
        return False
    before = comparing.compared_with(target) if last is None else last
    return needs_approval(target.totals.total, before, copy["max_increase_percent"], copy["approved_amount_cents"])


async def _complete(
    connection: Connection, store: Store, planned: Sequence[Target], order_ids: Sequence[str], at: datetime
) -> None:
    """Note that copies have become these orders."""
    copy_ids = [target.copy["copy_id"] for target in planned]
    without_errors = ([None] * len(planned), [0] * len(planned))
    settled = [target.status != "placing" for target in planned]
    outcomes = [
        orjson.dumps([lenience.told(one) for one in target.left_out]).decode() if target.left_out else None
        for target in planned
    ]
    noted = (*without_errors, settled, outcomes)
    await connection.execute(COPIES["complete"], store.id, copy_ids, at, order_ids, *noted)
    await charge(connection, store, planned, order_ids)
    happened: list[Event] = []
    for target, order_id in zip(planned, order_ids, strict=True):
        happened += [Event(name, order_id) for name in target.events]
        happened.append(Event("recurring_order_copies.complete", target.copy["copy_id"]))
        if target.status != "placing":
            happened.append(Event("order_subscriptions.last_run_succeeded", target.copy["order_subscription_id"]))
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)


async def charge(connection: Connection, store: Store, planned: Sequence[Target], order_ids: Sequence[str]) -> None:
    """Note what is due of those orders that are placed once their gateways have been asked, which is the job's."""
    dues = [Due(id_, target.due) for target, id_ in zip(planned, order_ids, strict=True) if target.status == "placing"]
    if dues:
        await attempts.begin(connection, store, dues, actor=outbox.WORKER, held=False)
        await attempts.enqueue_all(connection, store.id, [due.order_id for due in dues])


async def _hold(connection: Connection, store: Store, dear: Sequence[Target], at: datetime) -> None:
    """End copies that cost too much without an order, and tell of it; their occurrences wait for `_approve`."""
    await connection.execute(
        COPIES["hold"],
        store.id,
        [target.copy["copy_id"] for target in dear],
        at,
        [target.totals.total for target in dear],
        [target.copy["currency_code"] for target in dear],
        orjson.dumps({"total_amount_cents": [_TOO_MUCH]}).decode(),
    )
    happened: list[Event] = []
    for target in dear:
        copy = target.copy
        payload = {
            "occurrence_id": copy["occurrence_id"],
            "currency_code": copy["currency_code"],
            "total_amount_cents": target.totals.total,
            "last_amount_cents": comparing.compared_with(target),
        }
        happened.append(Event("recurring_order_copies.abort", copy["copy_id"]))
        happened.append(Event("order_subscriptions.approval_required", copy["order_subscription_id"], payload))
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)


_TOO_MUCH = "exceeds the last run's by more than the subscription allows"


async def fail(connection: Connection, claimed: Claim, messages: Messages) -> str | None:
    """End a claimed copy without an order, and return its subscription, if it has one.

    A claim that holds no longer does nothing.
    """
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
        return None
    happened = [Event(f"{claimed.kind}.fail", claimed.copy_id)]
    if failed["order_subscription_id"] is not None:
        happened.append(Event("order_subscriptions.last_run_failed", failed["order_subscription_id"]))
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    subscription_id: str | None = failed["order_subscription_id"]
    return subscription_id


async def abandoned(connection: Connection, at: datetime, *, limit: int) -> list[tuple[int, str]]:
    """Store and id of copies of all stores whose job got lost, looked for among `limit` that nobody works on.

    `at` is real time. While the queue is long, those that wait are taken to wait for their job.
    """
    rows = await connection.fetch(COPIES["abandoned"], at, limit)
    jobs = await queue.payloads(connection, ENTRYPOINT, most=LONG_QUEUE) if rows else None
    if jobs is None:
        return []
    named: set[tuple[int, str]] = set()
    for payload in jobs:
        with suppress(ValueError, TypeError):  # what isn't a job of ours names no copy
            store_id, *copy_ids = orjson.loads(payload)
            named.update((store_id, copy_id) for copy_id in copy_ids)
    return [found for row in rows if (found := (row["store_id"], row["id"])) not in named]
