"""Forecasts: what a subscription will do, run by run, by the calendar and the code that do it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from service import clock
from service.operations.copies.runs import LastRun, Of, Terms, terms_of_runs
from service.operations.subscriptions import ledgers
from service.operations.subscriptions.estimates import Ahead, Estimate, outlook
from service.principal import Store
from service.rules import schedule
from service.rules.increases import needs_approval
from service.rules.recurrence import UNCOUNTABLE
from service.rules.schedule import Entry
from service.store.pool import Connection

FURTHEST: Final = 1_000
"""How many occurrences ahead a forecast goes."""


@dataclass(frozen=True, slots=True)
class Run:
    """An occurrence to come; what it would come to is None for one that is left out."""

    entry: Entry
    estimate: Estimate | None
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """Some of the occurrences to come in their order, and whether there are more.

    `terms` are those of a run that is like any other; without runs to come there are none.
    """

    runs: Sequence[Run]
    more: bool = False
    terms: Terms | None = None


async def look(
    connection: Connection, store: Store, subscription_id: str, customer_id: str | None, *, offset: int, size: int
) -> Forecast:
    """A part of the forecast of a subscription, from an offset on; a customer (None: an integration) sees own ones.

    Writes nothing; the number of statements depends on how often the catalogue is known to change, not on the size.
    Raises NotFound when there is no such subscription.
    """
    standing = await ledgers.standing_of(connection, store, subscription_id, customer_id)
    if standing is None:
        return Forecast([])
    entries = first(schedule.forecast(standing, clock.now(store)), min(offset + size + 1, FURTHEST))
    shown = entries[offset : offset + size]
    # What the first one is compared with: the run before it, also where that is on another page.
    before = [entry for entry in entries[:offset] if entry.status == "planned"][-1:]
    running = [*before, *(entry for entry in shown if entry.status == "planned")]
    ids = await ledgers.ids(connection, store, subscription_id, [entry.index for entry in running])
    # One without a row of its own is like any other.
    plain = Of(subscription_id)
    terms = await terms_of_runs(connection, store, [plain, *(Of(subscription_id, id_) for id_ in ids.values())])
    turn = {entry.index: turn for turn, entry in enumerate(one for one in entries if one.status == "planned")}
    wanted: dict[int, Ahead] = {}
    for entry in running:
        of = Of(subscription_id, ids.get(entry.index))
        wanted[entry.index] = Ahead(of, terms[of], entry.scheduled_at, turn[entry.index])
    ahead = await outlook(connection, store, list(wanted.values()))
    last: LastRun | None = None
    runs: list[Run] = []
    for entry in [*before, *shown]:
        estimate = await ahead.estimate(wanted[entry.index], last) if entry.index in wanted else None
        held = False
        if estimate is not None and estimate.total is not None:
            most, base, off = terms[plain].max_increase_percent, estimate.compared_with, estimate.discount
            held = base is not None and needs_approval(estimate.total, base, most, discount=off)
            last = estimate.last
        runs.append(Run(entry, estimate, held))
    return Forecast(runs[len(before) :], more=len(entries) > offset + size, terms=terms[plain])


def first(entries: Iterable[Entry], most: int) -> list[Entry]:
    """At most so many entries; those of a calendar that comes to an end of what can be counted stop there."""
    found: list[Entry] = []
    with suppress(*UNCOUNTABLE):
        found.extend(islice(entries, most))
    return found
