"""Clients of the API: programs that fetch their own tokens with an id and a secret."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from service.store.write import Columns

OVERLAP = 86_400
"""For how many seconds a secret works on that was replaced, unless the request says otherwise."""

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
    previous_hash: bytes | None
    store: Store

    @property
    def hashes(self) -> Sequence[bytes]:
        """Of the secrets that prove it: the last one, and the one before while that works on."""
        return self.hash, self.previous_hash or _NO_SECRET


_NO_SECRET = bytes(32)
"""A hash that no secret has."""


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


async def _rotated(change: Change) -> Columns | None:
    """Replace the secret, and let the one so far work on for as long as was asked, a day unless that is said.

    By real time, as clients are looked up. Only one is let work on: the one before it ends.
    """
    seconds: int = change.kept.get("overlap", change.draft.triggers.get("_overlap_seconds", OVERLAP))
    secret = change.disclosed["client_secret"] = secrets.token_urlsafe(32)
    return {
        "hash": hashed(secret),
        "previous_hash": change.before["hash"] if seconds else None,
        "previous_secret_expires_at": clock.now() + timedelta(seconds=seconds) if seconds else None,
    }


class ApiClients(Writer):
    """Clients: no token gives them more than it holds itself, and what ends one ends its tokens."""

    effects: ClassVar = {"rotate_secret": _rotated, "revoke": revoked}

    async def before_write(self, change: Change) -> None:
        """Check the scopes, and that only a secret that is replaced works on for a while."""
        if "_overlap_seconds" in change.draft.triggers and "rotate_secret" not in change.done:
            change.problems.append(
                Invalid(
                    "_overlap_seconds - can only be sent together with _rotate_secret",
                    pointer=change.draft.pointer("_overlap_seconds"),
                )
            )
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
    store_id = store_of(client_id)
    found = None if store_id is None else await _FIND(connection, store=store_id, client_id=client_id, at=clock.now())
    # As much work, and with that as much time, for a client that isn't known.
    hashes = (_NO_SECRET, _NO_SECRET) if found is None else found.hashes
    proofs = [hmac.compare_digest(hashed(secret or ""), known) for known in hashes]
    if found is None or not (any(proofs) if secret is not None else found.kind == SALES_CHANNEL):
        return None
    return Client(
        found.id, found.client_id, found.kind, frozenset(found.scopes), found.store, proven=secret is not None
    )


def store_of(client_id: str) -> int | None:
    """The number of the store that a client id names; None for what is none."""
    form = _FORM.fullmatch(client_id)
    return None if form is None else int(form[1])


async def rotate_secret(connection: Connection, store: Store, id_: str, *, overlap: timedelta, actor: str) -> str:
    """Give a client another secret, in the caller's transaction. Returns it; the one before works on for the overlap.

    Raises NotFound. Tokens that it has fetched stay good.
    """
    writer, principal = ApiClients(), Principal.of_service(store, actor)
    locked = await writer.lock(connection, principal, graph["api_clients"], id_)
    seconds = int(overlap.total_seconds())
    await writer.change(connection, principal, locked, {}, verbs=["rotate_secret"], kept={"overlap": seconds})
    return str(locked.disclosed["client_secret"])


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
