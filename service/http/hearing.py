"""What the head of a request says, read once, and refused where it can't be served."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping

from starlette.types import Scope

from service import clock
from service.errors import (
    HeadersTooLarge,
    InvalidHeader,
    InvalidHost,
    NotImplementedHere,
    UnsupportedMediaType,
    UriTooLong,
)
from service.texts import Either

MOST_OF_A_URL = 16_384
"""Bytes of path and query that are read."""
MOST_OF_HEADERS = 32_768
"""Bytes of all headers together that are read."""
MOST_OF_A_HEADER = 8_192
"""Bytes that are read of one header, all its lines together."""
TARGET = "reprise.target"
"""The extension of a scope whose request names a host in its target too (RFC 9112, section 3.2.2)."""
OVERRIDES = ("PATCH", "PUT", "DELETE")
"""The methods that a POST may stand for, of clients that can send no other."""

Heard = Mapping[bytes, bytes]
"""The headers of a request by their names; several lines of one are one list (RFC 9110, section 5.3)."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,128}")
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_CODINGS = (b"", b"identity")


def hear(headers: Iterable[tuple[bytes, bytes]]) -> Heard:
    """The headers of a request."""
    heard: dict[bytes, bytes] = {}
    for name, value in headers:
        heard[name] = heard[name] + b", " + value if name in heard else value
    return heard


def request_id(heard: Heard) -> str:
    """The client's `X-Request-Id` when it is a plain one, else a new one."""
    sent = heard.get(b"x-request-id", b"")
    return sent.decode() if _REQUEST_ID.fullmatch(sent) else clock.new_id()


def trace(heard: Heard) -> tuple[str, str]:
    """The id of the request's trace, its client's or a new one, and the `traceparent` of our own span of it.

    Source: https://www.w3.org/TR/trace-context/.
    """
    match = _TRACEPARENT.fullmatch(heard.get(b"traceparent", b""))
    if match is not None and match[1].strip(b"0") and match[2].strip(b"0"):
        trace_id, flags = match[1].decode(), match[3].decode()
    else:
        # Ids that nobody shall guess are made elsewhere: these only have to differ.
        trace_id, flags = f"{random.getrandbits(128):032x}", "00"
    return trace_id, f"00-{trace_id}-{random.getrandbits(64):016x}-{flags}"


def check(scope: Scope, heard: Heard) -> None:
    """Refuse what is larger than what is read, and what is said in no way that is understood.

    Raises UriTooLong, HeadersTooLarge, InvalidHost, UnsupportedMediaType, NotImplementedHere.
    """
    if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > MOST_OF_A_URL:
        raise UriTooLong("The URL is longer than {most} bytes.", most=MOST_OF_A_URL)
    _check_host(scope, heard)
    _check_sizes(heard)
    if heard.get(b"transfer-encoding", b"chunked").strip().lower() != b"chunked":
        raise NotImplementedHere("Bodies are taken in no transfer coding but chunked.", header="Transfer-Encoding")
    coding = heard.get(b"content-encoding", b"")
    if coding and coding.strip().lower() not in _NO_CODINGS:
        # Bodies are read as they come.
        raise UnsupportedMediaType(
            "Send the body without a content coding; this request says {sent!r}.",
            sent=coding[:40].decode("latin-1"),
            header="Content-Encoding",
            headers={"Accept-Encoding": "identity"},
        )


def override(scope: Scope, heard: Heard) -> None:
    """Let a POST below /api stand for the method that `X-HTTP-Method-Override` names. Raises InvalidHeader."""
    if b"x-http-method-override" not in heard or scope["method"] != "POST" or not scope["path"].startswith("/api/"):
        return
    sent = heard[b"x-http-method-override"].decode("latin-1").strip()
    method = sent.upper()
    if method not in (*OVERRIDES, "POST"):
        raise InvalidHeader(
            "A POST can be sent in place of {methods}, not of {sent!r}.",
            methods=Either(OVERRIDES),
            sent=sent,
            header="X-HTTP-Method-Override",
        )
    scope["method"] = method


def without_trailing_slash(scope: Scope) -> None:
    """Serve /api/orders/ as /api/orders: some clients append the slash to every URL."""
    path: str = scope["path"]
    if path.endswith("/") and path.startswith("/api/"):
        scope["path"] = path.rstrip("/")
        scope["raw_path"] = scope.get("raw_path", path.encode()).rstrip(b"/")


def _check_host(scope: Scope, heard: Heard) -> None:
    """Raise InvalidHost unless one host is named, and the target's is the same (RFC 9112, sections 3.2 and 3.2.2)."""
    host = heard.get(b"host")
    if host is None and scope["http_version"] == "1.1":
        raise InvalidHost("A request names one host; this one names none.", header="Host")
    if host is not None and b"," in host:
        raise InvalidHost("A request names one host; this one names several.", header="Host")
    extensions = scope.get("extensions")
    target = extensions.get(TARGET) if extensions else None
    if target is not None and (host is None or target["authority"].lower() != host.decode("latin-1").lower()):
        raise InvalidHost("The request's target and its Host header name different hosts.", header="Host")


def _check_sizes(heard: Heard) -> None:
    if len(b"".join([*heard, *heard.values()])) > MOST_OF_HEADERS:
        raise HeadersTooLarge("The headers are larger than {most} bytes.", most=MOST_OF_HEADERS)
    if heard and max(map(len, heard.values())) > MOST_OF_A_HEADER:
        name = max(heard, key=lambda one: len(heard[one])).decode("latin-1")[:40]
        raise HeadersTooLarge("{name} is larger than {most} bytes.", name=name, most=MOST_OF_A_HEADER, header=name)
