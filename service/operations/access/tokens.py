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
from typing import NamedTuple

import orjson

from schemas.access import MOST_SECONDS
from service import clock
from service.errors import Conflict, Invalid, NotFound
from service.jsonapi.body import Draft, blank
from service.operations.access.keyring import Keyring
from service.operations.events import outbox
from service.operations.generic.created import Created
from service.principal import CUSTOMER_SCOPES, NOBODY, SCOPES, Principal, Store
from service.store.pool import Connection
from service.store.statements import Command, One, Only
from service.texts import Either, Phrase

DEFAULT_SECONDS = 3600
"""How long a customer's token that the API made is valid, unless the request says otherwise."""

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


_ISSUE = Only("access/tokens.issue", _Issued)
_FIND = One("access/tokens.find", _Bearer)
_NOTE_USE = Command("access/tokens.note_use")


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


async def create(connection: Connection, principal: Principal, draft: Draft) -> Created:
    """POST /api/tokens: make a short-lived token for a customer, shown once, as the attribute `token` of this answer.

    Without `scopes` it gets those scopes of a customer that the requesting token has itself: no token grants more than
    it holds. Raises Invalid without a customer, for no or other scopes, or for a lifetime beyond a day, and what
    `issue` raises.
    """
    customer_id = draft.related("customer")
    if customer_id is None:
        raise blank("customer", "/data")
    at = clock.now()
    attributes = draft.attributes
    grantable = CUSTOMER_SCOPES & principal.scopes
    scopes = attributes.get("scopes", sorted(grantable))
    if not scopes or not grantable.issuperset(scopes):
        raise Invalid(
            "scopes - must be among those that this token may hand out: {known}",
            known=sorted(grantable) or Phrase("none"),
            fields=("scopes",),
        )
    id_, token = await issue(
        connection,
        principal.store.id,
        customer_id=customer_id,
        scopes=scopes,
        name=attributes.get("name"),
        expires_at=_expiry(draft, at),
        at=at,
        id=draft.id,
        extra=attributes,
    )
    await outbox.record(connection, principal.store, "access_tokens.create", id_, actor=outbox.actor(principal))
    return Created(id_, {"token": token})


def _expiry(draft: Draft, at: datetime) -> datetime:
    """Return when a customer's token ends: as the request says, within a day, or else after an hour."""
    sent: datetime | None = draft.attributes.get("expires_at")
    if "expires_in" in draft.triggers and "expires_at" in draft.attributes:
        raise Invalid("expires_in - can't be sent together with expires_at", fields=("expires_in",))
    if sent is None:
        return at + timedelta(seconds=draft.triggers.get("expires_in", DEFAULT_SECONDS))
    if not at < sent <= at + timedelta(seconds=MOST_SECONDS):
        raise Invalid("expires_at - must be within the next 24 hours", fields=("expires_at",))
    return sent


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


def hashed(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()
