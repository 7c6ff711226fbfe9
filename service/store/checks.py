"""Run the invariants of sql/checks.sql: what no constraint can state, and what must hold all the same."""

from __future__ import annotations

from typing import NamedTuple

from service.store import counts
from service.store.pool import Connection
from sql import checks


class Violation(NamedTuple):
    """A row that breaks an invariant: the check's name, the row's store and id, and what is wrong with it in words."""

    check: str
    store_id: int
    id: str
    detail: str


async def violations(connection: Connection, *, most: int = 20) -> list[Violation]:
    """What breaks an invariant, at most so many rows per check; empty when all is well. Opens a transaction."""
    found: list[Violation] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # A check reads whole tables.
        await connection.execute("set local statement_timeout = 0")
        for name, text in [
            *((check.name, check.text) for check in checks()),
            ("collections_are_counted", counts.check()),
        ]:
            rows = await connection.fetch(f"select * from ({text}) as offenders limit $1", most)
            found += [Violation(name, row["store_id"], row["id"], row["detail"]) for row in rows]
    return found
