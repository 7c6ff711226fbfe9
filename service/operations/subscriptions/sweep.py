"""The sweep: subscriptions whose time has come get their occurrences settled and their copies ordered.

It works in two steps. Which stores have something due is one global read without a lock. Then each store's
subscriptions are taken up a batch at a time, in a transaction of their own: locked unless another sweep has them, rows
of ledgers written, copies and their jobs made, the subscriptions moved on. What ends a transaction leaves the batch
as it was, for the next sweep; what is committed isn't due any more. A row of a ledger becomes due once, however many
look at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service import clock
from service.operations.copies import recurring_order_copies
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.principal import Store
from service.rules.recurrence import Calendar
from service.rules.schedule import Advance, Entry, Standing, advance
from service.store.pool import Connection
from service.store.rows import Row
from sql import queries

SWEEP = queries("subscriptions/sweep")

BATCH: Final = 200
"""How many subscriptions one transaction takes up."""

FUSE: Final = 48
"""How many copies of a subscription there may be within a day; one more and it is parked. Hourly ones make 24."""

UNCOUNTABLE: Final = (LookupError, ValueError, OverflowError, RuntimeError)
"""What a calendar raises that can't be read, or not so far ahead."""

OPEN: Final = ["planned", "skipped"]
"""The statuses of rows that a sweep may settle."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a batch came to: how many subscriptions it took up, the copies it made, the subscriptions it parked."""

    subscriptions: int
    copies: Sequence[str]
    parked: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Step:
    """A subscription with where it goes."""

    subscription: Row
    advance: Advance


async def due_stores(connection: Connection, deployment: str, at: datetime) -> list[int]:
    """The stores on real time that have a subscription due at this instant; none for another deployment's worker."""
    return [row["store_id"] for row in await connection.fetch(SWEEP["due_stores"], at, deployment)]


async def sweep(connection: Connection, store: Store) -> Swept:
    """Take up a batch of a store's subscriptions that are due by its clock, in the caller's transaction."""
    at = clock.now(store)
    due = await connection.fetch(SWEEP["due"], store.id, at, BATCH, at - timedelta(days=1))
    if not due:
        return Swept(0, [], [])
    ledger = await _ledger(connection, store, [row["id"] for row in due])
    steps: list[_Step] = []
    parked: dict[str, str] = {}
    for row in due:
        reason = "too many copies within a day" if row["copies_of_a_day"] >= FUSE else None
        if reason is None:
            try:
                steps.append(_Step(row, advance(_standing(row, ledger.get(row["id"], {})), at)))
            except UNCOUNTABLE as error:
                # One that can't be counted must not hold up the others, in this batch and in all that follow.
                reason = f"its calendar can't be read: {error}"
        if reason is not None:
            parked[row["id"]] = reason
    made = await _write(connection, store, steps, at=at)
    for id_, reason in parked.items():
        await connection.execute(SWEEP["park"], store.id, id_, at, reason)
    happened = [Event("order_subscriptions.park", id_, {"reason": reason}) for id_, reason in parked.items()]
    happened += [Event("recurring_order_copies.create", id_) for id_ in made]
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    if store.frozen_at is None:
        # On a test clock time waits for them: the job that advances it makes them itself.
        await recurring_order_copies.enqueue_all(connection, store.id, made)
    return Swept(len(due), made, list(parked))


async def entries(connection: Connection, store: Store, subscription_id: str, first: int) -> dict[int, Entry]:
    """The rows of a subscription's ledger from an index on, by index."""
    rows = await connection.fetch(SWEEP["entries_from"], store.id, subscription_id, first)
    return {row["occurrence_index"]: _entry(row) for row in rows}


async def runs(connection: Connection, store: Store, subscription_id: str) -> int:
    """How many of a subscription's occurrences came up to run, however they ended."""
    return int(await connection.fetchval(SWEEP["runs"], store.id, subscription_id))


async def write_ledger(
    connection: Connection, store: Store, subscription_id: str, step: Advance, *, anew: bool = False
) -> None:
    """Write what is planned for a subscription that the caller holds; `anew` lets go of what was planned before."""
    at = clock.now(store)
    if anew:
        await connection.execute(SWEEP["forget"], store.id, subscription_id, step.next_index, OPEN)
    await _write_entries(connection, store, [(subscription_id, entry) for entry in step.entries], at=at)


async def _ledger(connection: Connection, store: Store, ids: Sequence[str]) -> dict[str, dict[int, Entry]]:
    """The open ends of ledgers: rows by subscription and index."""
    ledger: dict[str, dict[int, Entry]] = {}
    for row in await connection.fetch(SWEEP["entries"], store.id, ids):
        ledger.setdefault(row["order_subscription_id"], {})[row["occurrence_index"]] = _entry(row)
    return ledger


def _standing(row: Row, ledger: dict[int, Entry]) -> Standing:
    return Standing(
        calendar=Calendar(
            row["anchor_at"], row["timezone"], row["frequency"], row["anchor_index"], last_day=row["last_day"]
        ),
        next_index=row["next_index"],
        entries=ledger,
        expires_at=row["expires_at"],
        paused_until=row["paused_until"],
        runs_left=row["runs_left"],
        catchup_policy=row["catchup_policy"],
    )


def _entry(row: Row) -> Entry:
    return Entry(row["occurrence_index"], row["nominal_at"], row["scheduled_at"], row["status"], row["reason"])


async def _write(connection: Connection, store: Store, steps: Sequence[_Step], *, at: datetime) -> list[str]:
    """Write where subscriptions go; gives the ids of the copies that were ordered."""
    entries = [(step.subscription["id"], entry) for step in steps for entry in step.advance.entries]
    written = await _write_entries(connection, store, entries, at=at)
    await connection.execute(
        SWEEP["advance"],
        store.id,
        [step.subscription["id"] for step in steps],
        [step.advance.next_index for step in steps],
        [step.advance.next_run_at for step in steps],
        at,
    )
    due = [row for row in written if row["status"] == "due"]
    if due:
        await connection.execute(SWEEP["give_up"], store.id, [row["order_subscription_id"] for row in due], at)
    return await _order_copies(connection, store, due, at=at)


async def order_approved(connection: Connection, store: Store, subscription_id: str) -> list[str]:
    """Order the copies of a subscription's occurrences that somebody agreed to; gives their ids."""
    due = await connection.fetch(SWEEP["unordered"], store.id, subscription_id)
    made = await _order_copies(connection, store, due, at=clock.now(store))
    await recurring_order_copies.enqueue_all(connection, store.id, made)
    return made


async def _order_copies(connection: Connection, store: Store, due: Sequence[Row], *, at: datetime) -> list[str]:
    made = [clock.new_id() for _ in due]
    await connection.execute(
        SWEEP["order_copies"],
        store.id,
        made,
        [row["order_subscription_id"] for row in due],
        [row["id"] for row in due],
        at,
    )
    return made


async def _write_entries(
    connection: Connection, store: Store, entries: Sequence[tuple[str, Entry]], *, at: datetime
) -> Sequence[Row]:
    """Write rows of ledgers, each with its subscription's id; gives those that were still open."""
    return await connection.fetch(
        SWEEP["write_entries"],
        store.id,
        [clock.new_id() for _ in entries],
        [id_ for id_, _ in entries],
        [entry.index for _, entry in entries],
        [entry.status for _, entry in entries],
        [entry.nominal_at for _, entry in entries],
        [entry.scheduled_at for _, entry in entries],
        [entry.reason for _, entry in entries],
        OPEN,
        at,
    )
