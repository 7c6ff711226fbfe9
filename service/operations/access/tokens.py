"""Access tokens: `secret_<store>_<random>` of integrations, `customer_<store>_<random>` of customers, JWTs of clients.

A token names its store, so that the look-up is pinned to one store. Only its SHA-256 is kept: the random part has 256
bits, which no dictionary holds, so a slow hash would gain nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import orjson

from service import clock
from service.errors import Conflict, Invalid, NotFound
from service.principal import CUSTOMER_SCOPES, NOBODY, SCOPES, Principal, Store
from service.store.pool import Connection
from service.store.statements import Command, Many, One, Only
from service.texts import Either

if TYPE_CHECKING:
    # Whoever only makes a token needs no keys.
    from service.operations.access.keyring import Keyring

NOTED_EVERY = timedelta(hours=1)
"""How long after a note of a token's use the next one is made."""

_STORE = re.compile(r"[1-9][0-9]{0,17}")
_FORM = re.compile(r"(?:secret|customer)_([1-9][0-9]{0,17})_[A-Za-z0-9_-]{32,128}")


class _Issued(NamedTuple):
    made: bool
    known: bool


class Refusal(NamedTuple):
    """Why a credential is refused, by a kind of `refused_authentications`, and whose it is, or is said to be."""

    kind: str
    store_id: int | None = None


class _Bearer(NamedTuple):
    standing: str
    token_id: str
    kind: str
    customer_id: str | None
    api_client_id: str | None
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None
    store: Store


class Listed(NamedTuple):
    """A token as an operator reads it."""

    id: str
    kind: str
    name: str | None
    customer_id: str | None
    hint: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def state(self, at: datetime) -> str:
        """Whether it works at `at`, real time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "live"


_ISSUE = Only("access/tokens.issue", _Issued)
_FIND = One("access/tokens.find", _Bearer)
_NOTE_USE = Command("access/tokens.note_use")
_LISTED = Many("access/tokens.listed", Listed)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a token is to be: whose, for what, until when.

    `client_id` is the id of the client that fetches it, `grant_id` what it comes by with others. `extra` may hold
    `reference`, `reference_origin` and `metadata`.
    """

    kind: str
    scopes: Collection[str]
    expires_at: datetime | None
    customer_id: str | None = None
    name: str | None = None
    client_id: str | None = None
    grant_id: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


async def issue(
    connection: Connection,
    store_id: int,
    *,
    customer_id: str | None,
    scopes: Collection[str],
    name: str | None,
    expires_at: datetime | None,
    at: datetime,
    id: str | None = None,
    extra: Mapping[str, object] | None = None,
) -> tuple[str, str]:
    """Make a token of an integration, or of a customer. Returns its id and the token, which is not kept.

    `at` is real time, also for a store on a test clock, as it is when the token is looked up. `extra` may hold
    `reference`, `reference_origin` and `metadata`. Raises Invalid for scopes that such a token can't have, NotFound
    for an unknown customer, Conflict for an id that is taken.
    """
    allowed = SCOPES if customer_id is None else CUSTOMER_SCOPES
    check_scopes(scopes, allowed)
    kind, prefix = ("integration", "secret") if customer_id is None else ("customer", "customer")
    token = f"{prefix}_{store_id}_{secrets.token_urlsafe(32)}"
    id_ = id or clock.new_id()
    terms = Terms(kind, scopes, expires_at, customer_id, name, extra=extra or {})
    await keep(connection, store_id, id_, token, terms, at=at)
    return id_, token


def check_scopes(scopes: Collection[str], allowed: Collection[str]) -> None:
    """Raise Invalid for scopes beyond those that are allowed."""
    if wrong := [scope for scope in scopes if scope not in allowed]:
        raise Invalid(
            "scopes - can't hold {wrong}, only {known}",
            wrong=Either(wrong),
            known=[scope for scope in SCOPES if scope in allowed],
            fields=("scopes",),
        )


async def keep(connection: Connection, store_id: int, id_: str, token: str, terms: Terms, *, at: datetime) -> None:
    """Keep a token, as its hash. Raises NotFound for an unknown customer, Conflict for an id that is taken."""
    issued = await _ISSUE(
        connection,
        store=store_id,
        id=id_,
        kind=terms.kind,
        name=terms.name,
        customer=terms.customer_id,
        client=terms.client_id,
        grant=terms.grant_id,
        hash=hashed(token),
        hint=token[-4:],
        scopes=[scope for scope in SCOPES if scope in terms.scopes],
        expires_at=terms.expires_at,
        at=at,
        reference=terms.extra.get("reference"),
        reference_origin=terms.extra.get("reference_origin"),
        metadata=orjson.dumps(terms.extra.get("metadata", {})).decode(),
    )
    if not issued.known:
        raise NotFound("There is no customer of this id.", fields=("customer",))
    if not issued.made:
        raise Conflict("A token with this id already exists.", pointer="/data/id")


async def find(connection: Connection, token: str, at: datetime, keyring: Keyring | None = None) -> Principal | None:
    """Return the bearer of a token, as `look` does; None when it is refused."""
    found = await look(connection, token, at, keyring)
    return found if isinstance(found, Principal) else None


async def look(connection: Connection, token: str, at: datetime, keyring: Keyring | None = None) -> Principal | Refusal:
    """Return the bearer of a token at `at`, real time; why it is refused where it isn't good.

    A JWT that the keys of the service verify names its store; all else about it is what was kept when it was made, so
    that nothing is believed but what we gave out. Runs one statement, and none for a malformed token.
    """
    store_id = await _store_of(connection, token, keyring)
    if store_id is None:
        return Refusal("malformed")
    bearer = await _FIND(connection, store=store_id, hash=hashed(token), at=at)
    if bearer is None:
        return Refusal("unknown")
    if bearer.standing != "live":
        return Refusal(bearer.standing, store_id)
    return Principal(
        bearer.store,
        bearer.token_id,
        NOBODY if bearer.kind == "sales_channel" else bearer.customer_id,
        frozenset(bearer.scopes),
        bearer.expires_at,
        last_used_at=bearer.last_used_at,
        api_client_id=bearer.api_client_id,
    )


async def _store_of(connection: Connection, token: str, keyring: Keyring | None) -> int | None:
    """The store that a token names; None for what is no token of ours."""
    form = _FORM.fullmatch(token)
    if form is not None:
        return int(form[1])
    claims = None if keyring is None else await keyring.read(connection, token)
    organization = None if claims is None else claims.get("organization")
    named = organization.get("id") if isinstance(organization, dict) else None
    return int(named) if isinstance(named, str) and _STORE.fullmatch(named) else None


async def note_use(connection: Connection, store_id: int, ids: Collection[str], at: datetime) -> None:
    """Note that tokens are used at `at`, real time; those that were noted within the last hour stay as they are."""
    await _NOTE_USE(connection, store=store_id, ids=sorted(ids), at=at, before=at - NOTED_EVERY)


async def listed(connection: Connection, store_id: int, *, most: int) -> list[Listed]:
    """The tokens of a store, the newest first, at most so many."""
    return await _LISTED(connection, store=store_id, most=most)


def hashed(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()
