"""Clients of the real application for the chapters."""

from __future__ import annotations

import httpx2
import pytest

from tests.contract.conftest import world
from tests.spec.operating import Batches
from tests.spec.reading import Reader
from tests.spec.writing import Api
from tests.support import Access

__all__ = ["api", "reader", "world"]


@pytest.fixture
def reader(client: httpx2.AsyncClient, integration: Access) -> Reader:
    """A reader of the test's store with all scopes."""
    return Reader(client, integration)


@pytest.fixture
def api(client: httpx2.AsyncClient, integration: Access) -> Api:
    """JSON:API requests of an integration with all scopes."""
    return Api(client, integration)


@pytest.fixture
def batches(client: httpx2.AsyncClient, integration: Access) -> Batches:
    """Atomic operations of an integration with all scopes."""
    return Batches(client, integration)
