"""The demo store: always the same for a seed, free of contradictions, with the documents' samples in it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.demo import load
from service.demo.documents import CUSTOMER_ID, SESSION, add_documents, add_fittings
from service.demo.generator import Amounts, generate
from service.demo.rows import Sheet
from service.errors import StartupError
from service.operations.tenant import tenants
from service.principal import Store
from service.store.checks import violations
from service.store.pool import Connection, Database
from service.store.vault import vault_of

AT = datetime(2026, 5, 31, 10, 0, tzinfo=UTC)
ZONE = "Europe/Amsterdam"
AMOUNTS = Amounts(customers=60, skus=80, orders=300, subscriptions=30)

_numbers = itertools.count(700_001)


def plan(**options: int) -> load.Plan:
    amounts = {"customers": 60, "skus": 80, "orders": 300, "subscriptions": 30} | options
    return load.Plan(store=next(_numbers), **amounts)


def sheet(seed: int = 1, at: datetime = AT) -> Sheet:
    made = Sheet(1003, "market", "EUR", seed, at)
    fittings = add_fittings(made)
    add_documents(made, fittings, ZONE)
    for _ in generate(made, fittings, ZONE, AMOUNTS):
        pass
    return made


def without_times(made: Sheet) -> dict[str, list[dict[str, Any]]]:
    return {
        table: [{name: value for name, value in row.items() if not isinstance(value, datetime)} for row in rows]
        for table, rows in made.rows.items()
    }


def test_a_seed_always_gives_the_same_rows_and_another_seed_others() -> None:
    assert sheet().rows == sheet().rows
    assert without_times(sheet(seed=2))["orders"] != without_times(sheet())["orders"]


def test_times_keep_their_distance_from_the_instant_of_seeding() -> None:
    now, later = sheet(), sheet(at=AT + timedelta(days=7))
    assert [row["id"] for row in now.rows["skus"]] == [row["id"] for row in later.rows["skus"]]
    ages = [[made.at - row["created_at"] for row in made.rows["skus"]] for made in (now, later)]
    assert ages[0] == ages[1]


def test_nothing_happens_in_the_future_but_what_is_planned() -> None:
    made = sheet()
    for table, rows in made.rows.items():
        for row in rows:
            assert row.get("created_at", AT) <= AT, table
            assert (row.get("placed_at") or AT) <= AT, table
    planned = [row for row in made.rows["occurrences"] if row["status"] == "planned"]
    assert planned
    assert all(row["scheduled_at"] > AT for row in planned)


def test_everybody_is_obviously_made_up() -> None:
    made = sheet()
    emails = [row["email"] for row in made.rows["customers"]]
    assert len(set(emails)) == len(emails) > 25
    assert all(email.endswith(("@example.com", "@example.nl")) for email in emails)


async def test_a_seeded_store_breaks_no_invariant_and_gives_out_no_number_twice(connection: Connection) -> None:
    wanted = plan()
    assert await load.seed(connection, wanted, AT)
    found = [violation for violation in await violations(connection) if violation.store_id == wanted.store]
    assert found == []
    for kind, table in (("orders", "orders"), ("skus", "skus"), ("order_subscriptions", "order_subscriptions")):
        ahead = f"""
            select next_number > (select max(number) from {table} where store_id = $1)
            from number_blocks where store_id = $1 and kind = $2
        """
        assert await connection.fetchval(ahead, wanted.store, kind)


async def test_the_amounts_are_those_asked_for_beside_the_documents(connection: Connection) -> None:
    wanted = plan()
    progress: list[int] = []
    assert await load.seed(connection, wanted, AT, lambda done, _: progress.append(done))
    assert progress[-1] == 300
    counts = {
        table: await connection.fetchval(f"select count(*) from {table} where store_id = $1", wanted.store)
        for table in ("customers", "skus", "orders", "order_subscriptions")
    }
    copies = await connection.fetchval(
        "select count(*) from orders where store_id = $1 and source_order_id is not null", wanted.store
    )
    assert counts == {"customers": 61, "skus": 90, "orders": 309 + copies, "order_subscriptions": 34}
    assert copies > 0
    for problem in (
        "select from skus where store_id = $1 and disabled_at is not null",
        "select from skus where store_id = $1 and deleted_at is not null",
        "select from stock_items where store_id = $1 and quantity = 0",
        "select from prices where store_id = $1 and expires_at is not null",
        "select from customer_payment_sources where store_id = $1",
        "select from order_factories where store_id = $1 and status = 'completed'",
    ):
        assert await connection.fetch(problem, wanted.store), problem


async def test_the_samples_of_the_documents_are_there(connection: Connection) -> None:
    wanted = plan(customers=0, skus=0, orders=0, subscriptions=0)
    assert await load.seed(connection, wanted, AT)
    codes = await connection.fetch(
        "select code from orders where store_id = $1 and status in ('placed', 'approved')", wanted.store
    )
    assert {"JJ5HH", "EG4H2", "J77J8", "SALE-G01ZG"} <= {row["code"] for row in codes}
    lines = await connection.fetch(
        """
        select skus.number, skus.name, line_items.quantity, skus.disabled_at is not null as disabled
        from orders
        inner join line_items on line_items.store_id = $1 and line_items.order_id = orders.id
        inner join skus on skus.store_id = $1 and skus.id = line_items.sku_id
        where orders.store_id = $1 and orders.number = 2502 and orders.customer_id = $2
        order by line_items.position
        """,
        wanted.store,
        CUSTOMER_ID,
    )
    assert [tuple(row) for row in lines] == [
        (42, "Blue T-Shirt", 2, False),
        (13, "Cotton Mug", 1, False),
        (7, "Discontinued Mug", 1, True),
    ]
    cart = "select id, session, status from carts where store_id = $1 and customer_id = $2 and status = 'active'"
    (found,) = await connection.fetch(cart, wanted.store, CUSTOMER_ID)
    assert vault_of(connection).open("carts.session", wanted.store, found["id"], found["session"]) == SESSION
    subscription = await connection.fetchrow(
        """
        select subscription.status, subscription.frequency, subscription.source_order_id,
            orders.status as order_status, orders.billing_address_id, orders.shipping_address_id
        from order_subscriptions as subscription
        inner join orders on orders.store_id = $1 and orders.id = subscription.source_order_id
        where subscription.store_id = $1 and subscription.id = 'BCDRtyUpBa'
        """,
        wanted.store,
    )
    assert subscription is not None
    assert tuple(subscription)[:4] == ("active", "monthly", "ABCRtyUpBa", "placed")
    assert subscription["billing_address_id"] != subscription["shipping_address_id"]


async def test_seeding_again_changes_nothing_and_other_data_are_refused(connection: Connection) -> None:
    wanted = plan(orders=20, subscriptions=2)
    assert not await load.holds_demo(connection, wanted.store)
    assert await load.seed(connection, wanted, AT)
    assert await load.holds_demo(connection, wanted.store)
    count = "select count(*) from orders where store_id = $1"
    before = await connection.fetchval(count, wanted.store)
    assert await load.seed(connection, wanted, AT + timedelta(days=1)) is False
    with pytest.raises(StartupError, match="holds other data"):
        await load.seed(connection, load.Plan(wanted.store, orders=100), AT)
    assert await connection.fetchval(count, wanted.store) == before


async def test_a_store_that_was_not_seeded_is_left_alone(connection: Connection, store: Store) -> None:
    with pytest.raises(StartupError, match="holds other data"):
        await load.seed(connection, load.Plan(store.id), AT)
    assert await connection.fetchval("select count(*) from skus where store_id = $1", store.id) == 0


async def test_an_interrupted_seed_leaves_nothing(database: Database, connection: Connection) -> None:
    wanted = plan()

    def interrupt(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await load.seed(connection, wanted, AT, interrupt)
    async with database.connection() as another:
        assert await tenants.find(another, wanted.store) is None
    assert await load.seed(connection, wanted, AT)


@pytest.mark.parametrize("options", [{"orders": 1, "subscriptions": 2}, {"skus": 0}, {"customers": 0}])
async def test_a_plan_that_cannot_be_carried_out_is_refused(connection: Connection, options: dict[str, int]) -> None:
    wanted = plan(**options)
    with pytest.raises(StartupError):
        await load.seed(connection, wanted, AT)
    assert await tenants.find(connection, wanted.store) is None
