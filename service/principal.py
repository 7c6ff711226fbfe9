"""Who asks: a store, maybe one of its customers, and what the token allows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

from service.errors import Forbidden

T = TypeVar("T")

SCOPES = (
    "read_orders", "update_orders",
    "read_carts", "update_carts",
    "read_customers", "update_customers",
    "read_catalog", "update_catalog",
    "read_subscriptions", "update_subscriptions",
    "read_store_profile", "update_store_profile",
    "read_webhooks", "update_webhooks",
    "import_data",
    "export_data",
    "create_tokens",
    "read_audit",
)  # fmt: skip
"""Every scope there is; each has its heading in docs/reference/scopes.md."""

CUSTOMER_SCOPES = frozenset(
    s
    for s in SCOPES
    if s not in ("update_catalog", "import_data", "export_data", "create_tokens", "read_audit")
    and not s.endswith(("_store_profile", "_webhooks"))
)
"""What a customer's token may do, always within the customer's own rows."""

GUEST_SCOPES = frozenset(
    {
        "read_orders", "update_orders", "read_carts", "update_carts", "read_customers", "update_customers",
        "read_catalog",
    }
)  # fmt: skip
"""What a guest's session may do, always within the one cart, its addresses and its order."""


NOBODY = ""
"""The customer of a sales channel's token: no customer has this id, so nothing is theirs."""


class Owner(NamedTuple):
    """Whose rows somebody is limited to: `customers` or `carts`, and the id."""

    type_: str
    id: str


@dataclass(frozen=True, slots=True)
class Store:
    """The facts of a store that every request needs.

    `frozen_at` is its test clock's instant, None for real time, `repeat_order_url` the shop's own page for repeat
    links. `demands_if_match` is the store's policy `require_if_match`: a change must name the version that it is made
    to. A row of the view `store_facts` has these fields, in this order.
    """

    id: int
    name: str
    slug: str
    mode: str
    currency_code: str
    locale: str
    timezone: str
    frozen_at: datetime | None = None
    repeat_order_url: str | None = None
    demands_if_match: bool = False

    def __hash__(self) -> int:
        """Stores are looked up with every request; their ids tell them apart."""
        return self.id


class Viewer(NamedTuple):
    """Whose eyes a read has: a store, and a customer or a guest's cart unless an integration asks.

    `frozen_at` is as a store's.
    """

    store_id: int
    owner: Owner | None = None
    frozen_at: datetime | None = None


@lru_cache(maxsize=1024)
def _known(value: T) -> T:
    """The first of equal values. What is looked up by one and the same object isn't compared field by field."""
    return value


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a token: its store, its customer (None for an integration) and its scopes.

    Who shows the session of a cart has `cart_id`, and no more than that cart, whatever token comes with it; the token
    says which customer it is, if one is signed in. `proven_link_id` is the repeat link whose customer somebody has
    shown to be without signing in, `acting` the actor whom the service itself goes on for. `expires_at` is when the
    token ends, real time, None for never; `last_used_at` when it was last noted to be used, `api_client_id` the client
    that fetched it.
    A sales channel's token, which anybody may have, is that of `NOBODY`: a customer who owns nothing, and makes a cart.
    """

    store: Store
    token_id: str
    customer_id: str | None
    scopes: frozenset[str]
    expires_at: datetime | None = None
    cart_id: str | None = None
    proven_link_id: str | None = None
    acting: str | None = None
    last_used_at: datetime | None = None
    api_client_id: str | None = None
    owner: Owner | None = field(init=False, repr=False, compare=False)
    """Whose rows the principal is limited to; None for an integration, which sees the whole store."""
    viewer: Viewer = field(init=False, repr=False, compare=False)
    """Whose eyes the bearer sees with."""
    sender: str = field(init=False, repr=False, compare=False)
    """Whose requests are counted together: a customer's, a token's or those for a guest's cart."""

    def __post_init__(self) -> None:
        """Work out once what every request of the bearer needs."""
        object.__setattr__(self, "store", _known(self.store))
        object.__setattr__(self, "scopes", _known(self.scopes))
        owner = None if self.customer_id is None else Owner("customers", self.customer_id)
        if self.cart_id is not None:
            owner = Owner("carts", self.cart_id)
        object.__setattr__(self, "owner", owner)
        object.__setattr__(self, "viewer", Viewer(self.store.id, owner, self.store.frozen_at))
        sender = f"token:{self.token_id}" if self.cart_id is None else f"cart:{self.cart_id}"
        object.__setattr__(self, "sender", f"customer:{self.customer_id}" if self.customer_id else sender)

    @classmethod
    def of_service(cls, store: Store, actor: str) -> Principal:
        """The service itself, where it goes on with what an actor, as events name it, has begun."""
        return cls(store, "", None, frozenset(SCOPES), acting=actor)

    @property
    def demands_if_match(self) -> bool:
        """Whether a change must name the version that it is made to."""
        return self.store.demands_if_match

    @property
    def is_guest(self) -> bool:
        """Whether it is somebody with no more than a cart, or not even that."""
        return self.cart_id is not None or self.is_channel

    @property
    def is_channel(self) -> bool:
        """Whether it bears a sales channel's token, and no session came with that."""
        return self.cart_id is None and self.customer_id == NOBODY

    def holding(self, cart_id: str) -> Principal:
        """The bearer of a sales channel's token with the cart that it has just made."""
        return replace(self, cart_id=cart_id, customer_id=None) if self.is_channel else self

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the token has the scope."""
        if scope not in self.scopes:
            raise Forbidden("The access token lacks the scope {scope}.", scope=scope)
