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
from service.http.hearing import AT_ONCE, HEAD, MOST_REMEMBERED, TARGET, Head, head_of
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
_MOST_KNOWN = 512

log = structlog.get_logger(part="http")


class Protocol(HttpToolsProtocol):
    """A connection with deadlines and limits.

    `heads` are those of requests without a body that any connection has had, by the bytes behind the request's line.
    """

    def __init__(self, *args: Any, most_connections: int, heads: dict[bytes, Head], **options: Any) -> None:
        super().__init__(*args, **options)
        self._most_connections = most_connections
        self._heads = heads
        self._deadline: TimerHandle | None = None
        self._awaited: str | None = None
        self._without_progress = 0
        self._in_head = self._in_body = False
        self._idle_since = self.loop.time()
        self._is_ending = False
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
        self._unset_keepalive_if_required()
        self._stop_watching()
        self._stop_waiting_for_taking()
        if self._is_open and self._answering is not None and self.cycle.scope["method"] in _READS:
            self._answering.cancel()

    def shutdown(self) -> None:
        """Take one last request at most; an answer without an end ends now.

        An idle connection is closed when it has been idle for as long as ever: a proxy may have sent its next request
        by now, and could not know whether it counted.
        """
        self._is_ending = True
        if self._is_open:
            super().shutdown()
            cast("Cycle", self.cycle).stop()
        elif self.timeout_keep_alive_task is None:
            self._wait_for_next(0)

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
        is_first = not (self._without_progress or self._in_head or self._in_body or self._is_open)
        if is_first and self._recognise(data):
            return
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
                if is_first:
                    self._remember(data)
                self._watch()

    def _recognise(self, data: bytes) -> bool:
        """Answer a request whose headers are, byte for byte, those of one that was read before; only its line is new.

        Clients send the same headers again and again.
        """
        end = data.find(b"\r\n")
        head = self._heads.get(data[end:])
        line = None if head is None else _read(data[:end])
        if head is None or line is None:
            return False
        if self._awaited is not None:
            self._stop_watching()
        self._answer(self._scope(line[0], "1.1", line[1], head), keep_alive=True, is_whole=True)
        return True

    def _remember(self, data: bytes) -> None:
        """Remember the headers of a request that came at once, has no body, and asks for nothing of its connection."""
        end, cycle = data.find(b"\r\n"), self.cycle
        is_alone = data.find(b"\r\n\r\n") == len(data) - 4
        if is_alone and _read(data[:end]) and cycle.keep_alive and not cycle.more_body and not self.expect_100_continue:
            if len(self._heads) >= _MOST_KNOWN:
                del self._heads[next(iter(self._heads))]
            if len(data) - end <= MOST_REMEMBERED:
                self._heads[data[end:]] = self.scope[HEAD]  # type: ignore[literal-required]

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.url, self.headers, self.expect_100_continue, self._in_head = b"", [], False, True

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
        parser, version, head = self.parser, self.parser.get_http_version(), head_of(self.headers)
        scope = self._scope(parser.get_method().decode("ascii"), version, self.url, head)
        keep_alive = version != "1.0" and parser.should_keep_alive()
        self._answer(scope, keep_alive=keep_alive, expects_100=self.expect_100_continue)

    def _scope(self, method: str, version: str, target: bytes, head: Head) -> dict[str, Any]:
        """What ASGI says of a request."""
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "headers": head.lines,
            "state": self.app_state.copy(),
            "method": method,
            HEAD: head,
        }
        raw_path, _, query = target.partition(b"?")
        if not target.startswith(b"/") or b"#" in target:
            url = httptools.parse_url(target)
            raw_path, query = url.path, url.query or b""
            if not target.startswith((b"/", b"*")):
                scope["extensions"] = {TARGET: {"authority": _authority(target)}}
        path = raw_path.decode("ascii")
        scope["path"], scope["raw_path"] = unquote(path) if "%" in path else path, raw_path
        scope["query_string"] = query
        return scope

    def _answer(self, scope: dict[str, Any], **how: bool) -> None:
        """Answer a request, once those before it have been answered."""
        waits, self.scope = self._is_open, scope  # type: ignore[assignment]
        if self._is_ending:
            how["keep_alive"] = False
        self.cycle = cycle = Cycle(self, scope, **how)
        scope[AT_ONCE] = cycle.send_at_once
        if waits:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            self._start_asgi_task(cycle, self.app)

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

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it: one timer does that for many, since most come soon."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for_next(self.timeout_keep_alive)

    def _wait_for_next(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nothing was sent on for a while."""
        self.timeout_keep_alive_task = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self._is_open or self._in_head:
            return  # a deadline of its own bounds what goes on; then the waiting begins anew
        if left > 0:
            self._wait_for_next(left)
        elif not self.transport.is_closing():
            self.transport.close()

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


_METHODS = {b"GET": "GET", b"HEAD": "HEAD"}
_UNREADABLE = bytes([*range(33), ord("#"), 127])


def _read(line: bytes) -> tuple[str, bytes] | None:
    """The method and target of a request's line, if it is as most are: of a read, and with a path."""
    words = line.split(b" ")
    if len(words) != 3 or words[2] != b"HTTP/1.1" or words[0] not in _METHODS:
        return None
    target = words[1]
    is_plain = target.startswith(b"/") and target.isascii() and len(target.translate(None, _UNREADABLE)) == len(target)
    return (_METHODS[words[0]], target) if is_plain else None


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
