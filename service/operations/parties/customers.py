"""Customers, as far as what they buy depends on them."""

from __future__ import annotations

from typing import NamedTuple

from service.principal import Store
from service.store.pool import Connection
from service.store.statements import One


class Customer(NamedTuple):
    """Where a customer is written to, and whose prices are the customer's."""

    email: str
    customer_group_id: str | None


_CUSTOMER = One("parties/customers.customer", Customer)


async def find(connection: Connection, store: Store, customer_id: str) -> Customer | None:
    """A customer of a store; None when there is none of this id."""
    return await _CUSTOMER(connection, store=store.id, customer=customer_id)
