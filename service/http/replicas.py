"""Clients read what they wrote, though a replica answers: each is remembered with the position of its last write.

The answer to a write says the position too. A client that reaches several processes sends it back with what it reads
next; this process remembers it for the client's token, or the session of its cart.
"""

from __future__ import annotations

from collections import OrderedDict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.hearing import AT_ONCE
from service.store.pool import is_away
from service.store.replica import BEYOND, Replica, reader

HEADER = b"x-reprise-position"
MOST_REMEMBERED = 10_000
_SAFE = frozenset({"GET", "HEAD"})
_WHO = (b"authorization", b"x-cart-session")


class Remembering:
    """Everything before the line, where there is a replica: nothing of this costs a request where there is none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._floor = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection: a write, and all that it reads, is the primary's."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        heard = dict(scope["headers"])
        who = b"\n".join(heard.get(name, b"") for name in _WHO)
        if scope["method"] in _SAFE:
            before = reader.set(max(self._seen.get(who, self._floor), _position(heard.get(HEADER))))
            try:
                await self._app(scope, receive, send)
            finally:
                reader.reset(before)
            return
        # The short way of a whole answer goes by `send`.
        scope.pop(AT_ONCE, None)
        replica: Replica = scope["app"].state.service.reads

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                position = await self._after(replica, who)
                message = {**message, "headers": [*message["headers"], (HEADER, str(position).encode())]}
            await send(message)

        before = reader.set(BEYOND)
        try:
            await self._app(scope, receive, tell)
        finally:
            reader.reset(before)

    async def _after(self, replica: Replica, who: bytes) -> int:
        """The position after a write, which its client is remembered with."""
        try:
            position = await replica.position()
        except Exception as error:
            if not is_away(error):
                raise
            position = BEYOND
        self._seen[who] = position
        self._seen.move_to_end(who)
        if len(self._seen) > MOST_REMEMBERED:
            # Whoever is forgotten has seen no more than this.
            self._floor = max(self._floor, self._seen.popitem(last=False)[1])
        return position


def _position(sent: bytes | None) -> int:
    """The position that a client sent; none is 0, and what is no position has only the primary answer."""
    if sent is None:
        return 0
    return min(int(sent), BEYOND) if sent.isdigit() and len(sent) < 20 else BEYOND
