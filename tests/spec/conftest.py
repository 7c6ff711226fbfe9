"""Clients of the real application for the chapters. Every answer they get is held against `tests.spec.invariants`."""

from __future__ import annotations

import httpx2
import pytest

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
