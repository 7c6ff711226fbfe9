"""Shoppers who reorder over the API while something breaks, and what must be in their carts in the end.

Each reorder adds one piece. A shopper sends it under one Idempotency-Key until it is acknowledged, however often a
connection is lost in between: as many pieces are found as were acknowledged, or something was lost or doubled.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from service import clock
from service.operations.access import tokens
from service.operations.tenant import tenants
from service.principal import CUSTOMER_SCOPES
from service.store.checks import violations
from service.store.pool import Connection, connect
from tests import factories
from tests.factories import Line
from tests.processes import Service, serving
from tests.support import KEYS

STORE = 1
MEDIA_TYPE = "application/vnd.api+json"
POSITION = "X-Reprise-Position"
NO_LIMITS = {"REPRISE_RATE_LIMIT": "1000000000", "REPRISE_SECRET_KEYS": ",".join(KEYS), "REPRISE_LOG_LEVEL": "error"}
REPLY_SECONDS = 20.0
PAUSE = 0.1
LAST_SECONDS = 60.0
"""How long what was begun may take to be acknowledged once everything is well again."""


@dataclass(frozen=True)
class Shopper:
    """A customer with a past order, and the token that reorders it."""

    order_id: str
    token: str


@dataclass
class Outcome:
    """What came of a drill: `wrong` says what is not as it must be."""

    acknowledged: int = 0
    found: int = 0
    what: str = "reorders"
    answers: Counter[str] = field(default_factory=Counter)
    suffered: str = ""
    wrong: list[str] = field(default_factory=list)
    seen: int | None = None
    """How often shoppers looked into their carts after they were acknowledged something; None where they don't."""

    @property
    def is_well(self) -> bool:
        """Whether all was found, once, and something was done at all."""
        return self.acknowledged == self.found > 0 and self.seen != 0 and not self.wrong

    def __str__(self) -> str:
        """The counts in one line, and a line for each thing that is wrong."""
        answers = ", ".join(f"{number} x {answer}" for answer, number in sorted(self.answers.items()))
        seen = "" if self.seen is None else f"; {self.seen} looks into carts"
        told = f"acknowledged {self.acknowledged} = found {self.found} {self.what}"
        if self.acknowledged != self.found:
            told = told.replace(" = ", " BUT ")
        lines = [f"{told}{seen}; {self.suffered}" + (f"; answers: {answers}" if answers else ""), *self.wrong]
        return "\n".join(lines)


async def shoppers(url: str, number: int) -> list[Shopper]:
    """Make a store with so many customers, each with an order of one piece."""
    async with connect(url, KEYS) as connection:
        store = await tenants.create(connection, store_id=STORE, name="Drill", at=clock.now())
        product = await factories.sku(connection, store, price=100)
        made = []
        for _ in range(number):
            customer_id = await factories.customer(connection, store)
            order_id = await factories.full_order(connection, store, [Line(product)], customer_id=customer_id)
            _, token = await tokens.issue(
                connection,
                STORE,
                customer_id=customer_id,
                scopes=CUSTOMER_SCOPES,
                name=None,
                expires_at=None,
                at=clock.now(),
            )
            made.append(Shopper(order_id, token))
        return made


@contextmanager
def api(url: str, **settings: str) -> Iterator[Service]:
    """A process that serves the API, with no limits in the way."""
    environment = NO_LIMITS | {"DATABASE_URL": url} | settings
    with serving("serve", "--port", "0", until="answers at", **environment) as served, _logged(served):
        yield served


@contextmanager
def _logged(served: Service) -> Iterator[None]:
    """Meanwhile the log of a process goes into the file of DRILL_LOG, or away: a full pipe would stop the process."""
    log, served.process.stderr = served.process.stderr, None
    assert log is not None
    with log, Path(os.environ.get("DRILL_LOG", os.devnull)).open("a") as file:
        taking = threading.Thread(target=shutil.copyfileobj, args=(log, file))
        taking.start()
        try:
            yield
        finally:
            served.process.kill()
            taking.join()


@asynccontextmanager
async def shopping(url: str, people: list[Shopper], outcome: Outcome) -> AsyncIterator[None]:
    """Meanwhile everybody reorders; in the end, what was begun is sent until it is acknowledged."""
    stop = asyncio.Event()
    async with httpx2.AsyncClient(base_url=url, timeout=REPLY_SECONDS) as client:
        tasks = [asyncio.create_task(_shop(client, one, stop, outcome)) for one in people]
        try:
            yield
        finally:
            stop.set()
            done, late = await asyncio.wait(tasks, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()
            outcome.wrong += [f"{len(late)} reorders were never acknowledged"] if late else []
            outcome.wrong += [str(task.exception()) for task in done if task.exception() is not None]


async def _shop(client: httpx2.AsyncClient, shopper: Shopper, stop: asyncio.Event, outcome: Outcome) -> None:
    data = {"type": "orders", "id": shopper.order_id}
    body = {"data": {"type": "reorders", "relationships": {"source_order": {"data": data}}}}
    headers = {"Authorization": f"Bearer {shopper.token}", "Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
    mine = 0
    while not stop.is_set():
        key = {"Idempotency-Key": uuid.uuid4().hex}
        while (answer := await _acknowledged(client, body, headers | key, outcome)) is None:  # noqa: ASYNC110 -- it sends
            await asyncio.sleep(PAUSE)
        outcome.acknowledged += 1
        mine += 1
        if outcome.seen is not None:
            position = {POSITION: answer.headers[POSITION]} if POSITION in answer.headers else {}
            await _look(client, headers | position, mine, outcome)


async def _look(client: httpx2.AsyncClient, headers: Mapping[str, str], pieces: int, outcome: Outcome) -> None:
    """Look into a cart in which there must be so many pieces, if it can be had."""
    try:
        answer = await client.get("/api/cart_items?fields[cart_items]=quantity", headers=dict(headers))
    except httpx2.HTTPError as error:
        outcome.answers[type(error).__name__] += 1
        return
    if answer.status_code != 200:
        outcome.answers[str(answer.status_code)] += 1
        return
    found = sum(one["attributes"]["quantity"] for one in answer.json()["data"])
    outcome.wrong += [] if found == pieces else [f"{found} pieces seen where {pieces} were acknowledged"]
    outcome.seen = (outcome.seen or 0) + 1


async def _acknowledged(
    client: httpx2.AsyncClient, body: object, headers: Mapping[str, str], outcome: Outcome
) -> httpx2.Response | None:
    """The answer that acknowledges a reorder; None where it is to be sent again."""
    try:
        answer = await client.post("/api/reorders", json=body, headers=dict(headers))
    except httpx2.HTTPError as error:
        outcome.answers[type(error).__name__] += 1
        return None
    outcome.answers[str(answer.status_code)] += 1
    if answer.status_code == 201:
        return answer
    # 409 says that the same request is still being answered, 503 that the database is away: both to come back.
    if answer.status_code not in (409, 503):
        outcome.wrong.append(f"{answer.status_code} {answer.text[:300]}")
    return None


async def count(url: str, outcome: Outcome) -> None:
    """Note what is found, and which invariants are broken."""
    async with connect(url) as connection:
        outcome.found = await _pieces(connection)
        outcome.wrong += [str(violation) for violation in await violations(connection)]


async def _pieces(connection: Connection) -> int:
    pieces = "select coalesce(sum(quantity), 0)::int from cart_items where store_id = $1"
    return int(await connection.fetchval(pieces, STORE))
