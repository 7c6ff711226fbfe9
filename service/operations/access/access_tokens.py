"""Access tokens as somebody looks after them: renamed, and ended."""

from __future__ import annotations

from typing import ClassVar

from schemas.graph import graph
from service import clock
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.principal import Principal, Store
from service.store import notices
from service.store.pool import Connection
from service.store.statements import Command
from service.store.write import Columns


async def revoked(change: Change) -> Columns | None:
    """The effect of `revoke` on what gives access; what was ended before stays as it is."""
    # By real time, as tokens are looked up.
    return None if change.before["revoked_at"] is not None else {"revoked_at": clock.now()}


class AccessTokens(Writer):
    """Access tokens: what ends one is told to every process, which all have to forget it."""

    effects: ClassVar = {"revoke": revoked}

    async def after_write(self, change: Change) -> None:
        """Have it forgotten."""
        if "revoke" in change.done:
            await _forget(change)

    async def before_delete(self, change: Change) -> None:
        """Have it forgotten: a token without a row is no token."""
        await _forget(change)


async def _forget(change: Change) -> None:
    """Have every process forget a token, and nobody refresh it."""
    grant_id: str | None = change.before["grant_id"]
    if grant_id is not None:
        await end_refreshing(change.connection, change.store.id, grant_id)
    await notices.forget(change.connection, change.store.id)


_END_REFRESHING = Command("access/grants.end_refreshing")


async def end_refreshing(connection: Connection, store_id: int, grant_id: str) -> None:
    """Delete what tokens of a grant would be refreshed with."""
    await _END_REFRESHING(connection, store=store_id, grant=grant_id)


async def revoke(connection: Connection, store: Store, id_: str, *, actor: str) -> None:
    """End a token, in the caller's transaction. Raises NotFound; one that was ended before stays as it is."""
    writer, principal = AccessTokens(), Principal.of_service(store, actor)
    locked = await writer.lock(connection, principal, graph["access_tokens"], id_)
    await writer.change(connection, principal, locked, {}, verbs=["revoke"])
