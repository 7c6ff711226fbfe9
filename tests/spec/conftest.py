"""Clients of the real application for the chapters. Every answer they get is held against `tests.spec.invariants`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from tests.conftest import ORIGIN
from tests.contract.conftest import contract, world
from tests.spec import invariants
from tests.spec.reading import Reader
from tests.spec.writing import Api
from tests.support import Access

__all__ = ["api", "client", "contract", "reader", "world"]


class CheckedClient(httpx2.AsyncClient):
    """A client that takes no answer which breaks a rule of JSON:API."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send a request; what is streamed can't be looked at."""
        response = await super().send(request, stream=stream, **options)
        if not stream:
            invariants.check(response)
        return response


@pytest_asyncio.fixture
async def client(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that talks to the real application without a socket, and holds its answers against the rules.

    It never follows redirects and sees 500s as answers.
    """
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with CheckedClient(transport=transport, base_url=ORIGIN) as opened:
        yield opened


@pytest.fixture
def reader(client: httpx2.AsyncClient, integration: Access) -> Reader:
    """A reader of the test's store with all scopes."""
    return Reader(client, integration)


@pytest.fixture
def api(client: httpx2.AsyncClient, integration: Access) -> Api:
    """JSON:API requests of an integration with all scopes."""
    return Api(client, integration)
