"""What becomes of a subscription once the payment of a run isn't asked for by itself any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from service.operations.events import outbox
from service.operations.payments.dunning import Ended
from service.operations.subscriptions import overviews
from service.principal import Principal, Store
from service.store.pool import Connection
from service.store.statements import Value

UNPAID: Final = "order_subscriptions.unpaid"

_VERBS: Final[Mapping[str, Literal["deactivate", "cancel"]]] = {"pause": "deactivate", "cancel": "cancel"}
"""What each policy has the subscription do, if anything."""

_POLICY = Value("subscriptions/subscriptions.unpaid_policy", str)


async def follow(connection: Connection, store: Store, ended: Ended) -> None:
    """Do with a subscription what its policy says of a run that stays unpaid, and tell of it.

    The policy is the subscription's own, else that of its model, else the store's, else `keep`.
    """
    subscription_id = ended.order_subscription_id
    policy = await _POLICY(connection, store=store.id, subscription=subscription_id) or "keep"
    verb = _VERBS.get(policy)
    if verb is not None:
        await overviews.tell(connection, Principal.of_service(store, outbox.WORKER), subscription_id, verb)
    told = {name: value for name, value in ended.told.items() if name != "retry_at"}
    await outbox.record(
        connection, store, UNPAID, subscription_id, actor=outbox.WORKER, payload={**told, "unpaid_policy": policy}
    )
