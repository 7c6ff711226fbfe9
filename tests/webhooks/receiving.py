"""The receiver as a real process, and what it was sent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

SCRIPT = Path(__file__).parent / "receiver.py"


@dataclass(frozen=True)
class Receiver:
    """A receiver that runs."""

    origin: str

    def url(self, behaviour: str, of: object) -> str:
        """Where somebody is told who answers in a way of the receiver's."""
        return f"{self.origin}/{behaviour}/{of}"

    async def sent(self, url: str) -> list[dict[str, Any]]:
        """What was sent to a URL, in its order."""
        async with httpx2.AsyncClient() as client:
            found: list[dict[str, Any]] = (
                await client.get(f"{self.origin}/", params={"of": url.removeprefix(self.origin)}, timeout=30)
            ).json()
        return found


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver, as long as it is needed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)}
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        yield Receiver(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        await process.wait()
