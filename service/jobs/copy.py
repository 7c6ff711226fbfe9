"""The job that makes copies of orders: claim them, make their orders, or note why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import orjson
import structlog
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from service import clock
from service.jobs.metrics import COPIES, LATENESS
from service.operations.copies import recurring_order_copies
from service.operations.copies.priced import CopyFailed
from service.operations.copies.recurring_order_copies import Claim
from service.operations.events import outbox
from service.operations.generic.numbers import Numbers
from service.operations.orders import order_copies
from service.operations.payments import recovery
from service.operations.subscriptions import ledgers, unpaid
from service.store.commits import after_commit
from service.store.pool import Database, is_away

log = structlog.get_logger(part="copies")

ATTEMPTS = 8
"""How often a copy is begun, whether its worker stumbles or dies, before it is given up."""


class CopyJob:
    """Makes copies on one database; `lease` is how long a worker that died may hold one up."""

    def __init__(self, database: Database, *, lease: timedelta = recurring_order_copies.LEASE) -> None:
        self._database = database
        self._lease = lease
        self._numbers = Numbers(database, block=recurring_order_copies.BATCH)

    async def run(self, job: Job) -> None:
        """Make the copies of a store that the job names, if they are to be made; any number of jobs may name one.

        Raises RetryRequested while another worker holds one, and whatever went wrong on the way: the queue tries again.
        """
        store_id, *copy_ids = orjson.loads(job.payload or b"")
        wait = await self.make(store_id, copy_ids)
        if wait is not None:
            raise RetryRequested(wait, reason="another worker is making this copy")

    async def make(self, store_id: int, copy_ids: Sequence[str]) -> timedelta | None:
        """Make the copies that are still to be made; gives after what time to ask again while another worker has one.

        They are made together, in the two transactions that one takes. Where that doesn't work out they are made one
        by one, so that what is wrong with one stays its own. Raises what went wrong with the last one that it did.
        """
        async with self._database.by_keys() as connection:
            claims = await recurring_order_copies.claim(connection, store_id, copy_ids, clock.now(), lease=self._lease)
        for claim in claims:
            if claim.lateness is not None and claim.attempt == 1 and claim.store.frozen_at is None:
                LATENESS.observe(claim.lateness.total_seconds())
        given_up = [claim for claim in claims if claim.attempt > ATTEMPTS]
        for claim in given_up:
            await self._fail(claim, CopyFailed({"base": [f"given up after {ATTEMPTS} attempts"]}))
        await self._finish_all([claim for claim in claims if claim not in given_up])
        if len(claims) < len(copy_ids):
            return await self._time_left(store_id, copy_ids)
        return None

    async def _time_left(self, store_id: int, copy_ids: Sequence[str]) -> timedelta | None:
        """Until the leases of whoever works on them have ended: by then they are made, or that worker is dead."""
        async with self._database.connection() as connection:
            ends = await recurring_order_copies.lease_end(connection, store_id, copy_ids)
        return None if ends is None else max(ends - clock.now(), timedelta(0)) + timedelta(milliseconds=100)

    async def _finish_all(self, claims: Sequence[Claim]) -> None:
        recurring = [claim for claim in claims if claim.kind == "recurring_order_copies"]
        alone = [claim for claim in claims if claim not in recurring]
        if len(recurring) > 1:
            try:
                await self._finish_recurring(recurring)
            except Exception as error:
                if is_away(error):
                    await self._release(recurring)
                    raise
                log.info("copies are made one by one", store_id=recurring[0].store.id, error=repr(error))
                alone += recurring
        else:
            alone += recurring
        problem: Exception | None = None
        for claim in alone:
            try:
                await self._finish(claim)
            except Exception as error:  # noqa: BLE001 -- the others come first, then it is raised
                problem = error
        if problem is not None:
            raise problem

    async def _finish(self, claim: Claim) -> None:
        """Make one copy."""
        try:
            if claim.kind == "recurring_order_copies":
                await self._finish_recurring([claim])
            else:
                number = await self._numbers.take(claim.store.id)
                async with self._database.by_keys() as connection:
                    if await order_copies.finish(connection, claim, number) is not None:
                        after_commit(connection, COPIES.labels(claim.kind, "completed").inc)
        except CopyFailed as failure:
            await self._fail(claim, failure)
        except Exception:
            await self._release([claim])
            raise

    async def _finish_recurring(self, claims: Sequence[Claim]) -> None:
        """Make recurring copies together; note of those that can't be made why. Raises CopyFailed as `finish` does."""
        numbers = [await self._numbers.take(claim.store.id) for claim in claims]
        async with self._database.by_keys() as connection:
            store = claims[0].store
            made, ended, held = await recurring_order_copies.finish(connection, claims, numbers)
            for end in ended:
                await unpaid.follow(connection, store, end)
            for subscription_id in held:
                await ledgers.reopen(connection, store, subscription_id, actor=outbox.WORKER)
        for claim in claims:
            if claim.copy_id not in made:
                continue  # another worker has it by now
            outcome = made[claim.copy_id]
            if isinstance(outcome, CopyFailed):
                await self._fail(claim, outcome)
            else:
                COPIES.labels(claim.kind, "held" if outcome is None else "completed").inc()

    async def _release(self, claims: Sequence[Claim]) -> None:
        async with self._database.by_keys() as connection:
            await recurring_order_copies.release(connection, claims)

    async def _fail(self, claim: Claim, failure: CopyFailed) -> None:
        log.info("copy failed", store_id=claim.store.id, copy_id=claim.copy_id, errors=failure.messages)
        async with self._database.by_keys() as connection:
            failed = await recurring_order_copies.fail(connection, claim, failure)
            if failed is None:
                return  # another worker has it by now
            after_commit(connection, COPIES.labels(claim.kind, "failed").inc)
            if failed.order_subscription_id is not None:
                if failed.first:
                    recovery.failed(connection, failure.failure_type)
                await ledgers.reopen(connection, claim.store, failed.order_subscription_id, actor=outbox.WORKER)
