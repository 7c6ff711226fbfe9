"""The protocol's speaker of a process: loaded and started when the first assistant comes, stopped with the process."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager


class Assistants:
    """What answers assistants; made within a running event loop."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        self._speaker: asyncio.Future[ASGIApp] = asyncio.get_running_loop().create_future()

    async def speaker(self) -> ASGIApp:
        """Return the ASGI application that answers a request of the protocol, as soon as it is there."""
        self._wanted.set()
        return await asyncio.shield(self._speaker)

    async def serve(self) -> None:
        """Start the speaker once somebody wants it, and keep it until this is cancelled."""
        await self._wanted.wait()
        try:
            manager = await asyncio.to_thread(_load)
        except Exception as error:
            self._speaker.set_exception(error)
            raise
        async with manager.run():
            self._speaker.set_result(manager.handle_request)
            await asyncio.Event().wait()


def _load() -> StreamableHTTPSessionManager:
    """Load the SDK beside the event loop, which goes on answering others."""
    manager: StreamableHTTPSessionManager = import_module("service.http.agents.speaking").manager()
    return manager
