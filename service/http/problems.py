"""What clients are told about errors, and what is logged of them."""

from __future__ import annotations

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.errors import ApiError, MethodNotAllowed, NotFound, Unavailable
from service.http.exchange import exchange_of
from service.store.pool import is_away

log = structlog.get_logger(part="http")


def problem_of(request: Request, error: Exception) -> ApiError:
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


def note(error: Exception, *, request_id: str, path: str) -> None:
    """Log what is no answer of ours: an accident with its traceback, an absent database in a line, with the reason.

    No code is to blame for the latter, and every request says it until the database is back.
    """
    if is_away(error):
        reason = str(error) or type(error).__name__
        log.warning("the database does not answer", reason=reason, request_id=request_id, path=path)
    elif not isinstance(error, ApiError | HTTPException):
        log.error("accident", exc_info=error, request_id=request_id, path=path)
