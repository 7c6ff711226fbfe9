"""Stock clients of Server-Sent Events, as the reference shows them, beside a server that is killed meanwhile."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from service import clock
from service.operations.access import tokens
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.principal import SCOPES, Store
from service.store.pool import Database
from tests.clients.conftest import FOLDER, NODE
from tests.jobs.test_worker import until
from tests.processes import serving
from tests.support import make_store

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "webhooks.md").read_text()
AT_ONCE = 60


def block(language: str, url: str) -> str:
    """The page's example in a language, of other topics at another URL."""
    found = re.search(rf"```{language}\n((?:(?!```).)*/api/events/stream.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return (
        found[1]
        .replace("https://api.shop.example", url)
        .replace("?topics=orders.*", "?topics=skus.*&after=start&payload=thin")
        .replace("orders.place", "skus.create")
    )


@asynccontextmanager
async def npm(url: str, token: str, heard: list[str]) -> AsyncIterator[None]:
    """npm's eventsource."""
    # A wait for the next connection keeps no program of Node running.
    around = (
        f"const token = {json.dumps(token)}; const handle = (_, id) => console.log(id); setInterval(() => {{}}, 1000)\n"
    )
    process = await asyncio.create_subprocess_exec(
        NODE, "--input-type=module", "--eval", around + block("js", url), cwd=FOLDER, stdout=asyncio.subprocess.PIPE
    )

    async def listen() -> None:
        nonlocal heard
        assert process.stdout is not None
        async for line in process.stdout:
            heard += [line.decode().strip()]

    listening = asyncio.create_task(listen())
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.gather(process.wait(), listening)


@asynccontextmanager
async def pypi(url: str, token: str, heard: list[str]) -> AsyncIterator[None]:
    """PyPI's httpx-sse, connected again by its program, as its own documentation advises."""
    over = False
    program = compile(block("python", url), "webhooks.md", "exec")

    def handle(_: str, __: object, id_: str) -> None:
        heard.append(id_)

    def listen() -> None:
        while not over:
            with suppress(httpx.TransportError):
                time.sleep(0.2)
                exec(program, {"token": token, "last": heard[-1] if heard else "", "handle": handle})

    listening = asyncio.create_task(asyncio.to_thread(listen))
    try:
        yield
    finally:
        over = True
        await listening


async def happens(database: Database, store: Store) -> list[str]:
    events = [Event("skus.create", clock.new_id()) for _ in range(AT_ONCE)]
    for event in events:
        async with database.transaction() as connection:
            await outbox.record_first(connection, store, [event], actor=outbox.WORKER)
    return [event.id for event in events]


async def test_a_server_that_is_killed_costs_its_readers_no_event_and_repeats_none(
    environment: dict[str, str], database: Database
) -> None:
    store = await make_store(database)
    async with database.transaction() as connection:
        _, token = await tokens.issue(
            connection, store.id, customer_id=None, scopes=SCOPES, name=None, expires_at=None, at=clock.now()
        )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    heard: tuple[list[str], list[str]] = ([], [])

    def at_least(number: int) -> Callable[[], Awaitable[bool]]:
        async def enough() -> bool:
            return all(len(ids) >= number for ids in heard)

        return enough

    async with npm(url, token, heard[0]), pypi(url, token, heard[1]):
        with serving("serve", "--port", port, until="answers at", **environment) as server:
            ids = await happens(database, store)
            await until(at_least(AT_ONCE // 2), 60)
            server.process.kill()
            server.process.wait()
        ids += await happens(database, store)
        with serving("serve", "--port", port, until="answers at", **environment):
            ids += await happens(database, store)
            await until(at_least(len(ids)), 60)
            # Nobody hears anything twice.
            await asyncio.sleep(1)
            assert heard == (ids, ids)
