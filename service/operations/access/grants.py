"""What a client gets for what it shows at `/oauth/token` (RFC 6749, RFC 7523), and how it gives that back (RFC 7009).

Tokens are JWTs with the claims of Commerce Layer's. What a token allows is kept with its hash, as of every other one.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.kinds import ID
from service import clock
from service.errors import NotFound
from service.operations.access import access_tokens, tokens
from service.operations.access.clients import SALES_CHANNEL, Client
from service.operations.access.keyring import LIFETIME, Signer
from service.operations.access.tokens import Terms, hashed
from service.operations.events import outbox
from service.principal import CUSTOMER_SCOPES, GUEST_SCOPES, SCOPES
from service.rules import jwts
from service.rules.jwts import Claims
from service.store import notices
from service.store.pool import Connection
from service.store.statements import Command, One, Value, Values

REFRESHED = timedelta(days=14)
"""How long a refresh token works."""
OVERLAP = timedelta(seconds=30)
"""How long a refresh token that was used may be used again: two tabs of a browser, an answer that got lost."""
EVERYWHERE = "market:all"

SHARED = "cl"
"""What Commerce Layer's library signs assertions with. Everybody knows it: the client's secret has to come too."""
CLAIMS = "https://commercelayer.io/claims"


class Refused(Exception):
    """A request for a token is refused: `error` is a code of RFC 6749, section 5.2; the store is the client's."""

    def __init__(self, error: str, detail: str, store_id: int | None = None) -> None:
        super().__init__(detail)
        self.error = error
        self.detail = detail
        self.store_id = store_id


@dataclass(frozen=True, slots=True)
class Granted:
    """What a client gets. `scope` is told as it was asked for."""

    token: str
    scope: str
    at: datetime
    customer_id: str | None = None
    refresh_token: str | None = None


class _Refreshable(NamedTuple):
    grant_id: str
    customer_id: str
    scopes: list[str]
    scope: str
    used_at: datetime | None


_MARKETS = Values("access/clients.markets", str)
_KEEP_REFRESH = Command("access/grants.keep_refresh")
_REFRESH = One("access/grants.refresh", _Refreshable)
_USE_REFRESH = Command("access/grants.use_refresh")
_GRANT_OF = Value("access/grants.grant_of", str)
_TOKEN_OF = Value("access/grants.token_of", str)
_END_TOKENS = Values("access/grants.end_tokens", str)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a client asks: a connection in a transaction, who signs, and what tokens name as their issuer."""

    connection: Connection
    signer: Signer
    issuer: str


async def for_client(desk: Desk, client: Client, scope: str | None) -> Granted:
    """The grant `client_credentials`: a token of the client's own. Raises Refused."""
    allowed = client.scopes & GUEST_SCOPES if client.kind == SALES_CHANNEL else client.scopes
    wanted = await _wanted(desk.connection, client, scope, allowed)
    return await _give(desk, client, wanted, Terms(client.kind, wanted.scopes, None))


async def for_customer(desk: Desk, client: Client, scope: str | None, assertion: str, secret: str | None) -> Granted:
    """The grant `jwt-bearer`: a token of the customer whom an assertion names, and what refreshes it. Raises Refused.

    The client proves itself by its secret, by which or by Commerce Layer's own the assertion is signed (HMAC).
    """
    at = clock.now()
    claims = None
    if client.proven and secret is not None:
        claims = jwts.read_shared(assertion, secret) or jwts.read_shared(assertion, SHARED)
    if claims is None or not jwts.is_timely(claims, at):
        raise Refused("invalid_grant", "The assertion isn't signed with the client's secret, or has ended.")
    customer_id = _customer(claims)
    if customer_id is None:
        raise Refused("invalid_grant", f"The assertion names no customer in the claim {CLAIMS}.")
    wanted = await _wanted(desk.connection, client, scope, client.scopes & CUSTOMER_SCOPES)
    return await _give_refreshable(desk, client, wanted, customer_id, clock.new_id())


async def refreshed(desk: Desk, client: Client, refresh_token: str) -> Granted | None:
    """The grant `refresh_token`: the customer's next token. Raises Refused.

    A token that was used already, and not just now, has been stolen, or the one who used it is the thief: all tokens of
    its grant end. Then it returns None, for the caller to refuse once that is committed.
    """
    at, hash_, store = clock.now(), hashed(refresh_token), client.store.id
    found = await _REFRESH(desk.connection, store=store, hash=hash_, client=client.id, at=at)
    if found is None:
        raise Refused("invalid_grant", "The refresh token is unknown, has ended or is another client's.")
    if found.used_at is not None and at - found.used_at > OVERLAP:
        await _end(desk.connection, client, found.grant_id)
        return None
    if found.used_at is None:
        await _USE_REFRESH(desk.connection, store=store, hash=hash_, at=at)
    wanted = _Wanted(found.scope, frozenset(found.scopes) & client.scopes, ())
    return await _give_refreshable(desk, client, wanted, found.customer_id, found.grant_id)


async def revoke(connection: Connection, client: Client, token: str) -> None:
    """End a token of a client, or its refresh token with all of its grant; of anything else nothing is said."""
    store, hash_ = client.store, hashed(token)
    grant_id = await _GRANT_OF(connection, store=store.id, hash=hash_, client=client.id)
    if grant_id is not None:
        await _end(connection, client, grant_id)
        return
    id_ = await _TOKEN_OF(connection, store=store.id, hash=hash_, client=client.id)
    if id_ is not None:
        await access_tokens.revoke(connection, store, id_, actor=client.actor)


class _Wanted(NamedTuple):
    scope: str
    scopes: frozenset[str]
    markets: Collection[str]


async def _wanted(connection: Connection, client: Client, scope: str | None, allowed: frozenset[str]) -> _Wanted:
    """What a scope stands for: markets, as Commerce Layer's clients name them, and scopes of ours. Raises Refused."""
    words = (scope or EVERYWHERE).split()
    own = {word for word in words if word in SCOPES}
    ids: list[str] = []
    codes: list[str] = []
    for word in words:
        kind, _, name = word.partition(":")
        by, _, named = name.partition(":")
        if word in own or word == EVERYWHERE:
            continue
        if kind == "market" and by in ("id", "code") and named:
            (ids if by == "id" else codes).append(named)
        elif (kind, by, named) not in (("store", "id", str(client.store.id)), ("store", "code", client.store.slug)):
            raise Refused("invalid_scope", "The scope names nothing that this client can have.")
    markets = await _MARKETS(connection, store=client.store.id, ids=ids, codes=codes) if ids or codes else []
    if len(markets) < len({*ids, *codes}) or not own <= allowed:
        raise Refused("invalid_scope", "The scope names a market that isn't there, or more than this client can have.")
    return _Wanted(" ".join(words), frozenset(own) or allowed, markets)


async def _give_refreshable(desk: Desk, client: Client, wanted: _Wanted, customer_id: str, grant_id: str) -> Granted:
    """A customer's token, and what the next one is fetched with. Raises Refused for a customer that isn't there."""
    terms = Terms("customer", wanted.scopes, None, customer_id, grant_id=grant_id)
    granted = await _give(desk, client, wanted, terms)
    refresh_token = f"refresh_{client.store.id}_{secrets.token_urlsafe(32)}"
    await _KEEP_REFRESH(
        desk.connection,
        store=client.store.id,
        hash=hashed(refresh_token),
        grant=grant_id,
        client=client.id,
        customer=customer_id,
        scopes=sorted(wanted.scopes),
        scope=wanted.scope,
        at=granted.at,
        expires_at=granted.at + REFRESHED,
    )
    return Granted(granted.token, granted.scope, granted.at, customer_id, refresh_token)


async def _give(desk: Desk, client: Client, wanted: _Wanted, terms: Terms) -> Granted:
    at, id_, store = clock.now(), clock.new_id(), client.store
    token = desk.signer.sign({**_claims(client, wanted, terms.customer_id, at), "iss": desk.issuer, "jti": id_})
    kept = Terms(
        terms.kind, terms.scopes, at + LIFETIME, terms.customer_id, client_id=client.id, grant_id=terms.grant_id
    )
    try:
        await tokens.keep(desk.connection, store.id, id_, token, kept, at=at)
    except NotFound:
        raise Refused("invalid_grant", "There is no customer of this id.") from None
    await outbox.record(desk.connection, store, "access_tokens.create", id_, actor=client.actor)
    return Granted(token, wanted.scope, at)


def _claims(client: Client, wanted: _Wanted, customer_id: str | None, at: datetime) -> Claims:
    """The claims of a token, which are those of Commerce Layer's."""
    store, now = client.store, int(at.timestamp())
    claims: dict[str, object] = {
        "organization": {"id": str(store.id), "slug": store.slug, "enterprise": False, "region": ""},
        "application": {
            "id": client.id,
            "kind": client.kind,
            "public": client.kind == SALES_CHANNEL,
            "client_id": client.client_id,
            "confidential": client.proven,
        },
        "scope": wanted.scope,
        "test": store.mode == "test",
        "iat": now,
        "exp": now + int(LIFETIME.total_seconds()),
        "rand": secrets.randbelow(2**52) / 2**52,
    }
    if customer_id is not None:
        claims["owner"] = {"type": "Customer", "id": customer_id}
    if wanted.markets:
        claims["market"] = {
            "id": list(wanted.markets),
            "stock_location_ids": [],
            "geocoder_id": None,
            "allows_external_prices": False,
        }
    return claims


def _customer(claims: Claims) -> str | None:
    """The customer whom an assertion names."""
    named = claims.get(CLAIMS)
    owner = named.get("owner") if isinstance(named, dict) else None
    if not isinstance(owner, dict) or str(owner.get("type")).lower() != "customer":
        return None
    id_ = owner.get("id")
    return id_ if isinstance(id_, str) and ID.fullmatch(id_) else None


async def _end(connection: Connection, client: Client, grant_id: str) -> None:
    """End all tokens of a grant, and what would refresh them."""
    store = client.store
    await access_tokens.end_refreshing(connection, store.id, grant_id)
    ended = await _END_TOKENS(connection, store=store.id, client=client.id, grant=grant_id, at=clock.now())
    happened = [outbox.Event("access_tokens.revoke", id_) for id_ in ended]
    if happened:
        await outbox.record_all(connection, store, happened, actor=client.actor)
    await notices.forget(connection, store.id)
