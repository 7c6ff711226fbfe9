"""POST /mcp: the Model Context Protocol's Streamable HTTP without sessions, for assistants with a customer's token.

Every protocol version that the SDK knows is spoken: those with a handshake (2025) and the one without (2026-07-28).
There is no stream to GET and no session to DELETE: a server may answer both with 405.
"""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ApiError, Forbidden, InvalidDocument, MethodNotAllowed, UnsupportedMediaType
from service.http import urls
from service.http.auth import authenticate
from service.http.state import service_of

PATH = "/mcp"

_INVALID_REQUEST, _INTERNAL_ERROR = -32600, -32603
"""JSON-RPC 2.0, section 5.1."""


async def endpoint(request: Request) -> Response:
    """Let the customer whose token it is be served.

    Raises MethodNotAllowed, InvalidHost, Unauthorized, InvalidToken, Forbidden for who is no customer, and
    UnsupportedMediaType and InvalidDocument for a body that is no message of JSON-RPC.
    """
    if request.method != "POST":
        raise MethodNotAllowed("{method} is not offered here.", method=request.method, headers={"Allow": "POST"})
    urls.origin(request)  # a page elsewhere whose name leads here is no client of ours
    principal = await authenticate(request)
    if not principal.customer_id:
        raise Forbidden("Assistants act for a customer: send a customer's token.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.", header="Content-Type")
    body = await request.body()
    _check(body)
    return _Handed(await service_of(request).assistants.speaker(), body)


def _check(body: bytes) -> None:
    """Raise InvalidDocument for a request whose members are of other types than JSON-RPC 2.0, section 4, gives them.

    The protocol's SDK takes one with an odd id for a notification, and one with odd parameters for one without any.
    What is no object is left to the SDK, which says how it can't be read.
    """
    try:
        message = orjson.loads(body)
    except ValueError:
        return
    if not isinstance(message, dict) or "method" not in message:
        return
    for name, types in (("id", (str, int)), ("params", (dict,))):
        if name in message and (not isinstance(message[name], types) or isinstance(message[name], bool)):
            raise InvalidDocument("{name} of a request of JSON-RPC has another type.", name=name)


def render(request: Request, error: ApiError) -> Response:  # noqa: ARG001 -- every renderer of errors takes the request
    """A problem as JSON-RPC has it, of a request that nobody has looked into."""
    status = error.http_status
    code = _INTERNAL_ERROR if status >= ApiError.status else _INVALID_REQUEST
    told = {"code": code, "message": str(error.detail), "data": {"code": error.code}}
    body = orjson.dumps({"jsonrpc": "2.0", "id": None, "error": told})
    return Response(body, status, {"Cache-Control": "no-store", **error.all_headers}, "application/json")


class _Handed(Response):
    """An answer that another ASGI application gives to a body that was read, and that is kept nowhere."""

    def __init__(self, app: ASGIApp, body: bytes) -> None:
        self._app = app
        self._body: bytes | None = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def unkept(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
            await send(message)

        async def again() -> Message:
            if self._body is None:
                return await receive()
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, unkept)
