"""POST /mcp: the Model Context Protocol's Streamable HTTP without sessions, for assistants with a customer's token.

Every protocol version that the SDK knows is spoken: those with a handshake (2025) and the one without (2026-07-28).
There is no stream to GET and no session to DELETE: a server may answer both with 405.
"""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ApiError, Forbidden, MethodNotAllowed
from service.http import urls
from service.http.auth import authenticate
from service.http.state import service_of

PATH = "/mcp"

_INVALID_REQUEST, _INTERNAL_ERROR = -32600, -32603
"""JSON-RPC 2.0, section 5.1."""


async def endpoint(request: Request) -> Response:
    """Let the customer whose token it is be served.

    Raises MethodNotAllowed, InvalidHost, Unauthorized, InvalidToken, and Forbidden for who is no customer.
    """
    if request.method != "POST":
        raise MethodNotAllowed("{method} is not offered here.", method=request.method, headers={"Allow": "POST"})
    urls.origin(request)  # a page elsewhere whose name leads here is no client of ours
    principal = await authenticate(request)
    if not principal.customer_id:
        raise Forbidden("Assistants act for a customer: send a customer's token.")
    return _Handed(await service_of(request).assistants.speaker())


def render(request: Request, error: ApiError) -> Response:  # noqa: ARG001 -- every renderer of errors takes the request
    """A problem as JSON-RPC has it, of a request that nobody has looked into."""
    status = error.http_status
    code = _INTERNAL_ERROR if status >= ApiError.status else _INVALID_REQUEST
    told = {"code": code, "message": str(error.detail), "data": {"code": error.code}}
    body = orjson.dumps({"jsonrpc": "2.0", "id": None, "error": told})
    return Response(body, status, {"Cache-Control": "no-store", **error.all_headers}, "application/json")


class _Handed(Response):
    """An answer that another ASGI application gives, and that is kept nowhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def unkept(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
            await send(message)

        await self._app(scope, receive, unkept)
