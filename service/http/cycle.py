"""A request of a connection and its answer: uvicorn's, but for an answer that is known as a whole, as most are.

Its head goes out together with its body. Sent apart, as ASGI hands them over, they cost a system call more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

_CONTROLS = bytes([*range(9), *range(10, 32), 127])
"""What no header holds. A tab may stand in one."""
_SMALL = 16_384
"""Bytes of a body that is put behind its head: a system call with two parts costs more than that copy."""


class Cycle(RequestResponseCycle):
    """A request and its answer. `head` is the start of an answer whose body is yet to come.

    With `is_whole` all of the request is there. What only few requests need is made for these. An answer that has no
    end of its own `listens` while it is sent, and hears `http.disconnect` once the server stops as well.
    """

    head: Message | None = None
    listens = False
    stops = False
    body: Any = b""
    chunked_encoding: bool | None = None
    disconnected = response_started = response_complete = access_log = False
    expected_content_length = 0
    _event: asyncio.Event | None = None

    def __init__(
        self,
        protocol: HttpToolsProtocol,
        scope: Scope,
        *,
        keep_alive: bool,
        is_whole: bool = False,
        expects_100: bool = False,
    ) -> None:
        # As uvicorn's own, which makes an event and a buffer for each.
        self.scope: Any = scope
        self.transport, self.flow = protocol.transport, protocol.flow
        self.logger, self.access_logger = protocol.logger, protocol.access_logger
        self.default_headers = protocol.server_state.default_headers
        self.on_response = protocol.on_response_complete
        if not is_whole:
            self.body = bytearray()
        self.keep_alive, self.more_body, self.waiting_for_100_continue = keep_alive, not is_whole, expects_100

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        """Is set when there is something to receive."""
        if self._event is None:
            self._event = asyncio.Event()
            if not self.more_body:
                self._event.set()
        return self._event

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
            await app(self.scope, self.receive, self.send)
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
                headers, body = head["headers"], message["body"]
                if self.scope["method"] != "HEAD" and (b"content-length", b"%d" % len(body)) not in headers:
                    raise RuntimeError("A body is not as long as its Content-Length says.")
                self._send_whole(head["status"], headers, body)
                return
            self.response_started = False
            await super().send(head)  # type: ignore[arg-type]
        elif not self.response_started and _has_length(message):
            self.head, self.response_started, self.waiting_for_100_continue = message, True, False
            return
        await super().send(message)

    def send_at_once(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send an answer that is there as a whole, as `AT_ONCE` has it."""
        if self.flow.write_paused or self.disconnected or self.response_started:
            return False
        if (b"content-length", b"%d" % len(body)) not in headers:
            return False
        self.response_started = True
        self._send_whole(status, headers, body)
        return True

    def _send_whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        parts, ends = [STATUS_LINE[status]], 2 + len(headers) + len(self.default_headers)
        for name, value in (*self.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
            ends += 1
        parts.append(b"\r\n")
        written = b"".join(parts)
        if len(written) - len(written.translate(None, _CONTROLS)) != 2 * ends:
            raise RuntimeError("A header holds a control character.")
        # Large bodies are not copied once more.
        if self.scope["method"] == "HEAD":
            self.transport.write(written)
        elif len(body) <= _SMALL:
            self.transport.write(written + body)
        else:
            self.transport.writelines((written, body))
        self.response_complete = True
        if self._event is not None:
            self._event.set()
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
