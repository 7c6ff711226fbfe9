"""What tests and their fixtures share: stores, tokens, URLs."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from service import clock
from service.operations.tenant import tenants
from service.principal import Store
from service.store.pool import Database

KEYS = ("first-key-of-the-tests",)
"""The keys that the service signs and seals with in tests."""

_numbers = itertools.count(100_001)


async def make_store(database: Database) -> Store:
    """A store that no other test of this worker sees: EUR, test mode, real time."""
    number = next(_numbers)
    async with database.transaction() as connection:
        return await tenants.create(connection, store_id=number, name=f"Shop {number}", at=clock.now())


def with_database(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@dataclass(frozen=True)
class Access:
    """A token and the headers that a JSON:API client sends with it."""

    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """Authorization, and JSON:API's media type both ways."""
        return {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/vnd.api+json",
            "Content-Type": "application/vnd.api+json",
        }


Grant = Callable[..., Awaitable[Access]]
