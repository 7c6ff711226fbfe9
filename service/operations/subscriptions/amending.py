"""Changes to a subscription that customers look at before they make them: what one leads to, and the change itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from marshmallow import ValidationError

from schemas.graph import graph
from schemas.kinds.times import Unit
from service.errors import Invalid
from service.operations.subscriptions import once, overviews, previews, swaps
from service.operations.subscriptions.order_subscription_items import OrderSubscriptionItems
from service.operations.subscriptions.previews import Preview
from service.principal import Principal
from service.store.pool import Connection
from service.store.write import Columns


class Swap(NamedTuple):
    """Another product in the place of an item. It begins with the run of an index, with the next one without."""

    item_id: str
    sku_code: str
    begins: int | None = None


class SwapOnce(NamedTuple):
    """Another product in the place of an item, in the run to come of an index only."""

    item_id: str
    sku_code: str
    occurrence_index: int


class Quantity(NamedTuple):
    """So many pieces of an item each time."""

    item_id: str
    number: int


class Rhythm(NamedTuple):
    """Every so many units, in weeks on these days; without any on the day of the anchor. None keeps the days."""

    unit: Unit
    number: int = 1
    weekdays: Sequence[str] | None = ()


class Frequency(NamedTuple):
    """One of the frequencies that the subscription's model offers."""

    name: str


Amendment: TypeAlias = Swap | SwapOnce | Quantity | Rhythm | Frequency


async def amend(
    connection: Connection,
    principal: Principal,
    subscription_id: str,
    amendment: Amendment,
    expected_digest: str | None = None,
) -> Preview:
    """Change a customer's subscription; returns what that leads to.

    Raises NotFound, PreviewStale where it leads to something else than a preview with the digest that is expected, and
    as the API's writes do.
    """
    if isinstance(amendment, Swap | Quantity):
        await swaps.check(connection, principal, subscription_id, amendment.item_id)
    match amendment:
        case SwapOnce():
            id_ = await overviews.hold_run(connection, principal, subscription_id, amendment.occurrence_index)
            chosen = once.Run(subscription_id, id_)
            await once.swap(connection, principal, chosen, amendment.item_id, amendment.sku_code)
        case Swap():
            await swaps.take(connection, principal, amendment.item_id, amendment.sku_code, amendment.begins)
        case Quantity():
            await _order(connection, principal, amendment)
        case _:
            columns = _valid("order_subscriptions", _calendar(amendment))
            await overviews.change(connection, principal, subscription_id, columns)
    index = _first_of(amendment)
    asked = [type(amendment).__name__, list(amendment)]
    fresh = await previews.look(connection, principal.store, subscription_id, asked, index)
    previews.hold(fresh, expected_digest)
    return fresh


def _first_of(amendment: Amendment) -> int | None:
    """The index of the run with which a change begins; None where that is the next one."""
    match amendment:
        case Swap():
            return amendment.begins
        case SwapOnce():
            return amendment.occurrence_index
        case _:
            return None


def _calendar(amendment: Rhythm | Frequency) -> Columns:
    """The columns that say how often."""
    if isinstance(amendment, Frequency):
        return {"frequency": amendment.name}
    days = amendment.weekdays
    weekdays = {} if days is None else {"weekdays": list(days) or None}
    return {"interval_unit": amendment.unit, "interval_count": amendment.number, **weekdays}


async def _order(connection: Connection, principal: Principal, amendment: Quantity) -> None:
    """Order so many pieces of an item each time."""
    writer, type_ = OrderSubscriptionItems(), "order_subscription_items"
    columns = _valid(type_, {"quantity": amendment.number})
    locked = await writer.lock(connection, principal, graph[type_], amendment.item_id)
    await writer.change(connection, principal, locked, columns)


def _valid(type_: str, columns: Columns) -> Columns:
    """Columns whose values are what the API takes. Raises Invalid."""
    attributes = graph[type_].attributes
    for name, value in columns.items():
        try:
            attributes[name].deserialize(value)
        except ValidationError as error:
            raise Invalid("{name} - {message}", name=name, message=error.messages[0]) from None
    return columns


async def rehearse(connection: Connection, principal: Principal, subscription_id: str, amendment: Amendment) -> Preview:
    """What a change would lead to; nothing of it stays. It runs in a transaction. Raises as `amend` does."""
    async with previews.undone(connection):
        return await amend(connection, principal, subscription_id, amendment)
