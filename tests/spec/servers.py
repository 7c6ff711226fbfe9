"""Servers in processes of their own, which tests may kill."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2


@asynccontextmanager
async def server(
    database_url: str, *options: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx2.AsyncClient]]:
    """A real server process and a client of it."""
    script = Path(__file__).with_name("killable_server.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), database_url, *options, stdout=asyncio.subprocess.PIPE, cwd=script.parents[2],
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
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
