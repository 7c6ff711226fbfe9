"""Who asks: the Bearer token of a request becomes a `Principal` (RFC 6750), as does the session of a guest's cart."""

from __future__ import annotations

import re
import time
from collections import OrderedDict

from limits import RateLimitItemPerMinute
from starlette.requests import Request

from schemas.resource import Resource
from service import clock
from service.errors import InvalidToken, Unauthorized
from service.http import limits
from service.http.timing import mark
from service.operations.access import sessions, tokens
from service.principal import Principal

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="reprise"'}
SESSION = "X-Cart-Session"
"""The header of a guest: `<store>.<session>`, or the session alone beside a Bearer token of the store."""
WRONG_SESSIONS = RateLimitItemPerMinute(30, namespace="wrong_sessions")
"""How many sessions that are none an address may try."""

_NAMED = re.compile(r"(?:([1-9][0-9]{0,17})\.)?([A-Za-z0-9_-]{1,128})")
_MOST = 10_000


class TokenCache:
    """Tokens that were good a moment ago, so that not every request asks the database; at most 10 000 of them.

    A token that is revoked elsewhere is believed for `seconds` at most, none beyond its own end; 0 believes nothing.
    The same goes for what it knows of its store. `changes` counts how often a store was changed by this process.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self.changes = 0

    def get(self, token: str) -> Principal | None:
        """The principal of a token checked within the last seconds."""
        entry = self._known.get(token)
        if entry is None:
            return None
        if entry[0] <= time.monotonic():
            del self._known[token]
            return None
        return entry[1]

    def put(self, token: str, principal: Principal, changes: int | None = None) -> None:
        """Remember a good token. Stores on a test clock are not remembered: their time moves by itself.

        Nor is what was asked for when there had been fewer `changes` of stores: it may be out of date.
        """
        if changes not in (None, self.changes):
            return
        seconds = self._seconds
        if principal.expires_at is not None:
            seconds = min(seconds, (principal.expires_at - clock.now()).total_seconds())
        if seconds > 0 and principal.store.frozen_at is None:
            self._known[token] = (time.monotonic() + seconds, principal)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)

    def forget(self, store_id: int) -> None:
        """Forget the tokens of a store, and with them what they know of it: it has changed."""
        self.changes += 1
        for token in [token for token, (_, principal) in self._known.items() if principal.store.id == store_id]:
            del self._known[token]


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
        changes = cache.changes
        async with request.app.state.database.connection() as connection:
            principal = await tokens.find(connection, token, clock.now())
        if principal is None:
            raise InvalidToken(
                "The access token is unknown, expired or revoked.",
                header="Authorization",
                headers={"WWW-Authenticate": 'Bearer realm="reprise", error="invalid_token"'},
            )
        cache.put(token, principal, changes)
    request.scope["principal"] = principal
    mark(request.scope, "auth")
    return principal


def forget_store(request: Request, principal: Principal, *written: type[Resource]) -> None:
    """Have tokens learn anew of their store when it is among what a request has written: of its clock, for one."""
    if any(resource.type_ == "stores" for resource in written):
        request.app.state.tokens.forget(principal.store.id)


async def identify(request: Request) -> Principal:
    """The principal of a JSON:API request: the bearer of its token or, with `X-Cart-Session`, the holder of a cart.

    Raises what `authenticate` raises, InvalidToken for a session of no cart, TooManyRequests after too many of them.
    """
    sent = request.headers.get(SESSION)
    if sent is None:
        return await authenticate(request)
    signed_in = await authenticate(request) if "authorization" in request.headers else None
    principal = await _guest(request, sent, signed_in)
    if principal is None:
        await limits.count(request, WRONG_SESSIONS, None, told=False)
        raise InvalidToken("There is no open cart of this session.", header=SESSION, headers=CHALLENGE)
    request.scope["principal"] = principal
    mark(request.scope, "auth")
    return principal


async def counted(request: Request, limit_for: limits.LimitFor, *, guests: bool = False) -> Principal:
    """Who asks, the bearer of a token or also a guest; the request is counted first, whoever it is from.

    Raises Unauthorized or InvalidToken without a good token, and TooManyRequests as `limits.count` does.
    """
    try:
        principal = await (identify(request) if guests else authenticate(request))
    except (Unauthorized, InvalidToken):
        await limits.count(request, limit_for(None), None)
        raise
    await limits.count(request, limit_for(principal), principal)
    return principal


async def _guest(request: Request, sent: str, signed_in: Principal | None) -> Principal | None:
    named = _NAMED.fullmatch(sent.strip())
    if named is None:
        return None
    store_id = None if signed_in is None else signed_in.store.id
    if named[1] is not None:
        if store_id not in (None, int(named[1])):
            return None
        store_id = int(named[1])
    if store_id is None:
        return None
    async with request.app.state.database.connection() as connection:
        return await sessions.find(connection, store_id, named[2], signed_in)
