"""What an order was paid with goes into its customer's wallet, and becomes what its subscription is paid with.

Commerce Layer's `_save_payment_source_to_customer_wallet` is sent together with `_place`, or once the order is paid. So
is `_save_payment_source_to_order_subscription`, with which a customer who paid a failed renewal by hand has the next
ones charged from the same card.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.graph import graph
from service import clock
from service.errors import Invalid, InvalidState
from service.jsonapi.body import Draft
from service.operations.events.outbox import Event
from service.operations.generic import quotas
from service.operations.generic.change import Change
from service.operations.parties import wallets
from service.operations.payments import attempts, dunning
from service.principal import Principal, Store
from service.store.pool import Connection
from service.store.statements import One
from service.store.write import Columns

WALLET = "_save_payment_source_to_customer_wallet"
SUBSCRIPTION = "_save_payment_source_to_order_subscription"
TRIGGERS = (WALLET, SUBSCRIPTION)
SOURCE = "_payment_source_token"


class PaidWith(NamedTuple):
    """What an order's payment is made with; `source_id` is where that is in the wallet, if it is there.

    Beside it, where it is to be kept, and what the order's subscription, if it has one, is paid from.
    """

    id: str
    gateway: str
    source_token: str | None
    source_id: str | None
    payment_method_id: str | None
    customer_id: str | None
    order_subscription_id: str | None
    subscription_status: str | None
    subscription_source_id: str | None
    to_wallet: bool
    to_subscription: bool


class Kept(NamedTuple):
    """Where what an order was paid with is kept: `source_id` in the wallet, into which it is `put` unless it is there.

    `subscription_id` is the subscription that is paid from it from now on, if that is another source than before.
    """

    source_id: str | None = None
    put: PaidWith | None = None
    subscription_id: str | None = None
    sealed: wallets.SealedToken | None = None

    @property
    def events(self) -> list[Event]:
        """What happens by it."""
        made = [Event("customer_payment_sources.create", self.source_id)] if self.put and self.source_id else []
        changed = [Event("order_subscriptions.update", self.subscription_id)] if self.subscription_id else []
        return [*made, *changed]

    @property
    def binds(self) -> dict[str, object]:
        """The arguments by which a statement puts it into the wallet: it includes `parties/wallets.put`."""
        put = self.put
        return {
            "kept": None if put is None else self.source_id,
            "payer": None if put is None else put.customer_id,
            "paid_by": None if put is None else put.payment_method_id,
            "paid_through": None if put is None else put.gateway,
            "kept_token": None if self.sealed is None else self.sealed.text,
            "kept_digest": None if self.sealed is None else self.sealed.digest,
        }


_PAID_WITH = One("orders/saving.paid_with", PaidWith)


def is_asked(draft: Draft) -> bool:
    """Whether a draft has what an order is paid with kept."""
    return any(draft.triggers.get(name) for name in TRIGGERS)


async def check(connection: Connection, principal: Principal, order: Columns, draft: Draft) -> None:
    """Look whether an order may be paid, and its source kept, as a draft that places it says.

    Raises Invalid for a token of another customer's wallet, for an order without a customer or a subscription, and
    Forbidden for somebody who isn't its customer.
    """
    customer_id = draft.related("customer") or order["customer_id"]
    token = draft.triggers.get(SOURCE)
    if token is not None:
        await wallets.check_token(connection, principal, token, customer_id, field=SOURCE)
    _check_whose(principal, customer_id, order["order_subscription_id"], draft)
    adds = token is not None and customer_id is not None and is_asked(draft)
    if adds and await wallets.is_full(connection, principal.store, customer_id):
        raise quotas.exceeded(graph["customer_payment_sources"], pointer=draft.pointer(*TRIGGERS))


def _check_whose(principal: Principal, customer_id: str | None, subscription_id: str | None, draft: Draft) -> None:
    for name in TRIGGERS:
        if draft.triggers.get(name):
            wallets.require_own(principal, customer_id, field=name)
    if draft.triggers.get(SUBSCRIPTION) and subscription_id is None:
        raise Invalid(
            "{name} - takes an order of a subscription", name=SUBSCRIPTION, pointer=draft.pointer(SUBSCRIPTION)
        )


async def save_later(change: Change) -> None:
    """Keep what an order was paid with that is placed already; notes a problem when there is nothing to be kept."""
    if not is_asked(change.draft):
        return
    pointer = change.draft.pointer(*TRIGGERS)
    _check_whose(change.principal, change.value("customer_id"), change.value("order_subscription_id"), change.draft)
    paid = await _PAID_WITH(
        change.connection, store=change.store.id, paid=change.id, attempt=None, token=None, digests=[]
    )
    if paid is None or (paid.source_token is None and paid.source_id is None):
        change.problems.append(
            InvalidState(
                "The order was not paid with anything that can be kept; send this together with `_place` and"
                " `_payment_source_token`.",
                pointer=pointer,
            )
        )
        return
    if paid.source_id is None and paid.customer_id is not None:
        token = attempts.token(change.connection, change.store, paid.id, None, paid.source_token)
        if token is not None:
            source_id = await wallets.kept(change.connection, change.store, paid.customer_id, token)
            paid = paid._replace(source_id=source_id)
    to_subscription = bool(change.draft.triggers.get(SUBSCRIPTION))
    kept = await keep(change.connection, change.store, paid, to_subscription=to_subscription)
    if kept.source_id is None:
        change.problems.append(quotas.exceeded(graph["customer_payment_sources"], pointer=pointer))
        return
    change.columns["customer_payment_source_id"] = kept.source_id
    change.others += kept.events
    store = change.store.id
    if kept.put is not None:
        put = wallets.PUT.along(store=store, at=change.at, **kept.binds)
        change.along.append(put.more("customer_payment_sources", [paid.customer_id]))
    if kept.subscription_id is not None:
        change.along.append(
            dunning.PAID.along(
                store=store, subscription=kept.subscription_id, copy=None, next_source=kept.source_id, at=change.at
            )
        )
        await dunning.hurry(change.connection, change.store, subscription_id=kept.subscription_id)


async def as_asked(connection: Connection, store: Store, paid: PaidWith | None) -> Kept:
    """Where what an order is paid with is kept, if that was asked for when it was to be placed."""
    if paid is None or not (paid.to_wallet or paid.to_subscription):
        return Kept()
    return await keep(connection, store, paid, to_subscription=paid.to_subscription)


async def keep(connection: Connection, store: Store, paid: PaidWith, *, to_subscription: bool) -> Kept:
    """Where what an order was paid with is kept: in the wallet, and as what its subscription is paid from if asked.

    Nowhere, if the wallet is full.
    """
    source_id, put, sealed = paid.source_id, None, None
    if source_id is None and paid.customer_id is not None:
        token = attempts.token(connection, store, paid.id, None, paid.source_token)
        if token is not None:
            if await wallets.is_full(connection, store, paid.customer_id):
                return Kept()
            source_id, put = clock.new_id(), paid
            sealed = wallets.sealed(connection, store, source_id, token)
    goes_on = paid.subscription_status not in {None, "cancelled"}
    hands_on = to_subscription and goes_on and source_id not in {None, paid.subscription_source_id}
    return Kept(source_id, put, paid.order_subscription_id if hands_on else None, sealed)
