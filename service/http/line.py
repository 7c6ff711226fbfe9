"""The line: a request from its first byte to the end of its answer, on one screen, in the order in which it happens.

Pure ASGI, and in the caller's task: the endpoint keeps its connections there. Only what a request asks for is done:
codings where it takes one, cross-origin headers where it comes from a page, the body where it has one.
"""

from __future__ import annotations

from functools import lru_cache

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware, remove_compress_type

from service import correlation
from service.correlation import Cause
from service.http import hearing, problems
from service.http.api.answers import Document
from service.http.api.conditions import not_modified, tag_in_coding
from service.http.bodies import Body
from service.http.exchange import Exchange, begin
from service.http.hearing import AT_ONCE, HEAD
from service.http.proxies import Proxies
from service.http.routes import Resources, answer_to, loggable
from service.http.watch import metrics
from service.settings import Settings

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
"""What pages of other origins may ask."""
ASKED = (
    "Accept", "Authorization", "baggage", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match",
    "Last-Event-ID", "Prefer", "traceparent", "tracestate", "X-Cart-Session", "X-HTTP-Method-Override",
    "X-Reprise-Position", "X-Request-Id",
)  # fmt: skip
"""The headers that such pages may send."""
TOLD = (
    "Accept-Patch", "Accept-Post", "Allow", "ETag", "Idempotency-Replayed", "Link", "Location", "Preference-Applied",
    "RateLimit", "RateLimit-Policy", "Retry-After", "Server-Timing", "traceparent", "Vary", "X-RateLimit-Limit",
    "X-RateLimit-Remaining", "X-Reprise-Position", "X-Request-Id",
)  # fmt: skip
"""The headers of an answer that such pages may read."""

_ALL_METHODS = ", ".join(sorted({*METHODS, "OPTIONS"}))
"""What a request about the server as a whole is told (RFC 9110, section 9.3.7)."""
_ABOUT_THE_SERVER = Response(status_code=204, headers={"Allow": _ALL_METHODS})
_ANSWER = "reprise.answer"
NOSNIFF = (b"x-content-type-options", b"nosniff")
"""What every answer says: it is what it says that it is, whatever it looks like."""
_LEFT = 499
"""The status that nginx gives a client that has left."""

log = structlog.get_logger(part="http")

# A coding would hold events back, and costs memory for as long as a stream lasts.
remove_compress_type("text/event-stream")


class Line:
    """Everything between the server and the routes.

    Most requests are for `resources`, whose route needs nothing of what Starlette's router does for others.
    """

    def __init__(self, app: ASGIApp, resources: Resources, settings: Settings, proxies: Proxies) -> None:
        self._app = app
        self._resources = resources
        self._proxies = proxies
        self._most_of_a_body = settings.max_body_bytes
        self._cors = CORSMiddleware(
            app,
            allow_origins=settings.origins,
            allow_methods=METHODS,
            allow_headers=ASKED,
            expose_headers=TOLD,
        )
        # Low levels: large answers are compressed between two other requests, and these cost a tenth for a tenth more.
        self._coded = CompressMiddleware(self._run, zstd_level=1, brotli_quality=1, gzip_level=1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = self._proxies.look_behind(scope, scope.get(HEAD) or hearing.head_of(scope["headers"]))
        exchange = begin(scope, Exchange(head, hearing.request_id(head)))
        trace_id, span = hearing.trace(head)
        hearing.without_trailing_slash(scope)
        method = scope["method"]
        body = Body(head, receive, self._most_of_a_body) if head.announces else None
        answer = _Answer(scope, receive, send, cors=self._cors, exchange=exchange, span=span, body=body)
        scope[_ANSWER] = answer
        client = scope.get("client")
        before = correlation.cause.set(Cause(exchange.request_id, client[0] if client else None))
        try:
            if method == "OPTIONS" and head.comes_from_a_page and b"access-control-request-method" in head.heard:
                preflight = self._cors.preflight_response(request_headers=Headers(scope=scope))
                await preflight(scope, receive, answer.told)
            elif head.takes_codings:
                await self._coded(scope, receive, answer.send)
            else:
                await self._run(scope, receive, answer.send)
        finally:
            exchange.end_turn()
            correlation.cause.reset(before)
            seconds = exchange.timing.total
            metrics.count(scope, method, answer.status, seconds)
            who, client = exchange.principal, scope.get("client")
            log.info(
                "request",
                method=method,
                path=loggable(scope["path"]),
                status=answer.status,
                milliseconds=round(seconds * 1000, 2),
                request_id=exchange.request_id,
                trace_id=trace_id,
                client=client and client[0],
                store=who and who.store.id,
                token=who and who.token_id,
            )

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a route answer, or tell what is wrong.

        An error after the answer has begun is raised again: the server then cuts the connection. A client that has left
        is told nothing.
        """
        answer: _Answer = scope[_ANSWER]
        answer.coded = send
        receive = receive if answer.body is None else answer.body.receive
        try:
            hearing.check(scope, answer.head)
            if not answer.head.is_plain:
                hearing.override(scope, answer.head.heard)
            endpoint = self._resources.endpoint(scope)
            if endpoint is not None:
                await answer.whole(await endpoint(Request(scope, receive)))
            else:
                app = _ABOUT_THE_SERVER if scope["path"] == "*" else self._app
                await app(scope, receive, answer.first)
        except ClientDisconnect:
            return
        except Exception as error:
            path = loggable(scope["path"])
            problems.note(error, request_id=answer.exchange.request_id, path=path)
            if answer.begun:
                raise
            await answer_to(Request(scope, receive), error)(scope, receive, answer.first)


class _Answer:
    """An answer on its way: from the route (`first`), through a content coding if there is one, to the server."""

    __slots__ = (
        "_cors", "_receive", "_scope", "_send", "_span", "_unchanged", "begun", "body", "coded", "exchange", "head",
        "status",
    )  # fmt: skip

    coded: Send

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        cors: CORSMiddleware,
        exchange: Exchange,
        span: str,
        body: Body | None,
    ) -> None:
        self._cors, self._span = cors, span
        self._scope, self._receive, self._send = scope, receive, send
        self.head, self.exchange, self.body = exchange.head, exchange, body
        self.begun = self._unchanged = False
        self.status = _LEFT

    async def whole(self, answer: Response) -> None:
        """Send an answer of a route: at once where nothing but its head is to be completed, as for most reads."""
        head, at_once = self.head, self._scope.get(AT_ONCE)
        if at_once is None or head.asks_for_more or self.body is not None or not isinstance(answer, Document):
            await answer(self._scope, self._receive, self.first)
            return
        start = {"status": answer.status_code, "headers": _finished([*answer.raw_headers], from_a_page=False)}
        self.begun = True
        self._tell(start)
        if not at_once(start["status"], start["headers"], answer.body):
            await self._send({"type": "http.response.start", **start})
            await self._send({"type": "http.response.body", "body": answer.body})

    async def first(self, message: Message) -> None:
        """What the route sends: 304 in its place where the client has the representation."""
        if message["type"] == "http.response.start":
            self.begun = True
            if self.body is not None and self.body.is_coming:
                await self.body.discard()
            if self.head.has_conditions and self._scope["method"] in ("GET", "HEAD"):
                message = not_modified([self.head.heard[b"if-none-match"].decode("latin-1")], message)
                self._unchanged = message["status"] == 304
        elif self._unchanged:
            if message.get("more_body"):
                return
            message = {"type": "http.response.body", "body": b""}
        await self.coded(message)

    async def send(self, message: Message) -> None:
        """What a content coding has made of it: with a tag of its own, and what pages of other origins need."""
        if message["type"] == "http.response.start":
            from_a_page = self.head.comes_from_a_page
            message["headers"] = _finished([*message["headers"]], from_a_page=from_a_page)
            if from_a_page:
                await self._cors.send(message, send=self.told, request_headers=Headers(scope=self._scope))
                return
            self._tell(message)
        elif self._scope["method"] == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    async def told(self, message: Message) -> None:
        """What the server is told, the way of an answer that others have begun."""
        if message["type"] == "http.response.start":
            self._tell(message)
        await self._send(message)

    def _tell(self, message: Message) -> None:
        """Add the request's id, its trace, where its time went and what is left of a limit."""
        self.status = message["status"]
        exchange = self.exchange
        exchange.timing.mark("render")
        message["headers"] += [
            (b"x-request-id", exchange.request_id.encode()),
            (b"traceparent", self._span.encode()),
            (b"server-timing", exchange.timing.header.encode()),
            NOSNIFF,
        ]
        if exchange.allowance is not None:
            counted = exchange.allowance.headers.items()
            message["headers"] += [(name.lower().encode(), value.encode()) for name, value in counted]


def _finished(headers: list[tuple[bytes, bytes]], *, from_a_page: bool) -> list[tuple[bytes, bytes]]:
    """Headers that say what the answer depends on, with the tag of the coding that it is sent in: `"...--gzip"`."""
    tag = coding = vary = None
    for place, (name, _) in enumerate(headers):
        if name == b"vary":
            vary = place
        elif name == b"etag":
            tag = place
        elif name == b"content-encoding":
            coding = place
    if tag is not None and coding is not None:
        headers[tag] = (b"etag", tag_in_coding(headers[tag][1].decode(), headers[coding][1].decode()).encode())
    if vary is None:
        headers.append(_vary(None, from_a_page=from_a_page))
    else:
        headers[vary] = _vary(headers[vary][1], from_a_page=from_a_page)
    return headers


@lru_cache(maxsize=128)
def _vary(said: bytes | None, *, from_a_page: bool) -> tuple[bytes, bytes]:
    """What an answer says that it depends on, with what all do. Remembered, since few are said."""
    words = [] if said is None else [said]
    if said is None or b"accept-encoding" not in said.lower():
        words.append(b"Accept-Encoding")
    if not from_a_page:
        words.append(b"Origin")
    return b"vary", b", ".join(words)
