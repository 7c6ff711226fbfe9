"""What is delivered of what isn't paid for, and how often something is paid when everybody acts at once."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from service import clock
from service.jobs.copy import CopyJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.faults.playing import Shop, on
from tests.jobs.test_prepaid import OWN, PLACED, foretold, orders, paid
from tests.jobs.test_sweep import swept
from tests.sealed import put
from tests.spec.writing import Api, offenders, to


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Thursday 8 January 2026."""
    return await Shop.open(api, database, connection, store, "2026-01-08 12:00")


async def by_card(shop: Shop, token: str, **attributes: Any) -> tuple[str, str]:
    """A weekly subscription that is paid from a wallet; gives its id, and that of the source in the wallet."""
    connection, store = shop.connection, shop.store
    customer_id = await factories.customer(connection, store)
    method_id = await factories.payment_method(connection, store, name="Card", gateway="test")
    source_id = await factories.payment_source(
        connection, store, customer_id, gateway="test", payment_method_id=method_id, payment_source_token=token
    )
    order_id = await factories.full_order(
        connection,
        store,
        [Line(shop.sku, 2)],
        customer_id=customer_id,
        payment_method_id=method_id,
        customer_payment_source_id=source_id,
        placed_at=on(PLACED),
    )
    sent = {"frequency": "weekly", "prepaid_occurrences": 3, **attributes}
    made = await shop.api.create("order_subscriptions", sent, {"source_order": to("orders", order_id)})
    return str(made["id"]), source_id


async def test_a_card_is_asked_once_in_a_period(shop: Shop) -> None:
    id_, _ = await by_card(shop, "tok_approve")
    await shop.wait_until("2026-02-10 00:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0, 3 * OWN, 0]
    asked = await shop.connection.fetch(
        "select amount_cents from payment_attempts where store_id = $1 order by id", shop.store.id
    )
    assert [row["amount_cents"] for row in asked] == [3 * OWN, 3 * OWN]


async def test_nothing_is_delivered_for_nothing(shop: Shop, connection: Connection, store: Store) -> None:
    id_, source_id = await by_card(shop, "tok_decline")
    await shop.wait_until("2026-01-20 00:00")
    (first,) = await orders(shop, id_)
    assert (first["status"], first["prepaid_amount_cents"]) == ("pending", 2 * OWN)
    delivered, kept_back, *_ = await shop.occurrences(id_)
    assert (delivered["status"], kept_back["status"], kept_back["failure_type"]) == ("completed", "failed", "payment")
    failed = (await shop.api.get("events?filter[name]=order_subscriptions.last_run_failed&sort=created_at"))["data"]
    assert failed[-1]["attributes"]["payload"]["reasons"] == {"prepaid_order": ["is not paid yet"]}
    forecast = (await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=1"))["data"][0]["attributes"]
    assert (forecast["total_amount_cents"], forecast["errors_log"]) == (None, {"prepaid_order": ["is not paid yet"]})
    assert (await shop.look(id_))["prepaid_occurrences_left"] == 2

    await put(connection, store, "customer_payment_sources", source_id, payment_source_token="tok_approve")
    placed = await shop.api.update("orders", first["id"], {"_place": True})
    assert placed.status_code == 200, placed.text
    assert await foretold(shop, id_, 3) == [0, 0, 3 * OWN]
    assert (await shop.api.update("occurrences", kept_back["id"], {"_retry": True})).status_code == 200
    await shop.wait_until("2026-02-03 00:00")
    assert await paid(shop, id_) == [3 * OWN, 0, 0, 3 * OWN]
    assert not await offenders(connection, store)


async def test_what_comes_on_top_is_asked_for_and_what_was_paid_for_is_not(
    shop: Shop, connection: Connection, store: Store
) -> None:
    id_, source_id = await by_card(shop, "tok_approve")
    await shop.wait_until("2026-01-13 00:00")
    extra = await factories.sku(connection, store, price=700, stock=100)
    sent = {"sku_code": extra.code, "quantity": 1, "occurrence_index": 2}
    await shop.api.create("occurrence_items", sent, {"order_subscription": to("order_subscriptions", id_)})
    await put(connection, store, "customer_payment_sources", source_id, payment_source_token="tok_decline")
    await shop.wait_until("2026-01-20 00:00")
    _, waits = await orders(shop, id_)
    assert (waits["status"], waits["total_amount_cents"], waits["prepaid_amount_cents"]) == ("pending", 700, -OWN)
    refused = await shop.api.update("orders", waits["id"], {"_refresh_prices": True})
    assert refused.status_code == 409, "what was agreed on stays"
    await put(connection, store, "customer_payment_sources", source_id, payment_source_token="tok_approve")
    assert (await shop.api.update("orders", waits["id"], {"_place": True})).status_code == 200
    await shop.wait_until("2026-01-27 00:00")
    assert await paid(shop, id_) == [3 * OWN, 700, 0]
    assert not await offenders(connection, store)


async def test_paid_at_once_by_all_sweeps_and_presses_together(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    line = Line(await factories.sku(connection, store, price=1900, stock=1000), 2)
    made: list[str] = []
    for _ in range(3):
        order_id = await factories.full_order(connection, store, [line], placed_at=clock.now() - timedelta(days=15))
        overdue: dict[str, Any] = {
            "anchor_at": clock.now() - timedelta(days=15),
            "next_run_at": clock.now() - timedelta(days=8),
        }
        terms: dict[str, Any] = {"frequency": "weekly", "prepaid_occurrences": 3, "catchup_policy": "run_all"}
        made.append(await factories.subscription(connection, store, order_id, **terms, **overdue))
    for _ in range(3):
        order_id = await factories.full_order(connection, store, [line], placed_at=clock.now() - timedelta(days=6))
        sent = {"frequency": "weekly", "prepaid_occurrences": 3}
        one = await api.create("order_subscriptions", sent, {"source_order": to("orders", order_id)})
        made.append(one["id"])
    presses = [api.update("order_subscriptions", id_, {"_order_next_now": True}) for id_ in made[3:] for _ in range(8)]
    sweeps = [swept(database, store) for _ in range(4)]
    await asyncio.gather(asyncio.gather(*presses), asyncio.gather(*sweeps))
    pending = await connection.fetch(
        "select id from order_factories where store_id = $1 and status = 'pending'", store.id
    )
    copies = [row["id"] for row in pending]
    await asyncio.gather(*(CopyJob(database).make(store.id, copies) for _ in range(3)))
    for turn, id_ in enumerate(made):
        found = await connection.fetch(
            "select prepaid_amount_cents from orders where store_id = $1 and order_subscription_id = $2",
            store.id,
            id_,
        )
        amounts = [row["prepaid_amount_cents"] for row in found]
        assert sorted(amounts, reverse=True) == ([2 * OWN, -OWN] if turn < 3 else [2 * OWN])
        left = await connection.fetchval(
            "select prepaid_occurrences_left from order_subscriptions where store_id = $1 and id = $2", store.id, id_
        )
        assert left == 3 - len(amounts)
    assert not await offenders(connection, store)


@pytest.mark.parametrize("seed", range(2))
async def test_over_a_year_what_is_paid_is_what_the_deliveries_cost_when_their_periods_began(
    shop: Shop, connection: Connection, store: Store, seed: int
) -> None:
    """A plain model: it knows when orders were made, what things cost then, and counts to the number of a period."""
    chance = random.Random(seed)
    numbers = {await by_manual(shop, number): number for number in (2, 3, 5)}
    price, prices = 1900, [(on("2026-01-01 00:00"), 1900)]
    for month in range(2, 13):
        await shop.wait_until(f"2026-{month:02}-01 12:00")
        for id_ in numbers:
            for verb in ("_skip_next", "_order_next_now", "_run_now"):
                if chance.random() < 0.3:
                    await shop.edit(id_, **{verb: True})
        if chance.random() < 0.5:
            price = chance.randrange(500, 4000)
            await factories.set_price(connection, store, shop.sku, price)
            prices.append((on(f"2026-{month:02}-01 12:00"), price))
        await shop.wait_until(f"2026-{month:02}-01 13:00")
    await shop.wait_until("2027-01-08 12:00")
    for id_, each in numbers.items():
        left = own = 0
        for one in await regular(shop, id_):
            if not left:
                (own,) = [2 * cents + 495 for since, cents in prices if since <= one["created_at"]][-1:]
                asked = each * own
            else:
                asked = 0
            left = (left or each) - 1
            assert one["total_amount_cents"] == asked, (seed, id_, one)
            assert one["subtotal_amount_cents"] + one["shipping_amount_cents"] == own
        assert (await shop.look(id_))["prepaid_occurrences_left"] == left
    assert not await offenders(connection, store)


async def by_manual(shop: Shop, number: int) -> str:
    return await shop.subscribe(PLACED, frequency="monthly", prepaid_occurrences=number, price_mode="current")


async def regular(shop: Shop, id_: str) -> list[Any]:
    """Its orders of the schedule as they are kept, the oldest first."""
    return await shop.connection.fetch(
        "select * from orders where store_id = $1 and order_subscription_id = $2 and occurrence_id is not null"
        " order by created_at, number",
        shop.store.id,
        id_,
    )
