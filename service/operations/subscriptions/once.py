"""What a customer changes about the lines of a single run on pages of our own, one by one."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.graph import graph
from service import clock
from service.errors import NotFound
from service.operations.catalogue import pricing
from service.operations.subscriptions import contents, overviews, swaps
from service.operations.subscriptions.occurrence_items import OccurrenceItems
from service.operations.subscriptions.swaps import Choice, buyable
from service.principal import Principal
from service.rules.outcomes import SourceLine
from service.store.pool import Connection
from service.store.statements import Many, One
from service.store.write import Columns

_MOST: Final = 12
"""How many products there are to choose from, those that were ordered last first."""


class Run(NamedTuple):
    """A run of a subscription that has a row."""

    subscription_id: str
    id: str


class _Had(NamedTuple):
    sku_id: str
    customer_group_id: str | None


class _Said(NamedTuple):
    """What is said of a line of a run already."""

    id: str
    is_added: bool


_PRODUCTS = Many("subscriptions/contents.products", _Had)
_SAID = One("subscriptions/contents.said", _Said)
_ITEMS: Final = graph["occurrence_items"]


async def products(connection: Connection, principal: Principal, currency: str) -> list[Choice]:
    """Return what a customer can have come along: what was ordered before, and is on sale at a price today."""
    store = principal.store
    had = await _PRODUCTS(connection, store=store.id, customer=principal.customer_id, most=_MOST)
    if not had:
        return []
    catalogue = await pricing.catalogue(
        connection,
        store,
        [one.sku_id for one in had],
        currency=currency,
        customer_group_id=had[0].customer_group_id,
        at=clock.now(store),
    )
    return [choice for one in had for choice in buyable(_single(one.sku_id, currency), catalogue)]


async def check(connection: Connection, principal: Principal, run: Run) -> None:
    """Raise NotFound unless it is a run of a subscription of the customer's that isn't cancelled."""
    subscription = await overviews.find(connection, principal, run.subscription_id)
    if await contents.run_of(connection, principal.store, subscription.id, occurrence=run.id) is None:
        raise NotFound("There is no such occurrence.")


async def add(connection: Connection, principal: Principal, run: Run, sku_code: str, quantity: int = 1) -> None:
    """Have a product come along with a run. Raises as the API's write does."""
    line = {**_of(run), "sku_code": sku_code, "quantity": quantity}
    await OccurrenceItems().make(connection, principal, _ITEMS, line)


async def alter(connection: Connection, principal: Principal, run: Run, line_id: str, quantity: int) -> None:
    """Have so many pieces of a line of a run, none to leave it out. Raises as the API's write does.

    `line_id` is that of the subscription's item, or of a line that was added to the run.
    """
    said = await _SAID(connection, store=principal.store.id, occurrence=run.id, line=line_id)
    if said is not None and said.is_added and not quantity:
        writer = OccurrenceItems()
        await writer.remove(connection, principal, await writer.lock(connection, principal, _ITEMS, said.id))
    else:
        await _say(connection, principal, run, line_id, {"quantity": quantity}, said=said)


async def swap(connection: Connection, principal: Principal, run: Run, item_id: str, sku_code: str) -> None:
    """Have as many pieces of another product in the place of an item in a run. Raises as the API's write does.

    Raises NotFound for an item of another subscription.
    """
    usually = await swaps.quantity(connection, principal, run.subscription_id, item_id)
    said = await _SAID(connection, store=principal.store.id, occurrence=run.id, line=item_id)
    columns: Columns = {"sku_code": sku_code} | ({"quantity": usually} if said is None else {})
    await _say(connection, principal, run, item_id, columns, said=said)


async def _say(
    connection: Connection, principal: Principal, run: Run, line_id: str, columns: Columns, *, said: _Said | None
) -> None:
    """Say of a line of a run what is different about it, beside what is `said` of it already."""
    writer = OccurrenceItems()
    if said is None:
        line = {**_of(run), "order_subscription_item_id": line_id, **columns}
        await writer.make(connection, principal, _ITEMS, line)
    else:
        await writer.change(connection, principal, await writer.lock(connection, principal, _ITEMS, said.id), columns)


async def restore(connection: Connection, principal: Principal, run: Run, line_id: str) -> None:
    """Have a run order an item as all others do, or what was added no more. Raises NotFound where it does already."""
    said = await _SAID(connection, store=principal.store.id, occurrence=run.id, line=line_id)
    if said is None:
        raise NotFound("Nothing is different about this product in that delivery.")
    writer = OccurrenceItems()
    await writer.remove(connection, principal, await writer.lock(connection, principal, _ITEMS, said.id))


def _single(sku_id: str, currency: str) -> SourceLine:
    """One piece of a sku as the line of an order."""
    return SourceLine(
        id=sku_id,
        item_type="skus",
        sku_id=sku_id,
        sku_code=None,
        name="",
        options={},
        quantity=1,
        currency_code=currency,
        unit_amount_cents=0,
    )


def _of(run: Run) -> Columns:
    """What a line has from the run that it is for."""
    return {"order_subscription_id": run.subscription_id, "occurrence_id": run.id}
