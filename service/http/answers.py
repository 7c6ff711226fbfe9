"""JSON:API responses: documents and errors, with the headers that every one of them carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.errors import ApiError
from service.jsonapi.negotiation import MEDIA_TYPE

VARY = "Accept, Authorization"


class Document(Response):
    """A JSON:API document; the media type has no parameter but the profiles that its `jsonapi` object names.

    JSON:API 1.1, "Media Type Parameter Rules".
    """

    media_type = MEDIA_TYPE

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        profiles = content["jsonapi"].get("profile")
        super().__init__(
            orjson.dumps(content),
            status,
            {"Vary": VARY, "Cache-Control": "private, no-cache", **(headers or {})},
            f'{MEDIA_TYPE}; profile="{" ".join(profiles)}"' if profiles else MEDIA_TYPE,
        )


def error_object(problem: ApiError, request_id: str) -> dict[str, Any]:
    """One error object (JSON:API 1.1, "Error Objects").

    `id` is the request's, so that a report of it finds its log lines.
    """
    error: dict[str, Any] = {
        "id": request_id,
        "status": str(problem.status),
        "code": problem.code,
        "title": problem.title,
        "detail": problem.detail,
    }
    if problem.type_link:
        error["links"] = {"type": problem.type_link}
    if problem.source:
        error["source"] = problem.source
    if problem.meta:
        error["meta"] = problem.meta
    return error


def errors(request: Request, error: ApiError) -> Response:
    """The error document of one problem or several."""
    request_id = request.scope.get("request_id", "")
    objects = [error_object(problem, request_id) for problem in error.problems]
    headers = {name: value for problem in error.problems for name, value in problem.headers.items()} | error.headers
    return Document({"jsonapi": {"version": "1.1"}, "errors": objects}, error.http_status, headers)
