"""Erasing a customer: nothing that names the person is left, and nothing that only they could use works any more."""

from __future__ import annotations

from typing import ClassVar

from service import clock
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.subscriptions import order_subscriptions
from service.store import notices
from service.store.statements import Command, Values
from service.store.write import Columns

_ADDRESSES = Values("data/erasing.addresses", str)
_ORDERS = Command("data/erasing.orders")
_CARTS = Command("data/erasing.carts")
_PAYMENT_SOURCES = Command("data/erasing.payment_sources")
_PAYMENTS = Command("data/erasing.payments")
_LINKS = Values("data/erasing.links", str)
_SUBSCRIPTIONS = Values("data/erasing.subscriptions", str)
_PAST_SUBSCRIPTIONS = Command("data/erasing.past_subscriptions")
_TOKENS = Command("data/erasing.tokens")
_REFRESH_TOKENS = Command("data/erasing.refresh_tokens")
_ANSWERS = Command("data/erasing.answers")
_CALLBACKS = Command("data/erasing.callbacks")


_NAMING = ("shopper_reference", "profile_id", "tax_exemption_code", "reference", "reference_origin")
"""Columns of a customer that say who it is, beside the e-mail address and the metadata."""


async def _erased(change: Change) -> Columns | None:
    """Take the person out of the customer; None when nobody is in it any more."""
    nobody = {**dict.fromkeys(_NAMING), "email": _nobody(change), "metadata": "{}"}
    return None if change.before.items() >= nobody.items() else nobody


class Customers(Writer):
    """Customers, who can be erased by the trigger `_erase`; orders stay, with their amounts and without the person."""

    effects: ClassVar = {"erase": _erased}

    async def after_write(self, change: Change) -> None:
        """Take the person out of all that is theirs, and end it."""
        if "erase" not in change.done:
            return
        connection, at, nobody = change.connection, change.at, _nobody(change)
        store, customer = change.store.id, change.id
        addresses = await _ADDRESSES(connection, store=store, customer=customer, at=at)
        await _ORDERS(connection, store=store, customer=customer, nobody=nobody, at=at)
        await _CARTS(connection, store=store, customer=customer, nobody=nobody, at=at)
        await _PAYMENT_SOURCES(connection, store=store, customer=customer, at=at)
        await _PAYMENTS(connection, store=store, customer=customer)
        links = await _LINKS(connection, store=store, customer=customer, at=at)
        cancelled = await _SUBSCRIPTIONS(connection, store=store, customer=customer, nobody=nobody, at=at)
        await _PAST_SUBSCRIPTIONS(connection, store=store, customer=customer, nobody=nobody, at=at)
        # Tokens are looked up by real time, also in a store on a test clock.
        await _TOKENS(connection, store=store, customer=customer, at=clock.now())
        await _REFRESH_TOKENS(connection, store=store, customer=customer)
        email: str = change.before["email"]
        await _ANSWERS(connection, store=store, customer=customer, email=email)
        await _CALLBACKS(connection, store=store, customer=customer, email=email, addresses=addresses, at=clock.now())
        await notices.forget(connection, store)
        happened = [
            *(Event("repeat_links.revoke", id_) for id_ in links),
            *(Event("order_subscriptions.cancel", id_) for id_ in cancelled),
        ]
        for id_ in cancelled:
            happened += await order_subscriptions.abort(connection, change.store, id_, at=at)
        await outbox.record_all(connection, change.store, happened, actor=outbox.actor(change.principal))


def _nobody(change: Change) -> str:
    """An e-mail address that is nobody's and reaches nobody (RFC 2606), and yet no other customer's."""
    return f"{change.id}@erased.invalid"
