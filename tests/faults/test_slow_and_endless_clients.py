"""Clients that send slowly, endlessly or nonsense, and those that leave: over real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import httpx2
import orjson
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from service.http import protocol
from service.store.pool import Connection, Database
from tests.nodes import ACTIVITY
from tests.sockets import exchange, listening
from tests.support import Access


@pytest_asyncio.fixture
async def port(app: Starlette) -> AsyncIterator[int]:
    async with listening(app) as port:
        yield port


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.4)


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def _error(answer: bytes) -> dict[str, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/vnd.api+json" in head.lower(), head
    error: dict[str, str] = orjson.loads(body)["errors"][0]
    return error


GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


CHUNKED = b"POST /api/skus HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def _endless(start: bytes, piece: bytes) -> Iterator[bytes]:
    yield start
    while True:
        yield piece * (65_536 // len(piece))


@pytest.mark.rule("FM-121")
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(GET, b"a:b\r\n", id="tiny headers"),
        pytest.param(GET + b"X: ", b"x", id="a header line"),
        pytest.param(GET, b"x", id="a header's name"),
        pytest.param(b"GET /", b"x", id="a target"),
        pytest.param(
            CHUNKED + b"2\r\n{}\r\n0\r\n",
            b"a:b\r\n",
            id="trailers",
        ),
        pytest.param(CHUNKED + b"1;", b"x", id="a chunk's extension"),
    ],
)
async def test_what_has_no_end_is_cut_while_it_is_received(port: int, start: bytes, piece: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    async with asyncio.timeout(20):
        try:
            for part in _endless(start, piece):
                writer.write(part)
                await writer.drain()
                sent += len(part)
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        finally:
            writer.close()
    # What the kernels of both sides buffer is sent, too; a hundred megabytes are not.
    assert sent < 20_000_000
    assert _status(await exchange(port, GET + b"Connection: close\r\n\r\n")) == 200


@pytest.mark.rule("FM-122")
@pytest.mark.usefixtures("hurried")
async def test_connections_have_deadlines(port: int) -> None:
    """A silent connection is closed; half a head and half a body are answered 408 first."""
    assert await exchange(port, b"", seconds=5) == b""
    head = await exchange(port, b"GET /healthz HTTP/1.1\r\nHo", seconds=5)
    assert (_status(head), _error(head)["code"]) == (408, "REQUEST_TIMEOUT")
    begun = b"POST /demo/checkout HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    body = await exchange(port, begun + b"Content-Length: 100\r\n\r\na=", seconds=5)
    assert _status(body) in (408, 404)
    again = await exchange(port, GET + b"\r\nGET /heal", seconds=5)
    assert (_status(again), again.count(b"HTTP/1.1 408")) == (200, 1), "also after a first request"


@pytest.mark.rule("FM-122")
async def test_a_stranger_is_not_waited_for(port: int) -> None:
    """The token is looked at before the body is read, or asked for."""
    head = (
        b"POST /api/skus HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 1000\r\n"
        b"Content-Type: application/vnd.api+json\r\n"
    )
    assert _status(await exchange(port, head + b"Expect: 100-continue\r\n\r\n", seconds=5)) == 401


@pytest.mark.rule("FM-122")
async def test_connections_beyond_the_limit_are_told_to_come_back(app: Starlette) -> None:
    async with listening(app, most_connections=2) as port:
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        refused = await exchange(port, b"", seconds=5)
        assert (_status(refused), b"\r\nRetry-After: 1\r\n" in refused) == (503, True)
        kept[0][1].close()
        await kept[0][1].wait_closed()
        await asyncio.sleep(0.1)
        assert _status(await exchange(port, GET + b"Connection: close\r\n\r\n")) == 200
        kept[1][1].close()


@pytest.mark.rule("FM-136")
@pytest.mark.parametrize(
    ("request_line", "hosts", "status"),
    [
        (b"GET /healthz HTTP/1.1", [b"127.0.0.1"], 200),
        (b"GET /healthz HTTP/1.1", [b"127.0.0.1", b"127.0.0.1"], 400),
        (b"GET /healthz HTTP/1.1", [], 400),
        (b"GET /healthz HTTP/1.0", [], 200),
        (b"GET http://127.0.0.1/healthz HTTP/1.1", [b"127.0.0.1"], 200),
        (b"GET http://other.example/healthz HTTP/1.1", [b"127.0.0.1"], 400),
        (b"GET http://127.0.0.1:81/healthz HTTP/1.1", [b"127.0.0.1"], 400),
    ],
)
async def test_a_request_names_one_host(port: int, request_line: bytes, hosts: list[bytes], status: int) -> None:
    lines = [request_line, *(b"Host: " + host for host in hosts), b"Connection: close", b"", b""]
    answer = await exchange(port, b"\r\n".join(lines))
    assert _status(answer) == status
    if status == 400:
        assert _error(answer)["code"] == "INVALID_HOST"


@pytest.mark.rule("FM-137")
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"FOO /api/orders HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 501),
        (b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", 204),
        (b"GET /healthz HTTX/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n", 400),
        (CHUNKED.replace(b"chunked", b"gzip, chunked\r\nConnection: close") + b"0\r\n\r\n", 501),
    ],
)
async def test_what_is_not_understood_is_answered_so(port: int, sent: bytes, status: int) -> None:
    answer = await exchange(port, sent)
    assert _status(answer) == status, answer
    if status >= 400:
        assert _error(answer)["status"] == str(status)


@pytest.mark.rule("FM-130")
async def test_a_client_that_leaves_in_the_middle_is_no_accident(
    port: int, integration: Access, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /api/skus HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {integration.token}\r\n"
        "Content-Type: application/vnd.api+json\r\nContent-Length: 1000\r\n\r\n{"
    )
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0.3)
    writer.close()
    for _ in range(50):
        await asyncio.sleep(0.05)
        logged = capsys.readouterr().out
        if "path=/api/skus" in logged:
            break
    assert "status=499" in logged
    assert "accident" not in logged
    assert not caplog.records


@pytest.mark.rule("FM-124")
async def test_a_client_that_leaves_ends_its_read(
    port: int, integration: Access, database: Database, connection: Connection
) -> None:
    waiting = f"select count(*) from {ACTIVITY} where wait_event_type = 'Lock' and datname = current_database()"
    async with database.transaction() as blocking:
        await blocking.execute("lock table skus in access exclusive mode")
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET /api/skus HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {integration.token}\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        async with asyncio.timeout(10):
            while not await connection.fetchval(waiting):  # noqa: ASYNC110 -- only the database knows
                await asyncio.sleep(0.02)
            writer.close()
            while await connection.fetchval(waiting):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/api/skus", headers=integration.headers)).status_code == 200
