"""A tool by its name, and a call of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import Request

from service.http.agents import shapes
from service.http.agents.shapes import Answered, Money, Taken
from service.operations.events import outbox
from service.operations.repeating.plans import Wish
from service.principal import Principal
from service.store.pool import Connection

A = TypeVar("A", bound=Taken)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool: the request that brought it, whose it is, and the language that it is answered in."""

    request: Request
    connection: Connection
    principal: Principal
    locale: str

    def money(self, cents: int | None, currency: str) -> Money | None:
        """Return an amount as the reader writes it; None where there is none."""
        return None if cents is None else Money.of(cents, currency, self.locale)

    def wish(self, asked: shapes.Repeat, digest: str | None = None) -> Wish:
        """Return what is to be repeated, as a reorder takes it."""
        return Wish(
            customer_id=self.principal.customer_id,
            actor=outbox.actor(self.principal),
            locale=self.locale,
            lines=asked.chosen(),
            expected_digest=digest,
        )


@dataclass(frozen=True)
class Tool(Generic[A]):
    """A tool by its name, with what it takes, what it answers, and what does it.

    `scopes` are what a token needs for it, `limit` is the class of routes that it is counted in. `settles` says that
    doing it twice is as good as once, `destroys` that it can't be taken back.
    """

    name: str
    title: str
    description: str
    takes: type[A]
    answers: type[Answered]
    run: Callable[[Call, A], Awaitable[Answered]]
    scopes: Sequence[str]
    limit: str | None = None
    settles: bool = True
    destroys: bool = False

    @property
    def reads(self) -> bool:
        """Whether it changes nothing: only what does takes a key, so as to take effect once."""
        return not issubclass(self.takes, shapes.Doing)
