"""A gateway that runs while a chapter's tests do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.gateways import Example, example


@pytest_asyncio.fixture(scope="session")
async def gateway() -> AsyncIterator[Example]:
    async with example() as running:
        yield running
