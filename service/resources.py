"""THE registry: one line per type that the API serves, with the scopes it asks for and its operations.

Reading is generic and needs nothing here but the scope. What clients may write names its writer, which is `GENERIC`
unless the type does more than keep its fields; what they may only create, the operation that does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import schemas  # noqa: F401 -- declares the graph
from schemas.fields import Write
from schemas.graph import PUBLIC, graph
from schemas.relationships import ToMany
from schemas.resource import Resource
from service.errors import Forbidden
from service.jsonapi.atomic import Code
from service.jsonapi.body import Draft
from service.jsonapi.sight import Sight
from service.operations.access import clients, customer_tokens
from service.operations.access.access_tokens import AccessTokens
from service.operations.access.clients import ApiClients
from service.operations.access.issuers import Issuers
from service.operations.carts.cart_items import CartItems
from service.operations.carts.carts import Carts
from service.operations.catalogue.skus import Skus
from service.operations.copies import recurring_order_copies
from service.operations.copies.recurring_order_copies import Copies
from service.operations.data.customers import Customers
from service.operations.data.exports import Exports
from service.operations.data.imports import Imports
from service.operations.generic.created import Create, Created
from service.operations.generic.phases import Work
from service.operations.generic.writing import Writer
from service.operations.orders import order_copies
from service.operations.orders.line_items import LineItems
from service.operations.orders.orders import Orders
from service.operations.parties.addresses import Addresses
from service.operations.payments.customer_payment_sources import PaymentSources
from service.operations.repeating import reorders
from service.operations.repeating.repeat_links import RepeatLinks
from service.operations.subscriptions import occurrences
from service.operations.subscriptions.action_links import ActionLinks
from service.operations.subscriptions.occurrence_items import OccurrenceItems
from service.operations.subscriptions.occurrences import Occurrences
from service.operations.subscriptions.order_subscription_items import OrderSubscriptionItems
from service.operations.subscriptions.order_subscriptions import OrderSubscriptions
from service.operations.tenant.stores import Stores
from service.operations.tenant.test_clocks import TestClocks
from service.operations.webhooks.events import Events
from service.operations.webhooks.webhooks import Webhooks
from service.principal import Principal
from service.rules import verbs

METHOD_CODES: dict[str, Code] = {"PATCH": "update", "POST": "add", "DELETE": "remove"}
"""What the methods of a relationship's own URL do, in the words of Atomic Operations."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the API does with a type.

    The scopes to read and write it, how one is created (None: not by clients), who changes and deletes them (None:
    nobody), of which kind its running numbers are, if they are set aside ahead of the transaction, and whether it is
    limited how many somebody creates in a minute.
    """

    resource: type[Resource]
    reads: str
    writes: str
    create: Create | Writer | None = None
    update: Writer | None = None
    remove: Writer | None = None
    numbers: str = ""
    limited: bool = False

    @property
    def on_collection(self) -> tuple[str, ...]:
        """The methods of the collection's URL."""
        return ("GET", "HEAD", *(["POST"] if self.create else []))

    @property
    def on_resource(self) -> tuple[str, ...]:
        """The methods of a resource's URL."""
        return ("GET", "HEAD", *(["PATCH"] if self.update else []), *(["DELETE"] if self.remove else []))

    def require_write(self, principal: Principal) -> None:
        """Raise Forbidden unless somebody may write resources of this type at all."""
        principal.require(self.writes)
        if principal.is_guest and self.resource.owners["carts"] in (None, PUBLIC):
            raise Forbidden("{type} are not for guests.", type=self.resource.type_)

    def on_relationship(self, name: str) -> tuple[str, ...]:
        """The methods of a relationship's own URL; a to-many one can also be added to and taken from."""
        found = self.resource.relationships[name]
        if self.update is None or not found.write & Write.UPDATE:
            return ("GET", "HEAD")
        return ("GET", "HEAD", "PATCH", *(["POST", "DELETE"] if isinstance(found, ToMany) else []))

    def maker(self) -> Create | Writer:
        """What makes a resource. Raises Forbidden where clients can't."""
        if self.create is None:
            raise Forbidden("{type} can't be made by clients.", type=self.resource.type_)
        return self.create

    def making(self, principal: Principal, draft: Draft) -> Work[Created]:
        """The work of making a resource. Raises Forbidden where clients can't."""
        maker = self.maker()
        make = maker.create_in_steps if isinstance(maker, Writer) else maker
        return lambda connection: make(connection, principal, draft)

    def changer(self) -> Writer:
        """What changes a resource. Raises Forbidden where clients can't."""
        if self.update is None:
            raise Forbidden("{type} can't be changed by clients.", type=self.resource.type_)
        return self.update

    def remover(self) -> Writer:
        """What deletes a resource. Raises Forbidden where clients can't."""
        if self.remove is None:
            raise Forbidden("{type} can't be deleted by clients.", type=self.resource.type_)
        return self.remove

    def relater(self, name: str, code: Code) -> Writer:
        """What changes a relationship in this way. Raises Forbidden where clients can't."""
        methods = self.on_relationship(name)
        if self.update is None or code not in [METHOD_CODES.get(method) for method in methods]:
            raise Forbidden(
                "{name} of {type} can't be changed in this way.",
                name=name,
                type=self.resource.type_,
                headers={"Allow": ", ".join(methods)},
            )
        return self.update


GENERIC = Writer()


def _line(
    type_: str,
    family: str,
    *,
    create: Create | None = None,
    writer: Writer | None = None,
    updated_by: Writer | None = None,
    kept_by: Writer | None = None,
    reads: str = "",
    writes: str = "",
    numbers: str = "",
    limited: bool = False,
) -> Entry:
    """A line of the registry; `family` names the scopes `read_<family>` and `update_<family>`.

    A `writer` creates, changes and deletes, unless `create` does the first; what only changes has `updated_by`, what
    clients don't create has `kept_by`.
    """
    scope = writes or f"update_{family}"
    remover = writer or kept_by
    return Entry(
        graph[type_],
        reads or f"read_{family}",
        scope,
        create or writer,
        remover or updated_by,
        remover,
        numbers,
        limited,
    )


RESOURCES: dict[str, Entry] = {
    entry.resource.type_: entry
    for entry in (
        _line("stores", "store_profile", updated_by=Stores()),
        _line("markets", "catalog"),
        _line("test_clocks", "store_profile", writer=TestClocks()),
        _line("tokens", "store_profile", create=customer_tokens.create, writes="create_tokens", limited=True),
        _line("api_clients", "store_profile", create=clients.create, writer=ApiClients(), writes="create_tokens"),
        _line("issuers", "store_profile", writer=Issuers(), writes="create_tokens"),
        _line("access_tokens", "store_profile", kept_by=AccessTokens(), writes="create_tokens"),
        _line("customers", "customers", writer=Customers()),
        _line("addresses", "customers", writer=Addresses()),
        _line("customer_payment_sources", "customers", writer=PaymentSources()),
        _line("tags", "catalog", writer=GENERIC),
        _line("skus", "catalog", writer=Skus()),
        _line("prices", "catalog", writer=GENERIC),
        _line("customer_groups", "catalog", writer=GENERIC),
        _line("promotions", "catalog", writer=GENERIC),
        _line("stock_items", "catalog", writer=GENERIC),
        _line("shipping_methods", "catalog", writer=GENERIC),
        _line("payment_methods", "catalog", writer=GENERIC),
        _line("carts", "carts", writer=Carts()),
        _line("cart_items", "carts", writer=CartItems()),
        _line("orders", "orders", writer=Orders(), numbers="orders"),
        _line("line_items", "orders", writer=LineItems()),
        _line("order_factories", "orders"),
        _line("order_copies", "orders", create=order_copies.create, writer=Copies()),
        _line("reorders", "orders", create=reorders.create, writes="update_carts", limited=True),
        _line("reorder_outcomes", "orders"),
        _line("repeat_links", "orders", writer=RepeatLinks(), limited=True),
        _line("subscription_models", "subscriptions", writer=GENERIC),
        _line("order_subscriptions", "subscriptions", writer=OrderSubscriptions(), numbers="order_subscriptions"),
        _line("action_links", "subscriptions", writer=ActionLinks(), limited=True),
        _line("order_subscription_items", "subscriptions", writer=OrderSubscriptionItems()),
        _line("occurrences", "subscriptions", create=occurrences.create, updated_by=Occurrences()),
        _line("occurrence_items", "subscriptions", writer=OccurrenceItems()),
        _line(
            "recurring_order_copies",
            "subscriptions",
            create=recurring_order_copies.create,
            writer=Copies(),
            limited=True,
        ),
        _line(
            "events", "store_profile", updated_by=Events(lambda type_: RESOURCES[type_].reads), writes="update_webhooks"
        ),
        _line("event_stores", "audit"),
        _line("refused_authentications", "audit"),
        _line("imports", "imports", writer=Imports(), reads="import_data", writes="import_data", limited=True),
        _line(
            "exports",
            "exports",
            writer=Exports(lambda principal: visible_to(principal)),  # noqa: PLW0108 -- it stands below
            reads="export_data",
            writes="export_data",
            limited=True,
        ),
        _line("webhooks", "webhooks", writer=Webhooks(lambda type_: RESOURCES[type_].reads)),
        _line("event_callbacks", "webhooks"),
    )
}

verbs.check(
    {type_: entry.resource.triggers for type_, entry in RESOURCES.items()},
    {type_: entry.update.effects for type_, entry in RESOURCES.items() if entry.update is not None},
)


@cache
def _visible(scopes: frozenset[str], owner: str | None) -> Sight:
    types = frozenset(
        type_
        for type_, entry in RESOURCES.items()
        if entry.reads in scopes and (owner is None or entry.resource.owners[owner] is not None)
    )
    return Sight(types, owner, everything=owner is None and types == RESOURCES.keys())


def visible_to(principal: Principal) -> Sight:
    """What somebody sees: the types that they may read at all, of which a customer or a guest sees the own rows."""
    return _visible(principal.scopes, principal.owner and principal.owner.type_)
