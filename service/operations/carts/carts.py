"""Carts: a session of their own when they are new, and right amounts after every change."""

from __future__ import annotations

import secrets

from service.errors import InvalidState
from service.jsonapi.body import Draft
from service.operations.carts import amounts, contents
from service.operations.catalogue import pricing
from service.operations.catalogue.methods import check_methods
from service.operations.generic.change import Change
from service.operations.generic.created import Created
from service.operations.generic.writing import Writer
from service.operations.parties.wallets import check_wallet
from service.operations.tenant.terms import terms_of
from service.principal import Principal
from service.store.pool import Connection
from service.store.statements import Command, OnlyValue

_FORGET = Command("carts/carts.forget")
_SESSION = OnlyValue("carts/carts.session", str)


class Carts(Writer):
    """Carts: a session of their own when they are new, and right amounts after every change."""

    async def create_in_steps(self, connection: Connection, principal: Principal, draft: Draft) -> Created:
        """Make the cart of a draft, and disclose its session."""
        id_ = await self.create(connection, principal, draft)
        sealed = await _SESSION(connection, store=principal.store.id, id=id_)
        return Created(id_, {"session": contents.session(connection, principal.store, id_, sealed)})

    async def before_write(self, change: Change) -> None:
        """Fill in what the store decides, and check what was chosen."""
        if change.new:
            terms = await terms_of(change)
            change.columns["session"] = secrets.token_urlsafe(24)
            change.columns.setdefault("currency_code", change.store.currency_code)
            change.columns["tax_included"] = terms.prices_include_tax
        elif change.before["status"] != "active" and not change.only_of_the_client():
            change.problems.append(
                InvalidState("The cart is {status}: it can't be changed.", status=change.before["status"])
            )
        await check_methods(change)
        await check_wallet(change)

    async def after_write(self, change: Change) -> None:
        """Work out the amounts; a new coupon has to apply, one that the cart has may stop doing so."""
        if change.value("status") not in (None, "active"):
            return
        cart = await amounts.recalculate(change.connection, change.store, change.id)
        status = cart.coupon_status
        if change.sets("coupon_code") and status is not None and status != "applied":
            raise pricing.coupon_refused(status)

    async def before_delete(self, change: Change) -> None:
        """A cart that became an order stays; reorders outlive any other, and don't name it any more."""
        if change.before["status"] == "converted":
            change.problems.append(InvalidState("The cart became an order: it can't be deleted."))
        else:
            await _FORGET(change.connection, store=change.store.id, cart=change.id)
