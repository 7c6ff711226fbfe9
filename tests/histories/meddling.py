"""A proxy between clients and the service that does one thing wrong, as a service might."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import httpx2
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http.replicas import HEADER

HOP_BY_HOP = {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "date", "server"}


@dataclass(frozen=True)
class Sent:
    """A request on its way."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def without(self, *names: str) -> Sent:
        """It without some of its headers."""
        return replace(self, headers={name: value for name, value in self.headers.items() if name not in names})


@dataclass(frozen=True)
class Answered:
    """An answer on its way."""

    status: int
    headers: dict[str, str]
    body: bytes


Forward = Callable[[Sent], Awaitable[Answered]]
Fault = Callable[[Sent, Forward], Awaitable[Answered]]


async def honest(sent: Sent, forward: Forward) -> Answered:
    """Pass everything on."""
    return await forward(sent)


async def blind(sent: Sent, forward: Forward) -> Answered:
    """Write whatever has been written since: nobody looks at If-Match."""
    return await forward(sent.without("if-match"))


async def forgetful(sent: Sent, forward: Forward) -> Answered:
    """Acknowledge every tag, and keep none."""
    answer = await forward(sent)
    if sent.method == "POST" and sent.path == "/api/tags" and answer.status == 201:
        id_ = orjson.loads(answer.body)["data"]["id"]
        await forward(replace(sent.without("idempotency-key"), method="DELETE", path=f"/api/tags/{id_}", body=b""))
    return answer


def reading_at(url: str, *, saying_what_is_known: bool) -> Fault:
    """Send reads to another process, which wasn't told what was written, with or without what the client has seen."""

    async def read(sent: Sent, forward: Forward) -> Answered:
        if sent.method != "GET":
            return await forward(sent)
        sent = sent if saying_what_is_known else sent.without(HEADER.decode())
        return await forward(replace(sent, path=f"{url}{sent.path}"))

    return read


async def twofold(sent: Sent, forward: Forward) -> Answered:
    """Do every reorder again, as one that doesn't know the key."""
    if sent.path == "/api/reorders":
        await forward(sent.without("idempotency-key"))
    return await forward(sent)


def remembering() -> Fault:
    """Answer every third time what an address was when it was first read."""
    known: dict[str, Answered] = {}
    times = 0

    async def remember(sent: Sent, forward: Forward) -> Answered:
        nonlocal times
        if sent.method != "GET" or not sent.path.startswith("/api/addresses/"):
            return await forward(sent)
        times += 1
        if times % 3 == 0 and sent.path in known:
            return known[sent.path]
        answer = await forward(sent)
        return known.setdefault(sent.path, answer) if answer.status == 200 and sent.path not in known else answer

    return remember


def skipping(path: str) -> Fault:
    """Leave out the first of every second page of a collection."""
    times = 0

    async def skip(sent: Sent, forward: Forward) -> Answered:
        nonlocal times
        answer = await forward(sent)
        if sent.method != "GET" or sent.path != path or answer.status != 200:
            return answer
        document = orjson.loads(answer.body)
        times += len(document["data"]) > 1
        if len(document["data"]) < 2 or times % 2:
            return answer
        return replace(answer, body=orjson.dumps(document | {"data": document["data"][1:]}))

    return skip


@asynccontextmanager
async def meddling(url: str, fault: Fault) -> AsyncIterator[str]:
    """The URL of a proxy in front of a service that has this fault."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:

        async def forward(sent: Sent) -> Answered:
            answer = await http.request(
                sent.method, f"{sent.path}?{sent.query}".rstrip("?"), headers=sent.headers, content=sent.body
            )
            return Answered(answer.status_code, _passed_on(dict(answer.headers)), answer.content)

        async def handle(request: Request) -> Response:
            sent = Sent(
                request.method,
                request.url.path,
                request.url.query,
                _passed_on(dict(request.headers)),
                await request.body(),
            )
            answer = await fault(sent, forward)
            return Response(answer.body, answer.status, answer.headers)

        methods = ["GET", "POST", "PATCH", "DELETE"]
        app = Starlette(routes=[Route("/{path:path}", handle, methods=methods)])
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True
                with suppress(asyncio.CancelledError):
                    await serving


def _passed_on(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
