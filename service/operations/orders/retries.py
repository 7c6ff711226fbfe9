"""Payments of runs that are asked for anew: the same order is placed again."""

from __future__ import annotations

from service import clock
from service.errors import ApiError
from service.operations.events import outbox
from service.operations.generic.phases import Interlude
from service.operations.orders import placing
from service.operations.payments import dunning
from service.principal import Principal, Store
from service.rules.failures import type_of_error
from service.rules.states import Messages
from service.store.pool import Connection


async def retry(connection: Connection, store: Store, order_id: str) -> Interlude[None] | None:
    """Place an order again whose payment is to be asked for anew; None when it isn't, any more.

    Raises what keeps it from being placed, such as Invalid without stock; then the transaction must be rolled back, and
    `put_off` is for another one. Afterwards PaymentRefused, as `placing.place` does.
    """
    if not await dunning.claim(connection, store, order_id):
        return None
    return await placing.place(connection, Principal.of_service(store, outbox.WORKER), order_id)


async def put_off(connection: Connection, store: Store, order_id: str, error: ApiError) -> None:
    """Note that an order could not even be placed: that counts as a refusal, and the ladder goes on.

    No gateway is asked, so whatever the order lacks, its payment method too, doesn't keep this from being noted.
    """
    if not await dunning.claim(connection, store, order_id):
        return
    messages: Messages = {dunning.PAYMENT: [error.problems[0].detail]}
    await dunning.not_payable(
        connection, store, order_id, None, messages, failure_type=type_of_error(error), at=clock.now(store)
    )
