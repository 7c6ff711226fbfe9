"""Sessions of carts: the credential of a guest, who holds no token of the store."""

from __future__ import annotations

import re
from datetime import timedelta

from service import clock
from service.operations.tenant import stores
from service.principal import GUEST_SCOPES, Principal
from service.store.pool import Connection
from sql import queries

SESSIONS = queries("access/sessions")

LIVES_ON = timedelta(hours=24)
"""How long a session is good after its cart became an order: for placing that, and looking at it once more."""

SESSION = re.compile(r"[A-Za-z0-9_-]{16,128}")


async def find(
    connection: Connection, store_id: int, session: str, signed_in: Principal | None = None
) -> Principal | None:
    """Who holds the session of a cart of this store; None when there is no such cart to be had.

    Whose token came along may be a customer's, who is then known, or the shop's own; the session is worth no more for
    it. A cart of another customer than the one who is signed in is none.
    """
    row = await connection.fetchrow(SESSIONS["session"], store_id, session) if SESSION.fullmatch(session) else None
    store = None if row is None else await stores.find(connection, store_id)
    if row is None or store is None:
        return None
    if row["converted_at"] is not None and row["converted_at"] + LIVES_ON <= clock.now(store):
        return None
    customer_id = None if signed_in is None else signed_in.customer_id
    if customer_id is not None and row["customer_id"] not in (None, customer_id):
        return None
    return Principal(
        store=store,
        token_id="" if signed_in is None else signed_in.token_id,
        customer_id=customer_id,
        scopes=GUEST_SCOPES if signed_in is None else GUEST_SCOPES & signed_in.scopes,
        demands_if_match=row["demands_if_match"],
        cart_id=row["id"],
    )
