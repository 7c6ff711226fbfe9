"""The network between processes and a Postgres: it can be cut, and lead to another server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class Network:
    """TCP to a server's socket, which passes bytes on while `open` is set, and keeps them otherwise."""

    port = 0

    def __init__(self, url: str) -> None:
        self._database = urlsplit(url).path
        self.lead_to(url)
        self.open = asyncio.Event()
        self.open.set()
        self.passed = 0

    @property
    def url(self) -> str:
        """The URL of the database over it."""
        return f"postgresql://reprise@127.0.0.1:{self.port}{self._database}"

    def lead_to(self, url: str) -> None:
        """Lead whoever connects from now on to the server of this URL."""
        asked = parse_qs(urlsplit(url).query)
        self._path = f"{asked['host'][0]}/.s.PGSQL.{asked['port'][0]}"

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side leaves, or at once where no server is."""
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            writer.close()
            return
        ways = [asyncio.create_task(self._pass(*way)) for way in ((reader, far_writer), (far_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            far_writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self.open.wait()
                self.passed += len(data)
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def between(url: str) -> AsyncIterator[Network]:
    """A network to the server of a URL."""
    network = Network(url)
    listening = await asyncio.start_server(network.join, "127.0.0.1", 0)
    network.port = listening.sockets[0].getsockname()[1]
    try:
        yield network
    finally:
        listening.close()
