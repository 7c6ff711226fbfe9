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

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from service import clock
from service.errors import ApiError, Conflict, Forbidden, Invalid, InvalidState, NotFound, raise_all
from service.jsonapi.body import Draft, read_only
from service.operations.copies import comparing, extra_runs, lenience, prepaid, runs, swaps, targets
from service.operations.copies.comparing import Planned
from service.operations.copies.priced import CopyFailed
from service.operations.copies.runs import Of, Run
from service.operations.copies.targets import Target
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.generic.created import Created
from service.operations.generic.writing import Writer
from service.operations.payments import attempts, dunning
from service.operations.payments.attempts import Due
from service.operations.payments.dunning import Ended
from service.principal import Principal, Store
from service.rules.failures import type_of
from service.rules.states import SUBSCRIPTIONS_THAT_RUN, Messages
from service.store import queue
from service.store.pool import Connection
from service.store.statements import Command, Many, One, Value

ENTRYPOINT = "order_factories"
"""The name under which the queue knows the job that makes a copy of either kind."""

LEASE = timedelta(seconds=60)
"""How long a worker may take: longer than its statements may, and than the queue waits for a sign of life."""

LONG_QUEUE = 1_000
"""How many jobs may wait or run for lost ones to be looked for among them."""

BATCH = 100
"""How many copies of a store one job makes together."""


class _Sources(NamedTuple):
    """The two ends that a new copy names, each None when there is none."""

    order_subscription_id: str | None = None
    status: str | None = None
    repeated_order_id: str | None = None
    source_order_id: str | None = None


class _StoreFacts(NamedTuple):
    name: str
    slug: str
    mode: str
    currency_code: str
    locale: str
    timezone: str
    frozen_at: datetime | None


class _Claimed(NamedTuple):
    id: str
    kind: str
    occurrence_id: str | None
    updated_at: datetime
    attempt: int
    store: _StoreFacts
    lateness: timedelta | None


class _Copy(NamedTuple):
    """What a claimed recurring copy is to make; one outside of the schedule has the index of the next run."""

    id: str
    order_subscription_id: str
    occurrence_id: str | None
    occurrence_index: int | None
    place_target_order: bool
    reuse_wallet: bool
    approved_amount_cents: int | None


class Failed(NamedTuple):
    """A copy that was ended without an order: its subscription and occurrence, if it has them, and what it copied.

    It is the `first` unless its occurrence had failed before, and was tried again.
    """

    order_subscription_id: str | None
    occurrence_id: str | None
    source_order_id: str | None
    first: bool


class _Abandoned(NamedTuple):
    store_id: int
    id: str


_SOURCES = One("copies/copies.sources", _Sources)
_CREATE = Value("copies/copies.create", str)
_CLAIM = Many("copies/copies.claim", _Claimed)
_LEASE = Value("copies/copies.lease", datetime)
_RELEASE = Command("copies/copies.release")
_CLAIMED = Many("copies/copies.claimed", _Copy)
_COMPLETE = Command("copies/copies.complete")
_HOLD = Command("copies/copies.hold")
_FAIL = One("copies/copies.fail", Failed)
_UNPAID_ORDER = Value("copies/copies.unpaid_order", str)
_ABANDONED = Many("copies/copies.abandoned", _Abandoned)


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
    found = await _SOURCES(
        connection, store=store.id, subscription=subscription_id, order=order_id, customer=principal.customer_id
    )
    raise_all(_problems(found or _Sources(), subscription_id, order_id))
    refusal = await extra_runs.too_soon(connection, principal, str(subscription_id))
    raise_all([refusal] if refusal else [])
    new_id = draft.id or clock.new_id()
    created = Event("recurring_order_copies.create", new_id)
    copy_id = await _CREATE(
        connection,
        store=store.id,
        id=new_id,
        source_order=order_id,
        subscription=subscription_id,
        place=draft.attributes.get("place_target_order", False),
        reuse_wallet=draft.attributes.get("reuse_wallet", True),
        reference=draft.attributes.get("reference"),
        reference_origin=draft.attributes.get("reference_origin"),
        metadata=orjson.dumps(draft.attributes.get("metadata", {})).decode(),
        at=at,
        **outbox.along([created], actor=outbox.actor(principal)),
    )
    if copy_id is None:
        raise Conflict("A copy with the id {id} already exists.", id=draft.id, pointer="/data/id")
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
        elif await _UNPAID_ORDER(change.connection, store=change.store.id, copy=change.id) is not None:
            change.problems.append(
                InvalidState(
                    "The copy's order is waiting for its payment: the copy can't be deleted until that is settled."
                )
            )


def _problems(found: _Sources, subscription_id: str | None, order_id: str | None) -> list[ApiError]:
    """What is wrong with the two ends that a new copy names."""
    named = (
        ("order_subscription", found.order_subscription_id, subscription_id),
        ("source_order", found.source_order_id, order_id),
    )
    problems: list[ApiError] = [
        NotFound("No {name} has the id {id}.", name=name, id=id_, pointer=f"/data/relationships/{name}/data")
        for name, known, id_ in named
        if known is None
    ]
    if problems:
        return problems
    if found.repeated_order_id != order_id:
        problems.append(
            Invalid(
                "source_order - is not the order that the subscription repeats",
                pointer="/data/relationships/source_order",
            )
        )
    if found.status not in SUBSCRIPTIONS_THAT_RUN:
        problems.append(
            Invalid(
                "order_subscription - is {status}",
                status=found.status,
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
    rows = await _CLAIM(connection, store=store_id, copies=copy_ids, at=at, lease_end=at + lease)
    if not rows:
        return []
    store = Store(id=store_id, **rows[0].store._asdict())
    begun = [Event(f"{row.kind}.start", row.id) for row in rows if row.attempt == 1]
    await outbox.record_all(connection, store, begun, actor=outbox.WORKER)
    return [Claim(store, row.kind, row.id, row.attempt, row.lateness) for row in rows]


async def lease_end(connection: Connection, store_id: int, copy_ids: Sequence[str]) -> datetime | None:
    """When the last lease of whoever works on these copies ends, real time; None when nobody does."""
    return await _LEASE(connection, store=store_id, copies=copy_ids)


async def release(connection: Connection, claims: Sequence[Claim]) -> None:
    """Give copies of a store back that couldn't be finished for reasons that may pass; lost claims are left alone."""
    store = claims[0].store
    await _RELEASE(connection, store=store.id, **_fences(claims), at=clock.now(store))


def _fences(claims: Sequence[Claim]) -> dict[str, object]:
    """Arguments by which a statement knows whether claims still hold: the copies and their attempts."""
    return {
        "copies": [claimed.copy_id for claimed in claims],
        "attempts": [claimed.attempt for claimed in claims],
    }


class Finished(NamedTuple):
    """What became of claimed copies: by copy the id of its order, or why there is none.

    None is for an order that would cost more than its subscription allows; `held` are the subscriptions of those.
    `ended` are runs whose payment is not asked for by itself from the start.
    """

    made: dict[str, str | CopyFailed | None]
    ended: Sequence[Ended] = ()
    held: AbstractSet[str] = frozenset()


async def finish(connection: Connection, claims: Sequence[Claim], numbers: Sequence[int]) -> Finished:
    """Make the target orders of claimed recurring copies of a store, under these numbers, placed where they ask for it.

    Claims that hold no longer are not in what it returns; the occurrence of an order that would cost too much is held.
    Raises CopyFailed when the stock isn't enough for all: then the transaction must be rolled back. The number of
    statements depends neither on the number of copies nor on that of their lines, but on how many have nothing to be
    paid with.
    """
    store, at = claims[0].store, clock.now(claims[0].store)
    claimed = await _CLAIMED(connection, store=store.id, **_fences(claims))
    wanted = [(Of(copy.order_subscription_id, copy.occurrence_id), copy.reuse_wallet) for copy in claimed]
    terms = await runs.terms_of(connection, store, wanted, at)
    made: dict[str, str | CopyFailed | None] = {}
    running: list[tuple[_Copy, Run]] = []
    for copy, of_run in zip(claimed, terms, strict=True):
        if of_run.status in SUBSCRIPTIONS_THAT_RUN:
            run = Run(
                of_run,
                copy.place_target_order,
                copy.occurrence_id,
                copy.reuse_wallet,
                occurrence_index=copy.occurrence_index,
            )
            running.append((copy, run))
        else:
            made[copy.id] = CopyFailed({"order_subscription": [f"is {of_run.status}"]})
    wanted_runs = [run for _, run in running]
    outcomes = await targets.plan(connection, store, list(zip(wanted_runs, numbers, strict=False)), at)
    planned: list[Planned] = []
    for (copy, run), outcome in zip(running, outcomes, strict=True):
        if isinstance(outcome, CopyFailed):
            made[copy.id] = outcome
        else:
            planned.append(Planned(copy.id, run, outcome, copy.approved_amount_cents))
    fine, dear = comparing.sorted_out(planned, at)
    behind = comparing.behind(fine, dear)
    made |= {one.copy_id: prepaid.unpaid() for one in behind}
    fine = [one for one in fine if one not in behind]
    if dear:
        await _hold(connection, store, dear, at)
        made |= {one.copy_id: None for one in dear}
    held = {one.subscription_id for one in dear}
    if not fine:
        return Finished(made, held=held)
    order_ids = await targets.make(connection, store, [one.target for one in fine], at)
    ended = await _complete(connection, store, fine, order_ids, at)
    made |= {one.copy_id: id_ for one, id_ in zip(fine, order_ids, strict=True)}
    return Finished(made, ended, held)


async def _complete(
    connection: Connection, store: Store, made: Sequence[Planned], order_ids: Sequence[str], at: datetime
) -> list[Ended]:
    """Note that copies have become these orders. Returns the runs whose payment is not asked for by itself."""
    await complete(
        connection,
        store,
        [Completed(one.copy_id, id_, one.target) for one, id_ in zip(made, order_ids, strict=True)],
        at,
    )
    happened = [event for one, order_id in zip(made, order_ids, strict=True) for event in completion(one, order_id)]
    happened += successes(made, order_ids)
    happened += await swaps.take(connection, store, made, at)
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    ended: list[Ended] = []
    for one, order_id in zip(made, order_ids, strict=True):
        if one.target.unpaid is not None:
            due, unpaid = one.target.due, one.target.unpaid
            end = await dunning.not_payable(
                connection, store, order_id, due, unpaid, failure_type=type_of(unpaid), at=at
            )
            ended += [] if end is None else [end]
    return ended


def completion(made: Planned, order_id: str) -> Iterator[Event]:
    """What happens to the order and to its copy as that becomes one."""
    for name in made.target.events:
        yield Event(name, order_id)
    yield Event("recurring_order_copies.complete", made.copy_id, _told(made, order_id))


def successes(made: Sequence[Planned], order_ids: Sequence[str]) -> list[Event]:
    """What happens to subscriptions whose runs succeed with the orders that were made."""
    return [
        Event("order_subscriptions.last_run_succeeded", one.subscription_id, _told(one, order_id))
        for one, order_id in zip(made, order_ids, strict=True)
        if one.target.succeeded
    ]


def _told(made: Planned, order_id: str) -> dict[str, str | None]:
    return {"copy_id": made.copy_id, "occurrence_id": made.run.occurrence_id, "order_id": order_id}


@dataclass(frozen=True, slots=True)
class Completed:
    """A copy that became an order, and what was left out of it, if anything was."""

    copy_id: str
    order_id: str
    target: Target
    left_out: Messages | None = None


async def complete(connection: Connection, store: Store, done: Sequence[Completed], at: datetime) -> None:
    """Note that copies of either kind became orders, and what is due of those orders."""
    await _COMPLETE(
        connection,
        store=store.id,
        copies=[one.copy_id for one in done],
        at=at,
        orders=[one.order_id for one in done],
        errors_logs=[None if one.left_out is None else orjson.dumps(one.left_out).decode() for one in done],
        errors_counts=[sum(len(texts) for texts in (one.left_out or {}).values()) for one in done],
        succeeded=[one.target.succeeded for one in done],
        outcomes=[
            orjson.dumps([lenience.told(one.item, one.outcome) for one in left_out]).decode() if left_out else None
            for left_out in (one.target.left_out for one in done)
        ],
    )
    await charge(connection, store, [one.target for one in done], [one.order_id for one in done])


async def charge(connection: Connection, store: Store, planned: Sequence[Target], order_ids: Sequence[str]) -> None:
    """Note what is due of those orders that are placed once their gateways have been asked, which is the job's."""
    dues = [Due(id_, target.due) for target, id_ in zip(planned, order_ids, strict=True) if target.status == "placing"]
    if dues:
        await attempts.begin(connection, store, dues, actor=outbox.WORKER, held=False)
        await attempts.enqueue_all(connection, store.id, [due.order_id for due in dues])


async def _hold(connection: Connection, store: Store, dear: Sequence[Planned], at: datetime) -> None:
    """End copies that cost too much without an order, and tell of it; their occurrences wait for `_approve`."""
    await _HOLD(
        connection,
        store=store.id,
        copies=[one.copy_id for one in dear],
        at=at,
        amounts=[one.target.totals.total for one in dear],
        currencies=[one.target.basis.currency_code for one in dear],
        errors_log=orjson.dumps({"total_amount_cents": [_TOO_MUCH]}).decode(),
    )
    happened: list[Event] = []
    for one in dear:
        payload = {
            "copy_id": one.copy_id,
            "occurrence_id": one.run.occurrence_id,
            "currency_code": one.target.basis.currency_code,
            "total_amount_cents": one.target.totals.total,
            "prepaid_amount_cents": one.target.totals.prepaid,
            "last_amount_cents": one.before,
        }
        happened.append(Event("recurring_order_copies.abort", one.copy_id, payload))
        happened.append(Event("order_subscriptions.approval_required", one.subscription_id, payload))
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)


_TOO_MUCH = "exceeds the last run's by more than the subscription allows"


async def fail(connection: Connection, claimed: Claim, failure: CopyFailed) -> Failed | None:
    """End a claimed copy without an order; None, and nothing is done, where the claim holds no longer."""
    store, messages = claimed.store, failure.messages
    failed = await _FAIL(
        connection,
        store=store.id,
        copy=claimed.copy_id,
        attempt=claimed.attempt,
        at=clock.now(store),
        errors_log=orjson.dumps(messages).decode(),
        errors_count=sum(len(texts) for texts in messages.values()),
        failure_type=failure.failure_type,
    )
    if failed is None:
        return None
    told = {
        "copy_id": claimed.copy_id,
        "occurrence_id": failed.occurrence_id,
        "source_order_id": failed.source_order_id,
        "reasons": messages,
        "failure_type": failure.failure_type,
    }
    happened = [Event(f"{claimed.kind}.fail", claimed.copy_id, told)]
    if failed.order_subscription_id is not None:
        happened.append(Event("order_subscriptions.last_run_failed", failed.order_subscription_id, told))
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    return failed


async def abandoned(connection: Connection, at: datetime, *, limit: int) -> list[tuple[int, str]]:
    """Store and id of copies of all stores whose job got lost, looked for among `limit` that nobody works on.

    `at` is real time. While the queue is long, those that wait are taken to wait for their job.
    """
    rows = await _ABANDONED(connection, at=at, limit=limit)
    jobs = await queue.payloads(connection, ENTRYPOINT, most=LONG_QUEUE) if rows else None
    if jobs is None:
        return []
    named: set[tuple[int, str]] = set()
    for payload in jobs:
        with suppress(ValueError, TypeError):  # what isn't a job of ours names no copy
            store_id, *copy_ids = orjson.loads(payload)
            named.update((store_id, copy_id) for copy_id in copy_ids)
    return [found for row in rows if (found := (row.store_id, row.id)) not in named]
