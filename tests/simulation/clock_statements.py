"""What the statements do by which a test clock goes from one instant at which something is due to the next, in memory.

`test_clock_memory.py` holds them to what Postgres does. What is due are runs: nothing is announced or paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tests.simulation import statements
from tests.simulation.memory import Handler, Row, Transaction, nothing
from tests.simulation.statements import STORE, Rows, with_texts

CLOCK: Final = "clock"


def clock_row(at: datetime) -> Row:
    """A clock that stands at an instant."""
    return {"id": CLOCK, "status": "ready", "frozen_at": at, "advancing_to": None}


def _next_run(of: Transaction) -> datetime | None:
    active = (row["next_run_at"] for row in of.rows("subscriptions") if row["status"] == "active")
    return min((at for at in active if at is not None), default=None)


def _live(of: Transaction) -> list[Row]:
    return [row for row in of.rows("copies") if row["status"] in ("pending", "in_progress")]


async def next_stop(of: Transaction, *, clock: str, **_: object) -> Rows:
    # All but the clock itself is looked up as the statement begins, before it waits for the row.
    due_at, is_held_up = _next_run(of), bool(_live(of)) and "hasty" not in of.memory.flaws
    if "unlocked" not in of.memory.flaws:
        await of.lock("test_clocks", clock)
    row = of.row("test_clocks", clock)
    if row is None or row["status"] != "advancing":
        return []
    return [(row["frozen_at"], row["advancing_to"], None if "leaping" in of.memory.flaws else due_at, is_held_up)]


async def stop(of: Transaction, *, clock: str, at: datetime, **_: object) -> Rows:
    await of.update("test_clocks", clock, frozen_at=at)
    return []


async def arrive(of: Transaction, *, clock: str, **_: object) -> Rows:
    await of.lock("test_clocks", clock)
    row = of.row("test_clocks", clock)
    assert row is not None
    await of.update("test_clocks", clock, frozen_at=row["advancing_to"], advancing_to=None, status="ready")
    return []


async def live_copies(of: Transaction, **_: object) -> Rows:
    return [(row["id"],) for row in sorted(_live(of), key=lambda row: (row["created_at"], row["id"]))]


async def stranded(of: Transaction, *, most: int) -> Rows:
    if "stranded" in of.memory.flaws:
        return []
    on_their_way = [row for row in of.rows("test_clocks") if row["status"] == "advancing"]
    return [(STORE, row["id"], row["advancing_to"]) for row in on_their_way[:most]]


HANDLERS: Final[Mapping[str, Handler]] = {
    "tenant/test_clocks.next_stop": next_stop,
    "tenant/test_clocks.stop": stop,
    "tenant/test_clocks.arrive": arrive,
    "tenant/test_clocks.live_copies": live_copies,
    "tenant/test_clocks.stranded": stranded,
    "payments/attempts.open_payments": nothing,
    "payments/dunning.due": nothing,
}

BY_TEXT: Final = statements.BY_TEXT | with_texts(HANDLERS)
