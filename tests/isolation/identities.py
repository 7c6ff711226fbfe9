"""Who may see what: written down once more, apart from the registry and the Schemas that this is to be held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from schemas.graph import graph
from service.principal import SCOPES, Store
from service.store.pool import Connection
from tests import factories
from tests.checkout.conftest import Holder
from tests.sealed import session_of
from tests.support import Access, Grant

PLAIN: Final = "application/vnd.api+json"

Sight = Literal["all", "own", "none"]
"""What somebody sees of a type: all that the store has, what is the own, or nothing."""

CUSTOMERS = frozenset(
    {
        "action_links", "addresses", "cart_items", "carts", "customer_payment_sources", "customers", "line_items",
        "occurrence_items", "occurrences", "order_copies", "order_factories", "order_subscription_items",
        "order_subscriptions", "orders", "recurring_order_copies", "reorder_outcomes", "reorders", "repeat_links",
    }
)  # fmt: skip
"""The types whose rows are a customer's."""
GUESTS = frozenset({"addresses", "cart_items", "carts", "line_items", "orders"})
"""Those of which a guest sees what is of the own cart."""
SHOWN_TO_CUSTOMERS = frozenset(
    {"markets", "payment_methods", "prices", "shipping_methods", "skus", "subscription_models"}
)
"""What every customer of a store may read."""
CHANNELS = frozenset(
    {
        "addresses", "cart_items", "carts", "customer_payment_sources", "customers", "line_items", "order_copies",
        "order_factories", "orders", "reorder_outcomes", "reorders", "repeat_links",
    }
)  # fmt: skip
"""The types that a sales channel may ask for without a session, and finds nothing of: it owns none."""
SHOWN_TO_CHANNELS = frozenset({"markets", "payment_methods", "prices", "shipping_methods", "skus"})
GROUPS = frozenset({"customer_groups"})
SHOWN_TO_GUESTS = frozenset({"payment_methods", "shipping_methods"})


@dataclass(frozen=True)
class Identity:
    """Somebody who sends requests, and what of the inhabited store they are to see.

    Who `owns` is its customer. `told` are types of which they learn an id, and no more: a customer's own record names
    its group.
    """

    name: str
    headers: Mapping[str, str]
    sight: Mapping[str, Sight]
    owns: bool = False
    told: frozenset[str] = frozenset()

    def sees(self, type_: str) -> bool:
        """Whether the row of this type in the inhabited store is for them."""
        return self.sight[type_] == "all" or (self.owns and self.sight[type_] == "own")


def _sight(own: frozenset[str] = frozenset(), shown: frozenset[str] = frozenset()) -> dict[str, Sight]:
    return {type_: "own" if type_ in own else "all" if type_ in shown else "none" for type_ in graph}


OF_A_CUSTOMER = _sight(CUSTOMERS, SHOWN_TO_CUSTOMERS)
OF_A_GUEST = _sight(GUESTS, SHOWN_TO_GUESTS)
OF_A_CHANNEL = _sight(CHANNELS, SHOWN_TO_CHANNELS)
OF_NOBODY = _sight()
OF_ANOTHER_SCOPE = _sight(
    shown=frozenset(
        {
            "customer_groups", "markets", "payment_methods", "prices", "promotions", "shipping_methods", "skus",
            "stock_items", "tags",
        }
    )
)  # fmt: skip
OF_A_SHOP = _sight(shown=frozenset(graph))


async def identities(
    connection: Connection, store: Store, other: Store, customer_id: str, grant: Grant, *, channel: Access
) -> list[Identity]:
    """Everybody who may ask, of an inhabited store whose rows are a customer's, and of another store.

    `channel` is the token of a sales channel of the inhabited one.
    """
    plain = {"Accept": PLAIN, "Content-Type": PLAIN}
    cart = await factories.cart(connection, store)
    session = str(await session_of(connection, store, cart))

    async def bearer(**asked: object) -> Mapping[str, str]:
        access: Access = await grant(**asked)
        return access.headers

    return [
        Identity("without a token", plain, OF_NOBODY),
        Identity("guest", Holder(store, session).headers, OF_A_GUEST),
        Identity("sales channel", channel.headers, OF_A_CHANNEL),
        Identity("customer", await bearer(customer_id=customer_id), OF_A_CUSTOMER, owns=True, told=GROUPS),
        Identity(
            "another customer", await bearer(customer_id=await factories.customer(connection, store)), OF_A_CUSTOMER
        ),
        Identity("integration of another store", await bearer(store=other), OF_NOBODY),
        Identity("integration without the scope", await bearer(scopes=["read_catalog"]), OF_ANOTHER_SCOPE),
        Identity("integration", await bearer(scopes=SCOPES), OF_A_SHOP),
    ]
