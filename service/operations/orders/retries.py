"""Payments of runs that are asked for anew: the same order is placed again."""

from __future__ import annotations

from schemas.failures import FailureType
from service import clock
from service.errors import ApiError
from service.operations.events import outbox
from service.operations.generic.phases import Interlude
from service.operations.orders import placing
from service.operations.payments import dunning
from service.operations.subscriptions import unpaid
from service.principal import Principal, Store
from service.rules.failures import type_of_error
from service.rules.states import Messages
from service.store.pool import Connection
from service.texts import Phrase

_BARRED: Messages = {"customer_payment_source": [Phrase("is refused for good")]}


async def retry(connection: Connection, store: Store, order_id: str) -> Interlude[None] | None:
    """Place an order again whose payment is to be asked for anew; None when it isn't, any more.

    A source that its gateway has refused for good is not asked: that was the last refusal. Raises what keeps the order
    from being placed, such as Invalid without stock; then the transaction must be rolled back, and `put_off` is for
    another one. Afterwards PaymentRefused, as `placing.place` does.
    """
    claimed = await dunning.claim(connection, store, order_id)
    if claimed is None:
        return None
    if claimed.barred:
        await _refuse(connection, store, order_id, _BARRED, failure_type="payment", hard=True)
        return None
    payment = placing.Payment(retried_at=clock.now(store) if claimed.again else None)
    return await placing.place(connection, Principal.of_service(store, outbox.WORKER), order_id, payment)


async def put_off(connection: Connection, store: Store, order_id: str, error: ApiError) -> None:
    """Note that an order could not even be placed: that counts as a refusal, and the ladder goes on.

    No gateway is asked, so whatever the order lacks, its payment method too, doesn't keep this from being noted.
    """
    if await dunning.claim(connection, store, order_id) is None:
        return
    messages: Messages = {dunning.PAYMENT: [error.problems[0].detail]}
    await _refuse(connection, store, order_id, messages, failure_type=type_of_error(error))


async def _refuse(
    connection: Connection,
    store: Store,
    order_id: str,
    messages: Messages,
    *,
    failure_type: FailureType,
    hard: bool = False,
) -> None:
    """Note that no gateway was asked, and have done with the subscription what follows the last refusal."""
    ended = await dunning.not_payable(
        connection, store, order_id, None, messages, failure_type=failure_type, hard=hard, at=clock.now(store)
    )
    if ended is not None:
        await unpaid.follow(connection, store, ended)
