"""What a subscription takes over from the order that it repeats."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from service.principal import Store
from service.store.pool import Connection
from service.store.statements import One


class Source(NamedTuple):
    """A source order; `line_ids` are its lines of skus in their order, None when it has none."""

    customer_id: str | None
    customer_email: str | None
    market_id: str | None
    billing_address_id: str | None
    shipping_address_id: str | None
    shipping_method_id: str | None
    customer_payment_source_id: str | None
    currency_code: str
    status: str
    placed_at: datetime | None
    line_ids: Sequence[str] | None


_SOURCE = One("subscriptions/items.source_order", Source)


async def of(connection: Connection, store: Store, order_id: str | None) -> Source | None:
    """The source order of an id, or None when there is none."""
    return await _SOURCE(connection, store=store.id, order=order_id)
