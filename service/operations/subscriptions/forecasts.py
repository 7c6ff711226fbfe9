"""Forecasts: what a subscription will do, run by run, by the calendar and the code that do it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from service import clock
from service.operations.copies.runs import LastRun, Of, Terms, terms_of_runs
from service.operations.copies.turns import Turn
from service.operations.subscriptions import ledgers
from service.operations.subscriptions.estimates import Ahead, Estimate, Outlook, outlook
from service.principal import Store
from service.rules import schedule
from service.rules.increases import needs_approval
from service.rules.recurrence import UNCOUNTABLE
from service.rules.schedule import Entry
from service.store.pool import Connection

FURTHEST: Final = 1_000
"""How many occurrences ahead a forecast goes."""
_AT_ONCE: Final = 50
"""How many are worked out before others get their turn."""
_MOST_FAILING: Final = 50
"""How many runs that would fail are looked past for one that makes its order: a page waits for that."""


@dataclass(frozen=True, slots=True)
class Run:
    """An occurrence to come; what it would come to is None for one that is left out."""

    entry: Entry
    estimate: Estimate | None
    needs_approval: bool = False

    @property
    def makes_order(self) -> bool:
        """Whether it makes its order, once it is approved where that is needed."""
        return self.estimate is not None and self.estimate.total is not None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Some of the occurrences to come in their order, and whether there are more.

    `terms` are those of a run that is like any other; without runs to come there are none. Nobody can change those up
    to `settled_until` any more.
    """

    runs: Sequence[Run]
    more: bool = False
    terms: Terms | None = None
    settled_until: datetime | None = None


async def look(
    connection: Connection,
    store: Store,
    subscription_id: str,
    customer_id: str | None,
    *,
    offset: int = 0,
    size: int,
    index: int | None = None,
) -> Forecast:
    """A part of the forecast of a subscription, from an offset on; a customer (None: an integration) sees own ones.

    With an `index` the offset is where the run of that is. A run that would fail takes no place, as none does that
    fails: what stands behind it moves up, and where the end is a number of runs, another one comes before it.

    Writes nothing; the number of statements depends on how often the catalogue is known to change, not on the size.
    Raises NotFound when there is no such subscription.
    """
    found = await ledgers.running(connection, store, subscription_id, customer_id)
    if found is None:
        return Forecast([])
    standing, now = await ledgers.standing(connection, store, found), clock.now(store)
    most = FURTHEST if index is not None else min(offset + size + 1, FURTHEST)
    # It goes no further than this, whichever of them fail.
    entries = first(schedule.forecast(standing, now, schedule.ALL), most)
    if index is not None:
        offset = next((place for place, entry in enumerate(entries) if entry.index >= index), len(entries))
    wanted = entries[: offset + size]
    ahead = await _look_ahead(
        connection, store, subscription_id, wanted, 0 if standing.goes_on_for_failures else offset
    )
    failing: set[int] = set()
    runs: list[Run] = []
    for place, entry in enumerate(islice(_countable(schedule.forecast(standing, now, failing)), most)):
        if place == offset + size:
            return Forecast(runs[offset:], more=True, terms=ahead.plain, settled_until=standing.settled_until)
        if place % _AT_ONCE == 0:
            await asyncio.sleep(0)
        run = await ahead.run(entry) if entry.index in ahead.runs else Run(entry, None)
        if run.estimate is not None and not run.makes_order:
            failing.add(entry.index)
        runs.append(run)
    return Forecast(runs[offset:], terms=ahead.plain, settled_until=standing.settled_until)


async def look_at(connection: Connection, store: Store, subscription_id: str, entry: Entry) -> Forecast:
    """The forecast of a single occurrence, as if it were the next one and ran when it says; writes nothing."""
    ahead = await _look_ahead(connection, store, subscription_id, [entry], 0)
    return Forecast([await ahead.run(entry)], terms=ahead.plain)


async def dates(connection: Connection, store: Store, subscription_id: str, most: int) -> Sequence[Entry]:
    """The occurrences to come of a subscription in their order, at most so many. Raises NotFound as `look` does."""
    standing = await ledgers.standing_of(connection, store, subscription_id)
    if standing is None:
        return []
    if not standing.goes_on_for_failures:
        return first(schedule.forecast(standing, clock.now(store)), most)
    return [run.entry for run in (await look(connection, store, subscription_id, None, size=most)).runs]


async def date_of(connection: Connection, store: Store, subscription_id: str, number: int) -> Entry | None:
    """The occurrence to come by which so many have made their orders; None where it isn't known. Raises as `look`.

    Nobody knows how long runs would go on to fail: where very many would, they aren't counted to their end.
    """
    for size in (number, number + _MOST_FAILING):
        if size > FURTHEST:
            return None
        found = await look(connection, store, subscription_id, None, size=size)
        made = [run.entry for run in found.runs if run.makes_order]
        if len(made) >= number:
            return made[number - 1]
        if not found.more:
            return None
    return None


@dataclass
class _Ahead:
    """Runs to come that are worked out one after the other, each behind those that have been.

    `plain` are the terms of one like any other; `turn` and `last` are what those so far leave to the next.
    """

    outlook: Outlook
    runs: Mapping[int, Ahead]
    plain: Terms
    turn: Turn = field(default_factory=Turn)
    last: LastRun | None = None

    async def run(self, entry: Entry) -> Run:
        """Work out the next run."""
        estimate = await self.outlook.estimate(self.runs[entry.index], self.last, self.turn)
        own, base = estimate.own, estimate.compared_with
        if own is None:
            self.turn = self.turn.after_failure()
            return Run(entry, estimate)
        self.turn, self.last = self.turn.after_order(estimate.paid), estimate.last
        most = self.plain.max_increase_percent
        held = base is not None and needs_approval(own, base, most, discount=estimate.discount)
        return Run(entry, estimate, held)


async def _look_ahead(
    connection: Connection, store: Store, subscription_id: str, entries: Sequence[Entry], offset: int
) -> _Ahead:
    """What is needed to work out those of occurrences that run, from an offset on, or all that these depend on."""
    now = clock.now(store)
    ids = await ledgers.ids(connection, store, subscription_id, [entry.index for entry in entries])
    # One without a row of its own is like any other.
    plain = Of(subscription_id)
    terms = await terms_of_runs(connection, store, [plain, *(Of(subscription_id, id_) for id_ in ids.values())])
    offset = 0 if terms[plain].follows_on else offset
    wanted: dict[int, Ahead] = {}
    for turn, entry in enumerate(entry for entry in entries[offset:] if entry.status == "planned"):
        id_ = ids.get(entry.index)
        of = Of.to_come(subscription_id, id_, entry.index, terms[plain].swaps)
        # One whose time has come is made now, by what there is now.
        at = max(entry.scheduled_at, now)
        wanted[entry.index] = Ahead(of, terms[Of(subscription_id, id_)], terms[plain], at, turn)
    return _Ahead(await outlook(connection, store, list(wanted.values())), wanted, terms[plain])


def first(entries: Iterable[Entry], most: int) -> list[Entry]:
    """At most so many entries; those of a calendar that comes to an end of what can be counted stop there."""
    return list(islice(_countable(entries), most))


def _countable(entries: Iterable[Entry]) -> Iterator[Entry]:
    with suppress(*UNCOUNTABLE):
        yield from entries
