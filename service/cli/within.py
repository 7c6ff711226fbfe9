"""What commands do within one store."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from service import clock
from service.cli.loops import run
from service.cli.servers import migrated, read_settings, server
from service.errors import StartupError
from service.operations.access import tokens
from service.operations.events import outbox
from service.operations.tenant import tenants
from service.principal import SCOPES, Store
from service.store.pool import Connection

T = TypeVar("T")


def in_store(database_url: str | None, store_id: int, work: Callable[[Connection, Store], Awaitable[T]]) -> T:
    """The result of work on a store, in one transaction. Raises StartupError when there is no such store."""

    async def done(url: str) -> T:
        async with store_at(url, store_id) as (connection, store), connection.transaction():
            return await work(connection, store)

    with server(read_settings(database_url)) as url:
        return run(done(url))


@asynccontextmanager
async def store_at(url: str, store_id: int, keys: Sequence[str] = ()) -> AsyncIterator[tuple[Connection, Store]]:
    """A store of a database, and a connection with these keys. Raises StartupError when there is no such store."""
    async with migrated(url, keys) as connection:
        store = await tenants.find(connection, store_id)
        if store is None:
            raise StartupError(
                "There is no store {store}: make it with `reprise store create --id {store}`.", store=store_id
            )
        yield connection, store


def operator() -> str:
    """The actor of what a command does: who runs it, also by way of sudo."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return f"{tenants.OPERATOR}:{name}"


def duration(text: str) -> timedelta | None:
    """A time: a number of seconds, or of minutes (m), hours (h) or days (d); None for what is none."""
    parts = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if parts is None:
        return None
    unit = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[parts[2]]
    return timedelta(**{unit: int(parts[1])})


def words(text: str) -> list[str]:
    """The words of an option that takes several, with spaces or commas between them."""
    return text.replace(",", " ").split()


async def new_token(
    connection: Connection,
    store: Store,
    *,
    customer_id: str | None = None,
    scopes: Collection[str] = SCOPES,
    name: str | None,
    lifetime: timedelta | None,
) -> str:
    """Make a token of a store, in the caller's transaction; None as its lifetime is for ever."""
    at = clock.now()
    id_, token = await tokens.issue(
        connection,
        store.id,
        customer_id=customer_id,
        scopes=scopes,
        name=name,
        expires_at=None if lifetime is None else at + lifetime,
        at=at,
    )
    await outbox.record(connection, store, "access_tokens.create", id_, actor=operator())
    return token
