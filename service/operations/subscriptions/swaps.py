"""What a customer can have in the place of an item, as a page offers it: the substitutes that its shop names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from schemas.graph import graph
from service import clock
from service.errors import Invalid
from service.operations.catalogue import pricing, skus
from service.operations.subscriptions.order_subscription_items import OrderSubscriptionItems
from service.principal import Principal
from service.rules.outcomes import Policy, SourceLine, decide
from service.store.pool import Connection
from service.store.statements import Many


class _Item(NamedTuple):
    id: str
    sku_id: str
    sku_code: str
    name: str
    options: str
    quantity: int
    currency_code: str
    customer_group_id: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A sku that can be had in the place of an item, and what one costs today, in minor units."""

    sku_code: str
    name: str
    unit_amount_cents: int
    currency_code: str


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a subscription, and what it can be swapped for, what the shop thinks best first."""

    id: str
    name: str
    quantity: int
    choices: Sequence[Choice]


_ITEMS = Many("subscriptions/items.swappable", _Item)


async def items(connection: Connection, principal: Principal, subscription_id: str) -> list[Item]:
    """The items of a customer's subscription with what each can be swapped for: three statements at most.

    Offered is what is on sale at a price for as many pieces, with the chosen options, and is ordered by no other item.
    """
    store, at = principal.store, clock.now(principal.store)
    found = await _ITEMS(connection, store=store.id, subscription=subscription_id, customer=principal.customer_id)
    substitutes = await skus.substitutes(connection, store, {item.sku_id for item in found}) if found else {}
    if not substitutes:
        return [Item(item.id, item.name, item.quantity, ()) for item in found]
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
        choices = [
            Choice(of.item.code, of.item.name, of.price.amount_cents, of.item.currency_code)
            for line in tried
            for of in decide([line], catalogue, {}, Policy(merge=False))
            if of.status == "added" and of.item is not None and of.price is not None
        ]
        shown.append(Item(item.id, item.name, item.quantity, choices))
    return shown


async def swap(connection: Connection, principal: Principal, subscription_id: str, item_id: str, code: str) -> None:
    """Order what was offered in the place of an item. Raises Invalid for anything else, and as the API's verb does."""
    found = await items(connection, principal, subscription_id)
    offered = {(item.id, choice.sku_code) for item in found for choice in item.choices}
    if (item_id, code) not in offered:
        raise Invalid("This product can't be had at the moment. Please choose another one.")
    writer = OrderSubscriptionItems()
    locked = await writer.lock(connection, principal, graph["order_subscription_items"], item_id)
    await writer.change(connection, principal, locked, {}, verbs=("swap",), kept={"swap": code})


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
