"""What happens in shops beside verbs, so that each topic is told once: by what people send, and by what workers do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from service.jobs import sweep
from service.jobs.copy import CopyJob
from service.operations.data import exports, imports
from service.operations.subscriptions import link_uses
from service.rules.named_tokens import NamedKeys
from tests import factories
from tests.api.test_rows_of_verbs import (
    PLACED,
    action_link,
    api_client,
    draft_item,
    item,
    link,
    occurrence,
    order,
    token,
    webhook,
)
from tests.checkout.test_subscribing import bought, model
from tests.factories import Line
from tests.faults.playing import Shop, on
from tests.jobs.paying import prepare
from tests.jobs.playing import said
from tests.jobs.test_worker import until
from tests.processes import reprise
from tests.spec.writing import to
from tests.support import KEYS
from tests.webhooks.receiving import receiver
from tests.webhooks.test_delivering import happens, health, hook, telling

Scene = Callable[[Shop], Awaitable[None]]
"""Something that happens in a shop."""
Served = Callable[[Shop, str], Awaitable[None]]
"""Something that processes lead to, beside the tests' own; they are told the URL of the database."""


async def no_line(shop: Shop) -> None:
    """An order loses its last line."""
    id_ = await order(shop)
    for line in (await shop.api.get(f"orders/{id_}/line_items"))["data"]:
        assert (await shop.api.send("DELETE", f"line_items/{line['id']}")).status_code == 204


async def moved(shop: Shop) -> None:
    """A run is moved."""
    at = {"scheduled_at": said(on("2026-04-03 09:00"))}
    assert (await shop.api.update("occurrences", await occurrence(shop, "planned"), at)).status_code == 200


async def named(shop: Shop) -> None:
    """A run that is far off gets a row."""
    of = {"order_subscription": to("order_subscriptions", await shop.subscribe(PLACED))}
    await shop.api.create("occurrences", {"occurrence_index": 40}, of)


async def acted(shop: Shop) -> None:
    """A customer does what an action link is for."""
    id_ = await action_link(shop)
    keys = NamedKeys(KEYS, "action link")
    async with shop.database.transaction() as connection:
        opened = await link_uses.open_link(connection, keys, keys.token(shop.store.id, id_), hold=True)
        await link_uses.use(connection, opened, (await link_uses.prospect(connection, opened)).shown)


async def ended(shop: Shop) -> None:
    """A subscription comes to its end."""
    await shop.subscribe(PLACED, max_occurrences=1)
    await shop.wait_until("2026-05-02 09:00")


async def replaced(shop: Shop) -> None:
    """A customer's cart is replaced by another."""
    customer = await factories.customer(shop.connection, shop.store)
    order_id = await factories.full_order(shop.connection, shop.store, [Line(shop.sku)], customer_id=customer)
    for strategy in ("append", "new"):
        await shop.api.create("reorders", {"strategy": strategy}, {"source_order": to("orders", order_id)})


async def draft(shop: Shop) -> str:
    order_id = await factories.full_order(shop.connection, shop.store, [Line(shop.sku)])
    return await factories.subscription(shop.connection, shop.store, order_id, status="draft")


async def cancelled(shop: Shop) -> None:
    """An order is cancelled, and its subscriptions with it."""
    await model(shop.connection, shop.store, "weekly", auto_cancel=True)
    order_id = await bought(shop.connection, shop.store, "weekly")
    for verb in ("_create_subscriptions", "_cancel"):
        assert (await shop.api.update("orders", order_id, {verb: True})).status_code == 200


async def deleted(shop: Shop) -> None:
    """What can be deleted of what has come of other things."""
    for id_, type_ in (
        (await item(shop), "order_subscription_items"),
        ((await draft_item(shop, await shop.subscribe(PLACED)))["id"], "occurrence_items"),
        (await link(shop), "repeat_links"),
        (await order(shop), "orders"),
        (await webhook(shop), "webhooks"),
        (await token(shop), "access_tokens"),
        (await api_client(shop), "api_clients"),
        (await draft(shop), "order_subscriptions"),
    ):
        await shop.api.send("DELETE", f"{type_}/{id_}")


async def unreadable(shop: Shop) -> None:
    """An import can't be read to its end."""
    broken = await shop.api.create("imports", {"resource_type": "skus", "inputs": 'code,name\n"TEA,Tea\n'})
    await imports.go_on(shop.connection, shop.store.id, broken["id"])


async def taken_out(shop: Shop) -> None:
    """An export is written, and another one has been begun too often."""
    for attempt in (0, exports.MOST_ATTEMPTS):
        made = await shop.api.create("exports", {"resource_type": "skus"})
        await shop.connection.execute("update exports set attempt = $2 where id = $1", made["id"], attempt)
        await exports.take_out(shop.database, shop.store.id, made["id"])


async def sold_out(shop: Shop) -> None:
    """An order is copied, and placed at once, whose sku is gone from the stock."""
    order_id = await factories.full_order(shop.connection, shop.store, [Line(shop.sku)])
    await shop.connection.execute("update stock_items set quantity = 0 where store_id = $1", shop.store.id)
    asked = {"place_target_order": True}
    made = await shop.api.create("order_copies", asked, {"source_order": to("orders", order_id)})
    await CopyJob(shop.database).make(shop.store.id, [made["id"]])


async def declined(shop: Shop) -> None:
    """The payment of a run is refused."""
    run = await prepare(shop.database, shop.connection, shop.store, token="tok_decline")
    await run.begin()
    await run.pay()


async def barred(shop: Shop) -> None:
    """A run stays unpaid: its card can't ever be charged."""
    run = await prepare(shop.database, shop.connection, shop.store, token="tok_decline_hard")
    await run.begin()
    await run.pay()


async def expiring(shop: Shop) -> None:
    """A card expires before the run that it is to pay."""
    at = await shop.connection.fetchval("select frozen_at from test_clocks where store_id = $1", shop.store.id)
    run = await prepare(shop.database, shop.connection, shop.store, next_run_at=at + timedelta(days=20))
    await shop.connection.execute(
        "update customer_payment_sources set expires_at = $3 where store_id = $1 and id = $2",
        shop.store.id, run.source_id, at + timedelta(days=10),
    )  # fmt: skip
    await sweep.sweep_store(shop.database, shop.store.id)


async def nowhere(shop: Shop) -> None:
    """The time zone of a subscription can't be read."""
    id_ = await shop.subscribe(PLACED)
    await shop.connection.execute(
        "update order_subscriptions set timezone = 'Europe/Nowhere' where store_id = $1 and id = $2", shop.store.id, id_
    )
    await shop.wait_until("2026-04-02 09:00")


async def commanded(_: Shop, database_url: str) -> None:
    """Whoever runs the service rotates its keys, and makes the database this installation's."""
    for command in (("keys", "rotate"), ("adopt",)):
        done = await asyncio.to_thread(
            reprise, *command, DATABASE_URL=database_url, REPRISE_SECRET_KEYS="first-key-of-the-tests"
        )
        assert done.code == 0, done.err


async def unanswered(shop: Shop, database_url: str) -> None:
    """A webhook's receiver fails until its circuit opens."""
    async with receiver() as hooks:
        told = await hook(shop.api, hooks.url("fail", shop.store.id), payload="thin")
        await happens(shop.api, 30)

        async def stopped() -> bool:
            return await health(shop.connection, shop.store, told) == "stopped"

        async with telling(database_url):
            await until(stopped, 120)


SCENES: Final[tuple[Scene, ...]] = (
    no_line, moved, named, acted, ended, replaced, cancelled, deleted, unreadable, taken_out, sold_out, declined,
    nowhere, barred,
    expiring,
)  # fmt: skip
SERVED: Final[tuple[Served, ...]] = (commanded, unanswered)
