"""The copies of addresses that carts and orders keep for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from service import clock
from service.errors import InvalidState
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Command


class Snapshot(NamedTuple):
    """A copy to be made of an address: the original, the id of the copy, and the customer who may read it, if any."""

    original_id: str
    id: str
    customer_id: str | None


_COPY = Command("parties/addresses.copy")


async def snapshots(
    connection: Connection,
    store: Store,
    address_ids: Sequence[str | None],
    *,
    customer_id: str | None = None,
    at: datetime,
) -> list[str | None]:
    """Copy addresses for a cart or an order, and return the ids of the copies in their order; None stays None.

    The customer may read the copies, and so may the guest who made an address for a cart. Runs one statement, or none.
    """
    new = [None if id_ is None else clock.new_id() for id_ in address_ids]
    copies = [
        Snapshot(old, copy, customer_id)
        for old, copy in zip(address_ids, new, strict=True)
        if old is not None and copy is not None
    ]
    await copy_all(connection, store, copies, for_guests=True, at=at)
    return new


async def copy_all(
    connection: Connection, store: Store, copies: Sequence[Snapshot], *, for_guests: bool, at: datetime
) -> None:
    """Make copies of addresses: one statement, or none.

    With `for_guests`, the guest who made an address for a cart may read its copy, too.
    """
    if copies:
        await _COPY(
            connection,
            store=store.id,
            originals=[copy.original_id for copy in copies],
            ids=[copy.id for copy in copies],
            customers=[copy.customer_id for copy in copies],
            for_guests=for_guests,
            at=at,
        )


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
