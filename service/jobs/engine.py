"""The worker: takes jobs from the queue (PgQueuer), any number of workers side by side, on any number of machines.

A worker listens on a connection of its own, so that a job starts at once, and also asks from time to time, so that one
whose notification got lost (or never comes, as through PgBouncer) starts too. A job that raises is tried again later,
at growing distances; meanwhile the others run. A worker that dies leaves its jobs to the next one, which notices by
their missing signs of life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

import asyncpg
import structlog
from pgqueuer.core.executors import DatabaseRetryEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager

from service import clock, correlation
from service.gateways import Gateways
from service.gateways.outbound import DEFAULT, Limits
from service.jobs import clean, deliver, metrics, sweep, watch
from service.jobs.advance import AdvanceJob
from service.jobs.bring import ExportJob, ImportJob
from service.jobs.copy import CopyJob
from service.jobs.deliver import Deliveries
from service.jobs.pauses import pause
from service.jobs.pay import PaymentJob
from service.jobs.publish import Feed, Publisher
from service.operations.copies import recurring_order_copies
from service.operations.data import exports, imports
from service.operations.events import trail
from service.operations.generic.numbers import Numbers
from service.operations.payments import attempts
from service.operations.runtime import watching
from service.operations.runtime.retaining import USUAL, Retention
from service.operations.subscriptions.sweep import NUMBERS
from service.operations.tenant import test_clocks
from service.operations.webhooks import publishing
from service.store import deployment
from service.store.pool import Database, Sessionless, open_database
from service.store.queue import cause_of, queue_driver, queue_queries, queue_settings

log = structlog.get_logger(part="worker")

HEARTBEAT = timedelta(seconds=30)
"""After how long without a sign of life a job is taken to be left behind."""

POLL = timedelta(seconds=5)
"""How often the queue is asked for jobs that no notification told of."""

KEPT = 100
"""How many of the queue's statements stay prepared on a connection that is the server's."""

ATTEMPTS = 10
FIRST_DELAY = timedelta(seconds=1)
LONGEST_DELAY = timedelta(minutes=5)

AT_A_TIME = {exports.ENTRYPOINT: 1}
"""How many jobs of a kind run side by side, where that is limited: an export takes two connections."""

LONGEST_PAUSE = 15.0
"""Seconds between two attempts to reach a server that is away."""

LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
"""What a lost or unusable connection raises."""


async def run(
    url: str,
    *,
    stop: asyncio.Event,
    gateways: Gateways,
    keys: Sequence[str] = (),
    receivers: Limits = DEFAULT,
    public_url: str = "",
    feed: Feed | None = None,
    concurrency: int = 16,
    command_timeout: float = 15.0,
    statement_cache_size: int = 512,
    direct_url: str | None = None,
    heartbeat: timedelta = HEARTBEAT,
    lease: timedelta = recurring_order_copies.LEASE,
    deployment_id: str = "",
    keep_addresses: timedelta = trail.KEEP_ADDRESSES,
    retention: Retention = USUAL,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Work until `stop` is set, then finish what was begun.

    Payments ask these `gateways`, webhooks are told within the limits of `receivers`, with links that begin with
    `public_url`, and events are published as the `feed` says, if there is one. `keys` are those of the settings, which
    secrets are sealed with. `concurrency` is the number of jobs at a time, at least 2. `direct_url` leads to the server
    itself where `url` goes through a pooler; `deployment_id` names this installation (`service.store.deployment`);
    the trail names addresses for `keep_addresses`, what else is past is kept as `retention` says; `ready` is called
    once others know of this worker. A lost connection is taken up again; one that can't be had at the start raises
    StartupError.
    """
    async with (
        open_database(
            url,
            max_size=concurrency + sweep.LANES,
            command_timeout=command_timeout,
            statement_cache_size=statement_cache_size,
            keys=keys,
        ) as database,
        watch.on_duty(database) as worker,
        asyncio.TaskGroup() as tasks,
    ):
        deployment_id = await _settle_in(database, deployment_id)

        async def is_ours() -> bool:
            async with database.connection() as connection:
                return await deployment.owner(connection) == deployment_id

        async def rescue() -> None:
            if await is_ours():
                await clean.rescue(database)

        ready()
        numbers = Numbers(database, block=NUMBERS)
        sweeping = partial(sweep.run, database, deployment_id, numbers, stop)
        tasks.create_task(_every(stop, sweep.PERIOD, sweeping, at_once=True))
        base = f"{public_url.rstrip('/')}/api"
        deliveries = Deliveries(database, limits=receivers, base=base, lease=lease)
        tasks.create_task(_deliver(deliveries, stop, deployment_id))
        if feed is not None:
            publisher = Publisher(
                database, feed, base=base, deployment_id=deployment_id, lease=min(lease, publishing.LEASE)
            )
            tasks.create_task(publisher.run(stop))
        tasks.create_task(_every(stop, clean.GROWTH, lambda: clean.gather_statistics(database)))
        tasks.create_task(_every(stop, clean.SUMS, lambda: clean.sum_up(database)))
        tasks.create_task(_every(stop, timedelta(seconds=30), rescue))
        tasks.create_task(_every(stop, watching.SIGN_OF_LIFE, lambda: watch.show(database, worker)))
        tasks.create_task(_every(stop, timedelta(minutes=1), lambda: watch.watch(database)))
        cleaning = partial(clean.clean, database, keep_addresses, retention)
        tasks.create_task(_every(stop, timedelta(hours=1), cleaning))
        job = CopyJob(database, lease=lease)
        payment_job = PaymentJob(database, gateways)
        entrypoints = {
            recurring_order_copies.ENTRYPOINT: job.run,
            test_clocks.ENTRYPOINT: AdvanceJob(database, job, payment_job).run,
            attempts.ENTRYPOINT: payment_job.run,
            imports.ENTRYPOINT: ImportJob(database).run,
            exports.ENTRYPOINT: ExportJob(database).run,
        }
        kept = statement_cache_size if direct_url is None else KEPT
        connect = partial(
            asyncpg.connect,
            direct_url or url,
            command_timeout=30,
            statement_cache_size=kept,
            connection_class=Sessionless,
        )

        async def work() -> None:
            if await is_ours():
                await _work(connect, entrypoints, stop, concurrency, heartbeat)
            else:
                # The jobs in a copied queue are the original's, which makes those copies and takes that money.
                await pause(stop, sweep.PERIOD.total_seconds(), spread=0)

        await _keep_working(work, stop)


async def _deliver(deliveries: Deliveries, stop: asyncio.Event, deployment_id: str) -> None:
    """Tell webhooks until `stop` is set, then finish what is on its way."""
    await _every(stop, deliver.PERIOD, lambda: deliveries.look(deployment_id))
    await deliveries.finish()


async def _settle_in(database: Database, given: str) -> str:
    """The id of this installation, which a database that belongs to nobody becomes part of."""
    async with database.connection() as connection:
        here = await deployment.here(connection, given)
        await deployment.claim(connection, here, at=clock.now())
        owner = await deployment.owner(connection)
    if owner != here:
        log.warning(
            "the database belongs to another deployment: its schedule and queue are left to it, until `reprise adopt`",
            owner=owner,
            deployment=here,
        )
    return here


async def _work(
    connect: Callable[[], Awaitable[asyncpg.Connection[asyncpg.Record]]],
    entrypoints: Mapping[str, Callable[[Job], Awaitable[None]]],
    stop: asyncio.Event,
    concurrency: int,
    heartbeat: timedelta,
) -> None:
    """Run jobs on one connection to the queue, until `stop` is set or the connection is lost."""
    connection = await connect()
    try:
        manager = QueueManager(queue_queries(await queue_driver(connection)), queue_settings().channel)
        for name, run_job in entrypoints.items():
            declared = manager.entrypoint(name, executor_factory=_retrying, concurrency_limit=AT_A_TIME.get(name, 0))
            declared(metrics.counted(name, _caused(run_job)))
        manager.shutdown = stop
        await manager.run(
            dequeue_timeout=POLL,
            batch_size=max(concurrency // 2, 1),
            max_concurrent_tasks=max(concurrency, 2),
            heartbeat_timeout=heartbeat,
        )
    finally:
        with suppress(*LOST):
            await connection.close(timeout=5)


def _caused(run: Callable[[Job], Awaitable[None]]) -> Callable[[Job], Awaitable[None]]:
    """A job that leaves behind for which request it worked."""

    async def caused(job: Job) -> None:
        before = correlation.cause.set(cause_of(job.headers))
        try:
            await run(job)
        finally:
            correlation.cause.reset(before)

    return caused


def _retrying(parameters: EntrypointExecutorParameters) -> DatabaseRetryEntrypointExecutor:
    """Jobs that raise are tried again; in the end the queue lets go of them, and `clean.rescue` begins anew."""
    return DatabaseRetryEntrypointExecutor(
        parameters, max_attempts=ATTEMPTS, initial_delay=FIRST_DELAY, max_delay=LONGEST_DELAY
    )


async def _keep_working(work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Do `work` again when it ends by an error, at once the first time, then at growing distances."""
    delay = 0.0
    while not stop.is_set():
        began = asyncio.get_running_loop().time()
        try:
            await work()
        except Exception as error:
            if asyncio.get_running_loop().time() - began > LONGEST_PAUSE:
                delay = 0.0
            log.warning("lost the queue", error=repr(error), retry_in=delay, exc_info=not isinstance(error, LOST))
            await pause(stop, delay, spread=0.2)
            delay = min(max(delay * 2, 0.5), LONGEST_PAUSE)


async def _every(
    stop: asyncio.Event, period: timedelta, task: Callable[[], Awaitable[object]], *, at_once: bool = False
) -> None:
    """Do a task from time to time until `stop` is set; what it raises is logged, and it is done again next time.

    The first time is within a period, or `at_once`.
    """
    wait = 0.0 if at_once else period.total_seconds()
    while not stop.is_set():
        await pause(stop, wait)
        wait = period.total_seconds()
        if stop.is_set():
            return
        try:
            await task()
        except Exception:
            log.exception("a periodic task failed")
