"""THE registry: one line per type that the API serves, with the scopes it asks for and its operations.

Reading is generic and needs nothing here but the scope; what a client may create names the operation that does it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache

import schemas  # noqa: F401 -- declares the graph
from schemas.base import Resource, graph
from service.jsonapi.body import Draft
from service.operations import copies, reorders, tokens
from service.operations.outcome import Created
from service.principal import Principal
from service.store.pool import Connection

Create = Callable[[Connection, Principal, Draft], Awaitable[str | Created]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the API does with a type: the scopes to read and write it, and how one is created (None: not by clients)."""

    resource: type[Resource]
    reads: str
    writes: str
    create: Create | None = None


def _line(type_: str, family: str, *, create: Create | None = None, writes: str = "") -> Entry:
    """A line of the registry; `family` names the scopes `read_<family>` and `update_<family>`."""
    return Entry(graph[type_], f"read_{family}", writes or f"update_{family}", create)


RESOURCES: dict[str, Entry] = {
    entry.resource.type_: entry
    for entry in (
        _line("stores", "store_profile"),
        _line("markets", "catalog"),
        _line("test_clocks", "store_profile"),
        _line("tokens", "store_profile", create=tokens.create, writes="create_tokens"),
        _line("customers", "customers"),
        _line("addresses", "customers"),
        _line("customer_payment_sources", "customers"),
        _line("tags", "catalog"),
        _line("skus", "catalog"),
        _line("prices", "catalog"),
        _line("customer_groups", "catalog"),
        _line("promotions", "catalog"),
        _line("stock_items", "catalog"),
        _line("shipping_methods", "catalog"),
        _line("payment_methods", "catalog"),
        _line("carts", "carts"),
        _line("cart_items", "carts"),
        _line("orders", "orders"),
        _line("line_items", "orders"),
        _line("order_factories", "orders"),
        _line("order_copies", "orders"),
        _line("reorders", "orders", create=reorders.create, writes="update_carts"),
        _line("reorder_outcomes", "orders"),
        _line("repeat_links", "orders"),
        _line("subscription_models", "subscriptions"),
        _line("order_subscriptions", "subscriptions"),
        _line("order_subscription_items", "subscriptions"),
        _line("occurrences", "subscriptions"),
        _line("recurring_order_copies", "subscriptions", create=copies.create),
        _line("events", "store_profile"),
    )
}


@cache
def _visible(scopes: frozenset[str], *, customer: bool) -> frozenset[str]:
    return frozenset(
        type_
        for type_, entry in RESOURCES.items()
        if entry.reads in scopes and not (customer and entry.resource.owner is None)
    )


def visible_to(principal: Principal) -> frozenset[str]:
    """The types that a token may read at all; of them a customer sees its own rows."""
    return _visible(principal.scopes, customer=principal.customer_id is not None)
