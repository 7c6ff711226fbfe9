"""The API's processes and the worker: started, announced once they answer, and stopped without dropping anything."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from service import gateways
from service.app import create_app, create_lookout
from service.cli import board, logs
from service.cli.sockets import url_of
from service.errors import StartupError
from service.http.hearing import Head
from service.http.protocol import Protocol
from service.http.watch import metrics
from service.jobs import engine, publish
from service.operations.runtime.retaining import Retention
from service.settings import Settings

GRACE_SECONDS = 25
"""How long requests may take to end once the process is told to stop."""


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it answers and leaves by itself after a signal, with exit code 0."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()
        self._ready = ready

    def stop(self) -> None:
        """Take no more requests and end when those that are being answered have been; at once when told again."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self.stopping.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at Ctrl-C and SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then say so."""
        await super().startup(sockets)
        self._ready()


class _Lookout(_Server):
    """A server that leaves signals to the worker beside it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class _Processes(Multiprocess):
    """uvicorn's several processes. The first one holds their socket, too, and lets go of it before they stop.

    Else connections would go on to be made to it, and nobody would answer them.
    """

    def terminate_all(self) -> None:
        """Have all stop, once nobody can connect any more."""
        for sock in self.sockets:
            sock.close()
        super().terminate_all()


async def serve(
    settings: Settings,
    sock: socket.socket,
    ready: Callable[[], None],
    *,
    apart: socket.socket | None = None,
    work: bool = False,
) -> None:
    """Serve the API in this process until told to stop; with `work` there is a worker beside it.

    Health and metrics are also told at `apart`, if there is one. `settings` name a migrated database; `ready` is called
    once requests are answered. Raises StartupError when the database can't be had, and what the worker raises.
    """
    app = create_app(settings)
    # Here and not in uvicorn, which would turn what goes wrong into a traceback.
    async with app.router.lifespan_context(app), _lookout(settings, apart):
        api = _Server(uvicorn_config(app, settings.max_connections, lifespan="off"), ready)
        _settle_memory()
        if not work:
            await api.serve([sock])
            return
        worker = await _begin(settings, api.stopping)
        # One without the other would be a service that takes orders and never copies one.
        worker.add_done_callback(lambda _: None if api.should_exit else api.stop())
        try:
            await api.serve([sock])
        finally:
            api.stopping.set()
            await worker


def serve_processes(
    settings: Settings,
    sock: socket.socket,
    ready: Callable[[], None],
    workers: int,
    *,
    apart: socket.socket | None = None,
) -> None:
    """Serve the API in several processes until told to stop. Raises StartupError when they can't start.

    What all of them count is also told at `apart`, if there is one, by this process.
    """
    # The processes are new ones and read their settings from the environment.
    os.environ |= {"DATABASE_URL": settings.database_url or "", "REPRISE_SECRET_KEYS": settings.secret_keys}
    os.environ["REPRISE_ALLOWED_HOSTS"] = settings.allowed_hosts
    config = uvicorn_config(f"{__name__}:application", settings.max_connections, factory=True, workers=workers)
    with tempfile.TemporaryDirectory(prefix="reprise-metrics-") as folder:
        os.environ[metrics.SHARED] = folder
        processes = _Processes(config, [sock])
        threading.Thread(target=_once_it_answers, args=(url_of(sock), ready), daemon=True).start()
        with _lookout_beside(settings, apart):
            processes.run()
    if any(process.exitcode == STARTUP_FAILURE for process in processes.processes):
        raise StartupError("The API's processes could not start: their messages are above.")


def application() -> object:
    """The application of one of several processes, with the settings of the environment."""
    settings = Settings()
    logs.configure(settings.log_level)
    threading.Thread(target=_leave_with_the_first_process, daemon=True).start()
    return create_app(settings)


def _leave_with_the_first_process() -> None:
    """Stop when the process that started this one is gone, however it ended: nobody else would ever stop this one."""
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        os.kill(os.getpid(), signal.SIGTERM)


async def work(
    settings: Settings, concurrency: int, ready: Callable[[], None], *, sock: socket.socket | None = None
) -> None:
    """Work on the queue until told to stop, then finish what was begun. Raises StartupError without a database.

    What goes on is shown, and told at `sock` to whoever asks, if there is one.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    worker = await _begin(settings, stop, concurrency)
    async with _lookout(settings, sock), board.shown(settings, stop):
        ready()
        await worker


@asynccontextmanager
async def _lookout(settings: Settings, sock: socket.socket | None) -> AsyncIterator[None]:
    """Meanwhile the process's health and metrics are told at a socket, if there is one."""
    if sock is None:
        yield
        return
    app = create_lookout(settings)
    async with app.router.lifespan_context(app):
        server = _Lookout(uvicorn_config(app, settings.max_connections, lifespan="off"), lambda: None)
        serving = asyncio.create_task(server.serve([sock]))
        try:
            yield
        finally:
            server.stop()
            await serving


@contextmanager
def _lookout_beside(settings: Settings, sock: socket.socket | None) -> Iterator[None]:
    """The same in a thread, of a process that has no loop of its own."""
    if sock is None:
        yield
        return
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def tell() -> None:
        async with _lookout(settings, sock):
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(tell(),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _settle_memory() -> None:
    """Have Python look for garbage in circles less often, and never in what has been loaded by now.

    A batch of copies makes tens of thousands of objects, hardly any of them in circles: the looks took a sixth of a
    worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _begin(settings: Settings, stop: asyncio.Event, concurrency: int = 8) -> asyncio.Task[None]:
    """A worker that has begun and goes on until `stop` is set. Raises StartupError when it can't begin."""
    _settle_memory()
    works = asyncio.Event()
    worker = asyncio.create_task(
        engine.run(
            settings.database_url or "",
            stop=stop,
            gateways=gateways.configured(settings),
            keys=settings.keys,
            receivers=gateways.limits(settings, events=True),
            public_url=settings.public_url,
            feed=publish.configured(settings),
            concurrency=concurrency,
            command_timeout=settings.command_timeout,
            statement_cache_size=settings.statement_cache_size,
            direct_url=settings.direct_url,
            deployment_id=settings.deployment_id,
            retention=Retention.of(
                answers=settings.retain_answers,
                deliveries=settings.retain_deliveries,
                events=settings.retain_events,
                imports=settings.retain_imports,
            ),
            keep_addresses=timedelta(days=settings.keep_addresses_days),
            ready=works.set,
        )
    )
    worker.add_done_callback(lambda _: works.set())
    await works.wait()
    if worker.done():
        await worker
    return worker


def uvicorn_config(
    app: Any, most_connections: int, heads: dict[bytes, Head] | None = None, **options: Any
) -> uvicorn.Config:
    """How uvicorn serves an application: through our protocol, silently. `heads` are those that it knows already."""
    protocol = partial(Protocol, most_connections=most_connections, heads={} if heads is None else heads)
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        **options,
    )


def _once_it_answers(url: str, ready: Callable[[], None]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):  # noqa: S310 -- our own http URL
                ready()
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
