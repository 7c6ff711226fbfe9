"""Real servers: processes, which can be killed, with clients of them, and one in the tests' own process."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import uvicorn

from service.app import create_app
from service.cli.serving import uvicorn_config
from service.settings import Settings
from tests import roles

SCRIPT = Path(__file__).parent / "spec" / "killable_server.py"


@asynccontextmanager
async def server(
    database_url: str, *options: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx2.AsyncClient]]:
    """A real server process and a client of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), *options),
        stdout=asyncio.subprocess.PIPE,
        cwd=SCRIPT.parents[2],
        env=roles.of("api", {"PYTHONPATH": ":".join(sys.path), "DATABASE_URL": database_url}),
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


@contextmanager
def served_here(settings: Settings) -> Iterator[str]:
    """The URL of a server in this process, on a loop of its own: what nothing kills is measured by coverage."""
    server = uvicorn.Server(uvicorn_config(create_app(settings), settings.max_connections))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
