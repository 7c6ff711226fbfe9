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
from service.store.statements import Along, Command, Part


class Snapshot(NamedTuple):
    """A copy to be made of an address: the original, the id of the copy, and the customer who may read it, if any."""

    original_id: str
    id: str
    customer_id: str | None


_COPY = Command("parties/addresses.copy")
_WRITE_COPIES = Part("parties/addresses.write_copies")


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
    made = copies(address_ids, customer_id=customer_id)
    if made.made:
        await _COPY(connection, store=store.id, at=at, **binds(made.made, for_guests=True))
    return made.ids


class Copies(NamedTuple):
    """Copies to be made: the ids in the order of the originals, None where there is none."""

    ids: list[str | None]
    made: Sequence[Snapshot]

    @property
    def binds(self) -> dict[str, object]:
        """The arguments by which a statement makes them along: it includes `parties/addresses.write_copies`."""
        given = binds(self.made, for_guests=True)
        return {"copies": given.pop("ids"), **given}

    def along(self, store: Store, at: datetime) -> list[Along]:
        """What makes them along with what they are for."""
        if not self.made:
            return []
        customers = [copy.customer_id for copy in self.made]
        copied = _WRITE_COPIES.along(store=store.id, at=at, **binds(self.made, for_guests=True))
        return [copied.more("addresses", customers)]


def copies(address_ids: Sequence[str | None], *, customer_id: str | None) -> Copies:
    """The copies of addresses for a cart or an order, as `snapshots` makes them."""
    new = [None if id_ is None else clock.new_id() for id_ in address_ids]
    made = [
        Snapshot(old, copy, customer_id)
        for old, copy in zip(address_ids, new, strict=True)
        if old is not None and copy is not None
    ]
    return Copies(new, made)


def binds(copies: Sequence[Snapshot], *, for_guests: bool) -> dict[str, object]:
    """Return the arguments, without store and time, of the statement that makes these copies.

    With `for_guests`, the guest who made an address for a cart may read its copy too.
    """
    return {
        "originals": [copy.original_id for copy in copies],
        "ids": [copy.id for copy in copies],
        "customers": [copy.customer_id for copy in copies],
        "for_guests": for_guests,
    }


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
