"""Sessions of carts: the credential of a guest, who holds no token of the store."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from service import clock
from service.clock import later
from service.principal import GUEST_SCOPES, Principal, Store
from service.store.pool import Connection
from service.store.statements import One
from service.store.vault import vault_of

LIVES_ON = timedelta(hours=24)
"""How long a session works after its cart became an order: to place the order, and to look at it once more."""

SESSION = re.compile(r"[A-Za-z0-9_-]{16,128}")


class _Cart(NamedTuple):
    cart_id: str
    customer_id: str | None
    converted_at: datetime | None
    store: Store


_SESSION = One("access/sessions.session", _Cart)


async def find(
    connection: Connection, store_id: int, session: str, signed_in: Principal | None = None
) -> Principal | None:
    """Return who holds the session of a cart of this store; None when the session opens no cart.

    `signed_in` is the bearer of a token that came with the session. A customer's token says who the guest is, a sales
    channel's says nobody; no token adds to what the session allows. The cart of a customer is closed to every other
    customer.
    """
    if not SESSION.fullmatch(session):
        return None
    digests = vault_of(connection).digests("carts.session", store_id, session)
    cart = await _SESSION(connection, store=store_id, sessions=digests)
    if cart is None:
        return None
    if cart.converted_at is not None and later(cart.converted_at, LIVES_ON) <= clock.now(cart.store):
        return None
    customer_id = None if signed_in is None else signed_in.customer_id or None
    if customer_id is not None and cart.customer_id not in (None, customer_id):
        return None
    return Principal(
        store=cart.store,
        token_id="" if signed_in is None else signed_in.token_id,
        customer_id=customer_id,
        scopes=GUEST_SCOPES if signed_in is None else GUEST_SCOPES & signed_in.scopes,
        cart_id=cart.cart_id,
        api_client_id=None if signed_in is None else signed_in.api_client_id,
    )
