"""Clients of the API: programs that fetch their own tokens with an id and a secret."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple

import orjson

from schemas.graph import graph
from service import clock
from service.errors import Conflict, Invalid
from service.jsonapi.body import Draft
from service.operations.access.access_tokens import revoked
from service.operations.access.tokens import check_scopes, hashed
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.generic.created import Created
from service.operations.generic.writing import Writer
from service.principal import CUSTOMER_SCOPES, SCOPES, Principal, Store
from service.store import notices
from service.store.pool import Connection
from service.store.statements import Command, Many, One, Value

SALES_CHANNEL = "sales_channel"
INTEGRATION = "integration"

_FORM = re.compile(r"client_([1-9][0-9]{0,17})_[A-Za-z0-9_-]{16,64}")


class _Found(NamedTuple):
    id: str
    client_id: str
    kind: str
    name: str
    scopes: list[str]
    hash: bytes
    store: Store


class Listed(NamedTuple):
    """A client as an operator reads it."""

    id: str
    client_id: str
    kind: str
    name: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None


_CREATE = Value("access/clients.create", str)
_FIND = One("access/clients.find", _Found)
_END_TOKENS = Command("access/clients.end_tokens")
_END_REFRESHING = Command("access/clients.end_refreshing")
_SET_SECRET = Command("access/clients.set_secret")
_LISTED = Many("access/clients.listed", Listed)


@dataclass(frozen=True, slots=True)
class Client:
    """A client that asks for a token. `proven`: it has shown its secret, and not only said who it is."""

    id: str
    client_id: str
    kind: str
    scopes: frozenset[str]
    store: Store
    proven: bool

    @property
    def actor(self) -> str:
        """The actor of what it does, as events name it."""
        return f"api_clients:{self.id}"


class ApiClients(Writer):
    """Clients: no token gives them more than it holds itself, and what ends one ends its tokens."""

    effects: ClassVar = {"revoke": revoked}

    async def before_write(self, change: Change) -> None:
        """Check the scopes."""
        if change.sets("scopes"):
            _check(change.value("kind"), change.value("scopes"), change.principal)

    async def after_write(self, change: Change) -> None:
        """End the tokens of a client that was revoked."""
        if "revoke" in change.done:
            connection, store = change.connection, change.store.id
            await _END_TOKENS(connection, store=store, client=change.id, at=clock.now())
            await _END_REFRESHING(connection, store=store, client=change.id)
            await notices.forget(connection, store)

    async def before_delete(self, change: Change) -> None:
        """Have its tokens forgotten, which go with it."""
        await notices.forget(change.connection, change.store.id)


async def create(connection: Connection, principal: Principal, draft: Draft) -> Created:
    """POST /api/api_clients: make a client; its secret is shown once, as the attribute `client_secret` of this answer.

    Raises Invalid for no or other scopes than the requesting token has, or a kind of client can have, and Conflict for
    an id that is taken.
    """
    attributes = draft.attributes
    kind: str = attributes.get("kind", INTEGRATION)
    scopes: Collection[str] = attributes.get("scopes", _grantable(kind, principal.scopes))
    _check(kind, scopes, principal)
    id_, _, secret = await make(
        connection,
        principal.store,
        kind=kind,
        name=attributes["name"],
        scopes=scopes,
        actor=outbox.actor(principal),
        id=draft.id,
        extra={name: attributes[name] for name in ("reference", "reference_origin", "metadata") if name in attributes},
    )
    return Created(id_, {"client_secret": secret})


async def make(
    connection: Connection,
    store: Store,
    *,
    kind: str,
    name: str,
    scopes: Collection[str] | None,
    actor: str,
    id: str | None = None,
    extra: dict[str, object] | None = None,
) -> tuple[str, str, str]:
    """Make a client, in the caller's transaction. Returns its id, its client id and its secret, which is not kept.

    Without `scopes` it gets all that its kind can have. Raises Invalid for others, Conflict for an id that is taken.
    """
    allowed = _allowed(kind)
    wanted = allowed if scopes is None else scopes
    check_scopes(wanted, allowed)
    id_, extra = id or clock.new_id(), extra or {}
    client_id, secret = f"client_{store.id}_{secrets.token_urlsafe(16)}", secrets.token_urlsafe(32)
    made = await _CREATE(
        connection,
        store=store.id,
        id=id_,
        client_id=client_id,
        kind=kind,
        name=name,
        scopes=[scope for scope in SCOPES if scope in wanted],
        hash=hashed(secret),
        at=clock.now(store),
        reference=extra.get("reference"),
        reference_origin=extra.get("reference_origin"),
        metadata=orjson.dumps(extra.get("metadata", {})).decode(),
    )
    if made is None:
        raise Conflict("A client with this id already exists.", pointer="/data/id")
    await outbox.record(connection, store, "api_clients.create", id_, actor=actor)
    return id_, client_id, secret


async def find(connection: Connection, client_id: str, secret: str | None) -> Client | None:
    """Return who asks for a token, held until the caller's transaction ends; None when it is nobody that may.

    Only a sales channel may leave its secret out. A wrong secret is never as good as none.
    """
    form = _FORM.fullmatch(client_id)
    found = None if form is None else await _FIND(connection, store=int(form[1]), client_id=client_id)
    # As much work, and with that as much time, for a client that isn't known.
    matches = hmac.compare_digest(hashed(secret or ""), found.hash if found is not None else bytes(32))
    if found is None or not (matches if secret is not None else found.kind == SALES_CHANNEL):
        return None
    return Client(
        found.id, found.client_id, found.kind, frozenset(found.scopes), found.store, proven=secret is not None
    )


async def rotate_secret(connection: Connection, store: Store, id_: str, *, actor: str) -> str:
    """Give a client another secret, in the caller's transaction. Returns it; the one before works no more.

    Raises NotFound. Tokens that it has fetched stay good.
    """
    writer, principal = ApiClients(), Principal.of_service(store, actor)
    await writer.lock(connection, principal, graph["api_clients"], id_)
    secret = secrets.token_urlsafe(32)
    await _SET_SECRET(connection, store=store.id, id=id_, hash=hashed(secret), at=clock.now(store))
    await outbox.record(connection, store, "api_clients.rotate", id_, actor=actor)
    return secret


async def revoke(connection: Connection, store: Store, id_: str, *, actor: str) -> None:
    """End a client and its tokens, in the caller's transaction. Raises NotFound."""
    writer, principal = ApiClients(), Principal.of_service(store, actor)
    locked = await writer.lock(connection, principal, graph["api_clients"], id_)
    await writer.change(connection, principal, locked, {}, verbs=["revoke"])


async def listed(connection: Connection, store_id: int, *, most: int) -> list[Listed]:
    """The clients of a store, the newest first, at most so many."""
    return await _LISTED(connection, store=store_id, most=most)


def _allowed(kind: str) -> frozenset[str]:
    """The scopes that a kind of client can have."""
    return CUSTOMER_SCOPES if kind == SALES_CHANNEL else frozenset(SCOPES)


def _grantable(kind: str, held: frozenset[str]) -> list[str]:
    return sorted(_allowed(kind) & held)


def _check(kind: str, scopes: Collection[str], principal: Principal) -> None:
    """Raise Invalid for scopes beyond those of a kind of client, or of the token that asks."""
    grantable = _grantable(kind, principal.scopes)
    if not scopes:
        raise Invalid("scopes - can't be blank", fields=("scopes",))
    check_scopes(scopes, grantable)
