"""A receiver that runs while the tests of this folder do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.webhooks.receiving import Receiver, receiver


@pytest_asyncio.fixture(scope="session")
async def hooks() -> AsyncIterator[Receiver]:
    async with receiver() as running:
        yield running
