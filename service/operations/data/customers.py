"""Erasing a customer: nothing that names the person is left, and nothing that only they could use works any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from service import clock
from service.errors import Forbidden, InvalidState
from service.operations.access import issuers
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.subscriptions import order_subscriptions
from service.store import notices, people
from service.store.people import Person
from service.store.statements import Command, Only, Values
from service.store.write import Columns


class _Busy(NamedTuple):
    paying: bool
    importing: bool


_BUSY = Only("data/erasing.busy", _Busy)
_CARTS = Command("data/erasing.carts")
_PAYMENTS = Command("data/erasing.payments")
_LINKS = Values("data/erasing.links", str)
_SUBSCRIPTIONS = Values("data/erasing.subscriptions", str)
_TOKENS = Command("data/erasing.tokens")
_ANSWERS = Command("data/erasing.answers")
_EXPORTS = Command("data/exports.begin_anew")


async def _erased(change: Change) -> Columns | None:
    """Take the person out of the customer; None when nobody is in it any more."""
    nobody = {**people.nobody_is(change.resource), "email": _nobody(change)}
    return None if change.before.items() >= nobody.items() else nobody


class Customers(Writer):
    """Customers, who can be erased by the trigger `_erase`; orders stay, with their amounts and without the person."""

    effects: ClassVar = {"erase": _erased}

    async def after_write(self, change: Change) -> None:
        """Take the person out of all that is theirs, and end it."""
        await _check_names(change)
        if "erase" not in change.done:
            return
        connection, at, store = change.connection, change.at, change.store.id
        person = Person(store, change.id, change.before["email"])
        ids = await people.found(connection, person)
        await _check(change, person, ids["orders"])
        await people.erase(connection, person, ids, nobody=_nobody(change), at=at)
        await _CARTS(connection, store=store, carts=ids["carts"], at=at)
        await _PAYMENTS(connection, store=store, orders=ids["orders"])
        links = await _LINKS(connection, store=store, links=ids["repeat_links"], at=at)
        cancelled = await _SUBSCRIPTIONS(connection, store=store, subscriptions=ids["order_subscriptions"], at=at)
        # Tokens are looked up by real time, also in a store on a test clock.
        await _TOKENS(connection, store=store, customer=change.id, at=clock.now())
        await _EXPORTS(connection, store=store, at=clock.now())
        await _forget_answers(change, person, ids)
        await notices.forget(connection, store)
        happened = [
            *(Event("repeat_links.revoke", id_) for id_ in links),
            *(Event("order_subscriptions.cancel", id_) for id_ in cancelled),
        ]
        for id_ in cancelled:
            happened += await order_subscriptions.abort(connection, change.store, id_, at=at)
        await outbox.record_all(connection, change.store, happened, actor=outbox.actor(change.principal))


async def _check_names(change: Change) -> None:
    """Raise Forbidden where a customer takes a name by which an outside issuer's tokens find customers."""
    if change.new or change.principal.owner is None:
        return
    for name in ("reference", "email"):
        if change.sets(name) and await issuers.finds_by(change.connection, change.store.id, name):
            raise Forbidden(
                "{name} - is changed by integrations only: customers who sign in elsewhere are found by it",
                name=name,
                pointer=change.draft.pointer(name),
            )


async def _check(change: Change, person: Person, orders: Sequence[str]) -> None:
    """Raise InvalidState while something is on its way that would bring the person back."""
    busy = await _BUSY(change.connection, store=person.store_id, orders=orders, customer=person.id, email=person.email)
    if busy.paying:
        raise InvalidState("A payment of the customer is on its way: erase again once it is answered.")
    if busy.importing:
        raise InvalidState("An import that names the customer waits: erase again once it is completed.")


async def _forget_answers(change: Change, person: Person, ids: Mapping[str, Sequence[str]]) -> None:
    """Forget kept answers to the customer and to guests, and those to anybody that hold one of these resources."""
    await _ANSWERS(
        change.connection,
        store=person.store_id,
        email=person.email,
        principals=[f"customers:{person.id}", *(f"carts:{id_}" for id_ in ids["carts"])],
        ids=[id_ for table, rows in ids.items() if table not in ("webhooks", "imports", "exports") for id_ in rows],
    )


def _nobody(change: Change) -> str:
    """An e-mail address that is nobody's and reaches nobody (RFC 2606), and yet no other customer's."""
    return f"{change.id}@erased.invalid"
