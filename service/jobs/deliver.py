"""Telling webhooks what happened: events become deliveries, and each receiver is told by a task of its own.

A task holds a connection to the database for single steps only, and none while its receiver takes its time: so one that
is slow or dead delays no other, and no job of the queue either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from typing import Final

import structlog

from service.gateways import receivers
from service.gateways.outbound import Limits, Way
from service.gateways.receivers import Delivery
from service.jobs.metrics import DELIVERIES, DISPATCHED
from service.operations.tenant import tenants
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

PATIENCE: Final = 1.0
"""Seconds after which no more is sent to a receiver before it is noted what came of the rest."""

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
        """Tell a webhook all that it is to be told now: more at once, the longer it takes everything swiftly."""
        most = delivering.AT_A_TIME
        try:
            while (went := await self._round(whom, most)) is not None:
                most = min(2 * most, delivering.MOST_AT_ONCE) if went.swiftly else delivering.AT_A_TIME
        except Exception:
            # It is held until its lease is over, and told then.
            log.exception("a webhook could not be told", store_id=whom.store_id, webhook_id=whom.id)

    async def _round(self, whom: Due, most: int) -> _Sending | None:
        """Send what is due to a receiver, and note what came of it; None where there was nothing."""
        async with self._database.transaction() as connection:
            store = await tenants.find(connection, whom.store_id)
            taken = await delivering.take_up(connection, whom.store_id, whom.id, lease=self._lease, most=most)
        if store is None or taken is None:
            return None
        receiver, attempts = taken
        new = [attempt for attempt in attempts if attempt.payload is None]
        bodies = {attempt.id: attempt.payload for attempt in attempts if attempt.payload is not None}
        if new:
            async with self._database.transaction() as connection:
                events = [attempt.event for attempt in new]
                written = await documents.written(connection, store, receiver.shape, events, base=self._base)
                payloads = {attempt.id: text for attempt, text in zip(new, written, strict=True)}
                bodies |= await delivering.settle_payloads(connection, store.id, payloads)
        sending = _Sending(receiver, bodies, deque(attempts))
        if attempts:
            limits = replace(self._limits, reach=self._limits.reach.of(store.mode))
            await sending.run(attempts[0].callback_url, limits)
        async with self._database.transaction() as connection:
            await delivering.note(connection, store, receiver, sending.outcomes, sending.left)
        return sending if attempts else None


@dataclass
class _Sending:
    """Deliveries that are sent to a receiver, some side by side, until all are, one fails, or it takes too long."""

    receiver: Receiver
    bodies: Mapping[str, str]
    left: deque[Attempt]
    outcomes: list[Outcome] = field(default_factory=list)
    swiftly: bool = True

    async def run(self, url: str, limits: Limits) -> None:
        """Send them; what is `left` then was not sent."""
        ends = monotonic() + PATIENCE
        async with receivers.reaching(url, limits) as way:

            async def some() -> None:
                while self.left and self.swiftly:
                    await self._send(way, self.left.popleft())
                    if monotonic() > ends:
                        self.swiftly = False

            await asyncio.gather(*[some() for _ in range(min(delivering.AT_A_TIME, len(self.left)))])

    async def _send(self, way: Way, attempt: Attempt) -> None:
        if attempt.id not in self.bodies:  # it was deleted meanwhile
            return
        body, event = self.bodies[attempt.id].encode(), attempt.event
        sent = Delivery(event.id, event.topic, attempt.callback_url, body, self.receiver.secrets)
        reply = await receivers.deliver_by(way, sent)
        DELIVERIES.labels("delivered" if reply.accepted else "failed").inc()
        self.outcomes.append(Outcome(attempt, reply))
        if not reply.accepted:
            self.swiftly = False
