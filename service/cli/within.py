"""What commands do within one store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.cli.loops import run
from service.cli.servers import migrated, read_settings, server
from service.errors import StartupError
from service.operations.tenant import stores
from service.principal import Store
from service.store.pool import Connection

T = TypeVar("T")


def in_store(database_url: str | None, store_id: int, work: Callable[[Connection, Store], Awaitable[T]]) -> T:
    """The result of work on a store, in one transaction. Raises StartupError when there is no such store."""

    async def done(url: str) -> T:
        async with migrated(url) as connection, connection.transaction():
            store = await stores.find(connection, store_id)
            if store is None:
                raise StartupError("There is no store {store}.", store=store_id)
            return await work(connection, store)

    with server(read_settings(database_url)) as url:
        return run(done(url))


def words(text: str) -> list[str]:
    """The words of an option that takes several, with spaces or commas between them."""
    return text.replace(",", " ").split()
