"""What the statements do that sweep, claim and finish copies, in memory, each by its path below sql/queries.

`test_memory.py` holds them to what Postgres does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from service.operations.subscriptions.ledgers import Terms
from sql import statement, statements
from tests.simulation.memory import Handler, Row, Transaction, nothing

STORE: Final = 1
FACTS: Final = ("Simulated", "simulated", "test", "EUR", "en", "UTC")
"""Name, slug, mode, currency, locale and time zone of the store."""

Rows = list[tuple[Any, ...]]


def frozen_at(of: Transaction) -> datetime | None:
    """Where the test clock of the store stands; None for real time."""
    return next((row["frozen_at"] for row in of.rows("test_clocks")), None)


async def find(of: Transaction, *, store: int) -> Rows:
    return [(store, *FACTS, frozen_at(of), None, False)]


async def due_stores(of: Transaction, *, at: datetime, since: datetime, **_: object) -> Rows:
    due = (row["next_run_at"] for row in of.rows("subscriptions") if _is_due(row, at))
    return [(STORE,)] if any(one > since for one in due) and frozen_at(of) is None else []


def _is_due(row: Row, at: datetime) -> bool:
    return row["status"] == "active" and row["next_run_at"] is not None and row["next_run_at"] <= at


async def due_ids(of: Transaction, *, at: datetime, most: int, **_: object) -> Rows:
    return [(row["id"],) for row in _due_first(of, at)[:most]]


def _due_first(of: Transaction, at: datetime) -> list[Row]:
    return sorted((row for row in of.rows("subscriptions") if _is_due(row, at)), key=lambda row: row["next_run_at"])


async def due(
    of: Transaction, *, at: datetime, most: int, only: str | None, since: datetime, fuse: int, **_: object
) -> Rows:
    found: Rows = []
    for row in _due_first(of, at):
        if len(found) == most:
            break
        if only not in (None, row["id"]):
            continue
        if "unlocked" not in of.memory.flaws and not await of.lock("subscriptions", row["id"], skip=True):
            continue
        held = of.row("subscriptions", row["id"])
        assert held is not None
        if "unlocked" in of.memory.flaws or _is_due(held, at):
            copies = [one for one in of.rows("copies") if one["order_subscription_id"] == row["id"]]
            young = sum(one["created_at"] > since for one in copies)
            found.append((*(held[name] for name in Terms._fields), 0, 0, min(young, fuse)))
    return found


async def entries(of: Transaction, *, subscriptions: Sequence[str], firsts: Sequence[int], **_: object) -> Rows:
    first = dict(zip(subscriptions, firsts, strict=True))
    names = ("id", "order_subscription_id", "occurrence_index", "nominal_at", "scheduled_at", "status", "reason")
    rows = sorted(of.rows("occurrences"), key=lambda row: row["occurrence_index"])
    return [
        tuple(row[name] for name in names)
        for row in rows
        if row["occurrence_index"] >= first.get(row["order_subscription_id"], float("inf"))
    ]


async def write(of: Transaction, *, entries: str, at: datetime, **_: object) -> Rows:
    found: Rows = []
    there = {(row["order_subscription_id"], row["occurrence_index"]): row["id"] for row in of.rows("occurrences")}
    for entry in orjson.loads(entries):
        for name in ("nominal_at", "scheduled_at"):
            entry[name] = datetime.fromisoformat(entry[name])
        id_ = there.get((entry["order_subscription_id"], entry["occurrence_index"]), entry["id"])
        before = of.row("occurrences", id_)
        if before is not None and before["status"] not in ("planned", "skipped"):
            continue
        await of.update("occurrences", id_, **entry | {"id": id_, "updated_at": at})
        found.append((id_, entry["order_subscription_id"], entry["status"]))
    return found


async def advance(
    of: Transaction,
    *,
    ids: Sequence[str],
    next_indexes: Sequence[int],
    next_runs: Sequence[datetime | None],
    runs: Sequence[int],
    at: datetime,
    **_: object,
) -> Rows:
    for id_, index, next_run, ran in zip(ids, next_indexes, next_runs, runs, strict=True):
        await of.lock("subscriptions", id_)
        row = of.row("subscriptions", id_)
        assert row is not None
        ended = at if next_run is None else None
        await of.update(
            "subscriptions", id_,
            next_index=index, next_run_at=next_run, ended_at=ended, occurrencies=row["occurrencies"] + ran,
        )  # fmt: skip
    return []


async def order_copies(
    of: Transaction,
    *,
    ids: Sequence[str],
    subscriptions: Sequence[str],
    occurrences: Sequence[str],
    at: datetime,
    **_: object,
) -> Rows:
    for id_, subscription_id, occurrence_id in zip(ids, subscriptions, occurrences, strict=True):
        await of.insert("copies", _copy(id_, subscription_id, occurrence_id, at))
    return []


def _copy(id_: str, subscription_id: str, occurrence_id: str, at: datetime) -> Row:
    return {
        "id": id_,
        "status": "pending",
        "order_subscription_id": subscription_id,
        "occurrence_id": occurrence_id,
        "attempt": 0,
        "lease_expires_at": None,
        "target_order_id": None,
        "created_at": at,
    }


async def made(of: Transaction, *, copies: str, at: datetime, **_: object) -> Rows:
    for one in orjson.loads(copies):
        done = {"status": "completed", "attempt": 1, "target_order_id": one["target_order_id"]}
        await of.insert("copies", _copy(one["id"], one["order_subscription_id"], one["occurrence_id"], at) | done)
    return []


async def claim(of: Transaction, *, copies: Sequence[str], at: datetime, lease_end: datetime, **_: object) -> Rows:
    found: Rows = []
    for id_ in sorted(copies):
        if not _is_open(of.row("copies", id_), at):
            continue
        await of.lock("copies", id_)
        row = of.row("copies", id_)
        if row is None or not _is_open(row, at):
            continue
        attempt = row["attempt"] + 1
        await of.update("copies", id_, status="in_progress", attempt=attempt, lease_expires_at=lease_end)
        await of.lock("occurrences", row["occurrence_id"])
        occurrence = of.row("occurrences", row["occurrence_id"])
        assert occurrence is not None
        if occurrence["status"] in ("due", "claimed"):
            await of.update("occurrences", occurrence["id"], status="claimed")
        stands_at = frozen_at(of)
        now = at if stands_at is None else stands_at
        late = now - occurrence["scheduled_at"]
        found.append((id_, "recurring_order_copies", row["occurrence_id"], now, attempt, *FACTS, stands_at, late))
    return found


def _is_open(row: Row | None, at: datetime) -> bool:
    if row is None:
        return False
    return bool(row["status"] == "pending" or (row["status"] == "in_progress" and row["lease_expires_at"] <= at))


async def lease(of: Transaction, *, copies: Sequence[str], **_: object) -> Rows:
    ends = [
        row["lease_expires_at"]
        for id_ in copies
        if (row := of.row("copies", id_)) is not None and row["status"] == "in_progress"
    ]
    return [(max(ends, default=None),)]


async def release(of: Transaction, *, copies: Sequence[str], attempts: Sequence[int], **_: object) -> Rows:
    for id_, attempt in zip(copies, attempts, strict=True):
        if await _holds(of, id_, attempt):
            await of.update("copies", id_, status="pending", lease_expires_at=None)
    return []


async def _holds(of: Transaction, id_: str, attempt: int) -> bool:
    """Whether a claim holds once its copy is held."""
    await of.lock("copies", id_)
    row = of.row("copies", id_) or {"status": None, "attempt": None}
    return "unfenced" in of.memory.flaws or (row["status"], row["attempt"]) == ("in_progress", attempt)


async def claimed(of: Transaction, *, copies: Sequence[str], attempts: Sequence[int], **_: object) -> Rows:
    found: Rows = []
    for id_, attempt in sorted(zip(copies, attempts, strict=True)):
        if await _holds(of, id_, attempt):
            row = of.row("copies", id_)
            assert row is not None
            await of.lock("subscriptions", row["order_subscription_id"])
            occurrence = of.row("occurrences", row["occurrence_id"])
            index = None if occurrence is None else occurrence["occurrence_index"]
            found.append((id_, row["order_subscription_id"], row["occurrence_id"], index, False, True, None))
    return sorted(found, key=lambda row: (row[1], row[0]))


async def complete(of: Transaction, *, copies: Sequence[str], orders: Sequence[str], **_: object) -> Rows:
    for id_, order_id in zip(copies, orders, strict=True):
        row = of.row("copies", id_)
        assert row is not None
        await of.update("copies", id_, status="completed", target_order_id=order_id, lease_expires_at=None)
        await of.update("occurrences", row["occurrence_id"], status="completed")
        await of.lock("subscriptions", row["order_subscription_id"])
        whole = of.row("subscriptions", row["order_subscription_id"])
        assert whole is not None
        await of.update("subscriptions", whole["id"], occurrencies=whole["occurrencies"] + 1)
    return []


async def fail(of: Transaction, *, copy: str, attempt: int, **_: object) -> Rows:
    if not await _holds(of, copy, attempt):
        return []
    row = of.row("copies", copy)
    assert row is not None
    await of.update("copies", copy, status="failed", lease_expires_at=None)
    await of.update("occurrences", row["occurrence_id"], status="failed")
    failed_before = any(
        one["occurrence_id"] == row["occurrence_id"] and one["id"] != copy and one["status"] == "failed"
        for one in of.rows("copies")
    )
    return [(row["order_subscription_id"], row["occurrence_id"], "source", not failed_before)]


async def abandoned(of: Transaction, *, at: datetime, limit: int) -> Rows:
    return [(STORE, row["id"]) for row in of.rows("copies") if _is_open(row, at)][:limit]


async def record(of: Transaction, *, events: str, **_: object) -> Rows:
    return [(id_,) for id_ in await _record(of, events)]


async def _record(of: Transaction, events: str) -> list[str]:
    rows = orjson.loads(events)
    for row in rows:
        await of.insert("events", {"id": row["id"], "name": row["name"], "resource_id": row["resource_id"]})
    return [row["id"] for row in rows]


async def record_first(of: Transaction, *, events: str, **_: object) -> Rows:
    await _record(of, events)
    return []


async def take_numbers(of: Transaction, *, number: int, **_: object) -> Rows:
    return [(next(of.memory.numbers) * number,)]


async def schedule(of: Transaction, *, subscription: str, **_: object) -> Rows:
    row = of.row("subscriptions", subscription)
    return [] if row is None else [tuple(row[name] for name in Terms._fields)]


async def ahead(*_: object, **__: object) -> Rows:
    return [(0,)]


HANDLERS: Final[Mapping[str, Handler]] = {
    "tenant/stores.find": find,
    "subscriptions/sweep.due_stores": due_stores,
    "subscriptions/sweep.due_ids": due_ids,
    "subscriptions/sweep.due": due,
    "subscriptions/sweep.advance": advance,
    "subscriptions/sweep.order_copies": order_copies,
    "subscriptions/sweep.give_up": nothing,
    "subscriptions/ledgers.entries": entries,
    "subscriptions/ledgers.write": write,
    "subscriptions/ledgers.schedule": schedule,
    "copies/copies.made": made,
    "copies/copies.claim": claim,
    "copies/copies.lease": lease,
    "copies/copies.release": release,
    "copies/copies.claimed": claimed,
    "copies/copies.complete": complete,
    "copies/copies.fail": fail,
    "copies/copies.abandoned": abandoned,
    "events/events.record": record,
    "events/events.record_first": record_first,
    "events/events.ahead": ahead,
    "generic/numbers.take_numbers": take_numbers,
}


def _by_names(handler: Handler, path: str) -> Handler:
    """A handler that takes the arguments as they are bound: in the order of the statement's parameters."""
    names = statement(path).parameters

    def handle(of: Transaction, *binds: object) -> Awaitable[Rows]:
        return handler(of, **dict(zip(names, binds, strict=True)))

    return handle


def with_texts(handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    """Handlers by the texts of their statements."""
    return {statement(path).text: one if one is nothing else _by_names(one, path) for path, one in handlers.items()}


ELSEWHERE: Final = (
    "subscriptions/alerts",
    "subscriptions/expiring",
    "payments/dunning",
    "payments/attempts",
    "tenant/test_clocks",
    "webhooks/delivering",
    "data/imports",
    "data/exports",
)
"""Files of statements about what is not in this world: workers look for it, and find nothing."""


BY_TEXT: Final[dict[str, Handler]] = {
    one.text: nothing for topic in ELSEWHERE for one in statements(topic).values()
} | with_texts(HANDLERS)
