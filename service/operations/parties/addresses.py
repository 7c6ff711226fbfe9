"""The copies of addresses that carts and orders keep for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from service import clock
from service.errors import InvalidState
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.principal import Store
from service.store.pool import Connection
from sql import queries

ADDRESSES = queries("parties/addresses")


async def snapshots(
    connection: Connection,
    store: Store,
    address_ids: Sequence[str | None],
    *,
    customer_id: str | None = None,
    at: datetime,
) -> list[str | None]:
    """The ids of new copies of these addresses, in their order; None stays None.

    They are the customer's to read, or nobody's; what a guest made for a cart is that guest's too. One statement, or
    none.
    """
    new = [None if id_ is None else clock.new_id() for id_ in address_ids]
    pairs = [(old, copy) for old, copy in zip(address_ids, new, strict=True) if copy is not None]
    if pairs:
        originals, copies = map(list, zip(*pairs, strict=True))
        await connection.execute(ADDRESSES["copy"], store.id, originals, copies, customer_id, at)
    return new


class Addresses(Writer):
    """Addresses: those in a customer's book; the copies that orders keep stay as they are."""

    async def before_write(self, change: Change) -> None:
        """Only the client's own fields of a copy may change."""
        if change.before.get("snapshot") and not change.only_of_the_client():
            change.problems.append(InvalidState("The address is an order's own copy: it can't be changed."))

    async def before_delete(self, change: Change) -> None:
        """Copies stay with what keeps them."""
        if change.before.get("snapshot"):
            change.problems.append(InvalidState("The address is an order's own copy: it can't be deleted."))
