"""Requests whose headers a process has read before: answered, and refused, as if it read them for the first time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.applications import Starlette

from service.http import protocol
from service.http.hearing import Head
from tests.sockets import listening

HEAD = b"\r\nHost: 127.0.0.1\r\nX-Request-Id: known\r\n\r\n"


class _Wire:
    """A connection that sends bytes as they are and reads whole answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heads: dict[bytes, Head]) -> None:
        self._reader, self._writer = reader, writer
        self.heads = heads
        """Those that the server has come to know."""

    async def ask(self, *parts: bytes, method: str = "GET") -> tuple[int, bytes]:
        """The status and the body of the answer to a request that is sent part by part."""
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()
            await asyncio.sleep(0.05 if len(parts) > 1 else 0)
        async with asyncio.timeout(10):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            body = await self._reader.readexactly(int(length[1]) if length and method != "HEAD" else 0)
        return int(head.split(b" ", 2)[1]), body


@pytest_asyncio.fixture
async def wire(app: Starlette) -> AsyncIterator[_Wire]:
    heads: dict[bytes, Head] = {}
    async with listening(app, heads=heads) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield _Wire(reader, writer, heads)
        writer.close()


async def test_a_head_that_comes_again_is_answered_by_its_line(wire: _Wire) -> None:
    first = await wire.ask(b"GET /healthz HTTP/1.1" + HEAD)
    assert (first[0], list(wire.heads)) == (200, [HEAD])
    assert await wire.ask(b"GET /healthz HTTP/1.1" + HEAD) == first
    status, body = await wire.ask(b"GET /api?x=%2F HTTP/1.1" + HEAD)
    assert (status, b'"id":"known"' in body, b'"parameter":"x"' in body) == (400, True, True)
    assert (await wire.ask(b"GET /%61pi HTTP/1.1" + HEAD))[0] == 200
    assert await wire.ask(b"HEAD /healthz HTTP/1.1" + HEAD, method="HEAD") == (200, b"")
    assert (await wire.ask(b"DELETE /api HTTP/1.1" + HEAD))[0] == 405
    assert (await wire.ask(b"GET /hea", b"lthz HTTP/1.1" + HEAD))[0] == 200
    assert (await wire.ask(b"GET http://other.example/healthz HTTP/1.1" + HEAD))[0] == 400


async def test_requests_one_behind_the_other_are_answered_in_order(wire: _Wire) -> None:
    both = b"GET /healthz HTTP/1.1" + HEAD + b"GET /nothing HTTP/1.1" + HEAD
    for _ in range(2):
        assert (await wire.ask(both))[0] == 200
        assert (await wire.ask(b""))[0] == 404
    assert not wire.heads  # it isn't known where a head ends among several


@pytest.mark.parametrize(
    "line",
    [b"GET /a\x01b HTTP/1.1", b"GET /a b HTTP/1.1", b"GET  HTTP/1.1", b"GET /healthz HTTP/9.9", b"/healthz", b""],
)
async def test_a_line_that_is_wrong_is_refused_all_the_same(wire: _Wire, line: bytes) -> None:
    assert (await wire.ask(b"GET /healthz HTTP/1.1" + HEAD))[0] == 200
    assert (await wire.ask(line + HEAD))[0] in (400, 501)


@pytest.mark.parametrize(
    "more",
    [
        b"Content-Length: 2\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Connection: close\r\n\r\n",
        b"Expect: 100-continue\r\n\r\n",
        b"X: " + b"x" * 5_000 + b"\r\n\r\n",
    ],
)
async def test_what_has_a_body_or_asks_for_something_is_read_every_time(wire: _Wire, more: bytes) -> None:
    assert (await wire.ask(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more))[0] == 200
    assert not wire.heads


async def test_as_many_heads_are_known_as_are_allowed(wire: _Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_MOST_KNOWN", 3)
    for number in range(5):
        assert (await wire.ask(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: %d\r\n\r\n" % number))[0] == 200
    assert [head.split(b"X: ")[1][:1] for head in wire.heads] == [b"2", b"3", b"4"]
