"""Real server processes, which can be killed, and clients of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from tests import bouncer, roles

SCRIPT = Path(__file__).parent / "spec" / "killable_server.py"


@asynccontextmanager
async def server(
    database_url: str, *options: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx2.AsyncClient]]:
    """A real server process and a client of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), roles.api(database_url), *options),
        stdout=asyncio.subprocess.PIPE,
        cwd=SCRIPT.parents[2],
        env={"PYTHONPATH": ":".join(sys.path), **bouncer.inherited()},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
