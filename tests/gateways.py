"""The example of a shop's own gateway as a real process, and stores that pay through it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from service.gateways import Gateways, configured
from service.principal import Store
from service.settings import Settings
from service.store.pool import Connection
from tests.sealed import put

SCRIPT = Path(__file__).parent / "gateway" / "example.py"
SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy10aGF0LWlzLWxvbmcgZW5vdWdo"


@dataclass(frozen=True)
class Example:
    """A gateway that runs."""

    origin: str

    @property
    def url(self) -> str:
        return f"{self.origin}/payments"

    async def books(self) -> Any:
        async with httpx2.AsyncClient() as client:
            return (await client.get(f"{self.origin}/")).json()

    async def payments(self) -> dict[str, Any]:
        """What it was asked to take, by key."""
        taken: dict[str, Any] = (await self.books())["payments"]
        return taken

    async def serve(self, connection: Connection, store: Store) -> None:
        """Make it the gateway of a store."""
        await connection.execute("update stores set gateway_url = $2 where store_id = $1", store.id, self.url)
        await put(connection, store, "stores", str(store.id), gateway_secret=SECRET)


def nearby() -> Gateways:
    """The gateways of a process that may ask it."""
    return configured(Settings(allow_private_addresses=True, gateway_timeout=1.0))


@asynccontextmanager
async def example() -> AsyncIterator[Example]:
    """The gateway, as long as it is needed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), SECRET, stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)}
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        yield Example(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        await process.wait()
