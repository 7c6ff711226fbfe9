"""Alerts of renewals: each run of a subscription is announced before it comes, as an event for those who write mails.

A run is announced `renewal_alert_period` hours ahead, or at once where less is left: because the subscription was made
or the run moved that late. It is announced again when it moves, and when its total has risen since; that is looked at
halfway to the run again and again (`service.rules.increases.look_again`). What is skipped, paused or stopped is no next
run and not announced.

Which subscriptions are due for this the sweep's global read tells. A batch is one transaction, as in the sweep.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from schemas.kinds import render_timestamp
from service import clock
from service.operations.copies.runs import Terms, terms_of_run
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.subscriptions.estimates import Estimate, estimates
from service.principal import Store
from service.rules.increases import look_again
from service.store.pool import Connection
from service.store.rows import Row
from sql import queries

ALERTS = queries("subscriptions/alerts")

BATCH: Final = 50
"""How many subscriptions one transaction looks at: each takes a few reads."""

RENEWAL: Final = "order_subscriptions.renewal"


async def alert(connection: Connection, store: Store) -> int:
    """Look at a batch of a store's subscriptions whose next run is to be announced; gives how many it looked at."""
    at = clock.now(store)
    due = await connection.fetch(ALERTS["due"], store.id, at, BATCH)
    if not due:
        return 0
    happened: list[Event] = []
    announced: list[str] = []
    totals: list[int | None] = []
    for row in due:
        terms = await terms_of_run(connection, store, row["id"])
        (estimate,) = await estimates(connection, store, terms, [row["next_run_at"]])
        total, before = estimate.total, row["alerted_amount_cents"]
        known = row["alerted_run_at"] == row["next_run_at"]
        rose = known and total is not None and before is not None and total > before
        if rose or not known:
            happened.append(Event(RENEWAL, row["id"], _payload(row, terms, estimate, again=rose)))
            announced += [row["occurrence_id"]] if row["occurrence_id"] is not None else []
        totals.append(before if total is None and known else total)
    await connection.execute(
        ALERTS["note"],
        store.id,
        [row["id"] for row in due],
        [row["next_run_at"] for row in due],
        totals,
        [look_again(at, row["next_run_at"]) for row in due],
    )
    await connection.execute(ALERTS["announce"], store.id, announced, at)
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    return len(due)


def _payload(row: Row, terms: Terms, estimate: Estimate, *, again: bool) -> dict[str, Any]:
    """What the event tells: when, what, at what total, and how that compares with the last run; amounts in cents.

    Where the run would fail there is no total, and `errors_log` says why.
    """
    run_at: datetime = row["next_run_at"]
    last = terms.last_amount_cents if estimate.total is None else estimate.compared_with
    return {
        "occurrence_id": row["occurrence_id"],
        "scheduled_at": render_timestamp(run_at),
        "price_increased": again,
        "currency_code": terms.basis.currency_code,
        "total_amount_cents": estimate.total,
        "last_amount_cents": last,
        "change_amount_cents": None if estimate.total is None or last is None else estimate.total - last,
        "lines": estimate.told(),
        "errors_log": estimate.messages,
    }
