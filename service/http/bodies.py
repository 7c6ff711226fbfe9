"""Request bodies: no larger than the settings allow, and read to their end before an answer is sent."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Message, Receive

from service.errors import TooLarge
from service.http.hearing import Head

_MOST_DISCARDED = 64 * 1024 * 1024
_DISCARD_SECONDS = 10.0


class Body:
    """The body of a request while it comes.

    One that is too large raises TooLarge where it is read, declared or not, so that each part of the service answers in
    its own shape. What an answer leaves unread is thrown away before it is sent, within bounds: a connection that is
    closed with bytes still coming is reset, and the client never sees the answer (RFC 9112, section 9.6).
    """

    __slots__ = ("_declared", "_most", "_read", "_receive", "is_coming")

    def __init__(self, head: Head, receive: Receive, most: int) -> None:
        self._declared = head.length
        # A client that waits for "100 Continue" has sent nothing yet, and need not.
        self.is_coming = head.announces and b"expect" not in head.heard
        """Whether parts are left that nobody has read."""
        self._most, self._read, self._receive = most, 0, receive

    async def receive(self) -> Message:
        """The next part."""
        if self._declared > self._most:
            raise self._too_large()
        message = await self._receive()
        self.is_coming = self.is_coming and message.get("more_body", False)
        self._read += len(message.get("body", b""))
        if self._read > self._most:
            raise self._too_large()
        return message

    async def discard(self) -> None:
        """Read what is still coming; not forever, and no more than a client can have sent by mistake."""
        left, more, self.is_coming = _MOST_DISCARDED, self.is_coming, False
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while more and left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    more = message.get("more_body", False)

    def _too_large(self) -> TooLarge:
        return TooLarge("The request body is larger than {most} bytes.", most=self._most)
