"""Request bodies: no larger than the settings allow, and read to their end before an answer is sent."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Message, Receive

from service.errors import TooLarge
from service.http.hearing import Heard

_MOST_DISCARDED = 64 * 1024 * 1024
_DISCARD_SECONDS = 10.0


class Body:
    """The body of a request while it comes.

    One that is too large raises TooLarge where it is read, declared or not, so that each part of the service answers in
    its own shape. What an answer leaves unread is thrown away before it is sent, within bounds: a connection that is
    closed with bytes still coming is reset, and the client never sees the answer (RFC 9112, section 9.6).
    """

    __slots__ = ("_coming", "_declared", "_most", "_read", "_receive")

    def __init__(self, heard: Heard, receive: Receive, most: int) -> None:
        length = heard.get(b"content-length", b"")
        self._declared = int(length) if length.isdigit() else 0
        # A client that waits for "100 Continue" has sent nothing yet, and need not.
        self._coming = (self._declared > 0 or b"transfer-encoding" in heard) and b"expect" not in heard
        self._most, self._read, self._receive = most, 0, receive

    async def receive(self) -> Message:
        """The next part."""
        if self._declared > self._most:
            raise self._too_large()
        message = await self._receive()
        self._coming = self._coming and message.get("more_body", False)
        self._read += len(message.get("body", b""))
        if self._read > self._most:
            raise self._too_large()
        return message

    async def discard(self) -> None:
        """Read what is still coming; not forever, and no more than a client can have sent by mistake."""
        left, more, self._coming = _MOST_DISCARDED, self._coming, False
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while more and left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    more = message.get("more_body", False)

    @property
    def is_coming(self) -> bool:
        """Whether parts are left that nobody has read."""
        return self._coming

    def _too_large(self) -> TooLarge:
        return TooLarge("The request body is larger than {most} bytes.", most=self._most)
