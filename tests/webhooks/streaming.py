"""A server in the test's own loop, and readers of its stream of events."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx2
import orjson
from starlette.applications import Starlette

from service.cli.serving import _Lookout, uvicorn_config
from tests.jobs.test_worker import until

SSE = {"Accept": "text/event-stream"}


@asynccontextmanager
async def listening(app: Starlette, port: int = 0) -> AsyncIterator[str]:
    """The URL of an application that is served as `reprise serve` does it; its lifespan is the caller's."""
    with socket.create_server(("127.0.0.1", port)) as sock:
        server = _Lookout(uvicorn_config(app, 100, lifespan="off"), lambda: None)
        serving = asyncio.create_task(server.serve([sock]))
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.stop()
            async with asyncio.timeout(20):
                await serving


@dataclass
class Block:
    """An event as it was read, and the comments before it."""

    id: str
    event: str
    data: Any = None


@dataclass
class Heard:
    """What a reader has heard."""

    blocks: list[Block] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [block.id for block in self.blocks]


async def read(
    client: httpx2.AsyncClient, url: str, headers: Mapping[str, str], heard: Heard, *, number: int | None = None
) -> int:
    """Read a stream, until it ends or so many events were heard in all; gives the status."""
    async with client.stream("GET", url, headers={**headers, **SSE}, timeout=60) as answer:
        if answer.status_code != 200:
            await answer.aread()
            return answer.status_code
        fields: dict[str, str] = {}
        async with aclosing(cast("AsyncGenerator[str]", answer.aiter_lines())) as lines:
            async for line in lines:
                heard.lines.append(line)
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    heard.blocks.append(Block(fields["id"], fields["event"], orjson.loads(fields["data"])))
                    fields = {}
                    if number is not None and len(heard.blocks) >= number:
                        break
    return 200


@asynccontextmanager
async def reading(url: str, headers: Mapping[str, str]) -> AsyncIterator[Heard]:
    """What a reader beside the test hears, from when it is connected."""
    heard = Heard()
    async with httpx2.AsyncClient() as client:
        task = asyncio.create_task(read(client, url, headers, heard))

        async def connected() -> bool:
            return bool(heard.lines) or task.done()

        try:
            await until(connected, 20)
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
