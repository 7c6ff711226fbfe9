"""The keys that sign and verify our JWTs, which all processes share: in the database, and for a while in memory.

One key signs. A key that is retired verifies on until the last token that it can have signed has ended, also by a
process that hasn't heard of its successor yet. So a change of keys refuses nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson
import structlog

from service import clock
from service.operations.tenant import tenants
from service.rules import jwts
from service.rules.jwts import Claims
from service.rules.sealing import Seals, Unreadable
from service.store import notices
from service.store.pool import Connection
from service.store.statements import Command, Many

LIFETIME = timedelta(hours=2)
"""How long a token that a client fetches works."""

SIGNING_KEYS = "signing keys"
"""The purpose for which private parts are encrypted."""

_KEPT = timedelta(seconds=60)
"""How long the keys are believed without asking the database again."""
_SELDOM = 1.0
"""Seconds between two looks at the database for a key that isn't known."""

log = structlog.get_logger(part="keys")


class _Kept(NamedTuple):
    id: str
    public_key: str
    private_key: str
    retired_at: datetime | None


_LIVE = Many("access/signing_keys.live", _Kept)
_ADD = Command("access/signing_keys.add")
_RETIRE = Command("access/signing_keys.retire")
_RESEAL = Command("access/signing_keys.reseal")


class Signer(NamedTuple):
    """The key that signs."""

    id: str
    private: str

    def sign(self, claims: Claims) -> str:
        """Return a token with these claims."""
        return jwts.sign(claims, self.id, self.private)


class Keyring:
    """The keys as a process knows them. Takes what the private parts are encrypted with."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals
        self._signer: Signer | None = None
        self._public: Mapping[str, Mapping[str, object]] = {}
        self._until = self._next = 0.0
        self._looking = asyncio.Lock()

    def forget(self) -> None:
        """Ask the database at the next use: there may be other keys."""
        self._until = 0.0

    async def signer(self, connection: Connection) -> Signer:
        """The key that signs, made where there is none that can be used."""
        if self._signer is None or self._until <= time.monotonic():
            await self._look(connection)
        if self._signer is None:
            await rotate(connection, self._seals)
            await self._look(connection)
        if self._signer is None:
            raise LookupError("No key signs.")
        return self._signer

    async def public(self, connection: Connection) -> list[Mapping[str, object]]:
        """The public parts of all keys, as JWKs, the newest first."""
        if self._until <= time.monotonic():
            await self._look(connection)
        return list(self._public.values())

    async def read(self, connection: Connection, token: str) -> Claims | None:
        """The claims of a token that we signed; None for any other."""
        id_ = jwts.key_id(token)
        if id_ is None:
            return None
        if id_ not in self._public:
            await self._look_again(connection, id_)
        public = self._public.get(id_)
        return None if public is None else jwts.read(token, public)

    async def _look_again(self, connection: Connection, id_: str) -> None:
        """Look for a key that isn't known, once a second at most for all who wait: ids can be made up."""
        async with self._looking:
            if id_ not in self._public:
                await asyncio.sleep(max(self._next - time.monotonic(), 0))
                await self._look(connection)
                self._next = time.monotonic() + _SELDOM

    async def _look(self, connection: Connection) -> None:
        until = time.monotonic() + _KEPT.total_seconds()
        found = await _LIVE(connection, at=clock.now())
        self._public = {key.id: orjson.loads(key.public_key) for key in found}
        self._signer, self._until = None, until
        for key in found:
            if key.retired_at is None:
                try:
                    self._signer = Signer(key.id, self._seals.open(key.private_key, key.id))
                except Unreadable:
                    log.warning("the key that signs tokens is encrypted with a key that the settings lack", key=key.id)


async def rotate(connection: Connection, seals: Seals, *, actor: str = "") -> str:
    """Have another key sign from now on, in a transaction of its own. Returns its id, or that of somebody else's.

    Who has it done is written in the trail of every store, unless that is nobody.
    """
    at = clock.now()
    id_ = clock.new_id()
    made = await asyncio.to_thread(jwts.make_key, id_)
    async with connection.transaction():
        # Processes that haven't heard sign on for as long as they believe what they know.
        await _RETIRE(connection, at=at, until=at + LIFETIME + 2 * _KEPT + jwts.LEEWAY)
        if actor:
            await tenants.tell_all(connection, "rotate_keys", actor=actor)
        await _ADD(connection, id=id_, public_key=made.public, private_key=seals.seal(made.private, id_), at=at)
        await notices.forget_keys(connection)
    return id_


async def reseal(connection: Connection, seals: Seals) -> int:
    """Encrypt private parts anew that older keys of the settings have encrypted. Returns how many there were."""
    count = 0
    for key in await _LIVE(connection, at=clock.now()):
        # One that no key of the settings opens any more can't sign, but verify.
        with suppress(Unreadable):
            if not seals.is_newest(key.private_key):
                private = seals.seal(seals.open(key.private_key, key.id), key.id)
                count += await _RESEAL(connection, id=key.id, private_key=private)
    return count
