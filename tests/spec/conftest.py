"""A client of the real application for each chapter."""

from __future__ import annotations

import httpx2
import pytest

from tests.contract.conftest import world
from tests.spec.writing import Api
from tests.support import Access

__all__ = ["api", "world"]


@pytest.fixture
def api(client: httpx2.AsyncClient, integration: Access) -> Api:
    """JSON:API requests of an integration with all scopes."""
    return Api(client, integration)
