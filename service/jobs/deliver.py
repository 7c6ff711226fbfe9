"""Telling webhooks what happened: events become deliveries, and each receiver is told by a task of its own.

A task holds a connection to the database for single steps only, and none while its receiver takes its time: so one that
is slow or dead delays no other, and no job of the queue either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from service.gateways import receivers
from service.gateways.outbound import Limits
from service.gateways.receivers import Delivery
from service.jobs.metrics import DELIVERIES, DISPATCHED
from service.operations.tenant import stores
from service.operations.webhooks import delivering, documents
from service.operations.webhooks.delivering import Attempt, Due, Outcome, Receiver
from service.store.pool import Database

log = structlog.get_logger(part="webhooks")

PERIOD: Final = timedelta(seconds=0.3)
"""How often each worker looks: two reads of small indexes while nothing happens.

Writers wake nobody up: a notification would make all transactions of a database that write events wait for each other
at their commits.
"""

MOST_RECEIVERS: Final = 200
"""How many receivers a worker tells side by side."""

HURRY: Final = 5.0
"""Seconds that deliveries on their way have once the worker stops; what is cut off is sent again."""


class Deliveries:
    """Tells the webhooks of one database; `base` is the absolute URL of the API, `lease` how long one is held."""

    def __init__(self, database: Database, *, limits: Limits, base: str, lease: timedelta = delivering.LEASE) -> None:
        self._database = database
        self._limits = limits
        self._base = base
        self._lease = lease
        self._tasks: dict[Due, asyncio.Task[None]] = {}

    async def look(self, deployment: str) -> None:
        """Give new events to webhooks, and begin to tell those that nobody tells; nothing in another's database."""
        async with self._database.connection() as connection:
            news = await delivering.stores_with_news(connection, deployment)
        for store_id in news:
            try:
                await self._fan_out(store_id)
            except Exception:
                log.exception("events of a store could not be given to its webhooks", store_id=store_id)
        free = MOST_RECEIVERS - len(self._tasks)
        if free <= 0:
            return
        async with self._database.connection() as connection:
            due = await delivering.due(connection, deployment, most=MOST_RECEIVERS)
        for one in [one for one in due if one not in self._tasks][:free]:
            task = asyncio.create_task(self._tell(one))
            self._tasks[one] = task
            task.add_done_callback(lambda _, one=one: self._tasks.pop(one))  # type: ignore[misc]  # bound at once

    async def finish(self) -> None:
        """Let deliveries that are on their way come to an end, or cut them off."""
        tasks = list(self._tasks.values())
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=HURRY)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    async def _fan_out(self, store_id: int) -> None:
        more = True
        while more:
            async with self._database.transaction() as connection:
                more = await delivering.fan_out(connection, store_id)
            DISPATCHED.inc()

    async def _tell(self, whom: Due) -> None:
        """Tell a webhook all that it is to be told now."""
        try:
            while await self._round(whom):
                pass
        except Exception:
            # It is held until its lease is over, and told then.
            log.exception("a webhook could not be told", store_id=whom.store_id, webhook_id=whom.id)

    async def _round(self, whom: Due) -> bool:
        """Send what is due to a receiver, side by side; whether there was anything."""
        async with self._database.transaction() as connection:
            store = await stores.find(connection, whom.store_id)
            taken = await delivering.take_up(connection, whom.store_id, whom.id, lease=self._lease)
        if store is None or taken is None:
            return False
        receiver, attempts = taken
        new = [attempt for attempt in attempts if attempt.payload is None]
        bodies = {attempt.id: attempt.payload for attempt in attempts if attempt.payload is not None}
        if new:
            async with self._database.transaction() as connection:
                events = [attempt.event for attempt in new]
                written = await documents.written(connection, store, receiver.shape, events, base=self._base)
                payloads = {attempt.id: text for attempt, text in zip(new, written, strict=True)}
                bodies |= await delivering.settle_payloads(connection, store.id, payloads)
        outcomes = await self._send(receiver, attempts, bodies)
        async with self._database.transaction() as connection:
            await delivering.note(connection, store, receiver, outcomes)
        return bool(attempts)

    async def _send(self, receiver: Receiver, attempts: Sequence[Attempt], bodies: dict[str, str]) -> Sequence[Outcome]:
        async def one(attempt: Attempt) -> Outcome:
            body = bodies[attempt.id].encode()
            event = attempt.event
            sent = Delivery(event.id, event.topic, attempt.callback_url, body, receiver.secrets)
            reply = await receivers.deliver(sent, self._limits)
            DELIVERIES.labels("delivered" if reply.accepted else "failed").inc()
            return Outcome(attempt, reply)

        # A delivery that was deleted meanwhile has no body.
        return await asyncio.gather(*[one(attempt) for attempt in attempts if attempt.id in bodies])
