"""What is known of one request while it is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.types import Scope

from service.http.allowances import Allowance
from service.http.hearing import Head, head_of
from service.http.timing import Timing
from service.http.turns import Turns
from service.principal import Principal

if TYPE_CHECKING:
    from service.http.state import Service

_KEY = "reprise.exchange"


@dataclass(slots=True)
class Exchange:
    """A request and its answer, from the first byte to the last.

    `head` is the request's. `request_id` is the id that the answer, its log line and its events carry. `origin` is the
    service's own URL as the client reaches it, `principal` who sent the request, `allowance` what is left of the limit
    that it was counted against; each is None until somebody has worked it out. `is_costly` says that it is counted as
    what it asks for, and as nothing else. `turn` is whose turn it is among `turns`, once it has one. `service` is what
    the process stands on.
    """

    head: Head
    request_id: str = ""
    timing: Timing = field(default_factory=Timing)
    origin: str | None = None
    principal: Principal | None = None
    allowance: Allowance | None = None
    is_costly: bool = False
    turns: Turns | None = None
    turn: str = ""
    service: Service | None = None

    def end_turn(self) -> None:
        """End its sender's turn, if it has one."""
        if self.turns is not None:
            self.turns.end(self.turn)
            self.turns, self.turn = None, ""


def begin(scope: Scope, exchange: Exchange) -> Exchange:
    """Attach an exchange to the scope of its request; returns it."""
    scope[_KEY] = exchange
    return exchange


def exchange_in(scope: Scope) -> Exchange:
    """The exchange of a scope, begun here if nobody has."""
    known: Exchange | None = scope.get(_KEY)
    return begin(scope, Exchange(head_of(scope["headers"]))) if known is None else known


def exchange_of(request: Request) -> Exchange:
    """The exchange of a request, begun here if nobody has."""
    try:
        known: Exchange = request.scope[_KEY]
    except KeyError:
        known = exchange_in(request.scope)
    return known


def heard_of(request: Request, name: bytes) -> str | None:
    """A header of a request, all its lines as one list; None when it has none. `name` is in lower case."""
    sent = exchange_of(request).head.heard.get(name)
    return None if sent is None else sent.decode("latin-1")
