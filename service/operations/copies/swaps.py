"""Swaps that have come true: once runs have made their orders, items become what they were swapped to.

What a run orders doesn't depend on that: its index says which swaps count for it (`subscriptions/items.of_run`).
So an item stays as it is for as long as a run from before its swap is still to be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from service.operations.copies.comparing import Planned
from service.operations.events.outbox import Event
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Many


class _Swapped(NamedTuple):
    """An item as it was."""

    id: str
    sku_code: str
    name: str
    unit_amount_cents: int
    total_amount_cents: int
    swap_occurrence_index: int
    swap_sku_code: str
    swap_name: str
    swap_unit_amount_cents: int
    swap_total_amount_cents: int

    @property
    def event(self) -> Event:
        """What happened to it."""
        became = {
            "sku_code": (self.sku_code, self.swap_sku_code),
            "name": (self.name, self.swap_name),
            "unit_amount_cents": (self.unit_amount_cents, self.swap_unit_amount_cents),
            "total_amount_cents": (self.total_amount_cents, self.swap_total_amount_cents),
            "swap_occurrence_index": (self.swap_occurrence_index, None),
            "swap_sku_code": (self.swap_sku_code, None),
            "swap_name": (self.swap_name, None),
            "swap_unit_amount_cents": (self.swap_unit_amount_cents, None),
        }
        changes = {name: {"from": before, "to": after} for name, (before, after) in became.items()}
        return Event("order_subscription_items.update", self.id, changes=changes)


_TAKE = Many("subscriptions/items.take_swaps", _Swapped)


async def take(connection: Connection, store: Store, made: Sequence[Planned], at: datetime) -> list[Event]:
    """Let items be what they are swapped to, where their subscriptions have run so far; returns what happens to them.

    One statement where something of the subscriptions of runs that were made is to be swapped, else none.
    """
    subscriptions = {one.subscription_id for one in made if one.run.terms.swaps}
    if not subscriptions:
        return []
    swapped = await _TAKE(connection, store=store.id, subscriptions=sorted(subscriptions), at=at)
    return [one.event for one in swapped]
