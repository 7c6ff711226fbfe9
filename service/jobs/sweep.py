"""The look at the clock: what has come due since the last one gets its copies, what comes next is announced."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from service import clock
from service.jobs.batches import Batches, D, Enough, never, step
from service.jobs.metrics import COPIES, LATENESS, PARKED, SWEEP_FAILURES, SWEEPS
from service.operations.generic.numbers import Numbers
from service.operations.payments import attempts, dunning
from service.operations.subscriptions import alerts, expiring, sweep
from service.operations.subscriptions.sweep import Swept
from service.operations.tenant import tenants
from service.store.pool import Database

log = structlog.get_logger(part="sweep")

_SWEEPING = Batches("sweep", sweep.due_ids, sweep.sweep, sweep.set_aside)
_WARNING = Batches("cards", expiring.due_ids, expiring.look, expiring.put_off)

PERIOD = timedelta(seconds=2)
"""How often each worker looks: one read of a small index while nothing is due."""

TURN: Final = timedelta(seconds=1)
"""How long a store is swept before others that wait are: one with a million due runs keeps none waiting for its end."""

LATELY: Final = timedelta(seconds=20)
"""How far back looks go between two that see all: what came due since the last look, and a good while before."""

WHOLE: Final = timedelta(minutes=1)
"""How often a look sees all that is due."""

LANES: Final = 2
"""How many batches a worker has in hand: it works out one while Postgres writes and commits the other."""


async def run(
    database: Database, deployment: str, numbers: Numbers | None = None, stop: asyncio.Event | None = None
) -> int:
    """Sweep every store that has something due, each batch in a transaction of its own; gives how many copies came.

    With `numbers` for them, orders are made at once. Each worker begins with another store. A store with much to do has
    a turn, and then those that wait for theirs; whoever comes due meanwhile waits for turns, and not for the end. It
    goes on until nothing is due, or until `stop` is set.

    A database that belongs to another deployment than this worker's is left alone. What goes wrong in one store is
    logged and doesn't keep the others waiting.
    """
    turns = _Turns(database, numbers)
    while True:
        await turns.look(deployment)
        if turns.waiting:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(LANES):
                    tasks.create_task(turns.take())
        if not turns.waiting or (stop is not None and stop.is_set()):
            return turns.copies


@dataclass
class _Turns:
    """The stores that wait for their turn, in that order, and those at which lanes of this worker are."""

    database: Database
    numbers: Numbers | None
    waiting: deque[int] = field(default_factory=deque)
    begun: Counter[int] = field(default_factory=Counter)
    copies: int = 0
    _since: datetime = clock.EARLIEST
    _until: float = 0.0
    _all: float = 0.0

    async def look(self, deployment: str) -> None:
        """Have stores that came due wait behind those that do.

        A look at all that is due reads all of it, which in a backlog are millions. Between two of them it is enough to
        look at what came due lately: the others wait already.
        """
        SWEEPS.inc()
        at, self._since = clock.now(), clock.EARLIEST
        if _now() < self._all:
            self._since = at - LATELY
        else:
            self._all = _now() + WHOLE.total_seconds()
        with SWEEP_FAILURES.count_exceptions():
            async with self.database.connection() as connection:
                due = await sweep.due_stores(connection, deployment, at, since=self._since)
        new = [store_id for store_id in due if store_id not in self.waiting]
        random.shuffle(new)
        self.waiting.extend(new)
        self._until = _now() + PERIOD.total_seconds()

    async def take(self) -> None:
        """Give turns to the stores that wait, and help with those that others are at, until it is time for a look."""
        more = True
        while more and _now() < self._until:
            if self.waiting:
                store_id, helps = self.waiting.popleft(), False
            elif self.begun:
                store_id, helps = next(iter(self.begun)), True
            else:
                return
            self.begun[store_id] += 1
            copies, left = await _surely(self.database, store_id, self.numbers, self._since)
            self.begun -= Counter([store_id])
            self.copies += copies
            if left and not helps:
                self.waiting.append(store_id)
            # Whoever helped, and found nothing that the others don't hold, leaves it to them.
            more = left or not helps


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _surely(database: Database, store_id: int, numbers: Numbers | None, since: datetime) -> tuple[int, bool]:
    """Give a store a turn. Whatever goes wrong is logged; returns how many copies came, and whether more is due."""
    until = _now() + TURN.total_seconds()
    try:
        with SWEEP_FAILURES.count_exceptions():
            return await turn(database, store_id, numbers, lambda: _now() >= until, since)
    except Exception:
        log.exception("a store could not be swept", store_id=store_id)
        return 0, False


async def sweep_store(database: Database, store_id: int, numbers: Numbers | None = None) -> int:
    """Sweep a store until nothing is due by its clock; then send alerts, ask for payments anew, tell of expiring cards.

    Returns how many copies came of it; with `numbers` for them, their orders are made at once where that is possible.
    Whatever keeps one of them from being done, the others are.
    """
    copies, _ = await turn(database, store_id, numbers, never)
    return copies


async def turn(
    database: Database, store_id: int, numbers: Numbers | None, enough: Enough, since: datetime = clock.EARLIEST
) -> tuple[int, bool]:
    """Do the same until it is `enough`; returns also whether more is due.

    As long as more runs are due, only those alerts are looked for that came due `since` then.
    """
    left: list[bool] = []

    async def do(what: Batches[D], first: Callable[[], Awaitable[D | None]] | None = None) -> list[D]:
        done, more = await what.run(database, store_id, enough, first)
        left.append(more)
        return done

    async def announce() -> None:
        # To find all of them, those are read too whose run is overdue: in a backlog, once a minute is enough.
        of = since if left == [True] else clock.EARLIEST
        due_ids, alert = partial(alerts.due_ids, since=of), partial(alerts.alert, since=of)
        await do(Batches("alerts", due_ids, alert, alerts.put_off))

    async with AsyncExitStack() as then:
        # The last one that is pushed comes first.
        then.push_async_callback(do, _WARNING)
        then.push_async_callback(_retry, database, store_id)
        then.push_async_callback(announce)
        swept = await do(_SWEEPING, None if numbers is None else partial(_at_once, database, store_id, numbers))
    for done in swept:
        for late in done.lateness:
            LATENESS.observe(late.total_seconds())
            COPIES.labels("recurring_order_copies", "completed").inc()
        for id_ in done.parked:
            PARKED.inc()
            log.warning("subscription parked", store_id=store_id, order_subscription_id=id_)
    return sum(len(done.copies) for done in swept), any(left)


async def _at_once(database: Database, store_id: int, numbers: Numbers) -> Swept | None:
    """Sweep a batch, and make its orders."""
    async with numbers.some(store_id, sweep.NUMBERS) as given:
        return await step(database, store_id, lambda on, store: sweep.sweep(on, store, numbers=given))


async def _retry(database: Database, store_id: int) -> None:
    """Put all payments of a store that are to be asked for anew into the queue, however many can't be settled."""
    seen: set[str] = set()
    found = dunning.BATCH
    while found == dunning.BATCH:
        async with database.transaction() as connection:
            store = await tenants.find(connection, store_id)
            # On a test clock time waits for them: the job that advances it sees to them itself.
            if store is None or store.frozen_at is not None:
                return
            due = await dunning.due(connection, store, but=seen)
            await attempts.enqueue_all(connection, store_id, due)
        seen.update(due)
        found = len(due)
