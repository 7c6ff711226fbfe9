"""The one place where an error becomes an answer, in the shape of the part of the API that was requested."""

from __future__ import annotations

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ApiError, MethodNotAllowed, NotFound, Unavailable
from service.http.exchange import exchange_of
from service.http.facades import renderer
from service.http.middleware import loggable
from service.store.pool import is_away

log = structlog.get_logger("reprise.http")


class Problems:
    """Answers every error that a request raises, and logs those that nobody meant to raise.

    The answer passes the other middleware, so that it has a request id and pages of other origins can read it. An error
    after the answer has begun is raised again: the server then cuts the connection. A client that has left is told
    nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, started = Request(scope, receive), False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception as error:
            if not isinstance(error, ApiError | HTTPException):
                log.exception("accident", request_id=exchange_of(request).request_id, path=loggable(scope["path"]))
            if started:
                raise
            await answer(request, error)(scope, receive, send)


def answer(request: Request, error: Exception) -> Response:
    """The answer to a request that raised an error."""
    return renderer(request.scope["path"])(request, _problem(request, error))


def _problem(request: Request, error: Exception) -> ApiError:
    """What a client is told about an error. Of an accident that is the request id alone: its text may hold values."""
    match error:
        case ApiError():
            return error
        case HTTPException(status_code=404):
            return NotFound("There is nothing at this URL.")
        case HTTPException(status_code=405):
            headers = dict(error.headers or {})
            return MethodNotAllowed("{method} is not offered here.", method=request.method, headers=headers)
    if is_away(error):
        return Unavailable("The database does not answer; retry in a moment.", headers={"Retry-After": "5"})
    return ApiError(
        "Something went wrong on our side. Tell us the request id {id}.", id=exchange_of(request).request_id
    )
