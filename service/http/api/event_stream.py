"""GET /api/events/stream: events as they happen, as Server-Sent Events (WHATWG HTML, 9.2).

What is sent of each is what a webhook is sent. Its id is the event's: who sends the last one as `Last-Event-ID`, as
browsers do by themselves, goes on from there, and misses and repeats nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Literal, cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from schemas.graph import graph
from service.errors import (
    ApiError,
    Forbidden,
    InvalidHeader,
    InvalidInclude,
    InvalidParameter,
    InvalidToken,
    Unauthorized,
)
from service.http import urls
from service.http.api.asking import check_may_read, not_allowed
from service.http.auth import authenticate, current
from service.http.exchange import exchange_of, heard_of
from service.http.state import service_of
from service.http.streams import Wanted
from service.jsonapi.nearness import nearest
from service.jsonapi.negotiation import check_accepts
from service.jsonapi.query import parameters
from service.operations.events import reading
from service.operations.events.reading import Place
from service.operations.webhooks import documents
from service.operations.webhooks.documents import Shape
from service.principal import Principal
from service.resources import RESOURCES
from service.rules import topics
from service.store.pool import Connection, passes

PATH: Final = "/api/events/stream"
MEDIA_TYPE: Final = "text/event-stream"
BEGINNING: Final = "start"
"""What `after` says to begin with the first event of all."""
HEARTBEAT: Final = 15.0
"""Seconds of silence after which a comment is sent: proxies cut what is silent for longer."""
LOOK: Final = 1.0
"""How often, in seconds, a stream looks at whether its token is good still, and whether the server stops."""

_RETRY: Final = b"retry: 2000\n"
"""Milliseconds after which a client connects again.

No empty line follows, nor a comment's: some clients take one for an event without data.
"""
_COMMENT: Final = b":\n"
_HEADERS: Final = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_ENTRY = RESOURCES["events"]
_Payload = Literal["full", "thin"]


async def stream(request: Request) -> Response:
    """A stream, from the event on that `Last-Event-ID` or `after` names, else of what happens from now on."""
    if request.method not in ("GET", "HEAD"):
        raise not_allowed(request, _ENTRY)
    check_accepts(MEDIA_TYPE, heard_of(request, b"accept") or "")
    principal = await authenticate(request)
    check_may_read(_ENTRY.resource, principal)
    told, shape, after = _asked(request)
    _check_scopes(principal, told, shape)
    async with service_of(request).database.connection() as connection:
        now = await reading.now(connection)
        place = await _place(request, connection, principal, after) or now
    exchange = exchange_of(request)
    exchange.timing.mark("database")
    exchange.timing.end()
    exchange.end_turn()  # it would last as long as the stream
    return _Stream(request, principal, Wanted(told, shape, urls.api(request), place, now))


def _asked(request: Request) -> tuple[frozenset[str], Shape, str]:
    """What the query string asks for: topics, what is sent of each, and after which event. Raises InvalidParameter."""
    asked = {"topics": topics.ALL, "payload": "full", "include_resources": "", "after": ""}
    given: set[str] = set()
    for name, value in parameters(request.scope["query_string"]):
        if name not in asked or name in given:
            suggestion = None if name in asked else nearest(name, asked)
            raise InvalidParameter(
                "{name} is not a query parameter of this URL.", name=name, parameter=name, suggestion=suggestion
            )
        given.add(name)
        asked[name] = value
    told = frozenset(asked["topics"].split(","))
    for topic in told:
        if not topics.is_known(topic):
            meant = nearest(topic, topics.all_known())
            raise InvalidParameter("{topic} is no topic.", topic=topic, parameter="topics", suggestion=meant)
    if asked["payload"] not in get_args(_Payload):
        raise InvalidParameter("payload is full or thin.", parameter="payload")
    paths = tuple(path for path in asked["include_resources"].split(",") if path)
    resources = [graph[type_] for topic in told for type_ in topics.types(topic)]
    for path in paths:
        if not any(documents.leads_somewhere(resource, path) for resource in resources):
            raise InvalidInclude(
                "include_resources - {path} leads nowhere from {types}",
                path=path,
                types=sorted({resource.type_ for resource in resources}),
                parameter="include_resources",
            )
    return told, Shape(cast("_Payload", asked["payload"]), paths), asked["after"]


def _check_scopes(principal: Principal, told: frozenset[str], shape: Shape) -> None:
    """Raise Forbidden unless the token may read the resources that are sent; an event alone takes no further scope."""
    if shape.payload == "thin":
        return
    needed = {RESOURCES[type_].reads for type_ in documents.types_told(told, shape.include_resources)}
    if lacking := sorted(needed - principal.scopes):
        raise Forbidden(
            "The access token lacks the scope {scope}, which these topics take.", scope=lacking[0], parameter="topics"
        )


async def _place(request: Request, connection: Connection, principal: Principal, after: str) -> Place | None:
    """The place that a stream begins after; None for now. Raises ApiError for an event that there isn't."""
    last = heard_of(request, b"last-event-id")
    named = last or after
    if not named or (named == BEGINNING and not last):
        return reading.START if named else None
    place = await reading.place_of(connection, principal.store.id, named)
    if place is None and last:
        raise InvalidHeader("No event has the id {id}.", id=named, header="Last-Event-ID")
    if place is None:
        raise InvalidParameter("No event has the id {id}.", id=named, parameter="after")
    return place


class _Stream(Response):
    """A stream on its way."""

    def __init__(self, request: Request, principal: Principal, wanted: Wanted) -> None:
        super().__init__()
        self._request, self._principal, self._wanted = request, principal, wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client has gone, the server stops, or the token is no longer good.

        Raises TooManyRequests and Unavailable as `Streams.check` does, before anything is sent.
        """
        start: Message = {"type": "http.response.start", "status": 200, "headers": [*_HEADERS]}
        streams = service_of(self._request).streams
        if scope["method"] == "HEAD":
            streams.check(self._principal)
            await send(start)
            await send(_body())
            return
        async with streams.open(self._principal, self._wanted) as reader:
            left = asyncio.create_task(_left(receive))
            try:
                await send(start)
                await send(_body(_RETRY))
                looked = said = time.monotonic()
                while not left.done():
                    sent = await reader.next(self._principal.store, LOOK)
                    now = time.monotonic()
                    if now - looked >= LOOK:
                        looked = now
                        if not await self._is_good():
                            break
                    if sent or now - said >= HEARTBEAT:
                        said = now
                        await send(_body(sent or _COMMENT))
            finally:
                left.cancel()
        await send(_body())

    async def _is_good(self) -> bool:
        """Whether the token is good still; as long as the database is away, it is."""
        try:
            self._principal = await current(self._request)
            check_may_read(_ENTRY.resource, self._principal)
            _check_scopes(self._principal, self._wanted.topics, self._wanted.shape)
        except (Unauthorized, InvalidToken, Forbidden):
            return False
        except Exception as error:
            if isinstance(error, ApiError) or not passes(error):
                raise
        return True


async def _left(receive: Receive) -> None:
    """Wait until the server says that a client has gone, or that itself stops."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _body(part: bytes = b"") -> Message:
    """A part of the body; an empty one is its end."""
    return {"type": "http.response.body", "body": part, "more_body": bool(part)}
