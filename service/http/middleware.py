"""What happens to every request before and after its handler.

Pure ASGI: the endpoint stays in the task that holds its connections.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from contextlib import suppress

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import clock, correlation
from service.errors import (
    HeadersTooLarge,
    InvalidHeader,
    InvalidHost,
    NotImplementedHere,
    TooLarge,
    UnsupportedMediaType,
    UriTooLong,
)
from service.http.api.conditions import tag_in_coding
from service.http.exchange import Exchange, begin
from service.http.pages import calendars
from service.http.protocol import TARGET
from service.http.watch import metrics
from service.texts import Either

log = structlog.get_logger("reprise.http")

MOST_OF_A_URL = 16_384
"""Bytes of path and query that are read."""
MOST_OF_HEADERS = 32_768
"""Bytes of all headers together that are read."""
MOST_OF_A_HEADER = 8_192
"""Bytes that are read of one header, all its lines together."""
OVERRIDES = ("PATCH", "PUT", "DELETE")
"""The methods that a POST may stand for, of clients that can send no other."""

_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST"
"""What a request about the server as a whole is told (RFC 9110, section 9.3.7)."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,128}")
_MOST_DISCARDED = 64 * 1024 * 1024
_DISCARD_SECONDS = 10.0
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class RequestContext:
    """Gives each request an id and a trace, serves trailing slashes, times and counts it, and logs one line.

    The answer says how often the sender may ask, where that is limited.

    The id is the client's `X-Request-Id` when that is a plain one, the trace that of its `traceparent`
    (https://www.w3.org/TR/trace-context/), of which the answer is a new span. HEAD is answered as GET without its body.
    The line holds method, path and status: never the query string, which may carry a link's token, nor the part of a
    path that is one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = begin(scope, Exchange(_request_id(scope)))
        before = correlation.request_id.set(exchange.request_id)
        trace_id, parent = _trace(scope)
        # A client that left gets no status: 499 is what nginx calls it.
        method, status = scope["method"], 499
        _without_trailing_slash(scope)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                exchange.timing.mark("render")
                message["headers"] += [
                    (b"x-request-id", exchange.request_id.encode()),
                    (b"traceparent", parent.encode()),
                    (b"server-timing", exchange.timing.header.encode()),
                ]
                if exchange.allowance is not None:
                    counted = exchange.allowance.headers.items()
                    message["headers"] += [(name.lower().encode(), value.encode()) for name, value in counted]
            elif method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            if exchange.end_turn is not None:
                exchange.end_turn()
            correlation.request_id.reset(before)
            milliseconds = exchange.timing.total
            metrics.count(scope, method, status, milliseconds / 1000)
            log.info(
                "request",
                method=method,
                path=loggable(scope["path"]),
                status=status,
                milliseconds=round(milliseconds, 2),
                request_id=exchange.request_id,
                trace_id=trace_id,
            )


class RequestLimits:
    """Refuses URLs, headers and codings beyond what is read, and lets a POST of /api stand for another method.

    That method is named in `X-HTTP-Method-Override`. Raises UriTooLong, HeadersTooLarge, UnsupportedMediaType,
    InvalidHeader.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            if scope["path"] == "*":
                await Response(status_code=204, headers={"Allow": _METHODS})(scope, receive, send)
                return
            if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > MOST_OF_A_URL:
                raise UriTooLong("The URL is longer than {most} bytes.", most=MOST_OF_A_URL)
            _check_host(scope)
            _check_headers(scope)
            _override(scope)
        await self.app(scope, receive, send)


class CodedTags:
    """Gives an answer that is sent in a content coding an ETag of its own: `"..."` becomes `"...--gzip"`.

    So every answer with a tag depends on Accept-Encoding, and says so, also one without a body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                if "etag" in headers:
                    if "content-encoding" in headers:
                        headers["ETag"] = tag_in_coding(headers["etag"], headers["content-encoding"])
                    if "accept-encoding" not in headers.get("vary", "").lower():
                        headers.add_vary_header("Accept-Encoding")
            await send(message)

        await self.app(scope, receive, answer)


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
        return TooLarge("The request body is larger than {most} bytes.", most=self.most)


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


def _trace(scope: Scope) -> tuple[str, str]:
    """The id of the request's trace, its client's or a new one, and the `traceparent` of our own span of it."""
    sent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), "")
    match = _TRACEPARENT.fullmatch(sent)
    known = match is not None and set(match[1]) != {"0"} and set(match[2]) != {"0"}
    trace_id, flags = (match[1], match[3]) if match is not None and known else (secrets.token_hex(16), "00")
    return trace_id, f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"


def _check_host(scope: Scope) -> None:
    """Raise InvalidHost unless one host is named, and the target's is the same (RFC 9112, sections 3.2 and 3.2.2)."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) > 1 or (not hosts and scope["http_version"] == "1.1"):
        raise InvalidHost("A request names one host; this one names {amount}.", amount=len(hosts), header="Host")
    target = (scope.get("extensions") or {}).get(TARGET)
    if target is not None and target["authority"].encode("latin-1").lower() not in map(bytes.lower, hosts):
        raise InvalidHost("The request's target and its Host header name different hosts.", header="Host")


def _check_headers(scope: Scope) -> None:
    """Raise HeadersTooLarge, and for a body in a coding, since bodies are read as they come, what says so.

    That is UnsupportedMediaType for a content coding, NotImplementedHere for another transfer coding than `chunked`
    (RFC 9112, section 6.1).
    """
    sizes: Counter[bytes] = Counter()
    for name, value in scope["headers"]:
        sizes[name] += len(value)
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise NotImplementedHere("Bodies are taken in no transfer coding but chunked.", header="Transfer-Encoding")
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise UnsupportedMediaType(
                "Send the body without a content coding; this request says {sent!r}.",
                sent=value[:40].decode("latin-1"),
                header="Content-Encoding",
                headers={"Accept-Encoding": "identity"},
            )
    if sizes.total() + sum(map(len, sizes)) > MOST_OF_HEADERS:
        raise HeadersTooLarge("The headers are larger than {most} bytes.", most=MOST_OF_HEADERS)
    name, size = sizes.most_common(1)[0] if sizes else (b"", 0)
    if size > MOST_OF_A_HEADER:
        raise HeadersTooLarge(
            "{name} is larger than {most} bytes.",
            name=name.decode("latin-1")[:40],
            most=MOST_OF_A_HEADER,
            header=name.decode("latin-1")[:40],
        )


def _override(scope: Scope) -> None:
    sent = [value.decode("latin-1").strip() for name, value in scope["headers"] if name == b"x-http-method-override"]
    if not sent or scope["method"] != "POST" or not scope["path"].startswith("/api/"):
        return
    method = sent[0].upper()
    if method not in (*OVERRIDES, "POST") or len(sent) > 1:
        raise InvalidHeader(
            "A POST can be sent in place of {methods}, not of {sent!r}.",
            methods=Either(OVERRIDES),
            sent=", ".join(sent),
            header="X-HTTP-Method-Override",
        )
    scope["method"] = method


def loggable(path: str) -> str:
    """A path as log lines have it: without the token in the path of a calendar."""
    return f"{calendars.PREFIX}..." if path.startswith(calendars.PREFIX) else path


def _without_trailing_slash(scope: Scope) -> None:
    """Serve /api/orders/ as /api/orders: some clients append the slash to every URL."""
    path: str = scope["path"]
    if path.startswith("/api/") and path.endswith("/"):
        scope["path"] = path.rstrip("/")
        scope["raw_path"] = scope.get("raw_path", path.encode()).rstrip(b"/")
