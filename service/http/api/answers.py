"""JSON:API answers: documents and errors, each with the headers that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from schemas.relationships import ToMany
from schemas.rendering import Rendering
from service.errors import MOST_PROBLEMS, ApiError, InvalidHost, MethodNotAllowed, TooCostly
from service.http import urls
from service.http.api import prefer
from service.http.api.asking import Asked
from service.http.api.conditions import entity_tag
from service.http.exchange import exchange_of
from service.http.languages import language
from service.jsonapi import links
from service.jsonapi.document import (
    VERSION,
    Listed,
    Object,
    applying,
    collect,
    counts,
    document,
    identified,
    in_json,
)
from service.jsonapi.layout import Row
from service.jsonapi.negotiation import MEDIA_TYPE, PLAIN, Media
from service.jsonapi.pagination import PROFILE, Page
from service.store.read import Rows, Within
from service.texts import Phrase, say

VARY = "Accept, Accept-Language, Authorization, X-Cart-Session"

MOST_OF_AN_ANSWER = 5_000_000
"""Bytes of an answer to a read, before it is compressed."""
MOST_OF_LINKS = 1_024
"""Characters of `Link`: proxies refuse answers with large headers, and the body has the same links."""
PAGES = ("first", "prev", "next", "last")
"""The links of a document that lead to other pages of it."""


class Document(Response):
    """A JSON:API document with the headers that follow from it.

    The representation of one resource has an `ETag` of its `version`. Page links are repeated in `Link` (RFC 8288)
    while they are short. The extensions and profiles that `jsonapi` names are named in Content-Type and `links.self`
    ("Media Type Parameter Rules"). `keep` makes the answer to give when the request is repeated under its
    Idempotency-Key, where this one shows what an answer shows once.
    """

    def __init__(
        self,
        content: dict[str, Any],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        version: int | None = None,
        keep: Callable[[], Response] | None = None,
    ) -> None:
        applied = content["jsonapi"]
        plain = applied is VERSION
        media = PLAIN if plain else Media(tuple(applied.get("ext", ())), tuple(applied.get("profile", ())))
        around = content.get("links")
        if not plain and around is not None:
            content = {**content, "links": _typed(around, media)}
        self.status_code, self.background, self._keep = status, None, keep
        self.body = in_json(content)
        about = [_PLAIN_TYPE if plain else (b"content-type", media.content_type.encode()), *_ABOUT]
        about.append((b"content-length", b"%d" % len(self.body)))
        if around is not None and "first" in around and (pages := _pages(around)):
            about.append((b"link", pages.encode("latin-1")))
        if version is not None:
            about.append((b"etag", entity_tag(version, self.body).encode()))
        if headers:
            given = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
            names = {name for name, _ in given}
            about = [*(header for header in about if header[0] not in names), *given]
        self.raw_headers = about

    @property
    def kept(self) -> Response:
        """What is kept of this answer: it holds no secret."""
        return self if self._keep is None else self._keep()


_PLAIN_TYPE = (b"content-type", MEDIA_TYPE.encode())
_ABOUT = ((b"vary", VARY.encode()), (b"cache-control", b"private, no-cache"))


def _typed(around: Mapping[str, Any], media: Media) -> dict[str, Any]:
    """Links whose `self` says what media type it leads to (JSON:API 1.1, "Top Level")."""
    own = around.get("self")
    return {**around, "self": {"href": own, "type": media.content_type}} if isinstance(own, str) else dict(around)


def _pages(around: Mapping[str, Any]) -> str:
    """The value of `Link`; empty for links to no other pages, and for long ones."""
    pages = ", ".join([f'<{around[name]}>; rel="{name}"' for name in PAGES if around.get(name)])
    return pages if len(pages) <= MOST_OF_LINKS else ""


def bounded(answer: Response) -> Response:
    """An answer to a read. Raises TooCostly when it is larger than clients and proxies can be expected to take."""
    if len(answer.body) > MOST_OF_AN_ANSWER:
        raise TooCostly(
            "The answer would have {amount} bytes; {most} is the most: narrow it with page[size], fields or include.",
            amount=len(answer.body),
            most=MOST_OF_AN_ANSWER,
            meta={"limit": MOST_OF_AN_ANSWER, "value": len(answer.body)},
        )
    return answer


def single(
    asked: Asked,
    rendering: Rendering,
    row: Row | None,
    warnings: Sequence[Phrase] = (),
    disclosed: Mapping[str, Any] | None = None,
) -> Response:
    """200 with one resource, or with null; `warnings` stand in its `meta`. What is `disclosed` is here alone."""
    resources, included = collect([] if row is None else [row], asked.query.selection, rendering, disclosed)
    return Document(
        document(
            orjson.Fragment(resources[0]) if resources else None,
            {"self": asked.self, **_described(asked, rendering)},
            included=Listed(included) if asked.query.included else None,
            meta=warned(asked.request, warnings),
        ),
        version=None if row is None else int(row[1]),
        keep=lambda: single(asked, rendering._replace(secrets=False), row, warnings),
    )


def warned(request: Request, warnings: Sequence[Phrase]) -> dict[str, Any] | None:
    """Return the `meta` of a document, or of a result, with warnings; None without any."""
    return {"warnings": [say(warning, language(request)) for warning in warnings]} if warnings else None


def many(asked: Asked, rendering: Rendering, rows: Rows) -> Response:
    """200 with a page of resources."""
    resources, included = collect(rows.rows, asked.query.selection, rendering)
    also = _described(asked, rendering)
    return _page(asked, rows, resources, included=included if asked.query.included else None, also=also)


def linkage(asked: Asked, rendering: Rendering, within: Within, rows: Rows, *, including: bool) -> Response:
    """200 with what a relationship holds: an identifier, null, or a page of identifiers.

    `including` says that the resources themselves are among what is included.
    """
    selection = asked.query.selection
    resources, included = collect(rows.rows, selection, rendering)
    along = ([*resources, *included] if including else []) if asked.query.included else None
    identifiers = [identified(selection.resource.type_, row) for row in rows.rows]
    related = f"{rendering.base}/{within.parent.type_}/{within.id}/{within.name}"
    also = {"related": related, **_described(asked, rendering)}
    if isinstance(within.relationship, ToMany):
        return _page(asked, rows, identifiers, included=along, also=also)
    data = orjson.Fragment(identifiers[0]) if identifiers else None
    return Document(document(data, {"self": asked.self, **also}, included=None if along is None else Listed(along)))


def created(
    asked: Asked,
    rendering: Rendering,
    row: Row,
    disclosed: Mapping[str, Any],
    warnings: Sequence[Phrase] = (),
) -> Response:
    """201 with the new resource, and `warnings` in its `meta`.

    What is disclosed is in this one answer, and not in what is kept of it.
    """
    selection = asked.query.selection
    (resource,), included = collect([row], selection, rendering, disclosed)
    url = f"{rendering.base}/{selection.resource.type_}/{row[0].decode()}"
    answer = document(
        orjson.Fragment(resource),
        {"self": url, **_described(asked, rendering)},
        included=Listed(included) if asked.query.included else None,
        meta=warned(asked.request, warnings),
    )
    preferred = prefer.headers(asked.request, prefer.REPRESENTATION)
    headers = {"Location": url, "Vary": f"{VARY}, Prefer", **preferred}
    return Document(
        answer,
        201,
        headers,
        version=int(row[1]),
        keep=lambda: created(asked, rendering._replace(secrets=False), row, {}, warnings),
    )


def no_content(request: Request) -> Response:
    """204, which has neither a body nor a Content-Type."""
    preferred = prefer.headers(request, prefer.MINIMAL)
    return Response(
        status_code=204, headers={"Vary": f"{VARY}, Prefer", "Cache-Control": "private, no-cache", **preferred}
    )


def nothing_left(request: Request) -> Response:
    """200 with `meta` alone, for clients that need a document (JSON:API 1.1, "Deleting Resources")."""
    headers = {"Vary": f"{VARY}, Prefer", **prefer.headers(request, prefer.REPRESENTATION)}
    return Document({"jsonapi": VERSION, "meta": {}}, headers=headers)


def _page(
    asked: Asked, rows: Rows, data: list[bytes], *, included: list[bytes] | None, also: Mapping[str, Any]
) -> Response:
    """A page of resources or identifiers with its links and counts, or by cursor as the profile has it.

    `also` holds the top-level links beside those to pages.
    """
    query, meta = asked.query, counts(asked.query, rows.total) if rows.total is not None else {}
    along = None if included is None else Listed(included)
    if isinstance(query.page, Page):
        around = links.pages(asked.url, asked.pairs, query.page, rows.total or 0)
        return Document(document(Listed(data), {**around, **also}, included=along, meta=meta))
    if query.page.is_range and rows.more:
        meta.setdefault("page", {})["rangeTruncated"] = True
    around = links.windows(asked.self, asked.pairs, query.page, rows.cursors, more=rows.more)
    return Document(document(Listed(data), {**around, **also}, included=along, meta=meta or None, profiles=[PROFILE]))


def _described(asked: Asked, rendering: Rendering) -> Object:
    """The link of a document to the JSON Schema of its type."""
    return {"describedby": links.described_by(rendering.base, asked.query.selection.resource.type_)}


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
    if problem.suggestion is not None:
        error["detail"] += f" {say(Phrase('Did you mean {name}?', name=problem.suggestion), tongue)}"
    if problem.type_link:
        error["links"]["type"] = problem.type_link
    if problem.source:
        error["source"] = problem.source
    if problem.meta:
        error["meta"] = problem.meta
    return error


def errors(request: Request, error: ApiError) -> Response:
    """The error document of one problem or several, of which it counts those beyond the first hundred.

    What a method is not offered for, OPTIONS is told without a document.
    """
    told, amount = error.problems[:MOST_PROBLEMS], len(error.problems)
    headers = {name: value for problem in told for name, value in problem.headers.items()} | error.headers
    if isinstance(error, MethodNotAllowed):
        headers = _offered(headers)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Vary": VARY, **headers})
    objects = [error_object(request, problem) for problem in told]
    profiles = dict.fromkeys(problem.profile for problem in told if problem.profile)
    describing = links.described_by(f"{_origin(request)}/api", "errors")
    meta = {"meta": {"problems": amount}} if amount > len(told) else {}
    return Document(
        {"jsonapi": applying(profiles), "links": {"describedby": describing}, "errors": objects, **meta},
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
