"""A real server, a customer in it, and the protocol's own client with the customer's token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

Mode = Literal["legacy", "auto"]
"""How the client begins: with the handshake of 2025's versions, or without, as 2026-07-28 has it."""
MODES: tuple[Mode, ...] = ("legacy", "auto")
PATIENCE = 60.0
"""Seconds; the first assistant of a process waits until the SDK is loaded."""


@dataclass(frozen=True)
class Shop:
    """A shop as its customer's assistant knows it: nothing but a URL and a token; `known` is for the test's eyes."""

    origin: str
    token: str
    known: dict[str, Any]

    @property
    def url(self) -> str:
        """Where assistants are served."""
        return f"{self.origin}/mcp"

    @property
    def headers(self) -> dict[str, str]:
        """What every request of the customer has."""
        return {"Authorization": f"Bearer {self.token}"}

    def api(self) -> httpx2.AsyncClient:
        """The customer's own client of the JSON:API."""
        return httpx2.AsyncClient(
            base_url=f"{self.origin}/api",
            headers=self.headers | {"Content-Type": "application/vnd.api+json"},
            timeout=PATIENCE,
        )


@asynccontextmanager
async def assistant(shop: Shop, mode: Mode = "auto", language: str = "en") -> AsyncIterator[Client]:
    """An assistant that is connected."""
    async with (
        httpx2.AsyncClient(headers=shop.headers | {"Accept-Language": language}, timeout=PATIENCE) as http,
        Client(streamable_http_client(shop.url, http_client=http), mode=mode) as client,
    ):
        yield client


def told(result: Any) -> str:
    """What the result of a call says in words."""
    return "\n".join(part.text for part in result.content)
