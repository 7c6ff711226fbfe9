"""A run that is held counts once somebody agrees to it; until then it leaves its place to another."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.faults.playing import Shop, short
from tests.jobs.test_prepaid import OWN, paid
from tests.spec.writing import Api, offenders, pointers, to
from tests.support import Grant

PLACED = "2026-01-05 09:00"
DEARER = 5000 + 495
"""What a run comes to once the price has risen."""


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on Thursday 8 January 2026."""
    return await Shop.open(api, database, connection, store, "2026-01-08 12:00")


async def limited(shop: Shop, **terms: Any) -> str:
    """A weekly subscription whose runs are held where they cost more than 5 percent more."""
    return await shop.subscribe(
        PLACED, frequency="weekly", price_mode="current", **{"max_increase_percent": 5, **terms}
    )


async def rise(shop: Shop) -> None:
    await factories.set_price(shop.connection, shop.store, shop.sku, 2500)


async def decide(shop: Shop, id_: str, verb: str) -> httpx2.Response:
    """Decide about the run that is held last."""
    held = [one["id"] for one in await shop.occurrences(id_) if one["status"] == "held"]
    return await shop.api.update("occurrences", held[-1], {verb: True})


async def statuses(shop: Shop, id_: str) -> list[str]:
    return [one["status"] for one in await shop.occurrences(id_)]


@pytest.mark.parametrize(
    ("terms", "before"),
    [
        ({"max_occurrences": 3}, 1),
        ({"max_occurrences": 1}, 0),
        ({"max_occurrences": 3, "catchup_policy": "run_all"}, 1),
    ],
    ids=["the last but one", "the only one", "several at once"],
)
async def test_what_nobody_agreed_to_leaves_its_place_to_another(
    shop: Shop, terms: dict[str, Any], before: int
) -> None:
    """Without an edit, which would plan on anyway."""
    id_ = await limited(shop, **terms)
    await shop.wait_until("2026-01-13 00:00" if before else "2026-01-09 00:00")
    await rise(shop)
    await shop.wait_until("2026-02-03 00:00")
    expected = ["completed"] * before + ["missed"] * (3 - before) + ["held"]
    assert [status for status in await statuses(shop, id_) if status != "planned"] == expected
    await factories.set_price(shop.connection, shop.store, shop.sku, 1900)
    assert len(await shop.dates(id_, 9)) == terms["max_occurrences"] - before
    await shop.wait_until("2026-04-01 00:00")
    ran = [status for status in await statuses(shop, id_) if status == "completed"]
    assert len(ran) == terms["max_occurrences"]
    assert (await shop.look(id_))["ended_at"] is not None
    assert await offenders(shop.connection, shop.store) == []


async def test_it_ends_once_somebody_agrees_to_the_last(shop: Shop) -> None:
    id_ = await limited(shop, max_occurrences=1)
    await rise(shop)
    await shop.wait_until("2026-01-13 00:00")
    assert (await shop.look(id_))["next_run_at"] == "2026-01-19T09:00:00.000Z"
    assert (await decide(shop, id_, "_approve")).status_code == 200
    ended = await shop.look(id_)
    assert (ended["next_run_at"], short(ended["ended_at"])) == (None, "2026-01-13 00:00")
    await shop.wait_until("2026-02-03 00:00")
    assert await paid(shop, id_) == [DEARER]
    assert await statuses(shop, id_) == ["completed"]
    assert await offenders(shop.connection, shop.store) == []


async def test_no_more_are_agreed_to_than_may_run(shop: Shop) -> None:
    id_ = await limited(shop, max_occurrences=2)
    await shop.wait_until("2026-01-13 00:00")
    await rise(shop)
    await shop.wait_until("2026-01-20 00:00")
    await shop.tell(id_, max_occurrences=1)
    refused = await decide(shop, id_, "_approve")
    assert (refused.status_code, pointers(refused)) == (409, ["/data/attributes/_approve"])
    assert "has run 1 times, as often as it may" in refused.json()["errors"][0]["detail"]
    assert (await decide(shop, id_, "_reject")).status_code == 200
    assert await statuses(shop, id_) == ["completed", "skipped"]
    assert await offenders(shop.connection, shop.store) == []


async def test_the_last_run_of_a_period_is_the_last_also_if_it_is_held(shop: Shop) -> None:
    """As when it fails: it is not made up for."""
    id_ = await limited(shop)
    await rise(shop)
    await shop.tell(id_, cancel_at_period_end=True)
    await shop.wait_until("2026-01-13 00:00")
    ended = await shop.look(id_)
    assert (ended["next_run_at"], short(ended["ended_at"])) == (None, "2026-01-12 09:00")
    assert (await decide(shop, id_, "_approve")).status_code == 200
    await shop.wait_until("2026-02-03 00:00")
    assert await paid(shop, id_) == [DEARER]


@pytest.mark.parametrize(
    ("verb", "ran"),
    [
        (None, ["completed", "completed", "missed", "completed"]),
        ("_approve", ["completed", "completed", "completed"]),
        ("_reject", ["completed", "completed", "skipped", "completed"]),
    ],
    ids=["nobody agrees", "approved", "rejected"],
)
async def test_all_that_is_paid_for_comes_also_if_some_of_it_is_held(
    shop: Shop, verb: str | None, ran: list[str]
) -> None:
    id_ = await limited(shop, prepaid_occurrences=3)
    await shop.wait_until("2026-01-20 00:00")
    await shop.tell(id_, cancel_at_period_end=True)
    # What comes along with the last delivery becomes dearer.
    other = await factories.sku(shop.connection, shop.store, price=500)
    along = {"sku_code": other.code, "quantity": 1, "occurrence_index": 3}
    await shop.api.create("occurrence_items", along, {"order_subscription": to("order_subscriptions", id_)})
    await factories.set_price(shop.connection, shop.store, other, 2500)
    await shop.wait_until("2026-01-27 00:00")
    assert (await statuses(shop, id_))[:3] == ["completed", "completed", "held"]
    assert (await shop.look(id_))["ended_at"] is None
    if verb is not None:
        assert (await decide(shop, id_, verb)).status_code == 200
    await shop.wait_until("2026-03-03 00:00")
    assert await statuses(shop, id_) == ran
    assert await paid(shop, id_) == [3 * OWN, 0, 2500 if verb == "_approve" else 0]
    assert (await shop.look(id_))["ended_at"] is not None
    assert await offenders(shop.connection, shop.store) == []


async def test_customers_stay_until_so_many_have_come(
    shop: Shop, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    """The date that they are told is that of the run which comes in place of the one that is held."""
    id_ = await limited(shop, min_occurrences=2)
    await shop.wait_until("2026-01-13 00:00")
    await rise(shop)
    await shop.wait_until("2026-01-20 00:00")
    assert await statuses(shop, id_) == ["completed", "held", "planned", "planned", "planned"]
    of = await connection.fetchval(
        "select customer_id from order_subscriptions where store_id = $1 and id = $2", store.id, id_
    )
    customer = Api(client, await grant(customer_id=of))
    refused = await customer.update("order_subscriptions", id_, {"_cancel": True})
    assert refused.json()["errors"][0]["meta"] == {"run": 2, "allowed_at": "2026-01-26T09:00:00.000Z"}
    assert (await decide(shop, id_, "_approve")).status_code == 200
    await shop.wait_until("2026-01-20 00:01")
    assert (await customer.update("order_subscriptions", id_, {"_cancel": True})).status_code == 200
