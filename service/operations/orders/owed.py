"""Unpaid runs that their customers pay by hand: by an action link of `pay`, or in the portal."""

from __future__ import annotations

from service.errors import InvalidState, NotFound
from service.operations.generic.phases import Interlude, chain
from service.operations.orders import placing
from service.operations.payments import dunning
from service.operations.subscriptions import action_links, link_uses
from service.operations.subscriptions.link_uses import Opened
from service.principal import Principal
from service.store.pool import Connection


async def pay(connection: Connection, principal: Principal, order_id: str) -> Interlude[None] | None:
    """Place the order of a run, from what its subscription is paid from now; its gateway is asked in the interlude.

    An order that is paid already stays so. Raises InvalidState for a source that is refused for good, else as
    `placing.place` does, with PaymentRefused afterwards.
    """
    await dunning.hold(connection, principal.store, order_id)
    source = await dunning.take_source(connection, principal.store, order_id)
    if source is not None and source.barred:
        raise InvalidState("This card is refused for good. Please choose another one.")
    return await placing.place(connection, principal, order_id)


async def pay_one_of(
    connection: Connection, principal: Principal, subscription_id: str, order_id: str
) -> Interlude[None] | None:
    """Pay for a run of a subscription. Raises NotFound for an order that isn't owed for one, else as `pay`."""
    owed = await action_links.owed(connection, principal.store, subscription_id)
    if order_id not in [one.order_id for one in owed]:
        raise NotFound("There is nothing to be paid.")
    return await pay(connection, principal, order_id)


async def use(connection: Connection, opened: Opened, shown: str) -> Interlude[None] | None:
    """Pay by a link of `pay` that the transaction holds. It is used up once it has paid.

    `shown` is what its page has shown of it. Raises as `link_uses.use` and `pay` do.
    """
    if opened.used_at is not None:
        return None
    now = await link_uses.as_shown(connection, opened, shown)
    assert now.order_id is not None  # noqa: S101 -- possible for an order only

    async def begun(held: Connection) -> Interlude[None] | None:
        return await pay(held, opened.principal, str(now.order_id))

    async def paid(held: Connection, _: None) -> None:
        await link_uses.note_use(held, opened)

    return await chain(begun, paid)(connection)
