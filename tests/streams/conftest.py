"""A database of the test's own, since a stream is of all its stores, and a server of NATS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from service.principal import Store
from service.store.pool import Database, open_database
from tests.streams.jetstream import Server, server
from tests.support import KEYS, make_store


@pytest.fixture
def database_url(own_url: str) -> str:
    return own_url


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, max_size=10, keys=KEYS) as opened:
        yield opened


@pytest_asyncio.fixture
async def store(database: Database) -> Store:
    return await make_store(database)


@pytest_asyncio.fixture
async def stream(tmp_path: Path) -> AsyncIterator[Server]:
    async with server(tmp_path / "nats") as running:
        yield running
