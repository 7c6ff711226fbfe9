"""The job that makes a copy of an order: claim it, make its order, or note why there is none."""

from __future__ import annotations

from datetime import timedelta

import orjson
import structlog
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from service import clock
from service.operations import copies, order_copies
from service.operations.copies import Claim
from service.operations.orders import Numbers
from service.operations.targets import CopyFailed
from service.store.pool import Database

log = structlog.get_logger("reprise.copies")

ATTEMPTS = 8
"""How often a copy is begun, whether its worker stumbles or dies, before it is given up."""


FINISH = {"order_copies": order_copies.finish, "recurring_order_copies": copies.finish}
"""What makes the target order of a copy, by its kind."""


class CopyJob:
    """Makes copies on one database; `lease` is how long a worker that died may hold one up."""

    def __init__(self, database: Database, *, lease: timedelta = copies.LEASE) -> None:
        self._database = database
        self._lease = lease
        self._numbers = Numbers(database)

    async def run(self, job: Job) -> None:
        """Make the copy that the job names, if it is still to be made; any number of jobs may name the same copy.

        Raises RetryRequested while another worker holds it, and whatever went wrong on the way: the queue tries again.
        """
        store_id, copy_id = orjson.loads(job.payload or b"")
        wait = await self.make(store_id, copy_id)
        if wait is not None:
            raise RetryRequested(wait, reason="another worker is making this copy")

    async def make(self, store_id: int, copy_id: str) -> timedelta | None:
        """Make a copy, if it is still to be made; gives after what time to ask again while another worker has it."""
        async with self._database.transaction() as connection:
            claim = await copies.claim(connection, store_id, copy_id, clock.now(), lease=self._lease)
        if claim is None:
            return await self._time_left(store_id, copy_id)
        if claim.attempt > ATTEMPTS:
            await self._fail(claim, CopyFailed({"base": [f"given up after {ATTEMPTS} attempts"]}))
        else:
            await self._finish(claim)
        return None

    async def _time_left(self, store_id: int, copy_id: str) -> timedelta | None:
        """Until the lease of whoever works on it has ended: by then it is made, or that worker is dead."""
        async with self._database.connection() as connection:
            ends = await copies.lease_end(connection, store_id, copy_id)
        return None if ends is None else max(ends - clock.now(), timedelta(0)) + timedelta(milliseconds=100)

    async def _finish(self, claim: Claim) -> None:
        number = await self._numbers.take(claim.store.id)
        try:
            async with self._database.transaction() as connection:
                await FINISH[claim.kind](connection, claim, number)
        except CopyFailed as failure:
            await self._fail(claim, failure)
        except Exception:
            async with self._database.transaction() as connection:
                await copies.release(connection, claim)
            raise

    async def _fail(self, claim: Claim, failure: CopyFailed) -> None:
        log.info("copy failed", store_id=claim.store.id, copy_id=claim.copy_id, errors=failure.messages)
        async with self._database.transaction() as connection:
            await copies.fail(connection, claim, failure.messages)
