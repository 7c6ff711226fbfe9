"""Conditional requests (RFC 9110, section 13): entity tags, If-None-Match, If-Match.

A tag is `"<version>-<digest of the body>"`, and always a strong one. If-None-Match compares the whole tag, because each
representation of a resource (its fieldset, its includes, its language) has its own. If-Match compares the version
alone, so that a client may change an unchanged resource whatever representation it has read.
"""

from __future__ import annotations

import hashlib
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import PreconditionFailed, PreconditionRequired
from service.http.exchange import exchange_of

_TAG = re.compile(r'\s*(W/)?"([^"]*)"\s*(?:,|$)')
_VERSION = re.compile(r"([0-9]+)-.*")
_CODING = re.compile(r"--(?:gzip|br|zstd)$")
_OF_THE_BODY = ("content-type", "content-length", "content-language", "content-encoding")


def entity_tag(version: int, body: bytes) -> str:
    """The strong tag of one representation of a resource at a version."""
    return f'"{version}-{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def check_if_match(request: Request, version: int) -> None:
    """Check If-Match against the version of the locked resource that the request changes.

    `*` matches every version, a weak tag none. Raises PreconditionFailed, or PreconditionRequired when the header is
    missing and the store's policies demand it.
    """
    header = request.headers.get("if-match")
    if header is None:
        principal = exchange_of(request).principal
        if principal is not None and principal.demands_if_match:
            raise PreconditionRequired(
                "This store requires If-Match on every change, with the ETag that was read.", header="If-Match"
            )
        return
    if header.strip() == "*":
        return
    if not any(not weak and _version(tag) == version for weak, tag in _parse(header)):
        raise PreconditionFailed(
            "The resource has changed: it is at version {version} now.", version=version, header="If-Match"
        )


class NotModified:
    """Answers 304 when If-None-Match names the current representation (RFC 9110, sections 13.1.2 and 15.4.5)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        known = Headers(scope=scope).get("if-none-match") if scope["type"] == "http" else None
        if known is None or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        unchanged = False

        async def answer(message: Message) -> None:
            nonlocal unchanged
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                tag = _known_tag(known, headers.get("etag"))
                unchanged = message["status"] == 200 and tag is not None
                if unchanged and tag is not None:
                    message = {"type": "http.response.start", "status": 304, "headers": _without_body(headers, tag)}
            elif unchanged:
                message = {"type": "http.response.body", "body": b""} if not message.get("more_body") else {}
            if message:
                await send(message)

        await self.app(scope, receive, answer)


def tag_in_coding(tag: str, coding: str) -> str:
    """The tag of a representation in a content coding, `"...--gzip"` (RFC 9110, section 8.8.3.3)."""
    return f'{tag[:-1]}--{coding}"'


def _known_tag(header: str, tag: str | None) -> str | None:
    """The tag in If-None-Match that names the current representation in any content coding, or None."""
    if tag is None:
        return None
    if header.strip() == "*":
        return tag
    current = tag.removeprefix("W/").strip('"')
    return next((f'"{opaque}"' for _, opaque in _parse(header) if _CODING.sub("", opaque) == current), None)


def _without_body(headers: MutableHeaders, tag: str) -> list[tuple[bytes, bytes]]:
    for name in _OF_THE_BODY:
        del headers[name]
    headers["ETag"] = tag
    return headers.raw


def _parse(header: str) -> list[tuple[bool, str]]:
    """The tags of a header, each as a pair: whether it is weak, and the text in its quotes."""
    return [(match[1] is not None, match[2]) for match in _TAG.finditer(header)]


def _version(tag: str) -> int | None:
    """The version in a tag, or None when the tag is none of ours."""
    match = _VERSION.fullmatch(tag)
    return int(match[1]) if match and len(match[1]) < 20 else None
