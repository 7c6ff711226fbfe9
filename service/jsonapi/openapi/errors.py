"""The error answers of JSON:API routes, with the codes that each can hold, from the classes of `service.errors`."""

from __future__ import annotations

from typing import Any

from service import errors
from service.errors import ApiError

Object = dict[str, Any]

_PARAMETERS = (errors.InvalidParameter, errors.InvalidInclude, errors.InvalidField, errors.InvalidHost)
_COLLECTION = (errors.InvalidSort, errors.FilterNotAllowed, errors.InvalidFilterValue, errors.InvalidPage)
# Problems of several statuses in one document are reported together, as 400.
_MIXED = (errors.ReadOnly, errors.NotFound, errors.TypeMismatch, errors.Invalid)

ANSWERS: dict[str, tuple[int, str, tuple[type[ApiError], ...]]] = {
    "BadQuery": (400, "A query parameter that this URL doesn't take, or not with this value.", _PARAMETERS),
    "BadCollectionQuery": (
        400,
        "A query parameter that this collection doesn't take, or not with this value.",
        (*_PARAMETERS, *_COLLECTION),
    ),
    "BadDocument": (
        400,
        "The body is no document of the expected form, several things are wrong at once, or a query parameter is.",
        (errors.InvalidDocument, errors.InvalidHeader, *_MIXED, *_PARAMETERS),
    ),
    "Unauthorized": (
        401,
        "There is no token, or one that is unknown, expired or revoked.",
        (errors.Unauthorized, errors.InvalidToken),
    ),
    "Forbidden": (403, "The token lacks the scope, or is a customer's where customers may not.", (errors.Forbidden,)),
    "ForbiddenField": (
        403,
        "The token lacks the scope, a field was sent that the service sets, or the store doesn't offer it.",
        (errors.Forbidden, errors.ReadOnly, errors.ReorderDisabled),
    ),
    "NotFound": (404, "There is no such resource, or none that the token may know of.", (errors.NotFound,)),
    "NotAcceptable": (406, "The Accept header doesn't allow this media type.", (errors.NotAcceptable,)),
    "Conflict": (
        409,
        "The type is another one's, the id is taken, the state of things doesn't allow it, or the key is in use.",
        (errors.Conflict, errors.TypeMismatch, errors.InvalidState, errors.PreviewStale, errors.InProgress),
    ),
    "PayloadTooLarge": (413, "The body is larger than the service reads.", (errors.TooLarge,)),
    "UnsupportedMediaType": (
        415,
        "The Content-Type is not JSON:API's.",
        (errors.UnsupportedMediaType,),
    ),
    "Unprocessable": (
        422,
        "Values that break a rule, all of them at once, or the Idempotency-Key of another request.",
        (errors.Invalid, errors.KeyReused),
    ),
    "InternalServerError": (500, "Something went wrong on the service's side.", (ApiError,)),
}
"""Name of a shared response -> status, description, the errors it can hold."""

_HEADERS = {
    "Unauthorized": {"WWW-Authenticate": "WwwAuthenticate"},
    "UnsupportedMediaType": {"Accept-Post": "AcceptPost", "Accept-Patch": "AcceptPost"},
}

_READING = ("Unauthorized", "Forbidden", "NotAcceptable", "UnsupportedMediaType", "InternalServerError")
_WRITING = (
    "BadDocument",
    "Unauthorized",
    "ForbiddenField",
    "NotFound",
    "NotAcceptable",
    "Conflict",
    "PayloadTooLarge",
    "UnsupportedMediaType",
    "Unprocessable",
    "InternalServerError",
)


def schemas() -> dict[str, Object]:
    """The documents that the error answers hold, each with its own codes."""
    return {f"{name}Errors": _document(found) for name, (_, _, found) in ANSWERS.items()}


def responses(media_type: str) -> dict[str, Object]:
    """The shared error answers."""
    return {
        name: {
            "description": description,
            "headers": headers(**_HEADERS.get(name, {})),
            "content": {media_type: {"schema": {"$ref": f"#/components/schemas/{name}Errors"}}},
        }
        for name, (_, description, _) in ANSWERS.items()
    }


def headers(**further: str) -> Object:
    """References to the headers of every JSON:API answer, and to further ones: header name -> shared header."""
    named = {"X-Request-Id": "RequestId", "Vary": "Vary", "Cache-Control": "CacheControl"} | further
    return {name: {"$ref": f"#/components/headers/{shared}"} for name, shared in named.items()}


def of_collection() -> dict[str, Object]:
    """What can go wrong where a type's own collection is read."""
    return _by_status("BadCollectionQuery", *_READING)


def of_single() -> dict[str, Object]:
    """What can go wrong where one resource, or something of it, is read."""
    return _by_status("BadQuery", "NotFound", *_READING)


def of_related_collection() -> dict[str, Object]:
    """What can go wrong where the to-many relationship of a resource is read."""
    return _by_status("BadCollectionQuery", "NotFound", *_READING)


def of_creation() -> dict[str, Object]:
    """What can go wrong where a resource or a relationship is created or changed."""
    return _by_status(*_WRITING)


def of_deletion() -> dict[str, Object]:
    """What can go wrong where a resource is deleted."""
    return _by_status("BadQuery", "NotFound", "Conflict", "PayloadTooLarge", *_READING)


def of_entry_point() -> dict[str, Object]:
    """What can go wrong at the API's root, which asks for no token."""
    return _by_status("BadQuery", "NotAcceptable", "UnsupportedMediaType", "InternalServerError")


def _by_status(*names: str) -> dict[str, Object]:
    found = {str(ANSWERS[name][0]): {"$ref": f"#/components/responses/{name}"} for name in names}
    return dict(sorted(found.items()))


def _document(found: tuple[type[ApiError], ...]) -> Object:
    error = {
        "type": "object",
        "required": ["id", "status", "code", "title", "detail"],
        "properties": {
            "id": {"type": "string", "description": "The request's id, as in `X-Request-Id`."},
            "links": {
                "type": "object",
                "description": "Where the code is explained.",
                "properties": {name: {"type": "string", "format": "uri-reference"} for name in ("about", "type")},
            },
            "status": {"type": "string", "enum": sorted({str(error.status) for error in found})},
            "code": {"type": "string", "enum": [error.code for error in found]},
            "title": {"type": "string", "description": "The same for every occurrence of the code."},
            "detail": {"type": "string", "description": "What is wrong this time."},
            "source": {"$ref": "#/components/schemas/ErrorSource"},
            "meta": {"type": "object"},
        },
    }
    return {
        "type": "object",
        "required": ["jsonapi", "errors"],
        "properties": {
            "jsonapi": {"$ref": "#/components/schemas/JsonApi"},
            "errors": {"type": "array", "minItems": 1, "items": error},
        },
    }
