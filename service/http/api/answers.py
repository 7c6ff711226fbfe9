"""JSON:API responses: documents and errors, with the headers that every one of them carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.errors import ApiError, InvalidHost, MethodNotAllowed
from service.http import urls
from service.http.api.conditions import entity_tag
from service.http.exchange import exchange_of
from service.http.languages import language
from service.jsonapi.document import applying, without_secrets
from service.jsonapi.links import described_by
from service.jsonapi.negotiation import MEDIA_TYPE, PLAIN, Media
from service.texts import say

VARY = "Accept, Accept-Language, Authorization, X-Cart-Session"

PAGES = ("first", "prev", "next", "last")
"""The links of a document that lead to other pages of it."""


class Document(Response):
    """A JSON:API document with the headers that follow from it.

    One resource gets an `ETag`, page links are repeated in `Link` (RFC 8288), and the extensions and profiles that
    `jsonapi` names are named in Content-Type and `links.self` ("Media Type Parameter Rules"). `kept` is the answer to
    give when the request is repeated under its Idempotency-Key, where this one discloses something once.
    """

    def __init__(
        self,
        content: dict[str, Any],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        kept: Response | None = None,
    ) -> None:
        applied = content["jsonapi"]
        media = Media(tuple(applied.get("ext", ())), tuple(applied.get("profile", ())))
        if media != PLAIN and "links" in content:
            content = {**content, "links": _typed(content["links"], media)}
        body = orjson.dumps(content)
        about = {"Vary": VARY, "Cache-Control": "private, no-cache", **_pages(content), **_tag(content, body)}
        super().__init__(body, status, {**about, **(headers or {})}, media.content_type)
        self._content, self._given, self._kept = content, headers, kept

    @property
    def kept(self) -> Response:
        """What is kept of this answer: it holds no secret."""
        if self._kept is not None:
            return self._kept
        public = without_secrets(self._content)
        return self if public == self._content else Document(public, self.status_code, self._given)


def _typed(links: Mapping[str, Any], media: Media) -> dict[str, Any]:
    """Links whose `self` says what media type it leads to (JSON:API 1.1, "Top Level")."""
    own = links.get("self")
    return {**links, "self": {"href": own, "type": media.content_type}} if isinstance(own, str) else dict(links)


def _pages(content: Mapping[str, Any]) -> dict[str, str]:
    links = content.get("links", {})
    pages = [f'<{links[name]}>; rel="{name}"' for name in PAGES if links.get(name)]
    return {"Link": ", ".join(pages)} if pages else {}


def _tag(content: Mapping[str, Any], body: bytes) -> dict[str, str]:
    data = content.get("data")
    version = data.get("meta", {}).get("version") if isinstance(data, dict) else None
    return {} if version is None else {"ETag": entity_tag(version, body)}


def error_object(request: Request, problem: ApiError) -> dict[str, Any]:
    """One error object (JSON:API 1.1, "Error Objects") in the reader's language.

    `id` is the request's, so that a report of it finds its log lines.
    """
    tongue = language(request)
    url = f"{_origin(request)}/docs/errors#{problem.code.lower()}"
    error: dict[str, Any] = {
        "id": exchange_of(request).request_id,
        "links": {"about": url, "type": url},
        "status": str(problem.status),
        "code": problem.code,
        "title": say(problem.title, tongue),
        "detail": say(problem.detail, tongue),
    }
    if problem.type_link:
        error["links"]["type"] = problem.type_link
    if problem.source:
        error["source"] = problem.source
    if problem.meta:
        error["meta"] = problem.meta
    return error


def errors(request: Request, error: ApiError) -> Response:
    """The error document of one problem or several. What a method is not offered for, OPTIONS is told without one."""
    headers = {name: value for problem in error.problems for name, value in problem.headers.items()} | error.headers
    if isinstance(error, MethodNotAllowed):
        headers = _offered(headers)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Vary": VARY, **headers})
    objects = [error_object(request, problem) for problem in error.problems]
    profiles = dict.fromkeys(problem.profile for problem in error.problems if problem.profile)
    describing = described_by(f"{_origin(request)}/api", "errors")
    return Document(
        {"jsonapi": applying(profiles), "links": {"describedby": describing}, "errors": objects},
        error.http_status,
        {"Content-Language": language(request), **headers},
    )


def _offered(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with what a URL takes: its methods, and the media types of their bodies (RFC 5789, section 3.1)."""
    allow = headers.get("Allow", "").split(",")
    methods = sorted({method.strip() for method in allow if method.strip()} | {"OPTIONS"})
    accept = {f"Accept-{method.title()}": MEDIA_TYPE for method in ("PATCH", "POST") if method in methods}
    return {**accept, **headers, "Allow": ", ".join(methods)}


def _origin(request: Request) -> str:
    """Where links of errors begin; they are relative where the Host is one that no links are made for."""
    try:
        return urls.origin(request)
    except InvalidHost:
        return ""
