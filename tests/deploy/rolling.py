"""Requests that go on while processes are replaced: what was answered, counted beside what the database holds."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import httpx2

CONNECTIONS = 24
PAUSE = 0.05
"""Seconds between an answer and the next request of a client, in which its connection is idle."""
_MEDIA = {"Content-Type": "application/vnd.api+json"}


def _reorder(order: str) -> dict[str, object]:
    source = {"data": {"type": "orders", "id": order}}
    attributes, relationships = {"strategy": "new"}, {"source_order": source}
    return {"data": {"type": "reorders", "attributes": attributes, "relationships": relationships}}


@dataclass
class Load:
    """What a load was answered: how often what, what failed, and the reorders that were made."""

    answers: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    reorders: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many requests have ended."""
        return self.answers.total() + len(self.failures)


@asynccontextmanager
async def under_load(url: str, token: str, host: str, orders: Sequence[str]) -> AsyncIterator[Load]:
    """Meanwhile clients on connections of their own read, and reorder these orders in turn into new carts."""
    load, stop, numbers = Load(), asyncio.Event(), count(1)
    headers = {"Authorization": f"Bearer {token}", "Host": host}
    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx2.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60) as client:

        async def ask() -> None:
            while not stop.is_set():
                number = next(numbers)
                await asyncio.sleep(PAUSE)
                try:
                    if number % 2:
                        answer = await client.get("/api/orders?page[size]=3")
                    else:
                        keyed = _MEDIA | {"Idempotency-Key": f"rolling-{number}"}
                        body = _reorder(orders[number // 2 % len(orders)])
                        answer = await client.post("/api/reorders", json=body, headers=keyed)
                except httpx2.HTTPError as error:
                    load.failures.append(f"{number}: {error!r}")
                    continue
                load.answers[answer.status_code] += 1
                if answer.status_code == 201:
                    load.reorders.append(answer.json()["data"]["id"])
                elif answer.status_code != 200:
                    load.failures.append(f"{number}: {answer.status_code} {answer.text[-300:]}")

        async with asyncio.TaskGroup() as clients:
            for _ in range(CONNECTIONS):
                clients.create_task(ask())
            try:
                yield load
            finally:
                stop.set()


async def more(load: Load, requests: int) -> None:
    """Wait until so many requests more have been answered."""
    wanted, deadline = load.total + requests, time.monotonic() + 60
    while load.total < wanted:
        assert time.monotonic() < deadline, (load.answers, load.failures[:5])
        await asyncio.sleep(0.02)
