"""What only a real socket shows: the application behind uvicorn, asked by a client that speaks plain TCP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.applications import Starlette

from tests.sockets import exchange, listening
from tests.support import Access


@pytest_asyncio.fixture
async def port(app: Starlette) -> AsyncIterator[int]:
    """The port at which the application is served."""
    async with listening(app) as port:
        yield port


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/api/recurring_order_copies", 10_000_000, b"413"),
        ("/api/services/webshop/v1/customer/orders/reorder", 10_000_000, b"401"),
        ("/api/events", 1_500_000, b"405"),
        ("/api/nothing", 1_500_000, b"404"),
        pytest.param(f"/api/orders?{'x' * 17_000}", 1_500_000, b"414", id="long URL"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_refusal_reaches_a_client_that_is_still_sending(
    port: int, integration: Access, path: str, size: int, status: bytes, *, chunked: bool
) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/vnd.api+json\r\n"
        f"Authorization: Bearer {integration.token}\r\n"
    )
    if chunked:
        framing, body = "Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (size, b" " * size)
    else:
        framing, body = f"Content-Length: {size}", b" " * size
    answer = await exchange(port, f"{head}{framing}\r\n\r\n".encode() + body)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.endswith(b"}")


async def test_a_client_that_waits_to_be_told_to_go_on_is_refused_at_once(port: int, integration: Access) -> None:
    head = (
        "POST /api/recurring_order_copies HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Authorization: Bearer {integration.token}\r\n"
        "Content-Type: application/vnd.api+json\r\nContent-Length: 10000000\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = await exchange(port, head.encode())
    assert answer.startswith(b"HTTP/1.1 413")
