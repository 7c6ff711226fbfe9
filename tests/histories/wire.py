"""HTTP as clients of histories speak it: a connection for each client and address, kept alive, and no more than that.

A library for everything costs as much as the service takes for its answer, and clients share its processors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools
import orjson


class UnreachableError(Exception):
    """Nobody was there to take a request."""


class CutError(Exception):
    """A request was sent, and its answer isn't to be had."""


@dataclass
class Answer:
    """What came back; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether what was asked for was done."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The document."""
        return orjson.loads(self.content)


class Http:
    """The connections of one client, which sends one request at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open: dict[str, _Connection] = {}

    async def request(self, method: str, url: str, headers: Mapping[str, str], document: object = None) -> Answer:
        """The answer to a request. Raises UnreachableError and CutError."""
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        body = b"" if document is None else orjson.dumps(document)
        lines = [f"{method} {target.replace(' ', '%20')} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        connection = self._open.get(parts.netloc)
        if connection is None or connection.is_closed:
            connection = self._open[parts.netloc] = await self._connect(parts.hostname or "", parts.port or 80)
        try:
            async with asyncio.timeout(self._seconds):
                return await connection.ask(head.encode() + body)
        except TimeoutError as error:
            connection.close()
            raise CutError from error

    async def _connect(self, host: str, port: int) -> _Connection:
        try:
            async with asyncio.timeout(self._seconds):
                _, connection = await asyncio.get_running_loop().create_connection(_Connection, host, port)
        except OSError as error:  # a timeout too
            raise UnreachableError from error
        return connection

    def close(self) -> None:
        """Close all connections."""
        for connection in self._open.values():
            connection.close()


@dataclass
class _Connection(asyncio.Protocol):
    """One connection, on which one answer at a time is awaited."""

    is_closed: bool = False
    _transport: asyncio.Transport | None = None
    _parser: Any = None
    _answer: asyncio.Future[Answer] | None = None
    _headers: dict[str, str] = field(default_factory=dict)
    _body: list[bytes] = field(default_factory=list)

    async def ask(self, request: bytes) -> Answer:
        """Send a request, and wait for its answer. Raises CutError."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._parser, self._headers, self._body = httptools.HttpResponseParser(self), {}, []
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close it."""
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (AttributeError, httptools.HttpParserError):  # an answer that nobody asked for, or none of HTTP
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.is_closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(CutError())

    # what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.is_closed = True
        if self._answer is not None and not self._answer.done():
            answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._body))
            self._answer.set_result(answer)
