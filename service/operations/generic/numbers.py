"""Running numbers of orders, subscriptions and skus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice

from service.operations.generic.change import Change
from service.store.pool import Connection, Database
from service.store.statements import Command, OnlyValue

TAKE = OnlyValue("generic/numbers.take_numbers", int)
_USE = Command("generic/numbers.use_numbers")


class Numbers:
    """Hands out the numbers of one process: ascending, none twice, with gaps.

    They come from the database in blocks, each in a short transaction of its own: if the transaction that needs them
    took them, all orders of a store would wait for each other. Use one per `Database`.
    """

    def __init__(self, database: Database, *, block: int = 50) -> None:
        self._database = database
        self._block = block
        self._left: dict[tuple[int, str], Iterator[int]] = {}
        self._lock = asyncio.Lock()

    async def take(self, store_id: int, kind: str = "orders") -> int:
        """Return the next number of a kind: orders, order_subscriptions or skus.

        Call it before a transaction: within one, it would take the block in that very transaction.
        """
        number = self._next(store_id, kind)
        if number is not None:
            return number
        async with self._lock:
            # The task that held the lock before may have fetched a block of this very kind.
            number = self._next(store_id, kind)
            if number is not None:
                return number
            async with self._database.connection() as connection:
                first = await TAKE(connection, store=store_id, kind=kind, number=self._block)
            self._left[store_id, kind] = iter(range(first + 1, first + self._block))
            return first

    @asynccontextmanager
    async def some(self, store_id: int, count: int) -> AsyncIterator[list[int]]:
        """So many numbers of orders, in their order; those that are left in the list in the end are kept for others.

        Use it around a transaction.
        """
        taken: list[int] = []
        while len(taken) < count:
            taken.append(await self.take(store_id))
            taken += islice(self._left.get((store_id, "orders"), ()), count - len(taken))
        try:
            yield taken
        finally:
            rest = self._left.get((store_id, "orders"), iter(()))
            self._left[store_id, "orders"] = iter(sorted([*taken, *rest]))

    def _next(self, store_id: int, kind: str) -> int | None:
        number = next(self._left.get((store_id, kind), iter(())), None)
        if number is None:
            self._left.pop((store_id, kind), None)
        return number


async def take_number(change: Change, kind: str) -> int:
    """Return the number that was set aside for the resource, or else the next one, taken in this transaction."""
    if change.draft.number is not None:
        return change.draft.number
    return await TAKE(change.connection, store=change.store.id, kind=kind, number=1)


async def use(connection: Connection, store_id: int, highest: Mapping[str, int]) -> None:
    """See to it that given numbers aren't handed out again: by kind the highest of them."""
    await _USE(connection, store=store_id, kinds=list(highest), numbers=list(highest.values()))
