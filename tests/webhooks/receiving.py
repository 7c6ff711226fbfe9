"""The receiver as a real process, and what it was sent."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.clients.tls import Certificates

SCRIPT = Path(__file__).parent / "receiver.py"


@dataclass(frozen=True)
class Receiver:
    """A receiver that runs; `trusted` is a file with whom to trust if it speaks TLS."""

    origin: str
    trusted: Path | None = None

    def url(self, behaviour: str, of: object) -> str:
        """Where somebody is told who answers in a way of the receiver's."""
        return f"{self.origin}/{behaviour}/{of}"

    def _client(self) -> httpx2.AsyncClient:
        if self.trusted is None:
            return httpx2.AsyncClient()
        return httpx2.AsyncClient(verify=ssl.create_default_context(cafile=self.trusted))

    async def sent(self, url: str) -> list[dict[str, Any]]:
        """What was sent to a URL, in its order."""
        async with self._client() as client:
            found: list[dict[str, Any]] = (
                await client.get(f"{self.origin}/", params={"of": url.removeprefix(self.origin)}, timeout=30)
            ).json()
        return found

    async def number(self, url: str) -> int:
        """How many requests were sent to a URL that counts."""
        async with self._client() as client:
            found = await client.get(f"{self.origin}/number", params={"of": url.removeprefix(self.origin)}, timeout=30)
        return int(found.json())


@asynccontextmanager
async def receiver(shown: Certificates | None = None) -> AsyncIterator[Receiver]:
    """A receiver, as long as it is needed; it speaks TLS if it has certificates to show."""
    certificate = [] if shown is None else [str(shown.own)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        *certificate,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        if shown is None:
            yield Receiver(f"http://127.0.0.1:{port}")
        else:
            yield Receiver(f"https://localhost:{port}", shown.trusted)
    finally:
        process.kill()
        await process.wait()
