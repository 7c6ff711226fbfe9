"""One connection of the API: uvicorn's protocol, with the limits that it leaves to a proxy in front.

What a client can hold up is bounded while it is received: the size of a head, the time that it and a body take, and
how many connections there are. The service's own refusals have the shape of JSON:API's error documents. A client that
leaves ends its read: the task is cancelled, and with it the statement in the database. Writes go on to their end.
"""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import httptools
import orjson
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service import clock
from service.http.cycle import Cycle
from service.http.hearing import TARGET
from service.jsonapi.document import VERSION
from service.jsonapi.negotiation import MEDIA_TYPE

MOST_WITHOUT_PROGRESS = 65_536
"""Bytes that are received without the end of a head or a byte of a body: of headers, of chunks' frames, of trailers."""
HEAD_SECONDS = 10.0
"""How long a client has to send the head of a request, from its first byte or the beginning of the connection."""
BODY_SECONDS = 60.0
"""How long a client has to send the body of a request."""
TAKING_SECONDS = 20.0
"""How long a client may take nothing of what is sent to it."""

_READS = ("GET", "HEAD")

log = structlog.get_logger(part="http")


class Protocol(HttpToolsProtocol):
    """A connection with deadlines and limits."""

    def __init__(self, *args: Any, most_connections: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._most_connections = most_connections
        self._deadline: TimerHandle | None = None
        self._awaited: str | None = None
        self._without_progress = 0
        self._in_head = self._in_body = False
        self._answering: asyncio.Task[Any] | None = None
        self._taking: TimerHandle | None = None
        self._untaken = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or refuse with 503 when there are too many connections already."""
        super().connection_made(transport)
        if len(self.connections) > self._most_connections:
            self._refuse(503, "SERVICE_UNAVAILABLE", "There are too many connections; retry in a moment.")
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and with it a read that nobody waits for any more."""
        super().connection_lost(exc)
        self._stop_watching()
        self._stop_waiting_for_taking()
        if self._is_open and self._answering is not None and self.cycle.scope["method"] in _READS:
            self._answering.cancel()

    def shutdown(self) -> None:
        """Take no further request; an answer without an end ends now."""
        super().shutdown()
        if self._is_open:
            cast("Cycle", self.cycle).stop()

    def pause_writing(self) -> None:
        """Wait until the client has taken what was sent, as long as it takes anything at all."""
        super().pause_writing()
        self._wait_for_taking()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._stop_waiting_for_taking()

    def data_received(self, data: bytes) -> None:
        """Read what has come, within the limits."""
        self._unset_keepalive_if_required()
        self._without_progress += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError:
            self._refuse(501, "NOT_IMPLEMENTED", "This method is not one that the service knows.")
        except httptools.HttpParserError:
            self._refuse(400, "INVALID_DATA_FORMAT", "This is not an HTTP request that can be read.")
        except httptools.HttpParserUpgrade:
            self._unsupported_upgrade_warning()
        else:
            if self._without_progress > MOST_WITHOUT_PROGRESS:
                self._refuse(431, "HEADERS_TOO_LARGE", "The head of the request is too large.")
            else:
                self._watch()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what comes after a body says nothing (RFC 9110, section 6.5)."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Answer a request whose head is there; its body may still come."""
        self._in_head, self._in_body, self._without_progress = False, True, 0
        scope, url, version = self.scope, httptools.parse_url(self.url), self.parser.get_http_version()
        path: str = url.path.decode("ascii")
        scope["method"], scope["http_version"] = self.parser.get_method().decode("ascii"), version
        scope["path"], scope["raw_path"] = unquote(path) if "%" in path else path, url.path
        scope["query_string"] = url.query or b""
        if not self.url.startswith((b"/", b"*")):
            scope["extensions"] = {TARGET: {"authority": _authority(self.url)}}
        waits = self._is_open
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if waits:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._without_progress = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._in_body = False
        self._without_progress = 0
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self._answering = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _watch(self) -> None:
        """Give the client so long for what comes next, from when it began to be awaited."""
        awaited = "body" if self._in_body else "head" if self._in_head or not self._is_open else None
        if awaited != self._awaited:
            self._stop_watching()
            self._awaited = awaited
            if awaited is not None:
                seconds = HEAD_SECONDS if awaited == "head" else BODY_SECONDS
                self._deadline = self.loop.call_later(seconds, self._too_late)

    def _stop_watching(self) -> None:
        self._awaited = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _wait_for_taking(self) -> None:
        self._untaken = self.transport.get_write_buffer_size()
        self._taking = self.loop.call_later(TAKING_SECONDS, self._look_at_taking)

    def _look_at_taking(self) -> None:
        """Cut a connection off whose client takes nothing: whoever answers it would wait for ever."""
        if self.transport.get_write_buffer_size() < self._untaken:
            self._wait_for_taking()
            return
        log.info("cut off", client=self.client[0] if self.client else None, reason="The client takes nothing.")
        self.transport.abort()

    def _stop_waiting_for_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _too_late(self) -> None:
        if self._in_head or (self._in_body and self._is_open):
            self._refuse(408, "REQUEST_TIMEOUT", "The request did not arrive in time.")
        else:
            self.transport.close()

    @property
    def _is_open(self) -> bool:
        """Whether a request has begun whose answer has not ended."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer what can't be handed to the application, and close the connection; an answer that has begun ends."""
        if self.transport.is_closing():
            return
        self._stop_watching()
        log.info("refused", status=status, client=self.client[0] if self.client else None, reason=detail)
        if self._is_open and not self.cycle.more_body:
            # What is wrong comes after a request that is being answered.
            self.cycle.keep_alive = False
            self.transport.pause_reading()
            return
        begun = self._is_open and self.cycle.response_started
        if self._is_open:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not begun:
            self.transport.write(_document(status, code, detail))
        self.transport.close()


def _authority(url: bytes) -> str:
    """The host and port in an absolute URL."""
    return url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0].decode("latin-1")


def _document(status: int, code: str, detail: str) -> bytes:
    """An answer with one error object, and the connection's end."""
    title = HTTPStatus(status).phrase
    error = {"id": clock.new_id(), "status": str(status), "code": code, "title": title, "detail": detail}
    body = orjson.dumps({"jsonapi": VERSION, "errors": [error]})
    retry = "Retry-After: 1\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {status} {title}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"{retry}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
