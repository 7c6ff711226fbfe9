"""The job that goes on with the payment of an order: asks the gateway, and tells the order what it said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
import structlog
from pgqueuer.models import Job

from service.errors import ApiError, InProgress, Invalid, InvalidState, PaymentRefused
from service.gateways import Gateways
from service.operations.events import outbox
from service.operations.generic import phases
from service.operations.generic.phases import Interlude
from service.operations.orders import paying, retries
from service.operations.tenant import tenants
from service.principal import Store
from service.store.pool import Connection, Database

log = structlog.get_logger(part="payments")

Step = Callable[[Connection, Store], Awaitable[Interlude[None] | None]]


class PaymentJob:
    """Goes on with payments on one database, by asking these gateways."""

    def __init__(self, database: Database, gateways: Gateways) -> None:
        self._database = database
        self._gateways = gateways

    async def run(self, job: Job) -> None:
        """Go on with the payment of the order that the job names, if nobody is at it."""
        await self.go_on(*orjson.loads(job.payload or b""))

    async def go_on(self, store_id: int, order_id: str) -> bool:
        """Settle the payment of an order that nobody is at, or ask for it anew where that is due.

        Gives False where the gateway doesn't answer.
        """
        try:
            await self._run(store_id, lambda on, store: paying.resume(on, store, order_id, actor=outbox.WORKER))
            await self._retry(store_id, order_id)
        except PaymentRefused as refused:
            log.info("payment refused", store_id=store_id, order_id=order_id, reason=refused.detail)
        except InProgress:
            # Once this lease is over, it is asked again.
            log.warning("gateway silent", store_id=store_id, order_id=order_id)
            return False
        return True

    async def _retry(self, store_id: int, order_id: str) -> None:
        try:
            await self._run(store_id, lambda on, store: retries.retry(on, store, order_id))
        except ApiError as error:
            # Anything else, such as Contended, tells nothing of the order: the queue tries again.
            if not all(isinstance(problem, Invalid | InvalidState) for problem in error.problems):
                raise
            unplaced = error
            log.info("order not placed", store_id=store_id, order_id=order_id, reason=unplaced.detail)
            await self._run(store_id, lambda on, store: retries.put_off(on, store, order_id, unplaced))

    async def _run(self, store_id: int, step: Step) -> None:
        async def work(connection: Connection) -> Interlude[None] | None:
            store = await tenants.find(connection, store_id)
            return None if store is None else await step(connection, store)

        await phases.run(self._database, self._gateways, work)
