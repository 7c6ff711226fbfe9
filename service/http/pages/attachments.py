"""/exports/<token>: the file of an export. The URL is the credential, until the file goes.

Who was cut off asks for the rest (RFC 9110, section 14): one range of bytes is served, more are not.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from schemas.history import WHOLES
from service.http import guessing
from service.http.api.conditions import entity_tag
from service.http.state import service_of
from service.jsonapi.sight import Sight
from service.operations.data import exports
from service.rules.named_tokens import NamedKeys

PREFIX = "/exports/"

_MEDIA = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")


async def attachment(request: Request) -> Response:
    """GET and HEAD. Every URL that opens no file is the same 410."""
    service = service_of(request)
    async with guessing.limited(request), service.database.connection() as connection:
        store_id, id_, file = await exports.opened(connection, service.url_keys.exports, request.path_params["token"])
    size, tag = file.attachment_size, entity_tag(file.attempt, id_.encode())
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="{file.resource_type or "store"}-{id_}.{file.format}"',
        "ETag": tag,
    }
    asked = request.headers.get("range") if request.headers.get("if-range", tag) == tag else None
    within = None if asked is None else wanted(asked, size)
    if within is None:
        status, within = 200, range(size)
    elif not within:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    else:
        status = 206
        headers["Content-Range"] = f"bytes {within.start}-{within.stop - 1}/{size}"
    headers["Content-Length"] = str(len(within))
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=_MEDIA[file.format])
    body = exports.content(service.database, store_id, id_, file, within)
    return StreamingResponse(body, status, headers, _MEDIA[file.format])


def wanted(header: str, size: int) -> range | None:
    """The bytes that a Range header asks for; empty where there are none, None for what is served whole."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or (match[2] and int(match[2]) < int(match[1])):
        return None
    if match[3] is not None:
        return range(max(size - int(match[3]), 0), size)
    return range(int(match[1]), min(int(match[2]) + 1 if match[2] else size, size))


class Reader(NamedTuple):
    """Who is shown URLs: somebody who sees types of a store, at a service with a URL of its own."""

    store_id: int
    origin: str
    visible: Sight


def url_of(keys: NamedKeys, reader: Reader, export_id: str, type_: str | None) -> str | None:
    """The URL of the file of an export of a type; None for who may not read what is in it."""
    if not all(name in reader.visible for name in (WHOLES if type_ is None else (type_,))):
        return None
    return f"{reader.origin}{PREFIX}{keys.token(reader.store_id, export_id)}"


routes: list[Route] = [Route(f"{PREFIX}{{token}}", attachment)]
