"""The past orders of a customer, as a storefront lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import orjson

from service.errors import NotFound
from service.principal import Principal
from service.store.pool import Connection
from service.store.statements import Many


class Line(NamedTuple):
    """A line of a past order."""

    name: str
    quantity: int
    image_url: str | None


@dataclass(frozen=True, slots=True)
class PastOrder:
    """An order that was placed, with what it came to then; of that, `ahead_cents` is for deliveries to come."""

    id: str
    code: str
    placed_at: datetime
    currency_code: str
    total_amount_cents: int
    ahead_cents: int
    lines: Sequence[Line]


class _Row(NamedTuple):
    id: str
    code: str
    placed_at: datetime
    currency_code: str
    total_amount_cents: int
    prepaid_amount_cents: int
    lines: str | None


_LATEST = Many("orders/past_orders.latest", _Row)


async def latest(connection: Connection, principal: Principal, *, most: int) -> list[PastOrder]:
    """Return the latest orders that a customer placed, at most so many."""
    rows = await _LATEST(connection, store=principal.store.id, customer=principal.customer_id, order=None, most=most)
    return [_order(row) for row in rows]


async def find(connection: Connection, principal: Principal, order_id: str) -> PastOrder:
    """Return an order that a customer placed. Raises NotFound."""
    rows = await _LATEST(connection, store=principal.store.id, customer=principal.customer_id, order=order_id, most=1)
    if not rows:
        raise NotFound("There is no such order.")
    return _order(rows[0])


def _order(row: _Row) -> PastOrder:
    lines = [Line(*line) for line in orjson.loads(row.lines or "[]")]
    # Below zero it is what was paid for this delivery before.
    ahead = max(row.prepaid_amount_cents, 0)
    return PastOrder(row.id, row.code, row.placed_at, row.currency_code, row.total_amount_cents, ahead, lines)
