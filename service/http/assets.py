"""Answers that are the same for everybody, compressed once and not for each reader."""

from __future__ import annotations

import gzip
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response

from service.jsonapi.headers import elements, parameters

CACHED = {"Cache-Control": "public, max-age=3600"}
_CODING = "gzip"


def asset(request: Request, content: bytes, media_type: str) -> Response:
    """200 with content that never changes while the process runs, in gzip where the client takes it."""
    headers = CACHED | {"Vary": "Accept-Encoding"}
    if not _takes_gzip(request):
        return Response(content, headers=headers, media_type=media_type)
    return Response(_compressed(content), headers=headers | {"Content-Encoding": _CODING}, media_type=media_type)


def _takes_gzip(request: Request) -> bool:
    """Whether the client names gzip with a weight above zero (RFC 9110, section 12.5.3)."""
    for coding, pairs in filter(None, map(parameters, elements(request.headers.getlist("accept-encoding")))):
        if coding.lower() == _CODING:
            return all(value.strip("0.") for name, value in pairs if name == "q")
    return False


@lru_cache(maxsize=64)
def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=9, mtime=0)
