"""Payments of runs that are asked for anew: the same order is placed again."""

from __future__ import annotations

from schemas.base import graph
from service import clock
from service.errors import ApiError
from service.gateways.port import Answer
from service.jsonapi.body import Draft
from service.operations import attempts, dunning, events, payments, placing
from service.operations.attempts import Due
from service.principal import Principal, Store
from service.store.phases import Interlude
from service.store.pool import Connection


async def retry(connection: Connection, store: Store, order_id: str) -> Interlude[None] | None:
    """Place an order again whose payment is to be asked for anew; None when it isn't, any more.

    Raises what keeps it from being placed, such as Invalid without stock; then the transaction must be rolled back, and
    `put_off` is for another one. Afterwards PaymentRefused, as `placing.place` does.
    """
    if not await dunning.claim(connection, store, order_id):
        return None
    draft = Draft(graph["orders"], order_id, triggers={"_place": True})
    return await placing.place(connection, Principal.of_service(store, events.WORKER), order_id, draft)


async def put_off(connection: Connection, store: Store, order_id: str, error: ApiError) -> None:
    """Note that an order could not even be placed: that counts as a refusal, and the ladder goes on."""
    if not await dunning.claim(connection, store, order_id):
        return
    facts = await payments.facts_of(connection, store, order_id)
    due = Due(order_id, placing.due(facts))
    (attempt,) = await attempts.begin(connection, store, [due], actor=events.WORKER)
    reason = error.problems[0].detail
    answer = Answer("failed", decline_code="not_placed", detail=reason)
    await attempts.end(connection, attempt, answer)
    await dunning.refused(connection, attempt, answer, reason, at=clock.now(store))
