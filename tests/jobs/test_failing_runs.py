"""Runs that fail take no place: what stands behind them moves up, in the forecast as in what then happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.faults.playing import Shop, on, short
from tests.jobs.test_forecasts import happened, predicted
from tests.spec.writing import Api, offenders, to
from tests.support import Grant

PLACED = "2026-01-05 09:00"
END = "2026-03-10 00:00"
"""Later than nine runs."""
PHASES = [{"occurrences": 2, "percentage": 50}, {"occurrences": 2, "amount_cents": 1000}]
GONE = ("2026-01-15 00:00", "2026-01-29 00:00")
"""Between these the product of the shop has no price: runs 2 and 3, of 19 and 26 January, fail."""


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Thursday 8 January 2026 whose product will not be sold for two weeks."""
    shop = await Shop.open(api, database, connection, store, "2026-01-08 12:00")
    (price,) = (await api.get(f"skus/{shop.sku.id}/prices"))["data"]
    answer = await api.update("prices", price["id"], {"expires_at": on(GONE[0]).isoformat()})
    assert answer.status_code == 200, answer.text
    await factories.insert(
        connection, "prices", store, sku_id=shop.sku.id, currency_code="EUR", amount_cents=1900, starts_at=on(GONE[1])
    )
    return shop


async def weekly(shop: Shop, **attributes: Any) -> str:
    return await shop.subscribe(PLACED, frequency="weekly", price_mode="current", **attributes)


async def add(shop: Shop, id_: str, *runs: int) -> factories.Sku:
    """Add another product to runs, which is sold for no longer than that of the shop."""
    other = await factories.sku(shop.connection, shop.store, price=500)
    (price,) = (await shop.api.get(f"skus/{other.id}/prices"))["data"]
    for run in runs:
        sent = {"sku_code": other.code, "quantity": 1, "occurrence_index": run}
        await shop.api.create("occurrence_items", sent, {"order_subscription": to("order_subscriptions", id_)})
    answer = await shop.api.update("prices", price["id"], {"expires_at": on(GONE[0]).isoformat()})
    assert answer.status_code == 200, answer.text
    return other


async def foretold(shop: Shop, id_: str, query: str = "page[size]=25") -> list[tuple[Any, ...]]:
    """What a forecast says of the runs to come; what has no total will fail."""
    rows = predicted(await shop.api.get(f"order_subscriptions/{id_}/forecast?{query}"))
    return [(row[0], "failed", *row[2:]) if row[1] == "completed" and row[4] is None else row for row in rows]


async def came(shop: Shop, id_: str) -> list[tuple[Any, ...]]:
    """What came of its runs."""
    found = await happened(shop.connection, shop.store, {"id": id_}, 1_000)
    return [row for row in found if row[1] != "planned"]


@pytest.mark.parametrize(
    ("terms", "failed", "made"),
    [
        ({"pricing_phases": PHASES, "max_occurrences": 5}, 2, 5),
        ({"prepaid_occurrences": 3, "max_occurrences": 5}, 2, 5),
        ({"prepaid_occurrences": 2, "pricing_phases": PHASES, "max_occurrences": 4}, 2, 4),
        ({"pricing_phases": PHASES, "max_occurrences": 1}, 0, 1),
        ({"max_occurrences": 3, "max_increase_percent": 5}, 2, 3),
    ],
    ids=["phases", "prepaid", "both", "one", "plain"],
)
async def test_what_fails_is_foretold_with_all_that_moves_behind_it(
    shop: Shop, terms: dict[str, Any], failed: int, made: int
) -> None:
    id_ = await weekly(shop, **terms)
    if "prepaid_occurrences" in terms:
        await add(shop, id_, 2, 3)
    told = await foretold(shop, id_)
    pages = [row for n in (1, 2, 3, 4) for row in await foretold(shop, id_, f"page[size]=2&page[number]={n}")]
    assert pages == told
    await shop.wait_until(END)
    assert await came(shop, id_) == told
    assert [[row[1] for row in told].count(status) for status in ("failed", "completed")] == [failed, made]
    assert (await shop.look(id_))["ended_at"] is not None
    assert not await offenders(shop.connection, shop.store)


@pytest.mark.parametrize("terms", [{"pricing_phases": PHASES}, {"prepaid_occurrences": 2, "pricing_phases": PHASES}])
async def test_a_run_that_nobody_approves_takes_no_place_either(shop: Shop, terms: dict[str, Any]) -> None:
    id_ = await weekly(shop, max_increase_percent=5, **terms)
    await shop.wait_until("2026-02-03 00:00")
    before = len(await came(shop, id_))
    await factories.set_price(shop.connection, shop.store, shop.sku, 2900)
    await shop.wait_until("2026-02-17 00:00")
    await factories.set_price(shop.connection, shop.store, shop.sku, 1900)
    assert [row[1] for row in await came(shop, id_)][before:][-1] == "held"
    told = await foretold(shop, id_, "page[size]=3")
    await shop.wait_until(END)
    assert (await came(shop, id_))[-3:] == told


async def test_phases_and_periods_wait_for_a_run_that_makes_its_order(shop: Shop) -> None:
    phases = await weekly(shop, pricing_phases=PHASES, max_occurrences=5)
    prepaid = await weekly(shop, prepaid_occurrences=3, allow_duplicate=True)
    told = await shop.api.get(f"order_subscriptions/{phases}/forecast?page[size]=9")
    off = [one["attributes"]["discount_amount_cents"] for one in told["data"]]
    assert off == [-1900, None, None, -1900, -1000, -1000, 0]
    told = await shop.api.get(f"order_subscriptions/{prepaid}/forecast?page[size]=9")
    paid = [one["attributes"]["prepaid_amount_cents"] for one in told["data"]]
    assert paid[0] > 0
    # Agreed prices are not looked up: what is paid for comes, whatever the product costs meanwhile.
    assert [(amount > 0) - (amount < 0) for amount in paid] == [1, -1, -1] * 3


async def test_an_end_with_the_next_run_is_that_run_also_where_it_fails(shop: Shop) -> None:
    id_ = await weekly(shop, max_occurrences=4)
    await shop.wait_until("2026-01-16 00:00")
    await shop.tell(id_, cancel_at_period_end=True)
    told = await foretold(shop, id_)
    assert [row[1] for row in told] == ["failed"]
    await shop.wait_until(END)
    assert (await came(shop, id_))[1:] == told


async def test_the_calendar_and_the_first_day_to_cancel_follow(
    shop: Shop, client: httpx2.AsyncClient, grant: Grant
) -> None:
    id_ = await weekly(shop, max_occurrences=4, min_occurrences=3)
    told = await foretold(shop, id_)
    subscription = await shop.api.get(f"order_subscriptions/{id_}?include=customer")
    url = subscription["data"]["attributes"]["calendar_url"]
    feed = (await client.get(url)).text
    starts = [line.rpartition(":")[2] for line in feed.splitlines() if line.startswith("DTSTART")]
    assert [on(short(row[2])).strftime("%Y%m%dT%H%M%SZ") for row in told] == starts
    api = Api(client, await grant(customer_id=subscription["included"][0]["id"]))
    refused = await api.update("order_subscriptions", id_, {"_cancel": True})
    assert refused.status_code == 422
    third = [row for row in told if row[1] == "completed"][2]
    assert refused.json()["errors"][0]["meta"]["allowed_at"] == third[2]


@pytest.mark.parametrize(("weeks", "known"), [(40, True), (80, False)])
async def test_the_first_day_to_cancel_is_not_looked_for_without_end(
    *, shop: Shop, client: httpx2.AsyncClient, grant: Grant, weeks: int, known: bool
) -> None:
    id_ = await weekly(shop, min_occurrences=3)
    back = on(GONE[0]) + timedelta(weeks=weeks)
    await shop.connection.execute(
        "update prices set starts_at = $2 where store_id = $1 and expires_at is null", shop.store.id, back
    )
    subscription = await shop.api.get(f"order_subscriptions/{id_}?include=customer")
    api = Api(client, await grant(customer_id=subscription["included"][0]["id"]))
    refused = await api.update("order_subscriptions", id_, {"_cancel": True})
    assert refused.status_code == 422
    told = refused.json()["errors"][0]["meta"]
    assert told["run"] == 3
    assert told["allowed_at"] is None or on(short(told["allowed_at"])) > back
    assert (told["allowed_at"] is not None) == known


async def test_of_runs_that_are_made_up_for_together_one_that_fails_takes_no_place(shop: Shop) -> None:
    id_ = await weekly(shop, pricing_phases=PHASES, catchup_policy="run_all", max_occurrences=5)
    await add(shop, id_, 2)
    await shop.tell(id_, _deactivate=True)
    # Four are overdue, at a time when the product is sold again.
    await shop.wait_until("2026-02-03 00:00")
    await shop.tell(id_, _activate=True)
    told = await foretold(shop, id_)
    assert [row[:2] for row in told] == [(1, "completed"), (2, "failed"), *((n, "completed") for n in (3, 4, 5, 6))]
    await shop.wait_until("2026-02-03 01:00")
    assert await came(shop, id_) == told[:4]
    await shop.wait_until(END)
    assert await came(shop, id_) == told
