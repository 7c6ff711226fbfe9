"""Stores with many subscriptions that are due, and what must have become of them in the end.

What is expected is noted while the subscriptions are made, by plain counting: neither calendar nor ledger is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service import clock
from service.operations.tenant import tenants
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.factories import Line, Sku

SKUS = 20
STOCK = 10_000_000
PAGE = 10_000

Expected = Counter[tuple[int, str, int]]
"""How many orders there are to be by store, subscription and occurrence: one each."""

FIRST_DUE = timedelta(minutes=20)
"""How long ago the last occurrence fell due: the next hourly one is far enough ahead for any run."""


@dataclass(frozen=True)
class World:
    """Stores, what is expected of them, and the skus that their subscriptions order one of each time."""

    stores: Sequence[Store]
    expected: Expected


async def build(connection: Connection, *, store_count: int, subscriptions: int, first_store: int = 1) -> World:
    """Make stores that share so many due subscriptions: weekly ones with one occurrence, every fourth hourly with 3."""
    at = clock.now()
    expected: Expected = Counter()
    made: list[Store] = []
    for position in range(store_count):
        number = first_store + position
        store = await tenants.create(connection, store_id=number, name=f"Chaos {number}", at=at)
        made.append(store)
        skus = [await factories.sku(connection, store, price=1000, stock=STOCK) for _ in range(SKUS)]
        order_id = await factories.full_order(connection, store, [Line(skus[0])], placed_at=at - timedelta(days=60))
        for first in range(position, subscriptions, store_count * PAGE):
            numbers = range(first, min(subscriptions, first + store_count * PAGE), store_count)
            await _subscribe(connection, store, order_id, skus, numbers=numbers, at=at)
        for n in range(position, subscriptions, store_count):
            for index in range(1, _runs(n) + 1):
                expected[number, f"sub-{n}", index] = 1
    await connection.execute("analyze")
    return World(made, expected)


def _runs(n: int) -> int:
    return 3 if n % 4 == 3 else 1


async def _subscribe(
    connection: Connection, store: Store, order_id: str, skus: Sequence[Sku], *, numbers: Sequence[int], at: datetime
) -> None:
    """Insert active subscriptions, each of one piece of one sku, the first due occurrence of which has index 1."""
    due = [at - FIRST_DUE - timedelta(hours=_runs(n) - 1) for n in numbers]
    anchors = [
        due_at - (timedelta(hours=1) if _runs(n) > 1 else timedelta(weeks=1))
        for n, due_at in zip(numbers, due, strict=True)
    ]
    await connection.execute(
        """
        insert into order_subscriptions (
            store_id, id, number, status, frequency, timezone, source_order_id, customer_id, customer_email, anchor_at,
            starts_at, next_run_at, catchup_policy, created_at, updated_at
        )
        select
            $1, 'sub-' || given.n, given.n + 1, 'active', given.frequency, 'UTC', orders.id, orders.customer_id,
            orders.customer_email, given.anchor_at, given.anchor_at, given.due_at, 'run_all', $7, $7
        from unnest($3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[])
            as given (n, frequency, anchor_at, due_at)
        inner join orders on orders.store_id = $1 and orders.id = $2
        """,
        store.id,
        order_id,
        list(numbers),
        ["hourly" if _runs(n) > 1 else "weekly" for n in numbers],
        anchors,
        due,
        at,
    )
    chosen = [skus[n % len(skus)] for n in numbers]
    await connection.execute(
        """
        insert into order_subscription_items (
            store_id, id, order_subscription_id, sku_id, sku_code, name, quantity, currency_code, unit_amount_cents,
            total_amount_cents, created_at, updated_at
        )
        select
            $1, 'item-' || given.n, 'sub-' || given.n, given.sku_id, given.sku_code, 'One', 1, $5, 1000, 1000, $6, $6
        from unnest($2::bigint[], $3::text[], $4::text[]) as given (n, sku_id, sku_code)
        """,
        store.id,
        list(numbers),
        [sku.id for sku in chosen],
        [sku.code for sku in chosen],
        store.currency_code,
        at,
    )


async def send_through_the_queue(connection: Connection) -> None:
    """Have a third of the subscriptions go on without what can't be had: their runs are made by jobs, not at once."""
    await connection.execute(
        "update order_subscriptions set unavailable_policy = 'partial' where number % 3 = 0 and status = 'active'"
    )


async def left(connection: Connection) -> int:
    """How many subscriptions are due, and copies unfinished: nothing is left when this is 0."""
    return int(
        await connection.fetchval(
            """
            select
                (select count(*) from order_subscriptions where next_run_at <= $1 and status = 'active')
                + (select count(*) from order_factories where status in ('pending', 'in_progress'))
            """,
            clock.now(),
        )
    )


async def verdict(connection: Connection, world: World) -> list[str]:
    """What is wrong in the end, in words; empty when every due occurrence was copied exactly once."""
    rows = await connection.fetch(
        """
        select orders.store_id, orders.order_subscription_id, coalesce(occurrences.occurrence_index, -1), count(*)
        from orders
        left join occurrences on orders.store_id = occurrences.store_id and orders.occurrence_id = occurrences.id
        where orders.order_subscription_id is not null
        group by 1, 2, 3
        """
    )
    found: Expected = Counter({(row[0], row[1], row[2]): row[3] for row in rows})
    wrong = [f"lost: {key}" for key in world.expected - found]
    wrong += [f"doubled: {key}" for key in found - world.expected]
    for store in world.stores:
        sold = await connection.fetchval(
            "select $2 - sum(quantity) from stock_items where store_id = $1", store.id, SKUS * STOCK
        )
        ordered = sum(count for key, count in found.items() if key[0] == store.id)
        if sold != ordered:
            wrong.append(f"store {store.id}: {sold} pieces taken out of the stock for {ordered} orders")
    copies = await connection.fetch("select status, count(*) from order_factories group by status")
    wrong += [f"{row[1]} copies are {row[0]}" for row in copies if row[0] != "completed"]
    return wrong
