"""A small shop's history, and what tests do with one: import it, and look at what it became."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from service.operations.data import files, running
from service.operations.data.importing import Policy, Refusal, Tally
from service.principal import Store
from service.store.checks import violations
from service.store.pool import Connection

NEXT_RUN = "2031-03-28T08:15:00.000Z"

TABLES = (
    "customer_groups", "shipping_methods", "payment_methods", "subscription_models", "tags", "skus", "sku_tags",
    "prices", "stock_items", "promotions", "customers", "customer_tags", "addresses", "customer_payment_sources",
    "orders", "order_tags", "line_items", "order_subscriptions", "order_subscription_tags",
    "order_subscription_items", "occurrences", "occurrence_items", "order_factories",
)  # fmt: skip
"""The tables that a history fills."""

OTHERS = (
    "carts", "cart_items", "repeat_links", "reorders", "reorder_outcomes", "payment_attempts", "events",
    "idempotency_keys", "access_tokens",
)  # fmt: skip
"""The tables of a store that are no history: what is going on, who may ask, and what was told."""

ADDRESS = {"first_name": "Ada", "last_name": "Bell", "line_1": "Canal 1", "city": "Utrecht", "country_code": "NL"}


def shop() -> list[dict[str, Any]]:
    """A record of nearly every type: a customer who bought two things, and has one of them come again."""
    return [
        {"type": "customer_groups", "id": "trade", "name": "Trade", "code": "trade"},
        {"type": "shipping_methods", "id": "post", "name": "Post", "currency_code": "EUR"},
        {
            "type": "payment_methods",
            "id": "card",
            "name": "Card",
            "payment_source_type": "stripe_payments",
            "gateway": "test",
            "currency_code": "EUR",
        },
        {"type": "skus", "id": "tea", "code": "TEA", "name": "Tea", "number": 77, "tags": ["hot", "green"]},
        {"type": "skus", "code": "POT", "name": "Tea pot", "tax_rate": 0.21},
        {"type": "prices", "id": "p1", "sku": {"code": "TEA"}, "currency_code": "EUR", "amount_cents": 450},
        {"type": "stock_items", "sku_id": "tea", "quantity": 12},
        {"type": "customers", "id": "ada", "email": "ada@example.com", "customer_group": {"code": "trade"}},
        {"type": "addresses", "id": "home", "customer_id": "ada", **ADDRESS},
        {
            "type": "customer_payment_sources",
            "id": "visa",
            "customer": {"email": "ada@example.com"},
            "gateway": "test",
            "payment_source_token": "tok_1",
        },
        {
            "type": "orders",
            "id": "o1",
            "number": "4711",
            "code": "OLD-4711",
            "customer_id": "ada",
            "customer_email": "ada@example.com",
            "payment_status": "paid",
            "placed_at": "2019-05-06T07:08:09.123Z",
            "shipping_amount_cents": 495,
            "customer_payment_source_id": "visa",
            "billing_address": ADDRESS,
            "shipping_address": ADDRESS,
            "tags": ["vip"],
            "line_items": [
                {"sku_code": "TEA", "quantity": 3, "unit_amount_cents": 400},
                {"sku_code": "GONE", "name": "No longer sold", "quantity": 1, "unit_amount_cents": 1250},
            ],
        },
        {
            "type": "orders",
            "id": "o2",
            "number": "4712",
            "code": "OLD-4712",
            "customer_id": "ada",
            "source_order_id": "o1",
            "root_order_id": "o1",
            "placed_at": "2019-06-06T07:08:09Z",
            "line_items": [{"sku_code": "TEA", "quantity": 3, "unit_amount_cents": 400}],
        },
        {
            "type": "order_subscriptions",
            "id": "s1",
            "number": "12",
            "status": "active",
            "frequency": "monthly",
            "timezone": "Europe/Amsterdam",
            "source_order_id": "o1",
            "anchor_at": "2031-01-31T08:15:00Z",
            "next_run_at": NEXT_RUN,
            "order_ids": ["o2"],
            "order_subscription_items": [{"sku_code": "TEA", "quantity": 3, "unit_amount_cents": 400}],
        },
    ]


def written(folder: Path, records: Sequence[object], name: str = "shop.ndjson") -> Path:
    """A file with these records."""
    path = folder / name
    path.write_bytes(b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records))
    return path


async def bring(
    connection: Connection,
    store: Store,
    *paths: Path,
    policy: Policy = "refuse",
    dry: bool = False,
    platform: str | None = None,
) -> tuple[Tally, list[Refusal]]:
    """Import files; what became of the records."""
    refusals: list[Refusal] = []
    source = files.open_all(paths, policy, platform=platform, currency=store.currency_code)
    importing = await running.prepare(connection, store, source, policy, actor="operators", dry=dry)
    work = importing.rehearse if dry else importing.run
    tally = await work(lambda _done, _total: None, refusals.extend)
    return tally, refusals


async def sound(connection: Connection, store: Store) -> list[object]:
    """What breaks an invariant in a store."""
    return [violation for violation in await violations(connection) if violation.store_id == store.id]


async def rows(connection: Connection, store: Store, table: str) -> list[asyncpg.Record]:
    """All rows of a table, in the order of all their values."""
    return await connection.fetch(f"select * from {table} where store_id = $1 order by {table}::text", store.id)


def told(refusals: Sequence[Refusal]) -> list[tuple[int, str, str]]:
    """The line, field and reason of each problem."""
    return [
        (entry.place.line, problem.field, str(problem.reason)) for entry, problems in refusals for problem in problems
    ]
