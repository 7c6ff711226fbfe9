"""Clients of the real application for the chapters. Every answer they get is held against `tests.spec.invariants`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from asyncpg import introspection

from service.store.pool import Connection, Database
from sql import statement
from tests.contract.conftest import world
from tests.spec import invariants
from tests.spec.operating import Batches
from tests.spec.reading import Reader
from tests.support import Access

__all__ = ["batches", "client", "reader", "world"]


@pytest.fixture
def client(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """The client of all tests, which here takes no answer that breaks a rule of JSON:API."""

    async def check(answer: httpx2.Response) -> None:
        await answer.aread()
        invariants.check(answer)

    client.event_hooks["response"].append(check)
    return client


@pytest.fixture
def reader(client: httpx2.AsyncClient, integration: Access) -> Reader:
    """A reader of the test's store with all scopes."""
    return Reader(client, integration)


@pytest.fixture
def batches(client: httpx2.AsyncClient, integration: Access) -> Batches:
    """Atomic operations of an integration with all scopes."""
    return Batches(client, integration)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that requests run, without the look-ups of a token and of asyncpg's own types."""
    left_out = {statement("access/tokens.find").text, introspection.INTRO_LOOKUP_TYPES}
    asked: list[str] = []
    original = Database.connection

    def note(record: Any) -> None:
        if record.query not in left_out:
            asked.append(record.query)

    @asynccontextmanager
    async def watched(database: Database) -> AsyncIterator[Connection]:
        async with original(database) as connection:
            inner: Any = getattr(connection, "_con", connection)
            with inner.query_logger(note):
                yield connection
                await asyncio.sleep(0)  # loggers are called when the loop is free

    monkeypatch.setattr(Database, "connection", watched)
    return asked
