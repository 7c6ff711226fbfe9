"""Work in several transactions, with something in between that must not hold one open, such as a call to a gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from service.errors import Contended
from service.gateways import Gateways
from service.store.pool import Connection, Database

ATTEMPTS = 4
"""How often a part of the work is begun that has to give way to others, which then are done."""

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Interlude(Generic[T]):
    """The end of one transaction, which is committed now, and what leads to the result `T` in further ones.

    `meanwhile` runs with no transaction open, and is given the gateways of its process; what it raises is what the work
    ends with. `then` goes on with what it returned, in a transaction of its own.
    """

    meanwhile: Callable[[Gateways], Awaitable[Any]]
    then: Callable[[Connection, Any], Awaitable[T | Interlude[T]]]

    def around(self, wrap: Callable[[Connection, Work[T]], Awaitable[S | Interlude[S]]]) -> Interlude[S]:
        """This interlude with the work behind it handed to `wrap`, which makes the result of it."""

        async def then(connection: Connection, found: Any) -> S | Interlude[S]:
            return await wrap(connection, lambda held: self.then(held, found))

        return Interlude(self.meanwhile, then)


Work = Callable[[Connection], Awaitable[T | Interlude[T]]]
"""What is done in one transaction: a result, or an interlude before the next one."""


def chain(work: Work[S], last: Callable[[Connection, S], Awaitable[T]]) -> Work[T]:
    """Work that ends with `last`, which is given the result of `work` in the transaction that comes to it."""

    async def whole(connection: Connection) -> T | Interlude[T]:
        result = await work(connection)
        if isinstance(result, Interlude):
            return result.around(lambda held, rest: chain(rest, last)(held))
        return await last(connection, result)

    return whole


async def run(database: Database, gateways: Gateways, work: Work[T]) -> T:
    """Run work to its result, each part of it in a transaction of its own; in between it may ask these gateways.

    What a part raises rolls back that part alone: those before it are committed. A part is run again where the database
    rolled it back for the sake of others; raises Contended when they were in the way every time.
    """
    while True:
        result = await _run_part(database, work)
        if not isinstance(result, Interlude):
            return result
        work = _next(result, await result.meanwhile(gateways))


async def _run_part(database: Database, work: Work[T]) -> T | Interlude[T]:
    for _ in range(ATTEMPTS - 1):
        with suppress(Contended):
            return await _attempt(database, work)
    return await _attempt(database, work)


async def _attempt(database: Database, work: Work[T]) -> T | Interlude[T]:
    async with database.transaction() as connection:
        return await work(connection)


def _next(interlude: Interlude[T], found: Any) -> Work[T]:
    return lambda connection: interlude.then(connection, found)


def failing(error: Exception) -> Interlude[Any]:
    """An interlude that keeps what was done in the transaction, and ends the work with an error."""

    async def meanwhile(_: Gateways) -> None:
        raise error

    async def then(_: Connection, __: Any) -> Any:
        raise error

    return Interlude(meanwhile, then)
