"""A backlog of subscriptions that are due: how fast workers make its copies, what those cost, and who waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from service import clock
from service.store.pool import Connection
from tests.bench import report
from tests.bench.chain.loading import LARGEST, PATIENT, Tell
from tests.bench.copies import at_work_on
from tests.bench.load import memory, spent, tree
from tests.bench.world import KEYS

LATE = timedelta(seconds=10)
"""How late the run of a small store may be while the largest drains."""

EVERY = timedelta(milliseconds=250)
"""From one run of a small store to the next."""


@dataclass(frozen=True)
class Drained:
    """Copies that were made of a backlog, and what they took.

    `processor` are microseconds of processor time, of workers and of Postgres. `pages` are those that Postgres touched,
    of which it `read` some into its memory; it wrote `log`, in bytes. `lateness` is how late runs of small stores were
    that came due meanwhile, in seconds; some may be `waiting` in the end.
    """

    due: int
    copies: int
    seconds: float
    processor: tuple[float, float]
    pages: int
    read: int
    log: int
    megabytes: float
    left: int
    lateness: Sequence[float] = ()
    waiting: int = 0

    @property
    def wrong(self) -> list[str]:
        """What is a finding."""
        late = max(self.lateness, default=0)
        return [
            *([f"a run of a small store was {late:.1f} s late"] if late > LATE.total_seconds() else []),
            *([f"{self.waiting} runs of small stores were due for more than 10 s"] if self.waiting else []),
        ]

    @property
    def each(self) -> float:
        """Microseconds of processor time that a copy took."""
        return sum(self.processor) / max(self.copies, 1)

    @property
    def on_two_cores(self) -> float:
        """How many copies a second two cores make that have nothing else to do."""
        return 2_000_000 / max(self.each, 1)

    def __str__(self) -> str:
        """In words."""
        made = max(self.copies, 1)
        workers, postgres = (took / made for took in self.processor)
        said = (
            f"{report.spaced(self.due)} subscriptions were due: {report.spaced(self.copies)} copies in"
            f" {self.seconds:.0f} s, {report.spaced(self.left)} left.\n"
            f"A copy took {self.each:.0f} microseconds of processor time ({workers:.0f} of workers, {postgres:.0f} of"
            f" Postgres), {self.pages / made:.0f} pages of which {self.read / made:.1f} were read into memory, and"
            f" {self.log / made / 1000:.0f} kB of log: {self.on_two_cores:.0f} a second on two cores with nothing else"
            f" to do. A worker held {self.megabytes:.0f} MB at most."
        )
        if self.lateness:
            ordered = sorted(self.lateness)
            said += (
                f"\nMeanwhile {len(ordered)} runs of small stores came due: the latest was {ordered[-1]:.1f} s late,"
                f" half of them {ordered[len(ordered) // 2]:.1f} s."
            )
        return said


class _Gauge(NamedTuple):
    """What Postgres has done so far for all that use the database."""

    copies: int
    pages: int
    read: int
    log: int


async def drain(url: str, seconds: float, tell: Tell, *, everywhere: bool = False, workers: int = 2) -> Drained:
    """Have all subscriptions of the largest store due, or of all, until they are made or the time is over.

    While the largest drains, one of a small store comes due four times a second.
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(PATIENT)
        at = clock.now()
        stores = [row[0] for row in await connection.fetch(_STORES, LARGEST)]
        busy = stores if everywhere else [LARGEST]
        small = [] if everywhere else stores[len(stores) // 2 :]
        await connection.execute("vacuum (analyze) order_subscriptions, occurrences")
        most = 0.0
        async with at_work_on(connection, url, workers, KEYS) as (processes, ticks):
            own = frozenset(pid for process in processes for pid in tree(process.pid))
            due = await make_due(connection, busy, clock.now())
            early, began, before = await _gauge(connection), time.monotonic(), ticks()
            written = await connection.fetchval(_WRITTEN)
            coming: list[int] = []
            while time.monotonic() - began < seconds and await connection.fetchval(_ANY_DUE, busy, clock.now()):
                if small:
                    coming.append(small.pop())
                    await make_due(connection, coming[-1:], clock.now(), most=1)
                most = max(most, *(memory([process.pid]) for process in processes))
                tell(min(await connection.fetchval(_WRITTEN) - written, due), due)
                await asyncio.sleep(EVERY.total_seconds())
            took, after, late = time.monotonic() - began, ticks(), await _gauge(connection)
            of_workers, of_postgres = (
                spent(before, {pid: count for pid, count in after.items() if (pid in own) == whose})
                for whose in (True, False)
            )
            lateness = [row[0] for row in await connection.fetch(_LATENESS, coming, at)]
            still = await connection.fetchval(_LEFT, coming, clock.now() - LATE)
        left = await connection.fetchval(_LEFT, busy, clock.now())
        copies, pages, read, log = (now - then for now, then in zip(late, early, strict=True))
        return Drained(*(due, copies, took, (of_workers, of_postgres), pages, read, log, most, left, lateness, still))
    finally:
        await connection.close()


async def _gauge(connection: Connection) -> _Gauge:
    return _Gauge._make(await connection.fetchrow(_GAUGE) or ())


async def make_due(connection: Connection, stores: Sequence[int], at: datetime, most: int | None = None) -> int:
    """Move the next runs of active subscriptions to an instant, as a customer may; returns how many."""
    return int(await connection.fetchval(_DUE, stores, at, most))


_STORES = "select store_id from stores where store_id >= $1 order by store_id"
"""The larger ones of a chain come first."""
_DUE = """
    with chosen as (
        select store_id, id, next_index from order_subscriptions
        where store_id = any($1::bigint[]) and status = 'active' and next_run_at > $2
        order by store_id, id
        limit $3
    ),
    moved as (
        update occurrences set scheduled_at = $2
        from chosen
        where
            occurrences.store_id = chosen.store_id and occurrences.order_subscription_id = chosen.id
            and occurrences.occurrence_index = chosen.next_index
        returning occurrences.store_id, occurrences.order_subscription_id
    ),
    ready as (
        update order_subscriptions set next_run_at = $2
        from moved
        where order_subscriptions.store_id = moved.store_id and order_subscriptions.id = moved.order_subscription_id
        returning 1
    )
    select count(*) from ready
"""
_ANY_DUE = """
    select exists (
        select from order_subscriptions where store_id = any($1::bigint[]) and status = 'active' and next_run_at <= $2
    )
"""
_LEFT = """
    select count(*) from order_subscriptions
    where store_id = any($1::bigint[]) and status = 'active' and next_run_at <= $2
"""
_WRITTEN = "select n_tup_ins from pg_stat_user_tables where relname = 'order_factories'"
"""A copy each; a second old at most, and no count of all that there are."""

_GAUGE = """
    select
        (select count(*) from order_factories where status = 'completed'),
        blks_hit + blks_read,
        blks_read,
        (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint
    from pg_stat_database
    where datname = current_database()
"""
_LATENESS = """
    select extract(epoch from orders.created_at - occurrences.scheduled_at)::float
    from orders join occurrences using (store_id)
    where
        orders.store_id = any($1::bigint[]) and orders.created_at >= $2 and occurrences.id = orders.occurrence_id
"""
