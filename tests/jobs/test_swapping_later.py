"""Another sku in the place of an item's from a run to come on: until then nothing changes, and then all of it does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx2
import orjson
import pytest

from service.operations.subscriptions import sweep
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.faults.playing import Shop, on, short
from tests.jobs.steps import make, names_of, row
from tests.jobs.test_at_once import made_at_once
from tests.jobs.test_subscription_previews import preview, runs
from tests.jobs.test_swapping import Subscribed
from tests.spec.writing import Api, offenders, pointers, to
from tests.support import Grant

SHIRT, MUG = 1900, 700
PLAN = ("swap_occurrence_index", "swap_sku_code", "swap_name", "swap_unit_amount_cents")


@pytest.fixture
async def weekly(
    *, api: Api, database: Database, connection: Connection, store: Store, client: httpx2.AsyncClient, grant: Grant
) -> Subscribed:
    """Two shirts each Monday at 19.00, on Thursday 8 January 2026; mugs are 7.00."""
    shop = await Shop.open(api, database, connection, store, "2026-01-08 12:00")
    mug = await factories.sku(connection, store, price=MUG, code="MUG-BLUE", name="Blue Mug", stock=100)
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly")
    owner = (await row(connection, "order_subscriptions", store, id_))["customer_id"]
    (item,) = (await api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    return Subscribed(shop, id_, item["id"], mug, Api(client, await grant(customer_id=owner)))


async def plan(weekly: Subscribed) -> tuple[Any, ...]:
    """What the item is, and what it is to be from which run on."""
    shown = await weekly.look()
    return shown["sku_code"], *(shown[name] for name in PLAN)


async def told(weekly: Subscribed, most: int = 4) -> list[list[tuple[str, int, int]]]:
    """What the forecast says of the next runs."""
    found = (await weekly.customer.get(f"order_subscriptions/{weekly.id}/forecast?page[size]={most}"))["data"]
    return [
        [(line["sku_code"], line["quantity"], line["current_unit_amount_cents"]) for line in run["attributes"]["lines"]]
        for run in found
    ]


async def test_the_runs_before_stay_as_they_are_and_those_from_it_on_order_the_other_sku(weekly: Subscribed) -> None:
    shop, shirt, mug = weekly.shop, (weekly.shop.sku.code, 2, SHIRT), ("MUG-BLUE", 2, MUG)
    answer = await weekly.swap("MUG-BLUE", _swap_from=3)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["relationships"]["swap_sku"]["data"]["id"] == weekly.mug.id
    planned = (3, "MUG-BLUE", "Blue Mug", MUG)
    assert await plan(weekly) == (shop.sku.code, *planned)
    expected = await told(weekly)
    assert expected == [[shirt], [shirt], [mug], [mug]]
    # Beyond the rows that a subscription has, and page by page.
    far = await weekly.customer.get(f"order_subscriptions/{weekly.id}/forecast?page[size]=2&page[number]=2")
    assert [run["attributes"]["lines"][0]["sku_code"] for run in far["data"]] == ["MUG-BLUE", "MUG-BLUE"]
    await factories.set_price(shop.connection, shop.store, weekly.mug, 900)
    await shop.wait_until("2026-01-20 00:00")
    assert await plan(weekly) == (shop.sku.code, *planned)
    await shop.wait_until("2026-01-27 00:00")
    assert await plan(weekly) == ("MUG-BLUE", None, None, None, None)
    await shop.wait_until("2026-02-03 00:00")
    assert [lines for _, lines in await weekly.lines()] == expected
    assert await offenders(shop.connection, shop.store) == []


async def test_events_tell_what_is_planned_and_when_it_has_come_true(weekly: Subscribed) -> None:
    shop = weekly.shop
    await weekly.swap("MUG-BLUE", _swap_from=2)
    await weekly.swap("MUG-BLUE", _swap_from=2)
    await shop.wait_until("2026-01-20 00:00")
    events = await shop.connection.fetch(
        "select * from events where store_id = $1 and resource_id = $2 order by sequence", shop.store.id, weekly.item
    )
    assert [(event["name"].partition(".")[2], event["actor_type"]) for event in events][-2:] == [
        ("swap", "customers"),
        ("update", "workers"),
    ]
    assert [one["name"] for one in events].count("order_subscription_items.swap") == 1
    planned, became = [orjson.loads(event["changes"]) for event in events[-2:]]
    assert planned["swap_sku_code"] == {"from": None, "to": "MUG-BLUE"}
    assert planned["swap_occurrence_index"] == {"from": None, "to": 2}
    assert "sku_code" not in planned
    assert became["sku_code"] == {"from": shop.sku.code, "to": "MUG-BLUE"}
    assert became["total_amount_cents"] == {"from": 2 * SHIRT, "to": 2 * MUG}
    assert became["swap_occurrence_index"] == {"from": 2, "to": None}


async def test_it_is_taken_back_and_the_next_swap_replaces_it(weekly: Subscribed) -> None:
    shop, shirt = weekly.shop, weekly.shop.sku.code
    bowl = await factories.sku(shop.connection, shop.store, price=500, code="BOWL", name="Bowl", stock=100)
    await weekly.swap("MUG-BLUE", _swap_from=2)
    await weekly.swap("BOWL", _swap_from=4)
    assert await plan(weekly) == (shirt, 4, "BOWL", "Bowl", 500)
    back = await weekly.customer.update("order_subscription_items", weekly.item, {"_unswap": True})
    assert back.status_code == 200, back.text
    assert await plan(weekly) == (shirt, None, None, None, None)
    known = await names_of(shop.connection, shop.store, weekly.item)
    assert known[-1] == "order_subscription_items.unswap"
    again = await weekly.customer.update("order_subscription_items", weekly.item, {"_unswap": True})
    assert (again.status_code, await names_of(shop.connection, shop.store, weekly.item)) == (200, known)
    for attributes in ({"_swap": "MUG-BLUE"}, {"sku_code": "MUG-BLUE"}):
        await weekly.swap(shirt)
        await weekly.swap("BOWL", _swap_from=3)
        done = await weekly.customer.update("order_subscription_items", weekly.item, attributes)
        assert done.status_code == 200, done.text
        assert await plan(weekly) == ("MUG-BLUE", None, None, None, None)
    await weekly.swap("BOWL", _swap_from=2)
    await weekly.swap("MUG-BLUE", _swap_from=5)
    assert await plan(weekly) == ("MUG-BLUE", None, None, None, None)
    await shop.wait_until("2026-01-20 00:00")
    assert [lines for _, lines in await weekly.lines()] == [[("MUG-BLUE", 2, MUG)]] * 2
    assert await factories.stock(shop.connection, shop.store, bowl) == 100


async def test_what_is_chosen_of_the_item_holds_for_both(weekly: Subscribed) -> None:
    """Another quantity or option is checked against what it is to be, too, and its price follows."""
    shop = weekly.shop
    at_six = await factories.sku(shop.connection, shop.store, price=800, code="SIX", name="Six", stock=100)
    await factories.insert(
        shop.connection,
        "prices",
        shop.store,
        sku_id=at_six.id,
        currency_code="EUR",
        amount_cents=600,
        min_quantity=6,
    )
    few = await factories.sku(shop.connection, shop.store, code="FEW", max_quantity=3)
    await weekly.swap("SIX", _swap_from=3)
    done = await weekly.customer.update("order_subscription_items", weekly.item, {"quantity": 6})
    assert done.status_code == 200, done.text
    assert await plan(weekly) == (shop.sku.code, 3, "SIX", "Six", 600)
    await weekly.customer.update("order_subscription_items", weekly.item, {"quantity": 2})
    assert (await weekly.swap(few.code, _swap_from=3)).status_code == 200
    refused = await weekly.customer.update("order_subscription_items", weekly.item, {"quantity": 4})
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/quantity"])
    refused = await weekly.customer.update("order_subscription_items", weekly.item, {"options": {"size": "L"}})
    assert refused.status_code == 422
    assert (await weekly.look())["quantity"] == 2


@pytest.mark.parametrize(
    ("sent", "status", "pointer"),
    [
        ({"_swap": "MUG-BLUE", "_swap_from": 0}, 422, "/data/attributes/_swap_from"),
        ({"_swap": "MUG-BLUE", "_swap_from": 5000}, 422, "/data/attributes/_swap_from"),
        ({"_swap": "MUG-BLUE", "_swap_from": 2**63}, 422, "/data/attributes/_swap_from"),
        ({"_swap": "MUG-BLUE", "_swap_from": "2"}, 422, "/data/attributes/_swap_from"),
        ({"_swap_from": 2}, 422, "/data/attributes/_swap_from"),
        ({"_swap": "NOTHING", "_swap_from": 2}, 422, "/data/attributes/_swap"),
        ({"_swap": "MUG-BLUE", "sku_code": "MUG-BLUE", "_swap_from": 2}, 422, "/data/attributes/_swap"),
        ({"swap_sku_code": "MUG-BLUE"}, 403, "/data/attributes/swap_sku_code"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_planned(
    weekly: Subscribed, sent: dict[str, Any], status: int, pointer: str
) -> None:
    refused = await weekly.customer.update("order_subscription_items", weekly.item, sent)
    assert (refused.status_code, pointers(refused)) == (status, [pointer]), refused.text
    assert await plan(weekly) == (weekly.shop.sku.code, None, None, None, None)


async def test_only_runs_that_can_still_be_changed_are_named(weekly: Subscribed) -> None:
    shop = weekly.shop
    await shop.wait_until("2026-01-13 00:00")
    past = await weekly.swap("MUG-BLUE", _swap_from=1)
    assert (past.status_code, pointers(past)) == (422, ["/data/attributes/_swap_from"])
    await shop.tell(weekly.id, cutoff_hours=24 * 7)
    settled = await weekly.swap("MUG-BLUE", _swap_from=2)
    assert (settled.status_code, pointers(settled)) == (409, ["/data/attributes/_swap_from"])
    assert short(settled.json()["errors"][0]["meta"]["closed_at"]) == "2026-01-12 09:00"
    assert (await weekly.swap("MUG-BLUE", _swap_from=3)).status_code == 200
    await shop.tell(weekly.id, _deactivate=True)
    assert (await weekly.swap("MUG-BLUE", _swap_from=4)).status_code == 409
    assert (await weekly.customer.update("order_subscription_items", weekly.item, {"_unswap": True})).status_code == 200


async def test_two_items_never_become_one_in_any_run(weekly: Subscribed) -> None:
    whole = {"order_subscription": to("order_subscriptions", weekly.id)}
    shop = weekly.shop
    await factories.sku(shop.connection, shop.store, price=500, code="BOWL", stock=100)
    other = await weekly.customer.create("order_subscription_items", {"sku_code": "BOWL", "quantity": 1}, whole)
    assert (await weekly.swap("MUG-BLUE", _swap_from=4)).status_code == 200
    for sent in ({"_swap": "MUG-BLUE"}, {"_swap": "MUG-BLUE", "_swap_from": 2}, {"_swap": "MUG-BLUE", "_swap_from": 6}):
        refused = await weekly.customer.update("order_subscription_items", other["id"], sent)
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/_swap"]), refused.text
        assert refused.json()["errors"][0]["meta"] == {"error": "taken", "order_subscription_item_id": weekly.item}
    # Once the one is something else, the other can be what it was.
    early = {"_swap": shop.sku.code, "_swap_from": 3}
    assert (await weekly.customer.update("order_subscription_items", other["id"], early)).status_code == 422
    late = {"_swap": shop.sku.code, "_swap_from": 4}
    assert (await weekly.customer.update("order_subscription_items", other["id"], late)).status_code == 200


async def test_a_run_that_is_left_out_passes_the_swap_on(weekly: Subscribed) -> None:
    shop = weekly.shop
    await weekly.swap("MUG-BLUE", _swap_from=2)
    second = [one for one in await shop.occurrences(weekly.id) if one["occurrence_index"] == 2]
    await shop.api.update("occurrences", second[0]["id"], {"_skip": True})
    await shop.wait_until("2026-01-20 00:00")
    assert (await plan(weekly))[:3] == (shop.sku.code, 2, "MUG-BLUE")
    await shop.wait_until("2026-01-27 00:00")
    assert await plan(weekly) == ("MUG-BLUE", None, None, None, None)
    assert [lines for _, lines in await weekly.lines()] == [[(shop.sku.code, 2, SHIRT)], [("MUG-BLUE", 2, MUG)]]


@pytest.mark.parametrize("skipped", [(), (2,), (2, 3, 4)], ids=["next", "skipped", "all that are planned"])
@pytest.mark.parametrize("by_hand", [False, True], ids=["verb", "copy"])
async def test_an_extra_run_orders_the_items_as_the_next_run_does(
    weekly: Subscribed, skipped: tuple[int, ...], *, by_hand: bool
) -> None:
    """It comes before that, and has no place of its own; what is different about the next run is not ordered twice."""
    shop = weekly.shop

    async def run_once_more() -> None:
        if by_hand:
            subscription = await shop.api.get(f"order_subscriptions/{weekly.id}?include=source_order")
            linked = {
                "order_subscription": to("order_subscriptions", weekly.id),
                "source_order": to("orders", subscription["included"][0]["id"]),
            }
            await shop.api.create("recurring_order_copies", {}, linked)
        else:
            await shop.tell(weekly.id, _run_now=True)

    begins = max(skipped, default=1) + 1
    await weekly.swap("MUG-BLUE", _swap_from=begins)
    await run_once_more()
    await shop.wait_until("2026-01-13 00:00")
    more = {"sku_code": shop.sku.code, "quantity": 1, "occurrence_index": begins}
    await shop.api.create("occurrence_items", more, {"order_subscription": to("order_subscriptions", weekly.id)})
    for one in await shop.occurrences(weekly.id):
        if one["occurrence_index"] in skipped:
            assert (await shop.api.update("occurrences", one["id"], {"_skip": True})).status_code == 200
    (first, *_) = [lines for lines in await told(weekly) if lines]
    assert first == [("MUG-BLUE", 2, MUG), (shop.sku.code, 1, SHIRT)]
    await run_once_more()
    await shop.wait_until("2026-01-14 00:00")
    shirt, mug = [(shop.sku.code, 2, SHIRT)], [("MUG-BLUE", 2, MUG)]
    assert [lines for _, lines in await weekly.lines()] == [shirt, shirt, mug]
    # The swap itself is still to come: none of the runs that it counts for has made its order.
    assert (await plan(weekly))[:3] == (shop.sku.code, begins, "MUG-BLUE")
    assert await offenders(shop.connection, shop.store) == []


async def test_a_run_that_is_ordered_ahead_counts_as_the_run_that_it_is(weekly: Subscribed) -> None:
    await weekly.swap("MUG-BLUE", _swap_from=1)
    await weekly.shop.tell(weekly.id, _order_next_now=True)
    await weekly.shop.wait_until("2026-01-09 00:00")
    assert [lines for _, lines in await weekly.lines()] == [[("MUG-BLUE", 2, MUG)]]
    assert (await plan(weekly))[0] == "MUG-BLUE"


async def test_a_run_from_before_that_is_made_late_orders_what_was_said_of_it(
    weekly: Subscribed, database: Database, connection: Connection, store: Store
) -> None:
    """Its copy still waits as the next run is made: the item becomes the other sku when both are."""
    shop = weekly.shop
    await weekly.swap("MUG-BLUE", _swap_from=2)
    copies: list[str] = []
    for at in ("2026-01-12 09:00", "2026-01-19 09:00"):
        async with database.transaction() as own:
            copies += (await sweep.sweep(own, replace(shop.store, frozen_at=on(at)))).copies
    late = replace(shop.store, frozen_at=on("2026-01-19 09:00"))
    await make(database, late, copies[1])
    assert (await plan(weekly))[:3] == (shop.sku.code, 2, "MUG-BLUE")
    await make(database, late, copies[0])
    assert await plan(weekly) == ("MUG-BLUE", None, None, None, None)
    rows = await connection.fetch(
        """
        select occurrences.occurrence_index, line_items.sku_code
        from orders
        inner join occurrences on occurrences.store_id = orders.store_id and occurrences.id = orders.occurrence_id
        inner join line_items on line_items.store_id = orders.store_id and line_items.order_id = orders.id
        where orders.store_id = $1
        order by 1
        """,
        store.id,
    )
    assert [tuple(one) for one in rows] == [(1, shop.sku.code), (2, "MUG-BLUE")]
    assert await offenders(connection, store) == []


async def test_lines_of_single_runs_go_along_with_what_the_item_is_in_them(weekly: Subscribed) -> None:
    related = {
        "order_subscription": to("order_subscriptions", weekly.id),
        "order_subscription_item": to("order_subscription_items", weekly.item),
    }
    early, late = [
        await weekly.customer.create("occurrence_items", {"occurrence_index": run, "quantity": 5}, related)
        for run in (2, 4)
    ]

    async def lines() -> list[tuple[str, int]]:
        found = [(await weekly.customer.get(f"occurrence_items/{one['id']}"))["data"] for one in (early, late)]
        return [(one["attributes"]["sku_code"], one["attributes"]["total_amount_cents"]) for one in found]

    shirt = weekly.shop.sku.code
    await weekly.swap("MUG-BLUE", _swap_from=3)
    assert await lines() == [(shirt, 5 * SHIRT), ("MUG-BLUE", 5 * MUG)]
    # A line that is made now begins with what the item is in its run.
    made = await weekly.customer.create("occurrence_items", {"occurrence_index": 5, "quantity": 1}, related)
    assert made["attributes"]["sku_code"] == "MUG-BLUE"
    await weekly.swap("MUG-BLUE", _swap_from=5)
    assert await lines() == [(shirt, 5 * SHIRT), (shirt, 5 * SHIRT)]
    await weekly.swap("MUG-BLUE", _swap_from=1)
    assert await lines() == [("MUG-BLUE", 5 * MUG), ("MUG-BLUE", 5 * MUG)]
    await weekly.customer.update("order_subscription_items", weekly.item, {"_unswap": True})
    assert await lines() == [(shirt, 5 * SHIRT), (shirt, 5 * SHIRT)]


async def test_a_preview_shows_the_runs_from_there_on_and_holds_the_swap_to_them(weekly: Subscribed) -> None:
    asked = {"_swap": "MUG-BLUE", "_swap_from": 6}
    shown = await preview(weekly.customer, "order_subscription_items", weekly.item, asked)
    total = 2 * MUG + 495
    days = ("2026-02-16", "2026-02-23", "2026-03-02")
    assert runs(shown) == [(f"{day} 09:00", total, [("MUG-BLUE", 2, MUG)]) for day in days]
    assert (await weekly.look())["swap_sku_code"] is None
    near = await preview(weekly.customer, "order_subscription_items", weekly.item, asked | {"_swap_from": 2})
    assert [lines[0][0] for _, _, lines in runs(near)] == [weekly.shop.sku.code, "MUG-BLUE", "MUG-BLUE"]
    wanted = shown.json()["data"]["attributes"]["digest"]
    await factories.set_price(weekly.shop.connection, weekly.shop.store, weekly.mug, 800)
    refused = await weekly.swap("MUG-BLUE", _swap_from=6, expected_digest=wanted)
    assert (refused.status_code, pointers(refused)) == (409, ["/data/attributes/expected_digest"])
    fresh = refused.json()["errors"][0]["meta"]["digest"]
    other = await weekly.swap("MUG-BLUE", _swap_from=7, expected_digest=fresh)
    assert other.status_code == 409
    assert (await weekly.swap("MUG-BLUE", _swap_from=6, expected_digest=fresh)).status_code == 200


@pytest.mark.parametrize("at_once", [True, False])
async def test_twenty_presses_beside_the_sweep_swap_once_and_no_run_is_torn(
    weekly: Subscribed, database: Database, connection: Connection, store: Store, *, at_once: bool
) -> None:
    """The run before orders the one sku, those from the second on the other, whenever the presses come."""
    mondays = [replace(weekly.shop.store, frozen_at=on(f"2026-01-{day} 09:00")) for day in (12, 19)]

    async def press(after: float) -> int:
        await asyncio.sleep(after)
        return (await weekly.swap("MUG-BLUE", _swap_from=2)).status_code

    async def working(now: Store) -> None:
        for _ in range(10):
            if at_once:
                await made_at_once(database, now)
            else:
                async with database.transaction() as own:
                    swept = await sweep.sweep(own, now)
                for copy in swept.copies:
                    await make(database, now, copy)
            await asyncio.sleep(0.02)

    answers, _ = await asyncio.gather(asyncio.gather(*(press(n / 60) for n in range(20))), working(mondays[0]))
    assert set(answers) <= {200, 409}
    assert 200 in answers
    for now in (*mondays, replace(weekly.shop.store, frozen_at=on("2026-01-26 09:00"))):
        await working(now)
    rows = await connection.fetch(
        """
        select occurrences.occurrence_index, line_items.sku_code, line_items.quantity
        from orders
        inner join occurrences on occurrences.store_id = orders.store_id and occurrences.id = orders.occurrence_id
        inner join line_items on line_items.store_id = orders.store_id and line_items.order_id = orders.id
        where orders.store_id = $1
        order by 1
        """,
        store.id,
    )
    assert [tuple(one) for one in rows] == [
        (1, weekly.shop.sku.code, 2),
        (2, "MUG-BLUE", 2),
        (3, "MUG-BLUE", 2),
    ]
    assert (await names_of(connection, store, weekly.item)).count("order_subscription_items.swap") == 1
    assert await plan(weekly) == ("MUG-BLUE", None, None, None, None)
    assert await offenders(connection, store) == []
