"""What all pages of the service's front ask: whether there is a demo shop that they can lead to."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.requests import Request

from service.demo import shop
from service.http.state import service_of

_PATIENCE: Final = 2
"""How many seconds a page that needs no database waits for one, to know whether it leads to the demo shop."""


async def has_shop(request: Request) -> bool:
    """Return whether the demo shop is open here."""
    async with service_of(request).database.connection() as connection:
        return await shop.find(connection) is not None


async def shows_shop(request: Request) -> bool:
    """Return the same for a page that needs no database: False while there is none to ask."""
    with suppress(Exception):  # whatever keeps the database from answering, the page is readable without
        async with asyncio.timeout(_PATIENCE):
            return await has_shop(request)
    return False
