"""What happens to every request before and after its handler.

Pure ASGI: the endpoint stays in the task that holds its connections.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import clock
from service.errors import TooLarge

log = structlog.get_logger("reprise.http")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,128}")
_MOST_DISCARDED = 64 * 1024 * 1024
_DISCARD_SECONDS = 10.0


class RequestContext:
    """Gives each request an id, serves trailing slashes, and logs one line.

    The id is the client's `X-Request-Id` when that is a plain one.
    The line holds method, path and status: never the query string, which may carry a link's token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        _without_trailing_slash(scope)
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round((time.perf_counter() - started) * 1000, 2),
                request_id=request_id,
            )


class BodyLimit:
    """Refuses request bodies above a size when they are read, declared or not.

    Starlette's own limit answers every such request with plain text; this raises TooLarge where the body is read, so
    that each part of the API answers in its own shape. What an answer leaves unread is read and thrown away before it
    is sent, within bounds: a connection that is closed with bytes still coming is reset, and the client never sees the
    answer (RFC 9112, section 9.6).
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        declared = int(length) if length.isdigit() else 0
        # A client that waits for "100 Continue" has sent nothing yet, and need not.
        coming = (declared > 0 or b"transfer-encoding" in headers) and b"expect" not in headers
        read = 0

        async def limited() -> Message:
            nonlocal read, coming
            if declared > self.most:
                raise self._too_large()
            message = await receive()
            coming = coming and message.get("more_body", False)
            read += len(message.get("body", b""))
            if read > self.most:
                raise self._too_large()
            return message

        async def answer(message: Message) -> None:
            nonlocal coming
            if coming:
                coming = False
                await _discard(receive)
            await send(message)

        await self.app(scope, limited, answer)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The request body is larger than {self.most} bytes.")


async def _discard(receive: Receive) -> None:
    """Read the rest of a request body; not forever, and no more than a client can have sent by mistake."""
    left, more = _MOST_DISCARDED, True
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while more and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                more = message.get("more_body", False)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return clock.new_id()


def _without_trailing_slash(scope: Scope) -> None:
    """Serve /api/orders/ as /api/orders: some clients append the slash to every URL."""
    path: str = scope["path"]
    if path.startswith("/api/") and path.endswith("/"):
        scope["path"] = path.rstrip("/")
        scope["raw_path"] = scope.get("raw_path", path.encode()).rstrip(b"/")
