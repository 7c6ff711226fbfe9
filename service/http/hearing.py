"""What the head of a request says, read once, and refused where it can't be served."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from starlette.types import Scope

from service.errors import (
    HeadersTooLarge,
    InvalidHeader,
    InvalidHost,
    NotImplementedHere,
    UnsupportedMediaType,
    UriTooLong,
)
from service.jsonapi.negotiation import Media
from service.texts import Either

MOST_OF_A_URL = 16_384
"""Bytes of path and query that are read."""
MOST_OF_HEADERS = 32_768
"""Bytes of all headers together that are read."""
MOST_OF_A_HEADER = 8_192
"""Bytes that are read of one header, all its lines together."""
TARGET = "reprise.target"
"""The extension of a scope whose request names a host in its target too (RFC 9112, section 3.2.2)."""
HEAD = "reprise.head"
"""Under this a scope has the `Head` of its request, where a server has read it."""
AT_ONCE = "reprise.at_once"
"""Under this a scope has a function that sends an answer as a whole: its status, its headers and its body.

It returns False where the answer must go the way of messages: it has no length, or its client is slow.
"""
OVERRIDES = ("PATCH", "PUT", "DELETE")
"""The methods that a POST may stand for, of clients that can send no other."""

Heard = Mapping[bytes, bytes]
"""The headers of a request by their names; several lines of one are one list (RFC 9110, section 5.3)."""

MOST_REMEMBERED = 4_096
"""Bytes of the headers of a head that is remembered."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,128}")
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_CODINGS = (b"", b"identity")
_RARE = frozenset({b"content-encoding", b"transfer-encoding", b"x-http-method-override"})


class Head:
    """The headers of a request, and what follows from them alone.

    `lines` are the headers as they were sent, `heard` those by name. `sent_id` is the client's `X-Request-Id` if it is
    a plain one, `sent_trace` the id and the flags of the trace that it takes part in. `length` is the body's as it was
    declared; there is no body unless the head `announces` one. `is_plain` says that nothing in it is to be refused, or
    done before it is served, `asks_for_more` that the answer depends on more than its route. `media` is what was agreed
    on with its Accept, and `bearer` its access token, once somebody has worked that out.
    """

    __slots__ = (
        "announces", "asks_for_more", "bearer", "comes_from_a_page", "has_conditions", "heard", "is_forwarded",
        "is_plain", "length", "lines", "media", "sent_id", "sent_trace", "takes_codings",
    )  # fmt: skip

    def __init__(self, lines: tuple[tuple[bytes, bytes], ...]) -> None:
        heard: dict[bytes, bytes] = {}
        for name, value in lines:
            heard[name] = heard[name] + b", " + value if name in heard else value
        self.lines, self.heard = lines, heard
        sent = heard.get(b"x-request-id", b"")
        self.sent_id = sent.decode() if _REQUEST_ID.fullmatch(sent) else None
        self.sent_trace = _trace_in(heard.get(b"traceparent", b""))
        length = heard.get(b"content-length", b"")
        self.length = int(length) if length.isdigit() else 0
        self.announces = self.length > 0 or b"transfer-encoding" in heard
        # A part of something is a part of it as it is, in no coding.
        self.takes_codings = b"accept-encoding" in heard and b"range" not in heard
        self.comes_from_a_page = b"origin" in heard
        self.has_conditions = b"if-none-match" in heard
        self.asks_for_more = self.takes_codings or self.comes_from_a_page or self.has_conditions
        self.is_forwarded = b"forwarded" in heard or b"x-forwarded-for" in heard
        self.is_plain = _is_plain(heard)
        self.media: Media | None = None
        self.bearer: str | None = None


def head_of(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """The head of a request. Remembered, since clients send the same again and again."""
    lines = tuple(headers)
    return _remembered(lines) if sum([len(value) for _, value in lines]) <= MOST_REMEMBERED else Head(lines)


@lru_cache(maxsize=512)
def _remembered(lines: tuple[tuple[bytes, bytes], ...]) -> Head:
    return Head(lines)


# Ids that nobody shall guess are made elsewhere: these only have to differ.


def request_id(head: Head) -> str:
    """The client's `X-Request-Id` when it is a plain one, else a new one."""
    return head.sent_id or f"{random.getrandbits(104):026X}"


def trace(head: Head) -> tuple[str, str]:
    """The id of the request's trace, its client's or a new one, and the `traceparent` of our own span of it.

    Source: https://www.w3.org/TR/trace-context/.
    """
    if head.sent_trace is not None:
        trace_id, flags = head.sent_trace
        return trace_id, f"00-{trace_id}-{random.getrandbits(64):016x}-{flags}"
    made = f"{random.getrandbits(192):048x}"
    return made[:32], f"00-{made[:32]}-{made[32:]}-00"


def check(scope: Scope, head: Head) -> None:
    """Refuse what is larger than what is read, and what is said in no way that is understood.

    Raises UriTooLong, HeadersTooLarge, InvalidHost, UnsupportedMediaType, NotImplementedHere.
    """
    if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > MOST_OF_A_URL:
        raise UriTooLong("The URL is longer than {most} bytes.", most=MOST_OF_A_URL)
    if head.is_plain and "extensions" not in scope:
        return
    heard = head.heard
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


def _trace_in(sent: bytes) -> tuple[str, str] | None:
    match = _TRACEPARENT.fullmatch(sent)
    if match is None or not match[1].strip(b"0") or not match[2].strip(b"0"):
        return None
    return match[1].decode(), match[3].decode()


def _is_plain(heard: Heard) -> bool:
    """Whether a head is what all but a few are, so that nothing in it needs a further look."""
    return (
        b"," not in heard.get(b"host", b",")
        and sum(map(len, heard.values())) <= MOST_REMEMBERED
        and sum(map(len, heard)) <= MOST_REMEMBERED
        and not heard.keys() & _RARE
    )


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
