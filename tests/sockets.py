"""Plain TCP to the application behind uvicorn and our protocol: what only a real socket shows."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette

from service.cli import serving
from service.http.hearing import Head


@asynccontextmanager
async def listening(
    app: Starlette, *, most_connections: int = 800, heads: dict[bytes, Head] | None = None
) -> AsyncIterator[int]:
    """The port at which an application is served meanwhile; its lifespan is the caller's. `heads` are those known."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = uvicorn.Server(serving.uvicorn_config(app, most_connections, heads, lifespan="off"))
        served = asyncio.create_task(server.serve([sock]))
        while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            await served


async def exchange(port: int, request: bytes, *, seconds: float = 20) -> bytes:
    """Send a whole request, then read until the other side closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(seconds):
            writer.write(request)
            await writer.drain()
            return await reader.read()
    finally:
        writer.close()
