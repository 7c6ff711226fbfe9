"""Wrong tokens of repeat links are counted by address: whoever tries many is not answered for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits import RateLimitItemPerMinute
from starlette.requests import Request

from service.errors import Gone
from service.http import limits

LIMIT = RateLimitItemPerMinute(60, namespace="wrong_links")
"""How often an address may try a link that doesn't work. Links that work are never counted."""


@asynccontextmanager
async def limited(request: Request) -> AsyncIterator[None]:
    """Around whatever opens a link: counts the attempt when that raises Gone.

    Beyond the limit nothing is opened any more, so that the answer tells nothing. Raises TooManyRequests.
    """
    await limits.check(request, LIMIT)
    try:
        yield
    except Gone:
        await limits.count(request, LIMIT, None, told=False)
        raise
