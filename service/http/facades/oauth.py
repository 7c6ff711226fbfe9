"""OAuth 2.0 for clients of the API, with Commerce Layer's answers: tokens, their end, and the keys that verify them.

Offered are the grants `client_credentials`, `urn:ietf:params:oauth:grant-type:jwt-bearer` and `refresh_token`: the
service keeps no passwords, and has no page to sign in at. Bodies are JSON, as Commerce Layer's library sends them, or
forms (RFC 6749). Errors have the shape of RFC 6749, section 5.2, and the list `errors` that the library reads.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, unquote_plus

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import correlation
from service.errors import ApiError, TooManyRequests
from service.http import limits, urls
from service.http.auth import refuse
from service.http.exchange import heard_of
from service.http.state import service_of
from service.operations.access import clients, grants
from service.operations.access.clients import Client
from service.operations.access.grants import Desk, Granted, Refused
from service.operations.access.keyring import LIFETIME
from service.operations.access.tokens import Refusal
from service.store.limits import Limit
from service.store.pool import Connection

TOKEN = "/oauth/token"  # noqa: S105 -- a path
REVOKE = "/oauth/revoke"
KEYS = "/.well-known/jwks.json"

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
WRONG_CLIENTS = Limit("wrong_clients", 30)
"""How many clients that aren't known, wrong secrets, assertions and refresh tokens an address may try in a minute."""

_FORM = "application/x-www-form-urlencoded"
_NO_STORE = {"Cache-Control": "no-store"}
_TITLES = {
    "invalid_request": "Invalid request",
    "invalid_client": "Invalid client",
    "invalid_grant": "Invalid grant",
    "invalid_scope": "Invalid scope",
    "unsupported_grant_type": "Unsupported grant type",
    "slow_down": "Too many requests",
    "temporarily_unavailable": "Temporarily unavailable",
    "server_error": "Internal server error",
}

_GUESSED = {"invalid_client": "client", "invalid_grant": "grant"}
"""The refusals of what may have been guessed, and what they are called among those that are counted."""

Sent = Mapping[str, str]


async def token(request: Request) -> Response:
    """POST /oauth/token: an access token for what a client shows."""
    return await _told_of(request, _token(request))


async def revoke(request: Request) -> Response:
    """POST /oauth/revoke (RFC 7009): end a token of the client, or its refresh token; 200 also for what is none."""
    return await _told_of(request, _revoke(request))


async def _told_of(request: Request, work: Awaitable[Response]) -> Response:
    """An answer, or what a client is told that is refused. Wrong secrets and grants count as guesses."""
    try:
        return await work
    except Refused as refused:
        kind = _GUESSED.get(refused.error)
        if kind is not None:
            refuse(request, Refusal(kind, refused.store_id))
            await limits.count(request, WRONG_CLIENTS, None, told=False)
        return _refusal(refused, challenged=heard_of(request, b"authorization") is not None)


async def _token(request: Request) -> Response:
    sent, basic = await _read(request)
    grant = _GRANTS.get(_needed(sent, "grant_type"))
    if grant is None:
        raise Refused("unsupported_grant_type", f"The grants are {', '.join(_GRANTS)}.")
    client_id, secret = _credentials(sent, basic)
    await _count(request, client_id)
    service = service_of(request)
    async with service.database.connection() as connection:
        # A new key is made in a transaction of its own.
        signer = await service.keyring.signer(connection)
        async with connection.transaction():
            client = await _client(connection, client_id, secret)
            desk = Desk(connection, signer, service.settings.token_issuer or urls.origin(request))
            try:
                granted = await grant(desk, client, sent, secret)
            except Refused as refused:
                raise Refused(refused.error, refused.detail, client.store.id) from None
    if granted is None:
        service.tokens.forget(client.store.id)
        reason = "The refresh token was used before: all tokens of its grant have ended."
        raise Refused("invalid_grant", reason, client.store.id)
    return _answer(granted)


async def _revoke(request: Request) -> Response:
    sent, basic = await _read(request)
    ended = _needed(sent, "token")
    client_id, secret = _credentials(sent, basic)
    await _count(request, client_id)
    service = service_of(request)
    async with service.database.transaction() as connection:
        client = await _client(connection, client_id, secret)
        await grants.revoke(connection, client, ended)
    service.tokens.forget(client.store.id)
    return _json({})


async def keys(request: Request) -> Response:
    """GET /.well-known/jwks.json: the public parts of the keys that our tokens are signed with (RFC 7517)."""
    service = service_of(request)
    async with service.database.connection() as connection:
        found = await service.keyring.public(connection)
    about = {"Cache-Control": "public, max-age=60"}
    return Response(orjson.dumps({"keys": found}), 200, about, "application/json")


def render(request: Request, error: ApiError) -> Response:  # noqa: ARG001 -- every renderer of errors takes the request
    """A problem that isn't the client's grant, in the same shape."""
    status = error.http_status
    code = "invalid_request"
    if isinstance(error, TooManyRequests):
        code = "slow_down"
    elif status >= 500:
        code = "temporarily_unavailable" if status == 503 else "server_error"
    return _json(_told(code, str(error.detail), status), status, error.all_headers)


async def _client_credentials(desk: Desk, client: Client, sent: Sent, _: str | None) -> Granted | None:
    return await grants.for_client(desk, client, sent.get("scope"))


async def _jwt_bearer(desk: Desk, client: Client, sent: Sent, secret: str | None) -> Granted | None:
    return await grants.for_customer(desk, client, sent.get("scope"), _needed(sent, "assertion"), secret)


async def _refresh_token(desk: Desk, client: Client, sent: Sent, _: str | None) -> Granted | None:
    return await grants.refreshed(desk, client, _needed(sent, "refresh_token"))


_Grant = Callable[[Desk, Client, Sent, "str | None"], Awaitable["Granted | None"]]
_GRANTS: Mapping[str, _Grant] = {
    "client_credentials": _client_credentials,
    JWT_BEARER: _jwt_bearer,
    "refresh_token": _refresh_token,
}


async def _read(request: Request) -> tuple[Sent, tuple[str, str] | None]:
    """The parameters of a request, and the client of its Authorization header. Raises Refused."""
    media_type = (heard_of(request, b"content-type") or "").partition(";")[0].strip().lower()
    body = await request.body()
    try:
        if media_type == "application/json":
            document = orjson.loads(body)
            pairs = list(document.items()) if isinstance(document, dict) else None
        elif media_type == _FORM:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100)
        else:
            raise Refused("invalid_request", f"Send the body as application/json or {_FORM}.")
    except ValueError:
        pairs = None
    if pairs is None:
        raise Refused("invalid_request", "The body can't be read.")
    sent: dict[str, str] = {}
    for name, value in pairs:
        if value is None or value == "":
            continue  # RFC 6749, section 3.2: sent without a value is left out
        if not isinstance(value, str) or name in sent or "\0" in value:
            raise Refused("invalid_request", "A parameter is a text, and sent once.")
        sent[name] = value
    return sent, _basic(heard_of(request, b"authorization"))


def _basic(header: str | None) -> tuple[str, str] | None:
    """The client id and secret of an Authorization header (RFC 6749, section 2.3.1). Raises Refused.

    None without one. Another scheme than Basic proves no client: frontends send the token that they have with all
    requests.
    """
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        shown = base64.b64decode(value.strip(), validate=True).decode()
    except (ValueError, binascii.Error):
        shown = ""
    id_, colon, secret = shown.partition(":")
    if not colon:
        raise Refused("invalid_client", "The Authorization header is no Basic one.")
    return unquote_plus(id_), unquote_plus(secret)


def _needed(sent: Sent, name: str) -> str:
    if name not in sent:
        raise Refused("invalid_request", f"The parameter {name} is missing.")
    return sent[name]


def _credentials(sent: Sent, basic: tuple[str, str] | None) -> tuple[str, str | None]:
    """The client id and secret that a request shows, in one way. Raises Refused."""
    if basic is None:
        return _needed(sent, "client_id"), sent.get("client_secret")
    if "client_secret" in sent or sent.get("client_id", basic[0]) != basic[0]:
        raise Refused("invalid_request", "Show the client in one way.")
    return basic[0], basic[1] or None


async def _client(connection: Connection, client_id: str, secret: str | None) -> Client:
    client = await clients.find(connection, client_id, secret)
    if client is None:
        named = clients.store_of(client_id)
        raise Refused("invalid_client", "The client is unknown or revoked, or its secret is missing or wrong.", named)
    cause = correlation.cause.get()
    if cause is not None:
        cause.api_client_id = client.id
    return client


async def _count(request: Request, client_id: str) -> None:
    """Count what a client asks from one network. Raises TooManyRequests."""
    amount = service_of(request).settings.rate_limit
    await limits.count_as(request, Limit("oauth_tokens", amount), f"{client_id[:100]}/{limits.network(request)}")


def _answer(granted: Granted) -> Response:
    told: dict[str, object] = {
        "access_token": granted.token,
        "token_type": "bearer",
        "expires_in": int(LIFETIME.total_seconds()),
        "scope": granted.scope,
        "created_at": int(granted.at.timestamp()),
    }
    if granted.customer_id is not None:
        told |= {"owner_id": granted.customer_id, "owner_type": "customer", "refresh_token": granted.refresh_token}
    return _json(told)


def _refusal(refused: Refused, *, challenged: bool) -> Response:
    status = 401 if refused.error == "invalid_client" else 400
    headers = {"WWW-Authenticate": 'Basic realm="reprise"'} if status == 401 and challenged else {}
    return _json(_told(refused.error, refused.detail, status), status, headers)


def _told(error: str, detail: str, status: int) -> dict[str, object]:
    problem = {
        "title": _TITLES[error],
        "detail": detail,
        "code": error.upper(),
        "status": status,
        "meta": {"error": error},
    }
    return {"error": error, "error_description": detail, "errors": [problem]}


def _json(body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, _NO_STORE | dict(headers or {}), "application/json")


routes = [
    Route(TOKEN, token, methods=["POST"]),
    Route(REVOKE, revoke, methods=["POST"]),
    Route(KEYS, limits.for_anybody(keys), methods=["GET"]),
]
