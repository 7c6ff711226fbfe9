"""Conditional requests (RFC 9110, section 13): entity tags, If-None-Match, If-Match.

A tag is `"<version>-<digest of the body>"`, and always a strong one. If-None-Match compares the whole tag, because each
representation of a resource (its fieldset, its includes, its language) has its own. If-Match compares the version
alone, so that a client may change an unchanged resource whatever representation it has read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import Message

from service.errors import PreconditionFailed, PreconditionRequired
from service.http.exchange import exchange_of
from service.jsonapi.headers import entity_tags

_VERSION = re.compile(r"([0-9]{1,19})-")
_CODING = re.compile(r"--(?:gzip|br|zstd)$")
_OF_THE_BODY = ("content-type", "content-length", "content-language", "content-encoding")


def entity_tag(version: int, body: bytes) -> str:
    """The strong tag of one representation of a resource at a version."""
    # Processors have instructions for SHA-1, which tells representations apart in half of BLAKE2's time.
    return f'"{version}-{hashlib.sha1(body, usedforsecurity=False).hexdigest()[:24]}"'


def check_conditions(request: Request, version: int) -> None:
    """Check If-Match and If-None-Match against the version of the locked resource that the request changes.

    `*` matches every version; If-Match takes strong tags alone (RFC 9110, sections 13.1.1 and 13.1.2). Raises
    PreconditionFailed, or PreconditionRequired when If-Match is missing and the store's policies demand it.
    """
    wanted, unwanted = request.headers.getlist("if-match"), request.headers.getlist("if-none-match")
    if wanted:
        if not _names(wanted, version, weak=False):
            raise PreconditionFailed(
                "The resource has changed: it is at version {version} now.", version=version, header="If-Match"
            )
    else:
        principal = exchange_of(request).principal
        if principal is not None and principal.demands_if_match:
            raise PreconditionRequired(
                "This store requires If-Match on every change, with the ETag that was read.", header="If-Match"
            )
    if unwanted and _names(unwanted, version, weak=True):
        raise PreconditionFailed(
            "The resource exists, and is at version {version}, which If-None-Match excludes.",
            version=version,
            header="If-None-Match",
        )


def not_modified(known: Sequence[str], start: Message) -> Message:
    """The start of an answer, or of 304 in its place when If-None-Match names the current representation.

    Source: RFC 9110, sections 13.1.2 and 15.4.5.
    """
    headers = MutableHeaders(raw=start["headers"])
    tag = _known_tag(known, headers.get("etag"))
    if start["status"] != 200 or tag is None:
        return start
    return {"type": "http.response.start", "status": 304, "headers": _without_body(headers, tag)}


def tag_in_coding(tag: str, coding: str) -> str:
    """The tag of a representation in a content coding, `"...--gzip"` (RFC 9110, section 8.8.3.3)."""
    return f'{tag[:-1]}--{coding}"'


def _known_tag(lines: Sequence[str], tag: str | None) -> str | None:
    """The tag in If-None-Match that names the current representation in any content coding, or None."""
    if tag is None:
        return None
    if _is_any(lines):
        return tag
    current = tag.removeprefix("W/").strip('"')
    return next((f'"{one.text}"' for one in entity_tags(lines) if _CODING.sub("", one.text) == current), None)


def _without_body(headers: MutableHeaders, tag: str) -> list[tuple[bytes, bytes]]:
    for name in _OF_THE_BODY:
        del headers[name]
    headers["ETag"] = tag
    return headers.raw


def _names(lines: Sequence[str], version: int, *, weak: bool) -> bool:
    """Whether the lines of a condition name a version, in a strong tag or, where they count, a `weak` one."""
    return _is_any(lines) or any((weak or not tag.weak) and _version(tag.text) == version for tag in entity_tags(lines))


def _is_any(lines: Sequence[str]) -> bool:
    return len(lines) == 1 and lines[0].strip() == "*"


def _version(tag: str) -> int | None:
    """The version in a tag, or None when the tag is none of ours."""
    match = _VERSION.match(tag)
    return int(match[1]) if match else None
