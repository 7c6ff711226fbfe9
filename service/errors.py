"""Everything that can go wrong for a client, one class per error code.

    ApiError                              INTERNAL_SERVER_ERROR       500
    ├── InvalidDocument                   INVALID_DATA_FORMAT         400   the body is no JSON:API document
    ├── InvalidParameter                  PARAM_NOT_ALLOWED           400   a query parameter we don't know, or not here
    │   ├── InvalidInclude                INVALID_INCLUDE
    │   ├── InvalidField                  INVALID_FIELD
    │   ├── InvalidSort                   INVALID_SORT_CRITERIA
    │   ├── FilterNotAllowed              FILTER_NOT_ALLOWED
    │   ├── InvalidFilterValue            INVALID_FILTER_VALUE
    │   ├── InvalidPage                   INVALID_PAGE_VALUE
    │   └── TooCostly                     QUERY_TOO_COSTLY                  more than one request may ask for
    ├── InvalidHeader                     INVALID_HEADER              400   a header that can't be read
    │   └── InvalidHost                   INVALID_HOST                      a Host header that is on no list
    ├── Unauthorized                      UNAUTHORIZED                401   no token
    ├── InvalidToken                      INVALID_TOKEN               401   a token that is unknown, expired or revoked
    ├── PaymentRefused                    PAYMENT_NOT_APPROVED_FOR_EXECUTION
    │                                                                 402   the payment gateway refuses the payment
    ├── Forbidden                         FORBIDDEN                   403   a scope is missing, or customers may not
    │   ├── ReadOnly                      READ_ONLY                   403   a field that clients can't change
    │   └── ReorderDisabled               REORDER_DISABLED            403   the store has switched reordering off
    ├── NotFound                          RECORD_NOT_FOUND            404
    ├── MethodNotAllowed                  METHOD_NOT_ALLOWED          405
    ├── NotAcceptable                     NOT_ACCEPTABLE              406
    ├── Conflict                          RECORD_NOT_UNIQUE           409   this id or key is taken already
    │   ├── TypeMismatch                  TYPE_MISMATCH
    │   ├── InvalidState                  INVALID_STATE
    │   ├── PreviewStale                  PREVIEW_STALE                     a reorder isn't what its preview said
    │   ├── InProgress                    REQUEST_IN_PROGRESS               the same request is being answered
    │   └── Contended                     RESOURCES_CONTENDED               others are changing the same resources
    ├── Gone                              LINK_GONE                   410   a repeat link that no longer works
    ├── PreconditionFailed                PRECONDITION_FAILED         412   the resource has changed since
    ├── TooLarge                          PAYLOAD_TOO_LARGE           413
    ├── UriTooLong                        URI_TOO_LONG                414
    ├── UnsupportedMediaType              UNSUPPORTED_MEDIA_TYPE      415
    ├── Invalid                           VALIDATION_ERROR            422   a value that breaks a rule
    │   ├── WrongGuess                    VALIDATION_ERROR                  what only some know, and wasn't known
    │   ├── QuotaExceeded                 QUOTA_EXCEEDED                    more than one owner keeps
    │   └── KeyReused                     IDEMPOTENCY_KEY_REUSED            the key of another request
    ├── PreconditionRequired              PRECONDITION_REQUIRED       428   the store wants If-Match
    ├── TooManyRequests                   TOO_MANY_REQUESTS           429
    ├── HeadersTooLarge                   HEADERS_TOO_LARGE           431
    ├── NotImplementedHere                NOT_IMPLEMENTED             501   a transfer coding that isn't known
    ├── Unavailable                       SERVICE_UNAVAILABLE         503
    └── Problems                          several of the above at once

    StartupError                          not a client's: one sentence for the person at the terminal, exit code 1

Codes are Commerce Layer's where one fits. Each has its heading in docs/reference/errors.md. A title is the same for
every occurrence of a code, the detail is specific (JSON:API 1.1, "Error Objects"); facades with another error shape
read the same attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from service.texts import Phrase

MOST_PROBLEMS = 100
"""How many problems of a request are told; the rest are counted."""


class ApiError(Exception):
    """One problem of one request.

    `detail` says what is wrong in words: a template with `{name}` where one of the further keywords stands, which make
    it a `Phrase`. At most one of `pointer` (RFC 6901, into the request document), `parameter` (the exact query
    parameter) and `header` says where. What knows of no document names `fields` instead: `locate` turns the first of
    them that was sent into a pointer, with `within` behind it (`/0/quantity`).
    `suggestion` is the valid name that an unknown one is nearest to; it is told in the answer's `meta` too.
    `meta` and response `headers` are optional; `type_link` is the URI of the kind of problem where a profile has one.
    `profile` is the URI of the profile that the request was read by when the problem was found, which is then applied
    to the document that tells of it.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"
    title: ClassVar[str] = "Internal server error"

    def __init__(
        self,
        detail: str,
        *,
        pointer: str | None = None,
        parameter: str | None = None,
        header: str | None = None,
        fields: Sequence[str] = (),
        within: str = "",
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        type_link: str | None = None,
        suggestion: str | None = None,
        **values: Any,
    ) -> None:
        self.detail = Phrase(detail, **values)
        super().__init__(str(self.detail))
        where = (("pointer", pointer), ("parameter", parameter), ("header", header))
        self.source = {key: value for key, value in where if value is not None}
        self.fields, self.within = fields, within
        self.suggestion = suggestion
        self.meta = meta if suggestion is None else {**(meta or {}), "suggestion": suggestion}
        self.headers = dict(headers or {})
        self.type_link = type_link
        self.profile: str | None = None

    @property
    def http_status(self) -> int:
        """The status of a response that reports this problem."""
        return self.status

    @property
    def problems(self) -> Sequence[ApiError]:
        """The single problems; for one problem itself."""
        return (self,)

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers of all problems, for one answer that tells of them."""
        return {name: value for problem in self.problems for name, value in problem.headers.items()}

    def locate(self, pointer: Callable[..., str]) -> None:
        """Say where the fields are that the problems name: `pointer` knows it of the first of them that was sent."""
        for problem in self.problems:
            if problem.fields and not problem.source:
                problem.source = {"pointer": pointer(*problem.fields) + problem.within}


class InvalidDocument(ApiError):
    """The request body is not a JSON:API document of the expected form (JSON:API 1.1, "Document Structure")."""

    status = 400
    code = "INVALID_DATA_FORMAT"
    title = "Invalid document"


class InvalidParameter(ApiError):
    """A query parameter that is unknown, repeated or not offered on this URL (JSON:API 1.1, "Query Parameters")."""

    status = 400
    code = "PARAM_NOT_ALLOWED"
    title = "Query parameter not allowed"


class InvalidInclude(InvalidParameter):
    """An include path that leads nowhere, too far, or where it may not."""

    code = "INVALID_INCLUDE"
    title = "Invalid include"


class InvalidField(InvalidParameter):
    """A fieldset that names an unknown type or field."""

    code = "INVALID_FIELD"
    title = "Invalid field"


class InvalidSort(InvalidParameter):
    """A sort key that can't be sorted by."""

    code = "INVALID_SORT_CRITERIA"
    title = "Invalid sort criteria"


class FilterNotAllowed(InvalidParameter):
    """A filter on something that can't be filtered by."""

    code = "FILTER_NOT_ALLOWED"
    title = "Filter not allowed"


class InvalidFilterValue(InvalidParameter):
    """A filter value that can't be read as what it is compared with."""

    code = "INVALID_FILTER_VALUE"
    title = "Invalid filter value"


class InvalidPage(InvalidParameter):
    """A page parameter out of its range or mixed with another kind of paging."""

    code = "INVALID_PAGE_VALUE"
    title = "Invalid page value"


class TooCostly(InvalidParameter):
    """A query that asks for more than one request may: a limit is passed, or the database ran out of time."""

    code = "QUERY_TOO_COSTLY"
    title = "Query too costly"


class InvalidHeader(ApiError):
    """A request header that can't be read, or holds a value that isn't offered."""

    status = 400
    code = "INVALID_HEADER"
    title = "Invalid header"


class InvalidHost(InvalidHeader):
    """The Host header names a host that links may not be made for."""

    code = "INVALID_HOST"
    title = "Invalid host"


class Unauthorized(ApiError):
    """The request carries no Bearer token."""

    status = 401
    code = "UNAUTHORIZED"
    title = "Access denied"


class InvalidToken(ApiError):
    """The Bearer token is unknown, expired or revoked."""

    status = 401
    code = "INVALID_TOKEN"
    title = "Invalid token"


class PaymentRefused(ApiError):
    """The payment gateway refuses to reserve the money for an order, or doesn't answer in time."""

    status = 402
    code = "PAYMENT_NOT_APPROVED_FOR_EXECUTION"
    title = "Payment not approved"


class Forbidden(ApiError):
    """The token is good, but may not do this."""

    status = 403
    code = "FORBIDDEN"
    title = "Forbidden"


class ReadOnly(Forbidden):
    """A field that clients can't set or change."""

    code = "READ_ONLY"
    title = "Read-only field"


class ReorderDisabled(Forbidden):
    """The store doesn't offer to reorder: its policy `reorder_enabled` is false."""

    code = "REORDER_DISABLED"
    title = "Reordering disabled"


class NotFound(ApiError):
    """Nothing of that name or id, or nothing that the token may know of: the two are not told apart."""

    status = 404
    code = "RECORD_NOT_FOUND"
    title = "Record not found"


class MethodNotAllowed(ApiError):
    """The URL exists, the method isn't offered there; `Allow` lists those that are."""

    status = 405
    code = "METHOD_NOT_ALLOWED"
    title = "Method not allowed"


class NotAcceptable(ApiError):
    """No representation that the Accept header allows (JSON:API 1.1, "Server Responsibilities")."""

    status = 406
    code = "NOT_ACCEPTABLE"
    title = "Not acceptable"


class Conflict(ApiError):
    """Something with this id or key exists already."""

    status = 409
    code = "RECORD_NOT_UNIQUE"
    title = "Record not unique"


class TypeMismatch(Conflict):
    """A resource or identifier of another type or id than its place asks for."""

    code = "TYPE_MISMATCH"
    title = "Type mismatch"


class InvalidState(Conflict):
    """The resource's state doesn't allow this now."""

    code = "INVALID_STATE"
    title = "Invalid state"


class PreviewStale(Conflict):
    """A reorder would not come to what its preview said; `meta` has the digest of a fresh preview."""

    code = "PREVIEW_STALE"
    title = "Preview stale"


class InProgress(Conflict):
    """A request with this Idempotency-Key is being answered right now."""

    code = "REQUEST_IN_PROGRESS"
    title = "Request in progress"


class Contended(Conflict):
    """Others are changing the same resources in another order, and one of the requests had to give way."""

    code = "RESOURCES_CONTENDED"
    title = "Resources contended"


class Gone(ApiError):
    """A link that is expired, revoked, used up or never was: outsiders are not told which."""

    status = 410
    code = "LINK_GONE"
    title = "Link gone"


class PreconditionFailed(ApiError):
    """The resource is no longer, or not yet, what If-Match asks for (RFC 9110, section 13.1.1)."""

    status = 412
    code = "PRECONDITION_FAILED"
    title = "Precondition failed"


class TooLarge(ApiError):
    """The request body is larger than the service reads."""

    status = 413
    code = "PAYLOAD_TOO_LARGE"
    title = "Payload too large"


class UriTooLong(ApiError):
    """The URL is longer than the service reads."""

    status = 414
    code = "URI_TOO_LONG"
    title = "URI too long"


class UnsupportedMediaType(ApiError):
    """The Content-Type is not one this URL reads."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"
    title = "Unsupported media type"


class Invalid(ApiError):
    """A value that breaks a rule; every such value of a request is reported at once."""

    status = 422
    code = "VALIDATION_ERROR"
    title = "Validation error"


class WrongGuess(Invalid):
    """A value that only some know, and that wasn't known: such guesses are counted (`service.http.guessing`)."""


class NeverPlaced(Invalid):
    """The order to be repeated can be read, but is no past one: it was never placed."""


class QuotaExceeded(Invalid):
    """More of a type than one owner keeps: something has to be deleted first."""

    code = "QUOTA_EXCEEDED"
    title = "Quota exceeded"


class KeyReused(Invalid):
    """The Idempotency-Key was used for another request."""

    code = "IDEMPOTENCY_KEY_REUSED"
    title = "Idempotency key reused"


class PreconditionRequired(ApiError):
    """The store asks for If-Match on every change, and this request has none (RFC 6585, section 3)."""

    status = 428
    code = "PRECONDITION_REQUIRED"
    title = "Precondition required"


class TooManyRequests(ApiError):
    """The token or address has used up its requests for now; `Retry-After` says for how long."""

    status = 429
    code = "TOO_MANY_REQUESTS"
    title = "Too many requests"


class HeadersTooLarge(ApiError):
    """The request's headers are larger than the service reads (RFC 6585, section 5)."""

    status = 431
    code = "HEADERS_TOO_LARGE"
    title = "Headers too large"


class NotImplementedHere(ApiError):
    """A method or transfer coding that the service doesn't know (RFC 9110, section 15.6.2)."""

    status = 501
    code = "NOT_IMPLEMENTED"
    title = "Not implemented"


class Unavailable(ApiError):
    """The service can't answer now, and says when to ask again."""

    status = 503
    code = "SERVICE_UNAVAILABLE"
    title = "Service unavailable"


class Problems(ApiError):
    """Several problems of one request, reported together. Takes at least one."""

    def __init__(self, problems: Sequence[ApiError]) -> None:
        super().__init__("; ".join(problem.detail for problem in problems[:MOST_PROBLEMS]))
        self._problems = tuple(problems)

    @property
    def http_status(self) -> int:
        """The common status, or 400 when the problems differ (JSON:API 1.1, "Processing Errors")."""
        statuses = {problem.status for problem in self._problems}
        return statuses.pop() if len(statuses) == 1 else 400

    @property
    def problems(self) -> Sequence[ApiError]:
        """The single problems in the order of the request document."""
        return self._problems


def raise_all(problems: Sequence[ApiError]) -> None:
    """Raise what `problems` holds: nothing, the one, or all together."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise Problems(problems)


class StartupError(Exception):
    """The service can't start or a command can't run.

    `detail` is one sentence that says what to do, made of a template as in `ApiError`; `str()` of the error is that
    sentence in English.
    """

    def __init__(self, detail: str, **values: Any) -> None:
        self.detail = Phrase(detail, **values)
        super().__init__(str(self.detail))
