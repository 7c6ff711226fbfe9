"""A store in which every type has a resource."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest_asyncio

from service import clock
from service.operations.events import outbox
from service.principal import Store
from service.resources import RESOURCES
from service.rules.recurrence import Calendar
from service.store.pool import Connection
from tests import factories
from tests.samples import SAMPLES
from tests.samples.deriving import row

HOOK = "https://shop.example.com/hooks/reprise"


@pytest_asyncio.fixture
async def world(connection: Connection, store: Store) -> dict[str, str]:
    """One resource of every type in the test's store: type -> id."""
    return await inhabit(connection, store)


async def inhabit(connection: Connection, store: Store) -> dict[str, str]:
    """Put one resource of every type into a store, most of them linked with one another: type -> id."""
    at = clock.now(store)

    async def insert(table: str, **columns: object) -> str:
        return await factories.insert(connection, table, store, **columns)

    group = await insert("customer_groups", name="Friends", code="friends")
    customer = await factories.customer(connection, store, customer_group_id=group)
    source = await factories.payment_source(connection, store, customer)
    sku = await factories.sku(connection, store, price=1999, stock=5, name="Blue T-Shirt")
    lines = [factories.Line(sku, 2)]
    order = await factories.full_order(
        connection,
        store,
        lines,
        code="W1",
        customer_id=customer,
        customer_payment_source_id=source,
        metadata={"foo": "bar"},
    )
    cart = await factories.cart(connection, store, customer_id=customer)
    item = await insert(
        "cart_items",
        cart_id=cart,
        sku_id=sku.id,
        sku_code=sku.code,
        name=sku.name,
        quantity=2,
        currency_code="EUR",
        unit_amount_cents=1999,
        total_amount_cents=3998,
    )
    anchor_at = at - timedelta(days=32)  # one run has failed since, and the next is to come
    calendar = Calendar(anchor_at, store.timezone, "monthly")
    failed_at, coming_at = (calendar.date(index).at for index in (1, 2))
    subscription = await factories.subscription(
        connection, store, order, anchor_at=anchor_at, starts_at=anchor_at, next_index=2, next_run_at=coming_at
    )

    async def run(index: int, run_at: datetime, status: str) -> str:
        of = {"order_subscription_id": subscription, "occurrence_index": index}
        return await insert("occurrences", **of, nominal_at=run_at, scheduled_at=run_at, status=status)

    occurrence, coming = await run(1, failed_at, "failed"), await run(2, coming_at, "planned")
    copy = await insert("order_factories", kind="order_copies", source_order_id=order)
    recurring = await insert(
        "order_factories",
        kind="recurring_order_copies",
        source_order_id=order,
        order_subscription_id=subscription,
        occurrence_id=occurrence,
        status="failed",
        failed_at=at,
        errors_log={"status": ["cannot transition from draft to placed"]},
        errors_count=1,
    )
    reorder = await insert(
        "reorders",
        source_order_id=order,
        cart_id=cart,
        customer_id=customer,
        digest="d",
        added_count=1,
        adjusted_count=0,
        skipped_count=0,
    )
    line = await connection.fetchval("select id from line_items where store_id = $1 limit 1", store.id)
    outcome = await insert(
        "reorder_outcomes",
        reorder_id=reorder,
        position=1,
        source_line_item_id=line,
        cart_item_id=item,
        status="added",
        notices=["price_decreased"],
        name=sku.name,
        requested_quantity=2,
        resulting_quantity=2,
        currency_code="EUR",
        previous_unit_amount_cents=2500,
        current_unit_amount_cents=1999,
    )
    tag = await insert("tags", name="vip")
    await connection.execute(
        "insert into order_tags (store_id, order_id, tag_id) values ($1, $2, $3)", store.id, order, tag
    )
    made = {
        "customer_groups": group,
        "customers": customer,
        "customer_payment_sources": source,
        "skus": sku.id,
        "orders": order,
        "carts": cart,
        "cart_items": item,
        "order_subscriptions": subscription,
        "occurrences": occurrence,
        "occurrence_items": await insert(
            "occurrence_items",
            order_subscription_id=subscription,
            occurrence_id=coming,
            occurrence_index=2,
            sku_id=sku.id,
            sku_code=sku.code,
            name=sku.name,
            quantity=1,
            currency_code="EUR",
            unit_amount_cents=1999,
            total_amount_cents=1999,
        ),
        "action_links": await insert(
            "action_links",
            order_subscription_id=subscription,
            action="delay",
            days=7,
            occurrence_index=1,
            expires_at=at + timedelta(days=7),
        ),
        "order_copies": copy,
        "recurring_order_copies": recurring,
        "order_factories": recurring,
        "reorders": reorder,
        "reorder_outcomes": outcome,
        "line_items": str(line),
        "tags": tag,
        "test_clocks": await insert("test_clocks", name="Paused", frozen_at=at),
        "promotions": await insert("promotions", name="Spring", kind="percent", percentage=10),
        "subscription_models": await insert("subscription_models", name="Monthly", frequencies=["monthly"]),
        "repeat_links": await insert(
            "repeat_links", order_id=order, order_code="W1", kind="custom", key_id="k", max_uses=3
        ),
        "api_clients": await insert(
            "api_clients", client_id="client_1003_q3Xw", name="ERP", kind="integration", hash=bytes(32)
        ),
        "access_tokens": await insert(
            "access_tokens", kind="integration", name="Backend", hint="q3Xw", hash=bytes(32), scopes=["read_orders"]
        ),
        "events": await outbox.record(connection, store, "orders.place", order, actor=f"customers:{customer}"),
        "issuers": await insert(
            "issuers", issuer=HOOK, audience="shop", algorithms=["RS256"], scopes=["read_orders"], name="Sign-in"
        ),
        "refused_authentications": await insert(
            "refused_authentications", kind="revoked", address="203.0.113.7", started_at=at, refusals_count=2
        ),
        "webhooks": await insert(
            "webhooks", topic="orders.*", topics=["orders.*"], callback_url=HOOK, shared_secret="s", health_since=at
        ),
    }
    made["event_callbacks"] = await insert(
        "event_callbacks",
        webhook_id=made["webhooks"],
        event_id=made["events"],
        callback_url=HOOK,
        payload={"data": {"type": "orders", "id": order}},
        next_attempt_at=at,
    )
    for type_, entry in RESOURCES.items():
        if type_ in made or type_ == "tokens":
            continue
        table = entry.resource.table
        there = await connection.fetchval(f"select id from {table} where store_id = $1 limit 1", store.id)
        made[type_] = there or await insert(table, **row(entry.resource, SAMPLES.get(type_), made))
    return made
