"""What a customer can have in the place of an item, as a page offers it: the substitutes that its shop names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

from schemas.graph import graph
from service import clock
from service.errors import Invalid, NotFound
from service.operations.catalogue import pricing, skus
from service.operations.subscriptions.order_subscription_items import OrderSubscriptionItems
from service.principal import Principal
from service.rules.outcomes import CatalogueItem, Policy, SourceLine, decide
from service.store.pool import Connection
from service.store.statements import Many
from service.store.write import Columns


class Planned(NamedTuple):
    """Which product comes in the place of an item, and the index of the run with which that begins."""

    begins: int
    name: str


class _Item(NamedTuple):
    id: str
    sku_id: str
    sku_code: str
    name: str
    options: str
    quantity: int
    currency_code: str
    customer_group_id: str | None
    swap_occurrence_index: int | None
    swap_name: str | None
    image_url: str | None

    @property
    def planned(self) -> Planned | None:
        """What it is swapped to later on."""
        if self.swap_occurrence_index is None or self.swap_name is None:
            return None
        return Planned(self.swap_occurrence_index, self.swap_name)


@dataclass(frozen=True, slots=True)
class Choice:
    """A sku that can be had, in the place of an item or along with a run, and what one costs today, in minor units."""

    sku_code: str
    name: str
    unit_amount_cents: int
    currency_code: str
    image_url: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a subscription, and what it can be swapped for, what the shop thinks best first.

    `planned` is a swap that begins with a later run.
    """

    id: str
    sku_code: str
    name: str
    quantity: int
    choices: Sequence[Choice]
    planned: Planned | None
    image_url: str | None


_ITEMS = Many("subscriptions/items.swappable", _Item)


async def items(connection: Connection, principal: Principal, subscription_id: str) -> list[Item]:
    """The items of a customer's subscription with what each can be swapped for: three statements at most.

    Offered is what is on sale at a price for as many pieces, with the chosen options, and is ordered by no other item.
    """
    store, at = principal.store, clock.now(principal.store)
    found = await _ITEMS(connection, store=store.id, subscription=subscription_id, customer=principal.customer_id)
    substitutes = await skus.substitutes(connection, store, {item.sku_id for item in found}) if found else {}
    if not substitutes:
        return [_shown(item, ()) for item in found]
    catalogue = await pricing.catalogue(
        connection,
        store,
        {sku_id for several in substitutes.values() for sku_id in several},
        currency=found[0].currency_code,
        customer_group_id=found[0].customer_group_id,
        at=at,
    )
    ordered = {item.sku_id for item in found}
    shown: list[Item] = []
    for item in found:
        tried = [_line(item, sku_id) for sku_id in substitutes.get(item.sku_id, ()) if sku_id not in ordered]
        choices = [choice for line in tried for choice in buyable(line, catalogue)]
        shown.append(_shown(item, choices))
    return shown


def buyable(line: SourceLine, catalogue: Mapping[str, CatalogueItem]) -> list[Choice]:
    """What a line would order, where it is on sale at a price for as many pieces; empty where it isn't."""
    return [
        Choice(of.item.code, of.item.name, of.price.amount_cents, of.item.currency_code, of.item.image_url)
        for of in decide([line], catalogue, {}, Policy(merge=False))
        if of.status == "added" and of.item is not None and of.price is not None
    ]


class Offer(NamedTuple):
    """An item, and what can be had in its place."""

    item: Item
    choice: Choice

    @property
    def amount_cents(self) -> int:
        """What as many pieces cost today, in minor units."""
        return self.item.quantity * self.choice.unit_amount_cents


async def codes(connection: Connection, principal: Principal, subscription_id: str) -> list[str]:
    """The codes of the skus that a customer's subscription orders, item by item."""
    found = await _ITEMS(
        connection, store=principal.store.id, subscription=subscription_id, customer=principal.customer_id
    )
    return [item.sku_code for item in found]


async def offer(
    connection: Connection, principal: Principal, subscription_id: str, sku_code: str, code: str
) -> Offer | None:
    """What a sku would be in the place of the item that orders another; None where it can't be had so."""
    store = principal.store
    found = await _ITEMS(connection, store=store.id, subscription=subscription_id, customer=principal.customer_id)
    item = next((item for item in found if item.sku_code == sku_code), None)
    sku_id = await skus.id_of(connection, store, code)
    if item is None or sku_id is None or sku_id in {one.sku_id for one in found}:
        return None
    currency, group = item.currency_code, item.customer_group_id
    catalogue = await pricing.catalogue(
        connection, store, [sku_id], currency=currency, customer_group_id=group, at=clock.now(store)
    )
    choices = buyable(_line(item, sku_id), catalogue)
    return Offer(_shown(item, choices), choices[0]) if choices else None


async def swap(
    connection: Connection, principal: Principal, subscription_id: str, item_id: str, code: str, *, index: int | None
) -> None:
    """Order what was offered in the place of an item, from the run of an index on (None: at once).

    Raises Invalid for anything else, and as the API's verb does.
    """
    await check_offer(connection, principal, subscription_id, item_id, code)
    await take(connection, principal, item_id, code, index)


async def check_offer(
    connection: Connection, principal: Principal, subscription_id: str, item_id: str, code: str
) -> None:
    """Raise Invalid unless a sku is offered in the place of an item of a customer's subscription."""
    found = await items(connection, principal, subscription_id)
    if (item_id, code) not in {(item.id, choice.sku_code) for item in found for choice in item.choices}:
        raise not_offered()


def not_offered() -> Invalid:
    """Return what a customer is told who asks for something that isn't offered."""
    return Invalid("This product can't be had at the moment. Please choose another one.")


async def take(connection: Connection, principal: Principal, item_id: str, code: str, index: int | None = None) -> None:
    """Order any sku in the place of an item, at its own price, from the run of an index on (None: at once).

    Raises as the API's verb does.
    """
    await _write(connection, principal, item_id, "swap", {"swap": code, "swap_from": index})


async def keep(connection: Connection, principal: Principal, subscription_id: str, item_id: str) -> None:
    """Take a swap back that begins with a later run. Raises NotFound for an item of another subscription."""
    await check(connection, principal, subscription_id, item_id)
    await _write(connection, principal, item_id, "unswap", {})


async def check(connection: Connection, principal: Principal, subscription_id: str, item_id: str) -> None:
    """Raise NotFound unless an item is one of a customer's subscription."""
    await quantity(connection, principal, subscription_id, item_id)


async def quantity(connection: Connection, principal: Principal, subscription_id: str, item_id: str) -> int:
    """Return how many pieces of an item a customer's subscription orders each time. Raises NotFound."""
    found = await _ITEMS(
        connection, store=principal.store.id, subscription=subscription_id, customer=principal.customer_id
    )
    for item in found:
        if item.id == item_id:
            return item.quantity
    raise NotFound("There is no such line in this subscription.")


async def _write(
    connection: Connection, principal: Principal, item_id: str, verb: Literal["swap", "unswap"], kept: Columns
) -> None:
    writer = OrderSubscriptionItems()
    locked = await writer.lock(connection, principal, graph["order_subscription_items"], item_id)
    await writer.change(connection, principal, locked, {}, verbs=(verb,), kept=kept)


def _shown(item: _Item, choices: Sequence[Choice]) -> Item:
    return Item(item.id, item.sku_code, item.name, item.quantity, choices, item.planned, item.image_url)


def _line(item: _Item, sku_id: str) -> SourceLine:
    """An item as if it ordered another sku."""
    return SourceLine(
        id=item.id,
        item_type="skus",
        sku_id=sku_id,
        sku_code=item.sku_code,
        name=item.name,
        options=orjson.loads(item.options),
        quantity=item.quantity,
        currency_code=item.currency_code,
        unit_amount_cents=0,
    )
