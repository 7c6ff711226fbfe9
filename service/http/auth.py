"""Who asks: the Bearer token of a request becomes a `Principal` (RFC 6750), as does the session of a guest's cart."""

from __future__ import annotations

import re

from starlette.requests import Request

from schemas.resource import Resource
from service import clock, correlation
from service.errors import InvalidToken, Unauthorized, Unavailable
from service.gateways.issuers import NoKeys
from service.http import limits
from service.http.exchange import Exchange, exchange_of
from service.http.state import service_of
from service.operations.access import issuers, sessions, tokens
from service.operations.access.tokens import Refusal
from service.principal import Principal
from service.store.limits import Limit

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="reprise"'}
SESSION = "X-Cart-Session"
"""The header of a guest: `<store>.<session>`, or the session alone beside a Bearer token of the store."""
WRONG_SESSIONS = Limit("wrong_sessions", 30)
"""How many sessions that are none an address may try."""
WRONG_TOKENS = Limit("wrong_tokens", 60)
"""How many tokens that are none, or none any more, an address may try. Good ones are never refused for them."""

_NAMED = re.compile(r"(?:([1-9][0-9]{0,17})\.)?([A-Za-z0-9_-]{1,128})")


def refuse(request: Request, refusal: Refusal) -> None:
    """Note that a request is refused for what it shows, for whoever looks after the store."""
    service_of(request).refusals.note(refusal, limits.network(request), clock.now())


def bearer(request: Request) -> str:
    """The token of the Authorization header. Raises Unauthorized when there is none."""
    head = exchange_of(request).head
    if head.bearer is None:
        scheme, _, token = head.heard.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            refuse(request, Refusal("missing"))
            raise Unauthorized(
                "Send an access token: `Authorization: Bearer <token>`.", header="Authorization", headers=CHALLENGE
            )
        head.bearer = token.strip()
    return head.bearer


async def authenticate(request: Request) -> Principal:
    """The principal of a request.

    Raises Unauthorized without a token and InvalidToken for one that is unknown, expired or revoked; TooManyRequests
    after too many of those, and where nothing is left of the limit of the request's class.
    """
    return await _known(request, await current(request))


async def current(request: Request) -> Principal:
    """The principal of a request as it stands now, of one that is answered for long too.

    Raises what `authenticate` raises.
    """
    token = bearer(request)
    return service_of(request).tokens.get(token) or await _found(request, token)


async def _found(request: Request, token: str) -> Principal:
    """The principal of a token that nobody has sent of late. Raises InvalidToken, and TooManyRequests after some."""
    service = service_of(request)
    cache = service.tokens
    changes = cache.changes
    found = await _look(request, token)
    if isinstance(found, Refusal):
        refuse(request, found)
        await limits.count(request, WRONG_TOKENS, None, told=False)
        raise InvalidToken(
            "The access token is unknown, expired or revoked.",
            header="Authorization",
            headers={"WWW-Authenticate": 'Bearer realm="reprise", error="invalid_token"'},
        )
    cache.put(token, found, changes)
    service.uses.note(found, clock.now())
    return found


async def _look(request: Request, token: str) -> Principal | Refusal:
    """The bearer of a token of ours or of an outside issuer's, or why it is refused. Raises Unavailable."""
    service = service_of(request)
    if not issuers.is_outside(token):
        async with service.database.connection() as connection:
            return await tokens.look(connection, token, clock.now(), service.keyring)
    try:
        return await service.outside.look(service.database, token, clock.now())
    except NoKeys:
        raise Unavailable(
            "The keys of the token's issuer can't be had; retry in a moment.",
            header="Authorization",
            headers={"Retry-After": "5"},
        ) from None


_REMEMBERED = frozenset({"stores", "access_tokens", "api_clients", "customers", "issuers"})
"""Types of which something is remembered with tokens: the clock of a store, whether a token works still."""


def forget_written(request: Request, principal: Principal, *written: type[Resource]) -> None:
    """Have this process learn anew of tokens where a request may have changed what is remembered with them.

    The others are told by a notice.
    """
    if any(resource.type_ in _REMEMBERED for resource in written):
        service_of(request).tokens.forget(principal.store.id)
        service_of(request).outside.forget()


def known(request: Request) -> Principal | None:
    """The principal of a request to read that `identify` has no need to wait for, as with most; else None."""
    exchange, service = exchange_of(request), service_of(request)
    if exchange.turn or b"x-cart-session" in exchange.head.heard:
        return None
    principal = service.tokens.get(bearer(request))
    if principal is None or limits.of_requests(service.settings, limits.READING, principal) is not None:
        return None
    whose = limits.who(request, principal)
    if not service.turns.take_if_free(whose):
        return None
    _is(exchange, principal)
    exchange.turns, exchange.turn = service.turns, whose
    exchange.timing.mark("auth")
    return principal


def _is(exchange: Exchange, principal: Principal) -> None:
    """Note whose request it is, also for what it leaves behind."""
    exchange.principal = principal
    cause = correlation.cause.get()
    if cause is not None:
        cause.token_id, cause.api_client_id = principal.token_id or None, principal.api_client_id


async def identify(request: Request) -> Principal:
    """The principal of a JSON:API request: the bearer of its token or, with `X-Cart-Session`, the holder of a cart.

    Raises what `authenticate` raises, InvalidToken for a session of no cart, TooManyRequests after too many of them.
    """
    head = exchange_of(request).head
    if b"x-cart-session" not in head.heard:
        return await authenticate(request)
    sent = head.heard[b"x-cart-session"].decode("latin-1")
    signed_in = await authenticate(request) if b"authorization" in head.heard else None
    principal = await _guest(request, sent, signed_in)
    if principal is None:
        refuse(request, Refusal("session", None if signed_in is None else signed_in.store.id))
        await limits.count(request, WRONG_SESSIONS, None, told=False)
        raise InvalidToken("No open cart has this session.", header=SESSION, headers=CHALLENGE)
    return await _known(request, principal)


async def _known(request: Request, principal: Principal) -> Principal:
    """The principal of a request, which was counted, and whose turn it is now.

    Raises TooManyRequests as `limits.count_request` does, and Unavailable as `Turns.take` does.
    """
    exchange, service = exchange_of(request), service_of(request)
    _is(exchange, principal)
    if not exchange.turn:
        if not exchange.is_costly:
            reads = request.method in ("GET", "HEAD")
            await limits.count_request(request, limits.READING if reads else limits.WRITING, principal)
        whose = limits.who(request, principal)
        await service.turns.take(whose)
        exchange.turns, exchange.turn = service.turns, whose
    exchange.timing.mark("auth")
    return principal


async def counted(request: Request, limit_for: limits.LimitFor, *, guests: bool = False) -> Principal:
    """Who asks for something costly, the bearer of a token or also a guest; the request is counted, whoever sends it.

    Raises Unauthorized or InvalidToken without a good token, and TooManyRequests as `limits.count` does.
    """
    exchange_of(request).is_costly = True
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
    async with service_of(request).database.connection() as connection:
        return await sessions.find(connection, store_id, named[2], signed_in)
