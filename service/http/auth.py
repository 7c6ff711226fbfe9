"""Who asks: the Bearer token of a request becomes a `Principal` (RFC 6750)."""

from __future__ import annotations

import time
from collections import OrderedDict

from starlette.requests import Request

from service import clock
from service.errors import InvalidToken, Unauthorized
from service.http.timing import mark
from service.operations import tokens
from service.principal import Principal

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="reprise"'}
_MOST = 10_000


class TokenCache:
    """Tokens that were good a moment ago, so that not every request asks the database; at most 10 000 of them.

    A token that is revoked elsewhere is believed for `seconds` at most, none beyond its own end; 0 believes nothing.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    def get(self, token: str) -> Principal | None:
        """The principal of a token checked within the last seconds."""
        entry = self._known.get(token)
        if entry is None:
            return None
        if entry[0] <= time.monotonic():
            del self._known[token]
            return None
        return entry[1]

    def put(self, token: str, principal: Principal) -> None:
        """Remember a good token. Stores on a test clock are not remembered: their time moves by itself."""
        seconds = self._seconds
        if principal.expires_at is not None:
            seconds = min(seconds, (principal.expires_at - clock.now()).total_seconds())
        if seconds > 0 and principal.store.frozen_at is None:
            self._known[token] = (time.monotonic() + seconds, principal)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)


def bearer(request: Request) -> str:
    """The token of the Authorization header. Raises Unauthorized when there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized(
            "Send an access token: `Authorization: Bearer <token>`.", header="Authorization", headers=CHALLENGE
        )
    return token.strip()


async def authenticate(request: Request) -> Principal:
    """The principal of a request.

    Raises Unauthorized without a token and InvalidToken for one that is unknown, expired or revoked.
    """
    token = bearer(request)
    cache: TokenCache = request.app.state.tokens
    principal = cache.get(token)
    if principal is None:
        async with request.app.state.database.connection() as connection:
            principal = await tokens.find(connection, token, clock.now())
        if principal is None:
            raise InvalidToken(
                "The access token is unknown, expired or revoked.",
                header="Authorization",
                headers={"WWW-Authenticate": 'Bearer realm="reprise", error="invalid_token"'},
            )
        cache.put(token, principal)
    request.scope["principal"] = principal
    mark(request.scope, "auth")
    return principal
