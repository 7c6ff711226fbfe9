"""What a customer changes about the lines of a single run on pages of our own, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.graph import graph
from service.operations.subscriptions.occurrence_items import OccurrenceItems
from service.principal import Principal
from service.store.pool import Connection
from service.store.statements import Many, One
from service.store.write import Columns

_MOST: Final = 12
"""How many products there are to choose from, those that were ordered last first."""


class Run(NamedTuple):
    """A run of a subscription that has a row."""

    subscription_id: str
    id: str


class Product(NamedTuple):
    """Something that a customer has ordered before, and could order now."""

    sku_code: str
    name: str


class _Said(NamedTuple):
    """What is said of a line of a run already."""

    id: str
    is_added: bool


_PRODUCTS = Many("subscriptions/contents.products", Product)
_SAID = One("subscriptions/contents.said", _Said)
_ITEMS: Final = graph["occurrence_items"]


async def products(connection: Connection, principal: Principal) -> Sequence[Product]:
    """Return what a customer can have come along: what was ordered before."""
    return await _PRODUCTS(connection, store=principal.store.id, customer=principal.customer_id, most=_MOST)


async def add(connection: Connection, principal: Principal, run: Run, sku_code: str) -> None:
    """Have a product come along with a run. Raises as the API's write does."""
    line = {**_of(run), "sku_code": sku_code, "quantity": 1}
    await OccurrenceItems().make(connection, principal, _ITEMS, line)


async def alter(connection: Connection, principal: Principal, run: Run, line_id: str, quantity: int) -> None:
    """Have so many pieces of a line of a run, none to leave it out. Raises as the API's write does.

    `line_id` is that of the subscription's item, or of a line that was added to the run.
    """
    writer = OccurrenceItems()
    said = await _SAID(connection, store=principal.store.id, occurrence=run.id, line=line_id)
    if said is None:
        line = {**_of(run), "order_subscription_item_id": line_id, "quantity": quantity}
        await writer.make(connection, principal, _ITEMS, line)
        return
    locked = await writer.lock(connection, principal, _ITEMS, said.id)
    if said.is_added and not quantity:
        await writer.remove(connection, principal, locked)
    else:
        await writer.change(connection, principal, locked, {"quantity": quantity})


def _of(run: Run) -> Columns:
    """What a line has from the run that it is for."""
    return {"order_subscription_id": run.subscription_id, "occurrence_id": run.id}
