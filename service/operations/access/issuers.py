"""Outside issuers: who signs in a shop's customers elsewhere, and whose tokens act as these customers here (RFC 7519).

A token is believed for what its issuer was registered for and nothing else: the store, the audience, the algorithms,
the claim that names the customer, the scopes. None of its own claims widens that.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final, NamedTuple, TypeGuard

from service import clock
from service.errors import Invalid
from service.gateways.issuers import IssuerKeys, Source
from service.operations.access.tokens import Refusal, check_scopes
from service.operations.generic.change import Change
from service.operations.generic.outside import check_url
from service.operations.generic.writing import Writer
from service.principal import CUSTOMER_SCOPES, SCOPES, Principal, Store
from service.rules import jwts
from service.rules.jwts import Claims
from service.store import notices
from service.store.pool import Connection, Database
from service.store.statements import Many, OnlyValue
from service.store.write import Columns

_KEPT: Final = 60.0
"""Seconds for which issuers are believed without asking the database again; who changes one has it forgotten."""
_MOST: Final = 1_000
"""How many issuers' names are remembered, and how many of a name are looked at."""
_PREFIX = re.compile(r"([1-9][0-9]{0,17})\.")


class Issuer(NamedTuple):
    """An issuer as tokens are held against it."""

    id: str
    store_id: int
    issuer: str
    jwks_url: str | None
    audience: str
    algorithms: list[str]
    customer_claim: str
    customer_field: str
    scopes: list[str]
    revoked_before: datetime | None


class _Customer(NamedTuple):
    customer_id: str
    store: Store


_OF_STORE = Many("access/issuers.of_store", Issuer)
_OF_ALL = Many("access/issuers.of_all", Issuer)
_FINDS_BY = OnlyValue("access/issuers.finds_by", bool)
_BY_ID = Many("access/issuers.customers_by_id", _Customer)
_BY_REFERENCE = Many("access/issuers.customers_by_reference", _Customer)
_BY_EMAIL = Many("access/issuers.customers_by_email", _Customer)
_CUSTOMERS: Final = {"id": _BY_ID, "reference": _BY_REFERENCE, "email": _BY_EMAIL}


async def _revoked(_: Change) -> Columns | None:
    """Refuse what was issued until now; by real time, as tokens are."""
    return {"revoked_before": clock.now()}


class Issuers(Writer):
    """Issuers: no token of theirs allows more than the token that registers them; what changes is told at once."""

    effects: ClassVar = {"revoke": _revoked}

    async def validate(self, change: Change) -> None:
        """Settle scopes and algorithms of a new one, and check what was sent."""
        grantable = sorted(CUSTOMER_SCOPES & change.principal.scopes)
        if change.new:
            change.columns.setdefault("scopes", [scope for scope in SCOPES if scope in grantable])
            change.columns.setdefault("algorithms", ["RS256"])
        if change.sets("scopes"):
            check_scopes(change.value("scopes") or [""], grantable)
        algorithms: Sequence[str] = change.value("algorithms")
        if change.sets("algorithms") and not (algorithms and set(algorithms) <= set(jwts.OUTSIDE)):
            change.problems.append(
                Invalid(
                    "algorithms - must be among {known}",
                    known=list(jwts.OUTSIDE),
                    pointer=change.draft.pointer("algorithms"),
                )
            )
        for name in ("issuer", "jwks_url"):
            check_url(change, name)

    async def after_write(self, change: Change) -> None:
        """Have every process learn it anew, and forget who came by its tokens."""
        await notices.forget(change.connection, change.store.id)

    async def before_delete(self, change: Change) -> None:
        """Have every process forget who came by its tokens."""
        await notices.forget(change.connection, change.store.id)


async def finds_by(connection: Connection, store_id: int, field: str) -> bool:
    """Whether an issuer of a store finds customers by this field of theirs."""
    return await _FINDS_BY(connection, store=store_id, field=field)


class Outside:
    """Outside issuers as a process knows them, and the bearers of their tokens."""

    def __init__(self, keys: IssuerKeys) -> None:
        self.keys = keys
        self._known: OrderedDict[tuple[str, int | None], tuple[float, Sequence[Issuer]]] = OrderedDict()
        self._changes = 0

    def forget(self) -> None:
        """Ask the database at the next use: there may be other issuers."""
        self._changes += 1
        self._known.clear()

    async def look(self, database: Database, token: str, at: datetime) -> Principal | Refusal:
        """Return the customer who bears a token at `at`, real time; why it is refused where it isn't good.

        The token's store is the one that has its issuer with its audience. Where several have, the token comes behind
        the number of the store, `1003.eyJ...`. No connection is held while keys are fetched. Raises NoKeys where they
        can't be had.
        """
        store_id, bare = split(token)
        header, said = jwts.header(bare), jwts.claimed(bare)
        name = None if said is None else said.get("iss")
        if header is None or said is None or not isinstance(name, str):
            return Refusal("malformed", store_id)
        found = await self._issuers(database, name, store_id)
        fitting = [issuer for issuer in found if _is_for(said, issuer.audience)]
        if len(fitting) != 1:
            return Refusal("issuer", store_id)
        issuer = fitting[0]
        if header.algorithm not in issuer.algorithms:
            return Refusal("issuer", issuer.store_id)
        key = await self.keys.find(Source(issuer.issuer, issuer.jwks_url), header)
        claims = None if key is None else jwts.read(bare, key, [header.algorithm])
        why = "issuer" if claims is None else _fault(issuer, claims, at)
        if claims is None or why is not None:
            return Refusal(why or "issuer", issuer.store_id)
        return await _bearer(database, issuer, claims, at)

    async def _issuers(self, database: Database, name: str, store_id: int | None) -> Sequence[Issuer]:
        """The issuers of a name, of one store or of all."""
        key = (name, store_id)
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        changes = self._changes
        async with database.connection() as connection:
            if store_id is None:
                found = await _OF_ALL(connection, issuer=name, most=_MOST)
            else:
                found = await _OF_STORE(connection, store=store_id, issuer=name)
        if changes == self._changes:
            self._known[key] = (time.monotonic() + _KEPT, found)
            self._known.move_to_end(key)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return found


def is_outside(token: str) -> bool:
    """Whether a token has the form of an outside issuer's: ours are signed in another way."""
    header = jwts.header(split(token)[1])
    return header is not None and header.algorithm in jwts.OUTSIDE


def split(token: str) -> tuple[int | None, str]:
    """The number of the store that a token comes behind, None where there is none, and the token itself."""
    prefix = _PREFIX.match(token)
    return (None, token) if prefix is None else (int(prefix[1]), token[prefix.end() :])


def _fault(issuer: Issuer, claims: Claims, at: datetime) -> str | None:
    """Why verified claims are refused at an instant; None where they are good. A token without an end is none."""
    if not _is_number(claims.get("exp")):
        return "issuer"
    if not jwts.is_timely(claims, at):
        return "expired"
    issued = claims.get("iat")
    if issuer.revoked_before is None or (_is_number(issued) and issued > issuer.revoked_before.timestamp()):
        return None
    return "revoked"


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def _bearer(database: Database, issuer: Issuer, claims: Claims, at: datetime) -> Principal | Refusal:
    """The one customer whom the claims name. An e-mail address counts when the issuer has verified it."""
    named = claims.get(issuer.customer_claim)
    if not isinstance(named, str) or not named or "\0" in named or len(named) > jwts.LONGEST:
        return Refusal("issuer", issuer.store_id)
    if issuer.customer_field == "email" and claims.get("email_verified") is not True:
        return Refusal("issuer", issuer.store_id)
    async with database.connection() as connection:
        found = await _CUSTOMERS[issuer.customer_field](connection, store=issuer.store_id, named=named)
    if len(found) != 1:
        return Refusal("issuer", issuer.store_id)
    scopes, ends = CUSTOMER_SCOPES & frozenset(issuer.scopes), claims["exp"]
    assert _is_number(ends)  # noqa: S101 -- `_fault` says so
    return Principal(found[0].store, issuer.id, found[0].customer_id, scopes, clock.instant(ends), last_used_at=at)


def _is_for(claims: Claims, audience: str) -> bool:
    """Whether claims are meant for an audience (RFC 7519, section 4.1.3)."""
    said = claims.get("aud")
    return audience in said if isinstance(said, list) else said == audience
