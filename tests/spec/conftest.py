"""Fixtures of the chapters on fetching."""

from __future__ import annotations

import httpx2
import pytest

from tests.spec.reading import Reader
from tests.support import Access


@pytest.fixture
def reader(client: httpx2.AsyncClient, integration: Access) -> Reader:
    """A reader of the test's store with all scopes."""
    return Reader(client, integration)
