"""Streams of NATS JetStream: messages are published in their order, and only what the server keeps counts as published.

A connection that fails is given up with all that was on its way; the next one begins with what wasn't acknowledged. So
nothing waits in a buffer that could be sent later, after what follows it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from service.gateways import credentials
from service.gateways.credentials import Credentials

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

CONNECT_SECONDS: Final = 5
"""How long connecting to one server may take."""
CLOSE_SECONDS: Final = 1.0
"""How long a server has to close a connection."""
ANSWER_SECONDS: Final = 10.0
"""How long a server has to acknowledge a batch of messages."""
WINDOW_SECONDS: Final = 600
"""For how long a stream that is made here drops what it is sent again under the same id."""
KEPT_SECONDS: Final = 7 * 86_400
"""For how long a stream that is made here keeps messages."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A stream, where its servers are, and what proves who publishes.

    `subjects` matches all that is published; the stream is made for them when `create` is set and there is none.
    """

    servers: Sequence[str] = field(repr=False)
    stream: str
    subjects: str
    create: bool = True
    credentials: Path | None = None
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Message(NamedTuple):
    """What is published: under the same id it is kept once."""

    id: str
    subject: str
    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Published:
    """What came of messages: which were acknowledged, in their order, and why others weren't, if any weren't."""

    kept: Sequence[bool]
    reason: str | None = None


class Unreachable(Exception):
    """Nothing can be published, for the reason that this says."""


class _Refused(Exception):
    """The server doesn't keep a message."""


_Answer = asyncio.Future[None]
"""What the server says of a message: nothing where it keeps it; else it is `_Refused`."""


class Stream:
    """A stream that one is connected to."""

    def __init__(self, client: Client, name: str, lost: asyncio.Event) -> None:
        self._client = client
        self._name = name
        self._lost = lost
        self._inbox = client.new_inbox()
        self._waiting: dict[str, _Answer] = {}
        self._number = count(1)

    @property
    def is_open(self) -> bool:
        """Whether the connection still holds."""
        return self._client.is_connected and not self._lost.is_set()

    async def make(self, subjects: str) -> None:
        """Make the stream if there is none. Raises Unreachable."""
        from nats.js.api import StreamConfig  # noqa: PLC0415 -- only who publishes loads it
        from nats.js.errors import APIError, NotFoundError  # noqa: PLC0415

        context = self._client.jetstream()
        try:
            with suppress(NotFoundError):
                await context.stream_info(self._name)
                return
            await context.add_stream(
                StreamConfig(
                    name=self._name,
                    subjects=[subjects],
                    description="What happens in Reprise",
                    duplicate_window=WINDOW_SECONDS,
                    max_age=KEPT_SECONDS,
                )
            )
        except APIError as error:
            raise Unreachable(f"the stream {self._name} can't be made: {_words(error)}") from error
        except _failures() as error:
            raise Unreachable(f"JetStream doesn't answer: {_words(error)}") from error

    async def listen(self) -> None:
        """Begin to hear what the server says of messages."""
        # nats-py's own `publish_async` never ends for a message that the server refuses.
        await self._client.subscribe(f"{self._inbox}.*", cb=self._heard)

    async def publish(self, messages: Sequence[Message]) -> Published:
        """Publish messages, each only after the one before it was kept; return what came of them.

        What the stream has already is not its last message, so that what follows that is refused, and sent once more.
        """
        kept: set[str] = set()
        reason: str | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while rest := [message for message in messages if message.id not in kept]:
                    new, reason = await self._round(rest)
                    kept |= new
                    if rest[0].id not in new:
                        break
        if len(kept) < len(messages) and reason is None:
            reason = _SILENT
        return Published([message.id in kept for message in messages], reason)

    async def _round(self, messages: Sequence[Message]) -> tuple[set[str], str | None]:
        """Send messages; return the ids of those that the stream keeps, and why it doesn't keep another, if so."""
        sent: list[_Answer] = []
        try:
            reason = await self._send_all(messages, sent)
            await self._answered(sent)
        finally:
            self._waiting.clear()
        kept: set[str] = set()
        for message, answer in zip(messages, sent, strict=False):
            if not answer.done():
                reason = reason or LOST
            elif (refusal := answer.exception()) is None:
                kept.add(message.id)
            else:
                reason = reason or str(refusal)
        return kept, reason

    async def _send_all(self, messages: Sequence[Message], sent: list[_Answer]) -> str | None:
        """Send messages until one can't be, and add what will be said of them; why it can't, None where all were."""
        before: str | None = None
        for message in messages:
            headers = {
                "Nats-Msg-Id": message.id,
                "Nats-Expected-Stream": self._name,
                "Content-Type": message.media_type,
            }
            if before is not None:
                headers["Nats-Expected-Last-Msg-Id"] = before
            number, answer = str(next(self._number)), asyncio.get_running_loop().create_future()
            try:
                await self._client.publish(
                    message.subject, message.body, reply=f"{self._inbox}.{number}", headers=headers
                )
            except _failures() as error:
                return _words(error)
            self._waiting[number] = answer
            sent.append(answer)
            before = message.id
        return None

    async def _answered(self, sent: Sequence[_Answer]) -> None:
        """Wait until all that was sent was answered, or nothing can be any more."""
        if not sent:
            return
        ends = [asyncio.ensure_future(asyncio.wait(sent)), asyncio.ensure_future(self._lost.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def _heard(self, answer: Msg) -> None:
        """Note what the server says of a message."""
        waiting = self._waiting.pop(answer.subject.rpartition(".")[2], None)
        if waiting is None or waiting.done():
            return
        if (answer.headers or {}).get("Status") == "503":
            waiting.set_exception(_Refused(f"no stream takes these subjects: is there a stream {self._name}?"))
            return
        refusal = orjson.loads(answer.data).get("error")
        if refusal is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(_Refused(f"the server refuses: {refusal.get('description', refusal.get('code'))}"))


_SILENT: Final = "the server doesn't acknowledge what it is sent"
LOST: Final = "the connection to NATS was lost"


@asynccontextmanager
async def connected(destination: Destination) -> AsyncIterator[Stream]:
    """A stream of a server that one is connected to. Raises Unreachable."""
    from nats.aio.client import Client  # noqa: PLC0415 -- only who publishes loads it

    lost = asyncio.Event()

    async def silent(_: Exception) -> None:
        """Say nothing: whatever goes wrong shows in what is asked next."""

    async def gone() -> None:
        lost.set()

    known, tls = _proof(destination)
    client = Client()
    try:
        await client.connect(
            list(destination.servers),
            name="reprise",
            allow_reconnect=False,
            # Each server is tried twice, and then it is told that none can be connected to.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=CONNECT_SECONDS,
            ping_interval=10,
            max_outstanding_pings=2,
            error_cb=silent,
            disconnected_cb=gone,
            closed_cb=gone,
            tls=tls,
            user_jwt_cb=None if known is None else known.shown,
            signature_cb=None if known is None else known.sign,
        )
    except _failures() as error:
        await _close(client)
        raise Unreachable(f"no server of NATS can be connected to: {_words(error)}") from error
    try:
        stream = Stream(client, destination.stream, lost)
        if destination.create:
            await stream.make(destination.subjects)
        await stream.listen()
        yield stream
    finally:
        await _close(client)


async def _close(client: Client) -> None:
    """Close a connection, which may be gone: one whose certificates were refused never says that it is closed."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.close()
    except _failures():
        return


def _proof(destination: Destination) -> tuple[Credentials | None, ssl.SSLContext | None]:
    """What proves who publishes, and by what servers are checked, where the settings name any. Raises Unreachable."""
    try:
        known = None if destination.credentials is None else credentials.read(destination.credentials)
        if destination.authorities is None and destination.certificate is None:
            return known, None
        context = ssl.create_default_context(cafile=destination.authorities)
        if destination.certificate is not None:
            context.load_cert_chain(destination.certificate, destination.key)
    except (OSError, ValueError) as error:
        raise Unreachable(f"what NATS is to be shown can't be read: {_words(error)}") from error
    return known, context


def _failures() -> tuple[type[Exception], ...]:
    """What is raised where a server is away, refuses, or doesn't understand."""
    from nats.errors import Error  # noqa: PLC0415

    return (Error, OSError, asyncio.TimeoutError)


def _words(error: BaseException) -> str:
    """An error in a few words."""
    return (str(error) or type(error).__name__)[:255].replace("\0", "")
