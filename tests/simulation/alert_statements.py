"""What the statements do by which runs to come and cards that expire are told of ahead, in memory, each by its path.

`test_alert_memory.py` holds them to what Postgres does. A subscription has its next run in its ledger, and a source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import orjson

from tests.simulation.memory import Handler, Row, Transaction, nothing
from tests.simulation.statements import STORE, Rows, ahead, find, with_texts

AHEAD: Final = timedelta(days=60)
"""From how long before it expires a source is looked at."""


def next_alert_at(row: Row) -> datetime | None:
    """When a subscription is to be looked at for an alert, as a column of its table says."""
    if row["next_run_at"] == row["alerted_run_at"]:
        again: datetime | None = row["alert_again_at"]
        return again
    at: datetime = row["next_run_at"] - timedelta(hours=row["renewal_alert_period"])
    return at


def expiry_due_at(row: Row) -> datetime | None:
    """When a source is to be looked at since it expires, as a column of its table says."""
    if row["expires_at"] == row["expiry_done_at"]:
        return None
    at: datetime = row["expires_at"] - AHEAD
    return at if row["expiry_again_at"] is None else max(at, row["expiry_again_at"])


def _is_alerted(of: Transaction, row: Row, at: datetime, since: datetime) -> bool:
    alert_at = next_alert_at(row)
    if row["status"] != "active" or alert_at is None or row["next_run_at"] <= at:
        return False
    return "hasty" in of.memory.flaws or since < alert_at <= at


def _alerted(of: Transaction, at: datetime, since: datetime) -> list[Row]:
    due = (row for row in of.rows("subscriptions") if _is_alerted(of, row, at, since))
    return sorted(due, key=lambda row: (next_alert_at(row) or at, row["next_run_at"], row["id"]))


def _expiring(of: Transaction, at: datetime) -> list[Row]:
    due = [(due_at, row["id"], row) for row in of.rows("sources") if (due_at := expiry_due_at(row)) and due_at <= at]
    return [row for _, _, row in sorted(due, key=lambda one: one[:2])]


async def due_stores(of: Transaction, *, at: datetime, since: datetime, **_: object) -> Rows:
    alerts = (next_alert_at(row) for row in of.rows("subscriptions") if row["status"] == "active")
    expiries = (expiry_due_at(row) for row in of.rows("sources"))
    return [(STORE,)] if any(one and since < one <= at for one in (*alerts, *expiries)) else []


async def due_ids(of: Transaction, *, at: datetime, since: datetime, most: int, **_: object) -> Rows:
    return [(row["id"],) for row in _alerted(of, at, since)[:most]]


async def due(of: Transaction, *, at: datetime, since: datetime, most: int, only: str | None, **_: object) -> Rows:
    found: Rows = []
    for row in _alerted(of, at, since):
        if len(found) == most or only not in (None, row["id"]):
            continue
        if "unlocked" not in of.memory.flaws and not await of.lock("subscriptions", row["id"], skip=True):
            continue
        told = (row["id"], row["next_run_at"], row["alerted_run_at"], row["alerted_amount_cents"])
        entry = _planned(of, row)
        occurrence = (None, row["next_index"]) if entry is None else (entry["id"], entry["occurrence_index"])
        found.append((*told, *occurrence))
    return found


def _planned(of: Transaction, subscription: Row) -> Row | None:
    """The row of the next run in a ledger, if it has one."""
    for row in of.rows("occurrences"):
        is_own = row["order_subscription_id"] == subscription["id"] and row["status"] == "planned"
        if is_own and row["scheduled_at"] == subscription["next_run_at"]:
            return row
    return None


async def note(
    of: Transaction,
    *,
    subscriptions: Sequence[str],
    runs: Sequence[datetime],
    amounts: Sequence[int | None],
    again: Sequence[datetime | None],
    **_: object,
) -> Rows:
    for id_, run_at, amount, again_at in zip(subscriptions, runs, amounts, again, strict=True):
        told = {"alerted_run_at": run_at, "alerted_amount_cents": amount, "alert_again_at": again_at}
        await of.update("subscriptions", id_, **{} if "forgetful" in of.memory.flaws else told)
    return []


async def announce(of: Transaction, *, occurrences: Sequence[str], at: datetime, **_: object) -> Rows:
    for id_ in sorted(occurrences):
        await of.update("occurrences", id_, alerted_at=at)
    return []


async def expiring_ids(of: Transaction, *, at: datetime, most: int, **_: object) -> Rows:
    return [(row["id"],) for row in _expiring(of, at)[:most]]


async def expiring(of: Transaction, *, at: datetime, most: int, only: str | None, **_: object) -> Rows:
    found: Rows = []
    for row in _expiring(of, at):
        if len(found) == most or only not in (None, row["id"]):
            continue
        if not await of.lock("sources", row["id"], skip=True):
            continue
        paid = [one for one in of.rows("subscriptions") if (one["source_id"], one["status"]) == (row["id"], "active")]
        late = [one for one in paid if one["next_run_at"] >= row["expires_at"]]
        in_time = (one["next_run_at"] for one in paid if one["next_run_at"] < row["expires_at"])
        ids = sorted(one["id"] for one in late) or None
        first = min((one["next_run_at"] for one in late), default=None)
        found.append((row["id"], row["expires_at"], ids, first, min(in_time, default=None)))
    return found


async def note_expiring(
    of: Transaction,
    *,
    sources: Sequence[str],
    done: Sequence[datetime | None],
    again: Sequence[datetime | None],
    **_: object,
) -> Rows:
    for id_, done_at, again_at in zip(sources, done, again, strict=True):
        row = of.row("sources", id_)
        assert row is not None
        done_at = None if "undone" in of.memory.flaws else done_at  # noqa: PLW2901 -- the flaw
        await of.update("sources", id_, expiry_done_at=done_at or row["expiry_done_at"], expiry_again_at=again_at)
    return []


async def record(of: Transaction, *, events: str, **_: object) -> Rows:
    rows = orjson.loads(events)
    for row in rows:
        kept = {"id": row["id"], "name": row["name"], "resource_id": row["resource_id"], "payload": row["payload"]}
        await of.insert("events", kept)
    return [(row["id"],) for row in rows]


HANDLERS: Final[Mapping[str, Handler]] = {
    "tenant/stores.find": find,
    "events/events.record": record,
    "events/events.ahead": ahead,
    "subscriptions/sweep.due_stores": due_stores,
    "subscriptions/sweep.due_ids": nothing,
    "subscriptions/sweep.due": nothing,
    "subscriptions/alerts.due_ids": due_ids,
    "subscriptions/alerts.due": due,
    "subscriptions/alerts.note": note,
    "subscriptions/alerts.announce": announce,
    "subscriptions/expiring.due_ids": expiring_ids,
    "subscriptions/expiring.due": expiring,
    "subscriptions/expiring.note": note_expiring,
    "payments/dunning.due": nothing,
}

BY_TEXT: Final = with_texts(HANDLERS)
