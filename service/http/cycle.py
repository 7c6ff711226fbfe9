"""A request of a connection and its answer: uvicorn's, but for an answer that is known as a whole, as most are.

Its head goes out together with its body. Sent apart, as ASGI hands them over, they cost a system call more.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_CONTROLS = bytes([*range(9), *range(10, 32), 127])
"""What no header holds. A tab may stand in one."""


class Cycle(RequestResponseCycle):
    """A request and its answer. `head` is the start of an answer whose body is yet to come.

    An answer that has no end of its own `listens` while it is sent, and hears `http.disconnect` once the server stops
    as well.
    """

    head: Message | None = None
    listens = False
    stops = False

    async def receive(self) -> Any:
        """The next part of the request, or that there is nobody to answer any more."""
        self.listens = self.response_started
        message = None if self.listens and self.stops else await super().receive()
        return {"type": "http.disconnect"} if message is None or (self.listens and self.stops) else message

    def stop(self) -> None:
        """Tell an answer that goes on that the server stops, one that nobody takes by cutting the connection."""
        self.stops = True
        if self.listens and self.flow.write_paused:
            self.transport.abort()
        elif self.listens:
            self.message_event.set()

    async def run_asgi(self, app: ASGIApp) -> None:  # type: ignore[override]
        """Let the application answer; uvicorn deals with an answer that was not given to its end.

        A read whose client has left is cancelled, which is nobody's mistake.
        """
        try:
            await app(self.scope, self.receive, self.send)  # type: ignore[arg-type]
        except BaseException as error:  # noqa: BLE001 -- as uvicorn does
            if not (isinstance(error, asyncio.CancelledError) and self.disconnected):
                await super().run_asgi(_Failed(error))  # type: ignore[arg-type]
        else:
            if not self.response_complete:
                await super().run_asgi(_done)  # type: ignore[arg-type]
        finally:
            self.on_response = _nothing

    async def send(self, message: Any) -> None:
        """Send a message, or keep the start of an answer of a known length until its body is there."""
        if self.head is not None:
            head, self.head = self.head, None
            if not (message.get("more_body") or self.flow.write_paused or self.disconnected):
                self._send_whole(head, message["body"])
                return
            self.response_started = False
            await super().send(head)  # type: ignore[arg-type]
        elif not self.response_started and _has_length(message):
            self.head, self.response_started, self.waiting_for_100_continue = message, True, False
            return
        await super().send(message)

    def _send_whole(self, head: Message, body: bytes) -> None:
        headers = [*self.default_headers, *head["headers"]]
        if not self.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [STATUS_LINE[head["status"]], *[b"%b: %b\r\n" % header for header in headers], b"\r\n"]
        written = b"".join(lines)
        if len(written) - len(written.translate(None, _CONTROLS)) != 2 * len(lines):
            raise RuntimeError("A header holds a control character.")
        if self.scope["method"] == "HEAD":
            body = b""
        elif (b"content-length", b"%d" % len(body)) not in headers:
            raise RuntimeError("A body is not as long as its Content-Length says.")
        self.transport.writelines((written, body))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _has_length(start: Message) -> bool:
    """Whether an answer says how long its body is, and nothing of the connection, which is uvicorn's."""
    names = [name for name, _ in start.get("headers", ())]
    return b"content-length" in names and b"connection" not in names and b"transfer-encoding" not in names


class _Failed:
    """An application that raises what another one has raised."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def __call__(self, _: Scope, __: Receive, ___: Send) -> None:
        raise self._error


async def _done(_: Scope, __: Receive, ___: Send) -> None:
    """Leave an answer as it is."""


def _nothing() -> None:
    """Do nothing when an answer has ended."""
