"""The error answers of JSON:API routes, with the codes that each can hold, from the classes of `service.errors`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from schemas.fields import Write
from schemas.resource import Resource
from service import errors
from service.contract.refs import headers, response, schema
from service.errors import ApiError

Object = dict[str, Any]

_PARAMETERS = (
    errors.InvalidParameter,
    errors.InvalidInclude,
    errors.InvalidField,
    errors.TooCostly,
    errors.InvalidHost,
)
_COLLECTION = (errors.InvalidSort, errors.FilterNotAllowed, errors.InvalidFilterValue, errors.InvalidPage)
# Problems of several statuses in one document are reported together, as 400.
_MIXED = (
    errors.Forbidden,
    errors.ReadOnly,
    errors.NotFound,
    errors.TypeMismatch,
    errors.Conflict,
    errors.InvalidState,
    errors.Invalid,
)

ANSWERS: dict[str, tuple[int, str, tuple[type[ApiError], ...]]] = {
    "BadStream": (400, "Something is asked for that can't be told.", (*_PARAMETERS, errors.InvalidHeader)),
    "BadQuery": (400, "A query parameter that this URL doesn't take, or not with this value.", _PARAMETERS),
    "BadCollectionQuery": (
        400,
        "A query parameter that this collection doesn't take, or not with this value.",
        (*_PARAMETERS, *_COLLECTION),
    ),
    "BadDeletion": (
        400,
        "A query parameter, which this URL doesn't take, or a header that can't be read.",
        (errors.InvalidParameter, errors.InvalidHeader, errors.InvalidHost),
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
    "PaymentRefused": (
        402,
        "The payment gateway refuses the payment, or doesn't answer: nothing is placed and nothing charged.",
        (errors.PaymentRefused,),
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
        (
            errors.Conflict,
            errors.TypeMismatch,
            errors.InvalidState,
            errors.PreviewStale,
            errors.InProgress,
            errors.Contended,
        ),
    ),
    "Gone": (410, "The repeat link that made the cart was withdrawn or is used up.", (errors.Gone,)),
    "PreconditionFailed": (412, "A resource is at another version than was asked for.", (errors.PreconditionFailed,)),
    "PayloadTooLarge": (413, "The body is larger than the service reads.", (errors.TooLarge,)),
    "UriTooLong": (414, "The URL is longer than the service reads.", (errors.UriTooLong,)),
    "UnsupportedMediaType": (
        415,
        "The Content-Type is not JSON:API's.",
        (errors.UnsupportedMediaType,),
    ),
    "Unprocessable": (
        422,
        "Values that break a rule, all of them at once, or the Idempotency-Key of another request.",
        (errors.Invalid, errors.QuotaExceeded, errors.KeyReused),
    ),
    "PreconditionRequired": (
        428,
        "The store asks for the version that every change is made to.",
        (errors.PreconditionRequired,),
    ),
    "TooManyRequests": (
        429,
        "Nothing is left of what the sender may ask in a minute, or of wrong tokens or sessions from one address.",
        (errors.TooManyRequests,),
    ),
    "HeadersTooLarge": (431, "The headers are larger than the service reads.", (errors.HeadersTooLarge,)),
    "InternalServerError": (500, "Something went wrong on the service's side.", (ApiError,)),
    "Unavailable": (503, "The service can't answer now.", (errors.Unavailable,)),
}
"""Name of a shared response -> status, description, the errors it can hold."""

_HEADERS = {
    "Unauthorized": ("WWW-Authenticate",),
    "Conflict": ("Retry-After",),
    "UnsupportedMediaType": ("Accept-Post", "Accept-Patch", "Accept-Encoding"),
    "TooManyRequests": ("Retry-After",),
    "Unavailable": ("Retry-After",),
}
_SOMETIMES = {"WWW-Authenticate": "BearerChallenge"}
"""Header that answers of one status always have -> its description where only that status has it."""

_ANYWHERE = (
    *("NotAcceptable", "UriTooLong", "UnsupportedMediaType", "HeadersTooLarge"),
    *("InternalServerError", "Unavailable"),
)
_ASKED = ("Unauthorized", "Forbidden", *_ANYWHERE, "TooManyRequests")
_SENT = ("Unauthorized", "ForbiddenField", "PayloadTooLarge", *_ANYWHERE, "TooManyRequests")

OTHERWISE: dict[str, tuple[str, ...]] = {
    "EntryProblem": ("BadQuery", *_ANYWHERE),
    "ReadProblem": ("BadQuery", *_ASKED),
    "ListProblem": ("BadCollectionQuery", *_ASKED),
    "CreationProblem": ("BadDocument", *_SENT),
    "ChangeProblem": ("BadDocument", *_SENT, "PreconditionRequired"),
    "DeletionProblem": ("BadDeletion", *_ASKED, "PayloadTooLarge", "PreconditionRequired"),
}
"""Name of a shared response for `default` -> the answers that it can be.

Only what means something for an operation is listed there by its status; the rest, which may happen at any URL, is said
once.
"""

_TRIGGERED = {"_place": "PaymentRefused", "_repeat_link_factor": "Gone"}


def shared() -> dict[str, Object]:
    """What all error documents have in common."""
    url = {"type": "string", "format": "uri-reference"}
    error = {
        "type": "object",
        "required": ["id", "links", "status", "code", "title", "detail"],
        "properties": {
            "id": {"type": "string", "description": "The request's id, as in `X-Request-Id`."},
            "links": {
                "type": "object",
                "description": "Where the code is explained.",
                "required": ["about", "type"],
                "properties": {"about": url, "type": url},
            },
            "status": {"type": "string", "pattern": "^[45][0-9]{2}$"},
            "code": {"type": "string"},
            "title": {"type": "string", "description": "The same for every occurrence of the code."},
            "detail": {"type": "string", "description": "What is wrong this time."},
            "source": schema("ErrorSource"),
            "meta": {"type": "object"},
        },
    }
    return {
        "ErrorSource": {
            "type": "object",
            "description": "Where the mistake is, by one of these.",
            "properties": {
                "pointer": {"type": "string", "format": "json-pointer", "description": "Into the request's document."},
                "parameter": {"type": "string", "description": "The query parameter."},
                "header": {"type": "string", "description": "The request header."},
            },
        },
        "Error": error,
        "Errors": {
            "type": "object",
            "required": ["jsonapi", "links", "errors"],
            "properties": {
                "jsonapi": schema("JsonApi"),
                "links": {
                    "type": "object",
                    "required": ["describedby"],
                    "properties": {"describedby": schema("DescribedBy")},
                },
                "errors": {"type": "array", "minItems": 1, "items": schema("Error")},
            },
        },
    }


def named(references: Collection[str]) -> tuple[str, ...]:
    """The names of the answers that are among these references."""
    return tuple(name for name in (*ANSWERS, *OTHERWISE) if response(name)["$ref"] in references)


def schemas(names: Iterable[str]) -> dict[str, Object]:
    """The documents that some of the answers hold, each with its own codes."""
    return {f"{name}Errors": _document(name) for name in names}


def responses(names: Iterable[str], media_type: str) -> dict[str, Object]:
    """Some of the shared error answers: those of one status, and those for `default`."""
    return {
        name: _otherwise(name, media_type) if name in OTHERWISE else _response(name, ANSWERS[name][1], media_type)
        for name in names
    }


def covered(name: str) -> dict[str, str]:
    """The statuses that a shared response for `default` stands for, each with the name of its answer."""
    return {str(ANSWERS[answer][0]): answer for answer in OTHERWISE[name]}


def _otherwise(name: str, media_type: str) -> Object:
    statuses = sorted((status, text) for status, text, _ in map(ANSWERS.__getitem__, OTHERWISE[name]))
    found = _response(name, "\n".join(f"- {status}: {text}" for status, text in statuses), media_type)
    found["headers"] = {
        header: headers(_SOMETIMES[header])[_SOMETIMES[header]] if header in _SOMETIMES else reference
        for header, reference in found["headers"].items()
    }
    return found


def _response(name: str, description: str, media_type: str) -> Object:
    further = dict.fromkeys(header for answer in OTHERWISE.get(name, (name,)) for header in _HEADERS.get(answer, ()))
    return {
        "description": description,
        "headers": headers("Content-Language", *further),
        "content": {media_type: {"schema": schema(f"{name}Errors")}},
    }


def of_collection() -> dict[str, Object]:
    """What can go wrong where a type's own collection is read."""
    return _refusals("ListProblem")


def of_single() -> dict[str, Object]:
    """What can go wrong where one resource, or something of it, is read."""
    return _refusals("ReadProblem", "NotFound")


def of_related_collection() -> dict[str, Object]:
    """What can go wrong where the to-many relationship of a resource is read."""
    return _refusals("ListProblem", "NotFound")


def of_creation() -> dict[str, Object]:
    """What can go wrong where a resource is created."""
    return _refusals("CreationProblem", "NotFound", "Conflict", "Unprocessable")


def of_triggers(resource: type[Resource], verb: Write) -> dict[str, Object]:
    """What can go wrong beside that with what a type does when it is created or changed."""
    asked = {name for name, trigger in resource.triggers.items() if trigger.write & verb}
    return _by_status(*(answer for name, answer in _TRIGGERED.items() if name in asked))


def of_operations() -> dict[str, Object]:
    """What can go wrong where many resources and relationships are changed at once."""
    return of_change() | _by_status("Gone")


def of_change() -> dict[str, Object]:
    """What can go wrong where a resource or a relationship is changed."""
    return _refusals("ChangeProblem", "NotFound", "Conflict", "PreconditionFailed", "Unprocessable")


def of_deletion() -> dict[str, Object]:
    """What can go wrong where a resource is deleted."""
    return _refusals("DeletionProblem", "NotFound", "Conflict", "PreconditionFailed", "Unprocessable")


def of_entry_point() -> dict[str, Object]:
    """What can go wrong at the API's root, which asks for no token."""
    return _refusals("EntryProblem")


def _refusals(rest: str, *names: str) -> dict[str, Object]:
    """Some answers by their status, and the rest as one."""
    return _by_status(*names) | {"default": response(rest)}


def _by_status(*names: str) -> dict[str, Object]:
    return {str(ANSWERS[name][0]): response(name) for name in names}


def _document(name: str) -> Object:
    """An error document with some codes only, and their statuses."""
    found = dict.fromkeys(error for answer in OTHERWISE.get(name, (name,)) for error in ANSWERS[answer][2])
    told = {
        "status": {"enum": sorted({str(error.status) for error in found})},
        "code": {"enum": [error.code for error in found]},
    }
    narrowed = {"properties": {"errors": {"items": {"properties": told}}}}
    return {"allOf": [schema("Errors"), narrowed]}
