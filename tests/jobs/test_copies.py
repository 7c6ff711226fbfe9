"""Recurring order copies: what is made, what fails, and that it is one order whatever happens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import orjson
import pytest

import schemas  # noqa: F401 -- declares the graph
from service import clock
from service.operations.copies import recurring_order_copies
from service.operations.copies.priced import CopyFailed
from service.operations.generic.numbers import Numbers
from service.principal import Store
from service.rules.order_codes import unscramble
from service.store.pool import Connection, Database
from tests import counted, factories
from tests.factories import Line
from tests.jobs.steps import (
    ask,
    bearer,
    claim,
    claim_surely,
    finish,
    make,
    names_of,
    offences,
    pair,
    refusal,
    row,
)
from tests.spec.writing import Api
from tests.support import Access

# --- making one ---


async def test_the_target_order_is_the_subscription_s_items_for_its_customer(
    database: Database, connection: Connection, store: Store
) -> None:
    await connection.execute(
        "update stores set order_prefix = 'SALE-', order_suffix = '-X' where store_id = $1", store.id
    )
    order_id, subscription_id = await pair(connection, store)
    copy_id = await ask(database, bearer(store), order_id, subscription_id)
    target_id = await make(database, store, copy_id)

    source = await row(connection, "orders", store, order_id)
    target = await row(connection, "orders", store, target_id)
    carried = ("customer_id", "customer_email", "shipping_method_id", "payment_method_id", "currency_code")
    assert [target[name] for name in carried] == [source[name] for name in carried]
    assert (target["status"], target["payment_status"]) == ("pending", "unpaid")
    assert (target["source_order_id"], target["root_order_id"]) == (order_id, order_id)
    assert target["order_subscription_id"] == subscription_id
    assert target["number"] > source["number"]
    assert unscramble(target["code"].removeprefix("SALE-").removesuffix("-X")) == target["number"]
    assert (target["subtotal_amount_cents"], target["total_amount_cents"]) == (4650, 4650 + 495)
    assert target["subtotal_tax_amount_cents"] == target["total_tax_amount_cents"] == 660 + 148
    lines = await connection.fetch(
        "select name, quantity, unit_amount_cents, tax_amount_cents, position from line_items"
        " where store_id = $1 and order_id = $2 order by position",
        store.id,
        target_id,
    )
    assert [(line["quantity"], line["unit_amount_cents"], line["tax_amount_cents"]) for line in lines] == [
        (2, 1900, 660),
        (1, 850, 148),
    ]
    assert [line["position"] for line in lines] == [1, 2]

    copy = await row(connection, "order_factories", store, copy_id)
    assert (copy["status"], copy["target_order_id"], copy["lease_expires_at"]) == ("completed", target_id, None)
    assert copy["started_at"] <= copy["completed_at"]
    subscription = await row(connection, "order_subscriptions", store, subscription_id)
    assert (subscription["occurrencies"], subscription["succeeded_on_last_run"]) == (1, True)
    assert subscription["last_run_at"] == copy["completed_at"]
    assert subscription["next_run_at"] is None
    assert await names_of(connection, store, target_id) == ["orders.create", "orders.pending"]
    assert await names_of(connection, store, copy_id) == [
        "recurring_order_copies.create",
        "recurring_order_copies.start",
        "recurring_order_copies.complete",
    ]
    assert await names_of(connection, store, subscription_id) == ["order_subscriptions.last_run_succeeded"]
    assert await offences(connection, store) == []


async def test_addresses_are_new_snapshots(database: Database, connection: Connection, store: Store) -> None:
    order_id, subscription_id = await pair(connection, store)
    own = await factories.address(connection, store, city="Zwolle", snapshot=True)
    await connection.execute(
        "update order_subscriptions set shipping_address_id = $3 where store_id = $1 and id = $2",
        store.id,
        subscription_id,
        own,
    )
    target_id = await make(database, store, await ask(database, bearer(store), order_id, subscription_id))
    source = await row(connection, "orders", store, order_id)
    target = await row(connection, "orders", store, target_id)
    billing = await row(connection, "addresses", store, target["billing_address_id"])
    shipping = await row(connection, "addresses", store, target["shipping_address_id"])
    assert len({billing["id"], shipping["id"], own, source["billing_address_id"], source["shipping_address_id"]}) == 5
    assert (billing["city"], shipping["city"]) == ("Utrecht", "Zwolle")
    assert billing["snapshot"]
    assert shipping["snapshot"]


async def test_copies_of_copies_know_their_root(database: Database, connection: Connection, store: Store) -> None:
    order_id, subscription_id = await pair(connection, store)
    first = await make(database, store, await ask(database, bearer(store), order_id, subscription_id))
    again = await factories.subscription(connection, store, first)
    second = await make(database, store, await ask(database, bearer(store), first, again))
    target = await row(connection, "orders", store, second)
    assert (target["source_order_id"], target["root_order_id"]) == (first, order_id)


@pytest.mark.rule("FM-74")
async def test_fixed_prices_stay_and_current_ones_follow(
    database: Database, connection: Connection, store: Store
) -> None:
    kept = await factories.sku(connection, store, price=1000)
    gone = await factories.sku(connection, store, price=700)
    current = await factories.sku(connection, store, price=2000)
    lines = [Line(kept), Line(gone), Line(current)]
    order_id = await factories.full_order(connection, store, lines)
    subscription_id = await factories.subscription(connection, store, order_id, lines, price_mode="fixed")
    await connection.execute(
        "update order_subscription_items set price_mode = 'current' where store_id = $1 and sku_id = $2",
        store.id,
        current.id,
    )
    await factories.set_price(connection, store, kept, 1500)
    await factories.set_price(connection, store, current, 2500)
    await connection.execute("delete from prices where store_id = $1 and sku_id = $2", store.id, gone.id)
    await counted.anew(connection, store)
    target_id = await make(database, store, await ask(database, bearer(store), order_id, subscription_id))
    units = await connection.fetch(
        "select unit_amount_cents from line_items where store_id = $1 and order_id = $2 order by position",
        store.id,
        target_id,
    )
    assert [unit["unit_amount_cents"] for unit in units] == [1000, 700, 2500]


async def test_the_wallet_is_used_unless_the_copy_says_otherwise(
    database: Database, connection: Connection, store: Store
) -> None:
    order_id, subscription_id = await pair(connection, store)
    owner = (await row(connection, "orders", store, order_id))["customer_id"]
    wallet = await factories.payment_source(connection, store, owner)
    await connection.execute(
        "update order_subscriptions set customer_payment_source_id = $3 where store_id = $1 and id = $2",
        store.id,
        subscription_id,
        wallet,
    )
    for reuse, expected in ((True, wallet), (False, None)):
        copy_id = await ask(database, bearer(store), order_id, subscription_id, reuse_wallet=reuse)
        target = await row(connection, "orders", store, await make(database, store, copy_id))
        assert target["customer_payment_source_id"] == expected
    assert await offences(connection, store) == []


async def test_a_subscription_says_how_it_is_paid_and_sent_where_its_order_does_not(
    client: httpx2.AsyncClient, integration: Access, database: Database, connection: Connection, store: Store
) -> None:
    order_id, subscription_id = await pair(connection, store)
    lacking = "update orders set payment_method_id = null, shipping_method_id = null where store_id = $1 and id = $2"
    await connection.execute(lacking, store.id, order_id)
    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    assert await refusal(database, store, copy_id) == {
        name: [f"can't be blank: set {name} of the order subscription"]
        for name in ("shipping_method", "payment_method")
    }
    ways = {
        "shipping_method": await factories.shipping_method(connection, store),
        "payment_method": await factories.payment_method(connection, store, name="By transfer"),
    }
    linkage = {name: {"data": {"type": f"{name}s", "id": id_}} for name, id_ in ways.items()}
    await Api(client, integration).update("order_subscriptions", subscription_id, None, linkage)
    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    target = await row(connection, "orders", store, await make(database, store, copy_id))
    assert target["status"] == "placed"
    assert {name: target[f"{name}_id"] for name in ways} == ways


async def test_a_placed_copy_takes_its_stock(database: Database, connection: Connection, store: Store) -> None:
    tracked = await factories.sku(connection, store, stock=5)
    untracked = await factories.sku(connection, store)
    lines = [Line(tracked, 2), Line(tracked, 1, options={"Size": "L"}), Line(untracked, 9)]
    await connection.execute(
        """update skus set options = '[{"name": "Size"}]' where store_id = $1 and id = $2""", store.id, tracked.id
    )
    order_id = await factories.full_order(connection, store, lines)
    subscription_id = await factories.subscription(connection, store, order_id, lines)
    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    target_id = await make(database, store, copy_id)
    target = await row(connection, "orders", store, target_id)
    assert (target["status"], target["payment_status"]) == ("placed", "authorized")
    assert target["placed_at"] is not None
    assert await factories.stock(connection, store, tracked) == 2
    assert await names_of(connection, store, target_id) == ["orders.create", "orders.pending", "orders.place"]
    assert await offences(connection, store) == []


async def test_the_number_of_statements_does_not_grow_with_the_lines(
    database: Database, connection: Connection, store: Store
) -> None:
    counts = []
    for lines in (1, 60):
        products = [await factories.sku(connection, store, stock=9) for _ in range(lines)]
        order_id = await factories.full_order(connection, store, [Line(product) for product in products])
        subscription_id = await factories.subscription(connection, store, order_id)
        copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
        claimed = await claim_surely(database, store, copy_id)
        seen: list[Any] = []
        number = await Numbers(database).take(store.id)
        async with database.transaction() as inner:
            with inner.query_logger(seen.append):
                await recurring_order_copies.finish(inner, [claimed], [number])
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 8


# --- when it can't be made ---


@pytest.mark.rule("FM-150")
async def test_lines_that_can_not_be_had_fail_the_copy(
    database: Database, connection: Connection, store: Store
) -> None:
    fine = await factories.sku(connection, store)
    disabled = await factories.sku(connection, store, code="GONE", disabled_at=datetime(2020, 1, 1, tzinfo=UTC))
    unpriced = await factories.sku(connection, store, code="FREE", price=None)
    lines = [Line(fine), Line(disabled), Line(unpriced)]
    order_id = await factories.full_order(connection, store, lines)
    subscription_id = await factories.subscription(connection, store, order_id, lines, price_mode="current")
    copy_id = await ask(database, bearer(store), order_id, subscription_id)
    messages = await refusal(database, store, copy_id)
    assert messages == {"line_items": ["GONE - product_disabled", "FREE - no_price"]}

    copy = await row(connection, "order_factories", store, copy_id)
    assert (copy["status"], copy["errors_count"], copy["target_order_id"]) == ("failed", 2, None)
    assert orjson.loads(copy["errors_log"]) == messages
    assert copy["failed_at"] is not None
    subscription = await row(connection, "order_subscriptions", store, subscription_id)
    assert (subscription["status"], subscription["errors_count"]) == ("active", 1)
    assert (subscription["occurrencies"], subscription["succeeded_on_last_run"]) == (0, False)
    assert subscription["last_run_at"] == copy["failed_at"]
    assert (await names_of(connection, store, copy_id))[-1] == "recurring_order_copies.fail"
    assert await names_of(connection, store, subscription_id) == ["order_subscriptions.last_run_failed"]
    told = await connection.fetch(
        "select payload, changes from events where store_id = $1 and name = any($2) order by name",
        store.id, ["order_subscriptions.last_run_failed", "recurring_order_copies.fail"],
    )  # fmt: skip
    why = {"copy_id": copy_id, "occurrence_id": None, "source_order_id": order_id, "reasons": messages}
    why |= {"failure_type": "inventory"}
    assert [orjson.loads(one["payload"]) for one in told] == [why, why]
    assert orjson.loads(told[1]["changes"]) == {"status": {"from": "in_progress", "to": "failed"}}
    assert await connection.fetchval("select count(*) from orders where store_id = $1", store.id) == 1
    assert await offences(connection, store) == []


async def test_too_little_stock_fails_a_copy_to_be_placed_and_takes_nothing(
    database: Database, connection: Connection, store: Store
) -> None:
    plenty = await factories.sku(connection, store, stock=10)
    scarce = await factories.sku(connection, store, stock=1, code="RARE")
    order_id = await factories.full_order(connection, store, [Line(plenty, 3), Line(scarce, 2)])
    subscription_id = await factories.subscription(connection, store, order_id)
    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    assert await refusal(database, store, copy_id) == {"line_items": ["RARE - out_of_stock"]}
    assert await factories.stock(connection, store, plenty) == 10
    assert await factories.stock(connection, store, scarce) == 1
    unplaced = await ask(database, bearer(store), order_id, subscription_id)
    assert await make(database, store, unplaced), "a pending order needs no stock yet"


async def test_an_order_without_a_customer_fails_in_the_contract_s_words(
    database: Database, connection: Connection, store: Store
) -> None:
    order_id = await factories.order(connection, store, [Line(await factories.sku(connection, store))])
    subscription_id = await factories.subscription(connection, store, order_id)
    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    assert await refusal(database, store, copy_id) == {"status": ["cannot transition from draft to placed"]}


async def test_a_subscription_cancelled_meanwhile_makes_no_order(
    database: Database, connection: Connection, store: Store
) -> None:
    order_id, subscription_id = await pair(connection, store)
    copy_id = await ask(database, bearer(store), order_id, subscription_id)
    await connection.execute(
        "update order_subscriptions set status = 'cancelled', cancelled_at = $2 where store_id = $1",
        store.id,
        clock.now(),
    )
    assert await refusal(database, store, copy_id) == {"order_subscription": ["is cancelled"]}


async def test_two_copies_race_for_the_last_one(database: Database, connection: Connection, store: Store) -> None:
    last = await factories.sku(connection, store, stock=1)
    claims = []
    for _ in range(4):
        order_id = await factories.full_order(connection, store, [Line(last)])
        subscription_id = await factories.subscription(connection, store, order_id)
        copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
        claims.append(await claim_surely(database, store, copy_id))
    results = await asyncio.gather(*(finish(database, claimed) for claimed in claims), return_exceptions=True)
    assert sum(isinstance(result, str) for result in results) == 1
    assert sum(isinstance(result, CopyFailed) for result in results) == 3
    assert await factories.stock(connection, store, last) == 0


# --- one order, whatever happens ---


async def test_one_of_many_claims_wins(database: Database, connection: Connection, store: Store) -> None:
    copy_id = await ask(database, bearer(store), *await pair(connection, store))
    claims = await asyncio.gather(*(claim(database, store, copy_id) for _ in range(8)))
    assert [claimed.attempt for claimed in claims if claimed is not None] == [1]
    async with database.connection() as inner:
        ends = await recurring_order_copies.lease_end(inner, store.id, [copy_id])
    assert ends is not None
    assert ends > clock.now()


async def test_an_expired_lease_passes_the_copy_on_and_leaves_the_first_worker_nothing(
    database: Database, connection: Connection, store: Store
) -> None:
    copy_id = await ask(database, bearer(store), *await pair(connection, store))
    slow = await claim(database, store, copy_id, lease=timedelta(0))
    quick = await claim(database, store, copy_id)
    assert slow is not None
    assert quick is not None
    assert (slow.attempt, quick.attempt) == (1, 2)
    assert await finish(database, slow) is None
    async with database.transaction() as inner:
        await recurring_order_copies.fail(inner, slow, CopyFailed({"base": ["too late"]}))
        await recurring_order_copies.release(inner, [slow])
    assert (await row(connection, "order_factories", store, copy_id))["status"] == "in_progress"
    target_id = await finish(database, quick)
    assert target_id is not None
    assert await finish(database, quick) is None, "what is completed is not made again"
    assert await claim(database, store, copy_id) is None
    copied = "select count(*) from orders where store_id = $1 and source_order_id is not null"
    assert await connection.fetchval(copied, store.id) == 1
    assert (await names_of(connection, store, copy_id)).count("recurring_order_copies.start") == 1


async def test_two_finishes_of_one_claim_make_one_order(
    database: Database, connection: Connection, store: Store
) -> None:
    copy_id = await ask(database, bearer(store), *await pair(connection, store))
    claimed = await claim_surely(database, store, copy_id)
    made = await asyncio.gather(*(finish(database, claimed) for _ in range(4)))
    assert len([order_id for order_id in made if order_id is not None]) == 1


async def test_a_store_on_a_test_clock_copies_in_its_own_time(
    database: Database, connection: Connection, store: Store
) -> None:
    then = datetime(2031, 5, 31, 12, 30, tzinfo=UTC)
    clock_id = await factories.insert(connection, "test_clocks", store, frozen_at=then)
    await connection.execute("update stores set test_clock_id = $2 where store_id = $1", store.id, clock_id)
    order_id, subscription_id = await pair(connection, store)
    copy_id = await ask(database, bearer(replace(store, frozen_at=then)), order_id, subscription_id)
    target = await row(connection, "orders", store, await make(database, store, copy_id))
    copy = await row(connection, "order_factories", store, copy_id)
    assert copy["created_at"] == copy["started_at"] == copy["completed_at"] == target["created_at"] == then
