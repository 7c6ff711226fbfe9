"""Alerts of renewals: each run of a subscription is announced before it comes, as an event for those who write mails.

A run is announced `renewal_alert_period` hours ahead, or at once where less is left: because the subscription was made
or the run moved that late. It is announced again when it moves, and when its total has risen since; that is looked at
halfway to the run again and again (`service.rules.increases.look_again`). What is skipped, paused or stopped is no next
run and not announced.

Which subscriptions are due for this the sweep's global read tells. A batch is one transaction, as in the sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import structlog

from schemas.kinds import render_timestamp
from service import clock
from service.clock import later
from service.operations.copies.runs import Of, Terms, terms_of_runs
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.subscriptions.estimates import Ahead, Estimate, Outlook, outlook
from service.principal import Store
from service.rules.increases import look_again
from service.store.pool import Connection
from service.store.statements import Command, Many, Values

log = structlog.get_logger(part="alerts")

BATCH: Final = 100
"""How many subscriptions one transaction looks at."""

PUT_OFF: Final = timedelta(hours=1)
"""After how long one that could not be looked at is looked at again."""

RENEWAL: Final = "order_subscriptions.renewal"


class Alerted(NamedTuple):
    """How many subscriptions a batch looked at."""

    subscriptions: int

    @property
    def more(self) -> bool:
        """Whether more may be due."""
        return self.subscriptions == BATCH


class _Due(NamedTuple):
    id: str
    next_run_at: datetime
    alerted_run_at: datetime | None
    alerted_amount_cents: int | None
    occurrence_id: str | None
    occurrence_index: int


class _Look(NamedTuple):
    """What a look comes to: the event that tells of the run, if it is told of, its total, and when to look again."""

    event: Event | None
    total: int | None
    again_at: datetime | None


_DUE_IDS = Values("subscriptions/alerts.due_ids", str)
_DUE = Many("subscriptions/alerts.due", _Due)
_NOTE = Command("subscriptions/alerts.note")
_ANNOUNCE = Command("subscriptions/alerts.announce")


async def due_ids(connection: Connection, store: Store, *, since: datetime = clock.EARLIEST) -> Sequence[str]:
    """Return the subscriptions of a store that the next batch looks at, unless somebody holds them."""
    return await _DUE_IDS(connection, store=store.id, at=clock.now(store), since=since, most=BATCH)


async def alert(
    connection: Connection, store: Store, *, only: str | None = None, since: datetime = clock.EARLIEST
) -> Alerted:
    """Look at a batch of a store's subscriptions whose next run is to be announced `since` then, or at `only` one.

    Raises what the database says against one of them, after which the transaction must be rolled back.
    """
    at = clock.now(store)
    due = await _DUE(connection, store=store.id, at=at, since=since, most=BATCH, only=only)
    if not due:
        return Alerted(0)
    terms = await terms_of_runs(connection, store, [Of(one.id, one.occurrence_id, one.occurrence_index) for one in due])
    special = [Of(of.order_subscription_id) for of, one in terms.items() if of.occurrence_id and one.paid is not None]
    plain = await terms_of_runs(connection, store, special) if special else {}
    coming = [
        Ahead(of, terms[of], plain.get(Of(one.id), terms[of]), one.next_run_at)
        for of, one in zip(terms, due, strict=True)
    ]
    ahead = await outlook(connection, store, coming)
    looks = [await _look(ahead, store, one, run, at) for one, run in zip(due, coming, strict=True)]
    await _note(connection, store, due, looks)
    told = [one.occurrence_id for one, look in zip(due, looks, strict=True) if look.event is not None]
    await _ANNOUNCE(connection, store=store.id, occurrences=[id_ for id_ in told if id_ is not None], at=at)
    happened = [look.event for look in looks if look.event is not None]
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    return Alerted(len(due))


async def put_off(connection: Connection, store: Store, subscription_id: str) -> Alerted:
    """Look at the next run of a subscription later: what was to be written of it now could not be."""
    at = clock.now(store)
    due = await _DUE(connection, store=store.id, at=at, since=clock.EARLIEST, most=BATCH, only=subscription_id)
    await _note(connection, store, due, [_later(one, at) for one in due])
    return Alerted(len(due))


async def _note(connection: Connection, store: Store, due: Sequence[_Due], looks: Sequence[_Look]) -> None:
    """Note what the looks at these subscriptions came to."""
    await _NOTE(
        connection,
        store=store.id,
        subscriptions=[one.id for one in due],
        runs=[one.next_run_at for one in due],
        amounts=[look.total for look in looks],
        again=[look.again_at for look in looks],
    )


def _later(due: _Due, at: datetime) -> _Look:
    """A look that is put off, before the run at the latest."""
    return _Look(None, due.alerted_amount_cents, min(later(at, PUT_OFF), due.next_run_at))


async def _look(ahead: Outlook, store: Store, due: _Due, run: Ahead, at: datetime) -> _Look:
    """Look at a subscription's next run. One that can't be worked out is put off, and holds up no other."""
    try:
        estimate = await ahead.estimate(run)
    except Exception:
        log.exception("a run could not be announced", store_id=store.id, order_subscription_id=due.id)
        return _later(due, at)
    total, before = estimate.total, due.alerted_amount_cents
    known = due.alerted_run_at == due.next_run_at
    rose = known and total is not None and before is not None and total > before
    told = rose or not known
    event = Event(RENEWAL, due.id, _payload(due, run.terms, estimate, again=rose)) if told else None
    return _Look(event, before if total is None and known else total, look_again(at, due.next_run_at))


def _payload(due: _Due, terms: Terms, estimate: Estimate, *, again: bool) -> dict[str, Any]:
    """What the event tells: when, what, at what total, and how that compares with the last run; amounts in cents.

    Where the run would fail there is no total, and `errors_log` says why.
    """
    last, own = terms.last.last_amount_cents if estimate.total is None else estimate.compared_with, estimate.own
    return {
        "occurrence_id": due.occurrence_id,
        "scheduled_at": render_timestamp(due.next_run_at),
        "price_increased": again,
        "currency_code": terms.basis.currency_code,
        "total_amount_cents": estimate.total,
        "prepaid_amount_cents": estimate.prepaid,
        "last_amount_cents": last,
        "change_amount_cents": None if own is None or last is None else own - last,
        "lines": estimate.told(),
        "errors_log": estimate.messages,
    }
