"""The job that advances a test clock, and with it runs what real time would have run."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import orjson
import structlog
from pgqueuer.models import Job

from service import clock
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.jobs.sweep import sweep_store
from service.operations.copies.recurring_order_copies import BATCH
from service.operations.payments import attempts, dunning
from service.operations.tenant import tenants, test_clocks
from service.store.pool import Database, passes

log = structlog.get_logger(part="test_clocks")

LONGEST_WAIT = timedelta(seconds=1)
"""For how long another worker's copy is waited for at a time."""


MOST_STUMBLES = 100
"""How often copies may stumble before the queue tries again: each is given up after a few attempts."""


class AdvanceJob:
    """Advances test clocks on one database; `copies` makes the copies, `payments` settles what they cost."""

    def __init__(self, database: Database, copies: CopyJob, payments: PaymentJob) -> None:
        self._database = database
        self._copies = copies
        self._payments = payments

    async def run(self, job: Job) -> None:
        """Bring the clock that the job names to its goal."""
        await self.go_on(*orjson.loads(job.payload or b""))

    async def go_on(self, store_id: int, clock_id: str) -> None:
        """Bring a clock to its goal, stopping wherever something is due; nothing to do when it isn't on its way."""
        while True:
            # What an earlier try left behind belongs to the instant at which the clock stands.
            await self._make_copies(store_id)
            given_up = await self._settle_payments(store_id)
            # By keys: a small store is not to read what larger ones beside it have.
            async with self._database.by_keys() as connection:
                stop = await test_clocks.hold(connection, store_id, clock_id, but=given_up)
                if stop is None:
                    return
                # Another worker may be at this clock too, and have found what is due since: that is of this instant.
                if stop.is_held_up:
                    continue
                store = await test_clocks.go_on(connection, store_id, clock_id, stop)
            if store is None:
                return
            if not await sweep_store(self._database, store_id) and store.frozen_at == stop.frozen_at:
                # Others are sweeping what is due here: the clock waits for them.
                await asyncio.sleep(LONGEST_WAIT.total_seconds() / 100)

    async def _make_copies(self, store_id: int) -> None:
        """Make all copies of a store; other workers may help."""
        stumbled = 0
        while True:
            async with self._database.connection() as connection:
                live = await test_clocks.live_copies(connection, store_id)
            if not live:
                return
            for first in range(0, len(live), BATCH):
                try:
                    wait = await self._copies.make(store_id, live[first : first + BATCH])
                except Exception as error:
                    stumbled += 1
                    if passes(error) or stumbled > MOST_STUMBLES:
                        raise  # that passes: the queue tries again
                    # It was given back: after some attempts it is given up, and time goes on.
                    log.exception("copies could not be made", store_id=store_id)
                    continue
                if wait is not None:
                    await asyncio.sleep(min(wait, LONGEST_WAIT).total_seconds() / 10)

    async def _settle_payments(self, store_id: int) -> set[str]:
        """Settle all payments of a store; other workers may help.

        Returns the orders whose payments can't be settled: they don't stop its time.
        """
        given_up: set[str] = set()
        while True:
            async with self._database.connection() as connection:
                store = await tenants.find(connection, store_id)
                leases = await attempts.open_payments(connection, store_id)
                due = [] if store is None else await dunning.due(connection, store, but=given_up)
            free = [order_id for order_id, ends in leases.items() if ends <= clock.now() and order_id not in given_up]
            for order_id in [*free, *due]:
                if not await self._settle(store_id, order_id):
                    given_up.add(order_id)
            if leases.keys() <= given_up and not due:
                return given_up
            await asyncio.sleep(LONGEST_WAIT.total_seconds() / 100)

    async def _settle(self, store_id: int, order_id: str) -> bool:
        """Settle the payment of an order; False when its gateway is silent, or something else is wrong with it."""
        try:
            return await self._payments.go_on(store_id, order_id)
        except Exception as error:
            if passes(error):
                raise  # that passes: the queue tries again
            log.exception("a payment could not be settled", store_id=store_id, order_id=order_id)
            return False
