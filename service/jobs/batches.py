"""Subscriptions of a store that something is due of: done by the batch, and one by one where that fails.

So what is wrong with one of them stays its own: it is set aside, and the others are done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from service.operations.tenant import tenants
from service.principal import Store
from service.store.pool import Connection, Database, passes

log = structlog.get_logger(part="batches")

T = TypeVar("T")

Enough = Callable[[], bool]
"""Whether a store has had its turn, so that others that wait have theirs."""


def never() -> bool:
    """It is never enough: go on to the end."""
    return False


class Done(Protocol):
    """What was done with a batch."""

    @property
    def more(self) -> bool:
        """Whether there may be more that is due."""


D = TypeVar("D", bound=Done)
D_co = TypeVar("D_co", bound=Done, covariant=True)


class Doing(Protocol[D_co]):
    """What is done with a batch of subscriptions that are due, or with `only` one of them."""

    async def __call__(self, connection: Connection, store: Store, *, only: str | None = None) -> D_co:
        """Do it in the caller's transaction."""


@dataclass(frozen=True, slots=True)
class Batches(Generic[D]):
    """What is done with those that are due, and how one is set aside with which it can't be done.

    `name` is that of the work, for the log; `due` names those that the next batch takes up.
    """

    name: str
    due: Callable[[Connection, Store], Awaitable[Sequence[str]]]
    do: Doing[D]
    set_aside: Callable[[Connection, Store, str], Awaitable[D]]

    async def run(
        self,
        database: Database,
        store_id: int,
        enough: Enough = never,
        first: Callable[[], Awaitable[D | None]] | None = None,
    ) -> tuple[list[D], bool]:
        """Do it until nothing is due in a store by its clock, or it is `enough` after a batch.

        Returns what was done, batch by batch, and whether there may be more. `first` does more with a batch, and is
        tried first; one that takes too long is done without. Raises errors that pass: the next try goes on from there.
        """
        found: list[D] = []
        more = True
        while more and not (found and enough()):
            if first is not None:
                try:
                    done = await first()
                except Exception as error:
                    if passes(error) and not isinstance(error, TimeoutError):
                        raise
                    log.info("a batch can't be done at once", work=self.name, store_id=store_id, error=repr(error))
                else:
                    found += [] if done is None else [done]
                    more = done is not None and done.more
                    continue
            try:
                done = await step(database, store_id, self.do)
            except Exception as error:
                if passes(error):
                    raise
                log.exception("a batch is done one by one", work=self.name, store_id=store_id)
                apart = await self._apart(database, store_id)
                found += apart
                more = bool(apart)
            else:
                found += [] if done is None else [done]
                more = done is not None and done.more
        return found, more

    async def _apart(self, database: Database, store_id: int) -> list[D]:
        """Do it with each of a batch by itself."""
        ids = await step(database, store_id, self.due) or ()
        found = [await self._alone(database, store_id, id_) for id_ in ids]
        return [one for one in found if one is not None]

    async def _alone(self, database: Database, store_id: int, id_: str) -> D | None:
        """Do it with one of them, else set it aside; None where even that fails, as the log says."""
        told = {"work": self.name, "store_id": store_id, "resource_id": id_}
        try:
            return await step(database, store_id, lambda on, store: self.do(on, store, only=id_))
        except Exception as error:
            if passes(error):
                raise
            log.exception("one of a batch is set aside", **told)
        try:
            return await step(database, store_id, lambda on, store: self.set_aside(on, store, id_))
        except Exception as error:
            if passes(error):
                raise
            log.exception("one of a batch could not be set aside", **told)
            return None


async def step(database: Database, store_id: int, step: Callable[[Connection, Store], Awaitable[T]]) -> T | None:
    """Take a step in a transaction of its own; None without the store."""
    async with database.by_keys() as connection:
        store = await tenants.find(connection, store_id)
        return None if store is None else await step(connection, store)
