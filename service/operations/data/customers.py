"""Erasing a customer: nothing that names the person is left, and nothing that only they could use works any more."""

from __future__ import annotations

from service import clock
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.subscriptions import order_subscriptions
from sql import queries

ERASING = queries("data/erasing")


class Customers(Writer):
    """Customers, who can be erased by the trigger `_erase`; orders stay, with their amounts and without the person."""

    async def before_write(self, change: Change) -> None:
        """Take the person out of the customer."""
        if change.draft.triggers.get("_erase"):
            change.columns |= dict.fromkeys(("shopper_reference", "profile_id", "tax_exemption_code", "reference"))
            change.columns |= {"email": _nobody(change), "reference_origin": None, "metadata": "{}"}

    async def after_write(self, change: Change) -> None:
        """Take the person out of all that is theirs, and end it."""
        if not change.draft.triggers.get("_erase"):
            return
        connection, whose, at = change.connection, (change.store.id, change.id), change.at
        await connection.execute(ERASING["addresses"], *whose, at)
        await connection.execute(ERASING["orders"], *whose, _nobody(change), at)
        await connection.execute(ERASING["carts"], *whose, _nobody(change), at)
        await connection.execute(ERASING["payment_sources"], *whose, at)
        await connection.execute(ERASING["payments"], *whose)
        links = await connection.fetch(ERASING["links"], *whose, at)
        cancelled = await connection.fetch(ERASING["subscriptions"], *whose, _nobody(change), at)
        await connection.execute(ERASING["past_subscriptions"], *whose, _nobody(change), at)
        await connection.execute(ERASING["tokens"], *whose, clock.now())
        await connection.execute(ERASING["answers"], *whose, change.before["email"])
        happened = [
            *(Event("repeat_links.revoke", row["id"]) for row in links),
            *(Event("order_subscriptions.cancel", row["id"]) for row in cancelled),
            Event("customers.erase", change.id),
        ]
        for row in cancelled:
            happened += await order_subscriptions.abort(connection, change.store, row["id"], at=at)
        await outbox.record_all(connection, change.store, happened, actor=outbox.actor(change.principal))


def _nobody(change: Change) -> str:
    """An e-mail address that is nobody's and reaches nobody (RFC 2606), and yet no other customer's."""
    return f"{change.id}@erased.invalid"
