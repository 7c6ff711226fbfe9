"""What a resource is: one Schema per type. Importing the package declares all of them and checks their graph."""

from schemas import (
    access,
    action_links,
    carts,
    catalogue,
    copies,
    data,
    events,
    occurrences,
    orders,
    parties,
    repeating,
    subscriptions,
    tenant,
    webhooks,
)
from schemas.graph import graph

graph.check()

__all__ = [
    "access",
    "action_links",
    "carts",
    "catalogue",
    "copies",
    "data",
    "events",
    "occurrences",
    "orders",
    "parties",
    "repeating",
    "subscriptions",
    "tenant",
    "webhooks",
]
