"""What an order was paid with goes into its customer's wallet, and becomes what its subscription is paid with.

Commerce Layer's `_save_payment_source_to_customer_wallet` is sent together with `_place`, or once the order is paid. So
is `_save_payment_source_to_order_subscription`, with which a customer who paid a failed renewal by hand has the next
ones charged from the same card.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from schemas.graph import graph
from service.errors import Invalid, InvalidState
from service.jsonapi.body import Draft
from service.operations.events import outbox
from service.operations.generic import quotas
from service.operations.generic.change import Change
from service.operations.parties import wallets
from service.operations.payments import dunning
from service.principal import Principal, Store
from service.store.pool import Connection
from service.store.statements import Command, One, Value
from service.store.write import Columns

WALLET = "_save_payment_source_to_customer_wallet"
SUBSCRIPTION = "_save_payment_source_to_order_subscription"
TRIGGERS = (WALLET, SUBSCRIPTION)
SOURCE = "_payment_source_token"


class PaidWith(NamedTuple):
    """What an order's approved payment was made with; `source_id` is where that is in the wallet, if it is there."""

    gateway: str
    source_token: str | None
    source_id: str | None
    payment_method_id: str | None
    customer_id: str | None
    order_subscription_id: str | None
    to_wallet: bool
    to_subscription: bool


_PAID_WITH = One("orders/saving.paid_with", PaidWith)
_NOTE = Command("orders/saving.note")
_HAND_ON = Value("orders/saving.hand_on", str)


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
    paid = await _PAID_WITH(change.connection, store=change.store.id, order=change.id)
    if paid is None or (paid.source_token is None and paid.source_id is None):
        change.problems.append(
            InvalidState(
                "The order was not paid with anything that can be kept; send this together with `_place` and"
                " `_payment_source_token`.",
                pointer=pointer,
            )
        )
        return
    to_subscription = bool(change.draft.triggers.get(SUBSCRIPTION))
    source_id = await _save(
        change.connection,
        change.store,
        paid,
        to_subscription=to_subscription,
        actor=outbox.actor(change.principal),
        at=change.at,
    )
    if source_id is None:
        change.problems.append(quotas.exceeded(graph["customer_payment_sources"], pointer=pointer))
        return
    change.columns["customer_payment_source_id"] = source_id


async def save_as_asked(connection: Connection, store: Store, order_id: str, *, actor: str, at: datetime) -> None:
    """Keep what an order was paid with just now, where that was asked for when it was to be placed."""
    paid = await _PAID_WITH(connection, store=store.id, order=order_id)
    if paid is None or not (paid.to_wallet or paid.to_subscription):
        return
    source_id = await _save(connection, store, paid, to_subscription=paid.to_subscription, actor=actor, at=at)
    if source_id is not None:
        await _NOTE(connection, store=store.id, order=order_id, source=source_id)


async def _save(
    connection: Connection, store: Store, paid: PaidWith, *, to_subscription: bool, actor: str, at: datetime
) -> str | None:
    """Put what was paid with into the wallet, unless it is there, and hand it on to the subscription; gives its id.

    None where the wallet is full.
    """
    source_id = paid.source_id
    if source_id is None and paid.source_token is not None and paid.customer_id is not None:
        source_id = await wallets.add(
            connection,
            store,
            customer_id=paid.customer_id,
            payment_method_id=paid.payment_method_id,
            gateway=paid.gateway,
            token=paid.source_token,
            actor=actor,
            at=at,
        )
    if to_subscription and source_id is not None and paid.order_subscription_id is not None:
        subscription_id = await _HAND_ON(
            connection, store=store.id, subscription=paid.order_subscription_id, source=source_id, at=at
        )
        if subscription_id is not None:
            await outbox.record(connection, store, "order_subscriptions.update", subscription_id, actor=actor)
            await dunning.hurry(connection, store, subscription_id=subscription_id)
    return source_id
