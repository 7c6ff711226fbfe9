"""The job that goes on with a payment whose process died: asks the gateway what became of it, and tells the order."""

from __future__ import annotations

import orjson
import structlog
from pgqueuer.models import Job

from service.errors import InProgress, PaymentRefused
from service.operations import events, payments, stores
from service.store import phases
from service.store.phases import Interlude
from service.store.pool import Connection, Database

log = structlog.get_logger("reprise.payments")


class PaymentJob:
    """Goes on with payments on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, job: Job) -> None:
        """Go on with the payment of the order that the job names, if nobody is at it."""
        await self.go_on(*orjson.loads(job.payload or b""))

    async def go_on(self, store_id: int, order_id: str) -> None:
        """Go on with the payment of an order, if nobody is at it."""

        async def work(connection: Connection) -> Interlude[None] | None:
            store = await stores.find(connection, store_id)
            if store is None:
                return None
            return await payments.resume(connection, store, order_id, actor=events.WORKER)

        try:
            await phases.run(self._database, work)
        except PaymentRefused as refused:
            log.info("payment refused", store_id=store_id, order_id=order_id, reason=refused.detail)
        except InProgress:
            # The gateway is silent still; once this lease is over, it is asked again.
            log.warning("gateway silent", store_id=store_id, order_id=order_id)
